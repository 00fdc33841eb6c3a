//! A stand-in for Slack: an incoming webhook, `chat.postMessage` and `chat.update`, with Slack's limits.
//!
//! Used by the tests and by `make cluster-demo`. It follows docs.slack.dev, not the program that talks to it.

use crate::mishap::{Answer, Line, Mishap, Request, lock, serve};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The token that the bot has.
const TOKEN: &str = "xoxb-stand-in-token";
/// The channel that it is in, by name and by id.
const CHANNEL: (&str, &str) = ("#migrations", "C0MIGRATION");

/// A message as a person sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackMessage {
    /// Its timestamp, which is its name.
    pub ts: String,
    /// The message that it replies to.
    pub thread: Option<String>,
    /// Whether the channel sees it, not only who looks at the thread.
    pub in_channel: bool,
    /// Its first line: `text`.
    pub title: String,
    /// All that is written in its sections.
    pub body: String,
    /// The colour of the bar beside it.
    pub colour: String,
    /// Its titles before it was edited.
    pub before: Vec<String>,
}

#[derive(Default)]
struct State {
    messages: Vec<SlackMessage>,
    seen: Vec<String>,
    refused: Vec<String>,
    rate: Option<(usize, Duration)>,
    taken: Vec<Instant>,
    clock: u64,
}

/// A Slack with one channel.
pub struct Slack {
    address: SocketAddr,
    line: Arc<Line>,
    state: Arc<Mutex<State>>,
}

impl Slack {
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

    /// The URL of its incoming webhook.
    pub fn webhook_url(&self) -> String {
        format!("http://{}/services/T0/B0/s3cr3t-hook", self.address)
    }

    /// Where its methods are.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// The token that it knows.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// The name of its channel.
    pub fn channel(&self) -> &'static str {
        CHANNEL.0
    }

    /// Takes at most so many messages in so long; the rest is answered with 429.
    pub fn limit(&self, messages: usize, window: Duration) {
        lock(&self.state).rate = Some((messages, window));
    }

    /// What goes wrong with the next requests.
    pub fn mishaps(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.line.mishaps(mishaps);
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.line.requests()
    }

    /// All messages, the oldest first.
    pub fn messages(&self) -> Vec<SlackMessage> {
        lock(&self.state).messages.clone()
    }

    /// A person deletes all messages.
    pub fn delete_all(&self) {
        lock(&self.state).messages.clear();
    }

    /// What a person has seen.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state).seen.clone()
    }

    /// What was refused, and why.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.state).refused.clone()
    }
}

impl State {
    fn take(&mut self, request: &Request) -> Answer {
        let Some(body) = &request.body else { return Answer::new(400, "invalid_payload") };
        if let Some((messages, window)) = self.rate {
            self.taken.retain(|at| at.elapsed() < window);
            if self.taken.len() >= messages {
                self.refused.push("ratelimited".to_owned());
                let said = json!({"ok": false, "error": "ratelimited"});
                return Answer { retry_after: Some(window.as_secs().max(1)), ..Answer::new(429, said) };
            }
            self.taken.push(Instant::now());
        }
        let method = match request.path.strip_prefix("/api/") {
            None if request.path.starts_with("/services/") => return self.webhook(body),
            None => return Answer::new(404, "no_service"),
            Some(method) => method,
        };
        let done = if request.head.contains(&format!("authorization: bearer {TOKEN}")) {
            self.call(method, body)
        } else {
            Err("invalid_auth")
        };
        match done {
            Ok(ts) => Answer::new(200, json!({"ok": true, "channel": CHANNEL.1, "ts": ts, "message": body})),
            Err(error) => {
                self.refused.push(error.to_owned());
                Answer::new(200, json!({"ok": false, "error": error}))
            }
        }
    }

    fn webhook(&mut self, body: &Value) -> Answer {
        if let Err(error) = check_message(body) {
            self.refused.push(error.to_owned());
            return Answer::new(400, error);
        }
        self.post(body, None, true);
        Answer::new(200, "ok")
    }

