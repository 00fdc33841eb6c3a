//! The receiver `pagerduty`: an incident for what is resolved at its end, a change event for what never is.
//!
//! Source: PagerDuty's documentation of the Events API v2 ("Send an alert event", "Send a change event"). An event with the
//! key of an open incident goes into it, so a trigger that arrives twice opens one incident. A resolve needs the routing key of
//! the trigger, and is dropped without a word where nothing is open. `event` is pure; `send` posts it.

use super::client::{Client, Post, Sent};
use super::{Reason, Receipt, Verdict, Why, cut, digest, secret, title, webhook};
use crate::alert::Severity;
use crate::config::PagerDutyConfig;
use crate::dispatch::{Topic, Turn};
use crate::message::{Message, Notification};
use crate::plan::{Text, Time};
use reqwest::header::HeaderMap;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Characters of the name of an incident.
const KEY_MAX: usize = 255;
/// Characters of a summary.
const SUMMARY_MAX: usize = 1024;
/// Characters of any other field.
const FIELD_MAX: usize = 1024;
/// Links that are sent along.
const LINKS_MAX: usize = 20;
/// Bytes of an event: below PagerDuty's 512 KB.
const BODY_MAX: usize = 500_000;
/// Digits of the name of a routing key: enough to tell keys apart, and too few to find one.
const FINGERPRINT: usize = 16;

/// A PagerDuty with its client.
#[derive(Debug)]
pub(super) struct Sender {
    config: PagerDutyConfig,
    client: Client,
}

/// What a notification is to PagerDuty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It opens an incident, or goes into the one that is open.
    Trigger,
    /// It ends an incident.
    Resolve,
    /// It is shown beside incidents and calls nobody.
    Change,
}

impl Kind {
    /// What a notification is. An incident that nobody resolves stays open for ever, so what is told once is a change event.
    /// Nor does what is only for information need an incident, unless it is the end of one or belongs to one.
    pub fn of(notification: &Notification) -> Self {
        let is_open = is_fingerprint(&notification.remote);
        let may_be_open = is_open || notification.message.severity != Severity::Info;
        match (&notification.topic, notification.message.turn) {
            (Topic::Baseline(_) | Topic::Over(_) | Topic::Campaign(_), _) | (_, Turn::Over) => Self::Change,
            (Topic::Thread(_) | Topic::Digest(_), _) if !may_be_open => Self::Change,
            (Topic::Thread(_) | Topic::Digest(_), Turn::Resolved) => Self::Resolve,
            (Topic::Thread(_) | Topic::Digest(_), Turn::Firing | Turn::Updated | Turn::Reminder) => Self::Trigger,
        }
    }
}

impl Sender {
    pub(super) fn new(config: PagerDutyConfig) -> Result<Self, String> {
        Ok(Self { client: Client::new(&config.client)?, config })
    }

    pub(super) async fn send(&self, notification: &Notification, now: Time, until: Instant) -> Sent {
        let key = secret::read(&self.config.routing_key, until).await?;
        let (kind, fingerprint) = (Kind::of(notification), fingerprint(key.expose_secret()));
        let other = is_fingerprint(&notification.remote) && notification.remote != fingerprint.as_str();
        if other && kind == Kind::Resolve {
            let why = "the incident was opened with another routing key, and this one cannot resolve it: resolve it by hand";
            return Err(Verdict::Refused(Why::new(Reason::Rejected, why)));
        }
        let url = match kind {
            Kind::Trigger | Kind::Resolve => self.config.url.clone(),
            Kind::Change => self.config.change_url(),
        };
        let body = event(notification, kind, key.expose_secret(), &now.to_string()).to_string();
        let post = Post { url: &url, headers: HeaderMap::new(), body, until, secrets: &[&key] };
        // An incident that may be open has to be resolved with this key, so what it is called is said in doubt too.
        let remote: Option<Text> = (kind == Kind::Trigger).then(|| fingerprint.as_str().into());
        let verdict = match self.client.post(post, now).await {
            // A key that PagerDuty does not know is a 400 like a wrong event, but somebody can mend it.
            Ok(answer) if answer.status == 400 && speaks_of_the_key(&answer.body) => answer.to_be_mended(),
            Ok(answer) => answer.verdict(),
            Err(verdict) => verdict,
        };
        let may_have_arrived = matches!(verdict, Verdict::Delivered | Verdict::Unknown(_));
        if may_have_arrived && other && kind == Kind::Trigger {
            tracing::warn!(
                receiver = %notification.receiver, title = notification.message.title,
                "the routing key is another one now: the incident that was opened with the old one has to be resolved by hand"
            );
        }
        Ok(Receipt { verdict, remote: remote.filter(|_| may_have_arrived), is_of_this_alone: false })
    }
}

