//! A stand-in for PagerDuty's Events API v2: it keeps incidents by their key, and change events apart.
//!
//! Used by the tests and by `make cluster-demo`. What it takes and what it does with it follows PagerDuty's documentation
//! ("Send an alert event", "Send a change event"), not the program that talks to it.

use crate::mishap::{Answer, Line, Mishap, Request, lock, serve};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// An incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Its `dedup_key`.
    pub key: String,
    /// The routing key that opened it.
    pub routing_key: String,
    /// Whether nobody has resolved it.
    pub is_open: bool,
    /// The summary of the trigger that opened it: what PagerDuty shows as its title.
    pub title: String,
    /// The severity of the last trigger.
    pub severity: String,
    /// The triggers that went into it, the first one too.
    pub triggers: Vec<Value>,
}

#[derive(Default)]
struct State {
    incidents: Vec<Incident>,
    changes: Vec<Value>,
    seen: Vec<String>,
    refused: Vec<String>,
}

/// A PagerDuty.
pub struct PagerDuty {
    address: SocketAddr,
    line: Arc<Line>,
    state: Arc<Mutex<State>>,
}

impl PagerDuty {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start() -> std::io::Result<Self> {
        Self::start_with(|_| {})
    }

    /// Starts one that says what a person sees, line by line.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start_with(see: impl Fn(&str) + Send + Sync + 'static) -> std::io::Result<Self> {
        let (line, state) = (Arc::new(Line::default()), Arc::new(Mutex::new(State::default())));
        let kept = Arc::clone(&state);
        let address = serve(Arc::clone(&line), move |request| {
            let mut state = lock(&kept);
            let before = state.seen.len();
            let answer = state.take(&request);
            state.seen[before..].iter().for_each(|line| see(line));
            answer
        })?;
        Ok(Self { address, line, state })
    }

    /// Where events go; change events go to `change/enqueue` beside it.
    pub fn url(&self) -> String {
        format!("http://{}/v2/enqueue", self.address)
    }

    /// What goes wrong with the next requests.
    pub fn mishaps(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.line.mishaps(mishaps);
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.line.requests()
    }

    /// All incidents, in the order in which they were opened.
    pub fn incidents(&self) -> Vec<Incident> {
        lock(&self.state).incidents.clone()
    }

    /// All change events.
    pub fn changes(&self) -> Vec<Value> {
        lock(&self.state).changes.clone()
    }

    /// What a person has seen.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state).seen.clone()
    }

    /// What was refused, and why.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.state).refused.clone()
    }

    /// A person resolves what is open.
    pub fn resolve_by_hand(&self) {
        lock(&self.state).incidents.iter_mut().for_each(|incident| incident.is_open = false);
    }
}

impl State {
    fn take(&mut self, request: &Request) -> Answer {
        let is_change = request.path == "/v2/change/enqueue";
        if !is_change && request.path != "/v2/enqueue" {
            return Answer::new(404, "Not Found");
        }
        let wrong = match &request.body {
            Some(_) if request.size > 512 * 1024 => vec!["the event is larger than 512 KB".to_owned()],
            Some(event) => check_event(event, is_change),
            None => vec!["this is no JSON".to_owned()],
        };
        let event = request.body.clone().unwrap_or_default();
        if !wrong.is_empty() {
            self.refused.extend(wrong.clone());
            let said = json!({"status": "invalid event", "message": "Event object is invalid", "errors": wrong});
            return Answer::new(400, said);
        }
        let summary = text(&event["payload"]["summary"]);
        if is_change {
            self.seen.push(format!("PagerDuty: change event: {summary}"));
            self.changes.push(event);
            return Answer::new(202, json!({"status": "success", "message": "Change event processed"}));
        }
        let (key, routing_key) = (text(&event["dedup_key"]), text(&event["routing_key"]));
        let open = |incident: &&mut Incident| incident.is_open && incident.key == key && incident.routing_key == routing_key;
        match (event["event_action"].as_str(), self.incidents.iter_mut().find(open)) {
            (Some("resolve"), Some(incident)) => {
                incident.is_open = false;
                self.seen.push(format!("PagerDuty: resolved: {}", incident.title));
            }
            // What is not open cannot be resolved, and nobody is told.
            (Some("resolve"), None) => {}
            (_, Some(incident)) => {
                incident.severity = text(&event["payload"]["severity"]);
                incident.triggers.push(event.clone());
                self.seen.push(format!("PagerDuty: once more in \"{}\": {summary}", incident.title));
            }
            (_, None) => {
                self.seen.push(format!("PagerDuty: incident: {summary}"));
                self.incidents.push(Incident {
                    key: key.clone(),
                    routing_key,
                    is_open: true,
                    title: summary,
                    severity: text(&event["payload"]["severity"]),
                    triggers: vec![event.clone()],
                });
            }
        }
        Answer::new(202, json!({"status": "success", "message": "Event processed", "dedup_key": key}))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What is wrong with an event, or with a change event, by PagerDuty's documentation.
pub fn check_event(event: &Value, is_change: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut needs = |holds: bool, what: &str| wrong.extend((!holds).then(|| what.to_owned()));
    let Some(fields) = event.as_object() else { return vec!["it is no object".to_owned()] };
    let known: &[&str] = if is_change {
        &["routing_key", "payload", "links"]
    } else {
        &["routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"]
    };
    for name in fields.keys() {
        needs(known.contains(&name.as_str()), &format!("there is no field {name}"));
    }
    let is_text = |value: &Value, most: usize| value.as_str().is_some_and(|text| (1..=most).contains(&text.chars().count()));
    let key = event["routing_key"].as_str().unwrap_or_default();
    needs(key.len() == 32, "Length of 'routing_key' is incorrect (should be 32 characters)");
    let action = event["event_action"].as_str().unwrap_or_default();
    if !is_change {
        needs(["trigger", "acknowledge", "resolve"].contains(&action), "'event_action' is wrong");
        let key = &event["dedup_key"];
        needs(is_text(key, 255) || (action == "trigger" && key.is_null()), "'dedup_key' is wrong");
    }
    if is_change || action == "trigger" {
        let payload = &event["payload"];
        let known: &[&str] = if is_change {
            &["summary", "source", "timestamp", "custom_details"]
        } else {
            &["summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"]
        };
        for name in payload.as_object().into_iter().flat_map(|payload| payload.keys()) {
            needs(known.contains(&name.as_str()), &format!("there is no field payload.{name}"));
        }
        needs(is_text(&payload["summary"], 1024), "'payload.summary' is missing or too long");
        needs(is_text(&payload["source"], 1024), "'payload.source' is missing or too long");
        if !is_change {
            let severity = payload["severity"].as_str().unwrap_or_default();
            needs(["critical", "error", "warning", "info"].contains(&severity), "'payload.severity' is wrong");
        }
        for name in ["component", "group", "class", "timestamp"] {
            needs(payload[name].is_null() || payload[name].is_string(), &format!("'payload.{name}' is no text"));
        }
        let details = &payload["custom_details"];
        needs(details.is_null() || details.is_object(), "'payload.custom_details' is no object");
    }
    for link in event["links"].as_array().into_iter().flatten() {
        let is_url = link["href"].as_str().is_some_and(|href| href.starts_with("http://") || href.starts_with("https://"));
        needs(is_url, "'links' has something that is no link");
    }
    wrong
}