    fn call(&mut self, method: &str, body: &Value) -> Result<String, &'static str> {
        let channel = body["channel"].as_str().unwrap_or_default();
        if channel != CHANNEL.1 && (channel != CHANNEL.0 || method != "chat.postMessage") {
            return Err("channel_not_found");
        }
        check_message(body)?;
        let known = |state: &Self, ts: &str| state.messages.iter().position(|message| message.ts == ts);
        match method {
            "chat.postMessage" => {
                let thread = body["thread_ts"].as_str();
                if thread.is_some_and(|ts| known(self, ts).is_none()) {
                    return Err("thread_not_found");
                }
                Ok(self.post(body, thread.map(str::to_owned), thread.is_none() || body["reply_broadcast"] == true))
            }
            "chat.update" => {
                let ts = body["ts"].as_str().unwrap_or_default();
                let at = known(self, ts).ok_or("message_not_found")?;
                let message = &mut self.messages[at];
                let before = std::mem::replace(&mut message.title, text(&body["text"]));
                message.before.push(before);
                (message.body, message.colour) = (sections(body), text(&body["attachments"][0]["color"]));
                self.seen.push(format!("Slack: edited: {}", message.title));
                Ok(ts.to_owned())
            }
            _ => Err("unknown_method"),
        }
    }

    fn post(&mut self, body: &Value, thread: Option<String>, in_channel: bool) -> String {
        self.clock += 1;
        let ts = format!("18000000{:02}.{:06}", self.clock / 100, self.clock);
        let title = text(&body["text"]);
        let reply = if thread.is_some() { "reply" } else { "message" };
        self.seen.push(format!("Slack: {reply}: {title}"));
        let (shown, colour) = (sections(body), text(&body["attachments"][0]["color"]));
        self.messages.push(SlackMessage {
            ts: ts.clone(),
            thread,
            in_channel,
            title,
            body: shown,
            colour,
            before: Vec::new(),
        });
        ts
    }
}

/// A text as it is shown: Slack's escapes are undone.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn blocks(body: &Value) -> impl Iterator<Item = &Value> {
    let own = body["blocks"].as_array().into_iter().flatten();
    let attached = body["attachments"].as_array().into_iter().flatten();
    own.chain(attached.flat_map(|attachment| attachment["blocks"].as_array().into_iter().flatten()))
}

fn sections(body: &Value) -> String {
    blocks(body).map(|block| text(&block["text"]["text"])).collect::<Vec<_>>().join("\n")
}

/// Whether Slack would take a message; its own word for why not.
///
/// # Errors
/// If it would not.
pub fn check_message(body: &Value) -> Result<(), &'static str> {
    const FIELDS: &[&str] = &[
        "attachments",
        "blocks",
        "channel",
        "parse",
        "reply_broadcast",
        "text",
        "thread_ts",
        "ts",
        "unfurl_links",
        "unfurl_media",
    ];
    let fields = body.as_object().ok_or("invalid_json")?;
    if fields.keys().any(|name| !FIELDS.contains(&name.as_str())) {
        return Err("invalid_arguments");
    }
    let title = body["text"].as_str().unwrap_or_default();
    if title.is_empty() && blocks(body).next().is_none() {
        return Err("no_text");
    }
    if title.chars().count() > 40_000 {
        return Err("msg_too_long");
    }
    if body["attachments"].as_array().is_some_and(|attachments| attachments.len() > 100) {
        return Err("too_many_attachments");
    }
    if blocks(body).count() > 50 {
        return Err("invalid_blocks");
    }
    let mut all = 0;
    for block in blocks(body) {
        let (kind, most) = match block["type"].as_str() {
            Some("header") => ("plain_text", 150),
            Some("section") => ("mrkdwn", 3000),
            _ => return Err("invalid_blocks"),
        };
        let length = block["text"]["text"].as_str().map(|text| text.encode_utf16().count()).unwrap_or_default();
        let is_kind = block["text"]["type"] == kind || block["text"]["type"] == "plain_text";
        if !is_kind || !(1..=most).contains(&length) {
            return Err("invalid_blocks");
        }
        all += length;
    }
    if all > 13_200 {
        return Err("msg_blocks_too_long");
    }
    Ok(())
}

/// What in a message calls somebody, or would be taken for a link that it is not: anything in angle brackets that is no link.
pub fn calls(body: &Value) -> Vec<String> {
    let texts = blocks(body).filter_map(|block| block["text"]["text"].as_str());
    let texts = texts.chain(body["text"].as_str()).chain(body["attachments"][0]["fallback"].as_str());
    let pieces = texts.flat_map(|text| text.split('<').skip(1));
    pieces.filter(|piece| !piece.starts_with("http://") && !piece.starts_with("https://")).map(str::to_owned).collect()
}