fn speaks_of_the_key(body: &str) -> bool {
    let body = body.to_lowercase();
    body.contains("routing key") || body.contains("routing_key")
}

/// What a routing key is called where it must not stand itself.
fn fingerprint(routing_key: &str) -> String {
    let mut hash = digest::sha256(&format!("mtv-sentinel/{routing_key}"));
    hash.truncate(FINGERPRINT);
    hash
}

fn is_fingerprint(remote: &str) -> bool {
    remote.len() == FINGERPRINT && remote.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What is posted. `at` is now, in RFC 3339.
pub fn event(notification: &Notification, kind: Kind, routing_key: &str, at: &str) -> Value {
    let mut event = match kind {
        Kind::Resolve => json!({"event_action": "resolve", "dedup_key": key(notification)}),
        Kind::Trigger => trigger(notification, at),
        Kind::Change => change(&notification.message, at),
    };
    event["routing_key"] = routing_key.into();
    if event.to_string().len() > BODY_MAX {
        event["payload"]["custom_details"] = json!({"note": "The details are too long to be sent."});
    }
    event
}

fn trigger(notification: &Notification, at: &str) -> Value {
    let message = &notification.message;
    json!({
        "event_action": "trigger",
        "dedup_key": key(notification),
        "client": "mtv-sentinel",
        "links": links(message),
        "payload": {
            "summary": cut(title(message), SUMMARY_MAX),
            "source": source(message),
            "severity": match message.severity {
                Severity::Critical => "critical",
                Severity::Warning => "warning",
                Severity::Info => "info",
            },
            "timestamp": at,
            "component": cut(if message.kind.is_empty() { message.about.as_str() } else { message.kind }, FIELD_MAX),
            "group": cut(&message.namespace, FIELD_MAX),
            "class": cut(message.rule, FIELD_MAX),
            "custom_details": details(message),
        },
    })
}

fn change(message: &Message, at: &str) -> Value {
    json!({
        "links": links(message),
        "payload": {
            "summary": cut(title(message), SUMMARY_MAX),
            "source": source(message),
            "timestamp": at,
            "custom_details": details(message),
        },
    })
}

/// What names the incident. Digests are named by time, and clusters may share a routing key.
fn key(notification: &Notification) -> String {
    let key = match &notification.topic {
        Topic::Digest(_) | Topic::Thread(_) | Topic::Baseline(_) | Topic::Over(_) | Topic::Campaign(_) => {
            webhook::key(notification)
        }
    };
    if key.chars().count() <= KEY_MAX { key } else { format!("mtv-sentinel/{}", digest::sha256(&key)) }
}

/// Where it comes from: cluster, namespace and name, as far as there are.
fn source(message: &Message) -> String {
    let parts = [message.cluster.as_str(), &message.namespace, &message.name];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "mtv-sentinel".to_owned() } else { cut(&parts.join("/"), FIELD_MAX) }
}

fn links(message: &Message) -> Vec<Value> {
    let links = message.links.iter().filter(|link| link.href.len() <= FIELD_MAX).take(LINKS_MAX);
    links.map(|link| json!({"href": link.href, "text": cut(&link.text, FIELD_MAX)})).collect()
}

fn details(message: &Message) -> Value {
    let mut details = json!({
        "text": message.text,
        "rule": message.rule,
        "severity": message.severity.as_str(),
        "reason": message.reason,
        "since": message.since,
        "now": message.now,
    });
    let mut put = |name: &str, value: Option<Value>| value.into_iter().for_each(|value| details[name] = value);
    let given = |text: &str| (!text.is_empty()).then(|| text.into());
    put("cluster", given(&message.cluster));
    put("next", given(message.next));
    put("command", message.command.as_ref().map(|command| command.line.as_str().into()));
    put("attempt", (message.attempt > 0).then(|| message.attempt.into()));
    put("progress", message.progress.as_ref().and_then(|progress| serde_json::to_value(progress).ok()));
    put("vms", Some(&message.vms).filter(|vms| !vms.is_empty()).and_then(|vms| serde_json::to_value(vms).ok()));
    put("counts", Some(&message.counts).filter(|all| !all.is_empty()).and_then(|all| serde_json::to_value(all).ok()));
    details
}
