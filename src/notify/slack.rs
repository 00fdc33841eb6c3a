//! The receiver `slack`: through an incoming webhook each turn is a post; a bot edits its message as the conversation grows.
//!
//! Sources: docs.slack.dev, "Sending messages using incoming webhooks", `chat.postMessage`, `chat.update`, "Rate limits".
//! `send` posts, `judge` says what an answer means; what is posted is made by `slack_payload`. What Slack calls the conversation
//! is the channel and the timestamp of its message.

use super::client::{self, Answer, Client, Post, Sent};
use super::slack_payload::payload;
use super::{Reason, Receipt, Verdict, Why, secret};
use crate::config::{SlackConfig, SlackWay};
use crate::dispatch::Turn;
use crate::message::Notification;
use crate::plan::{Text, Time};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

/// Errors of which Slack says that some of it may have been done.
const AMBIGUOUS: [&str; 3] = ["fatal_error", "internal_error", "update_failed"];
/// Errors after which the same may be tried again: nothing was done.
const BUSY: [&str; 4] = ["ratelimited", "rate_limited", "service_unavailable", "request_timeout"];
/// Errors that speak of what is sent: the same will never be taken.
const NEVER: [&str; 15] = [
    "attachment_payload_limit_exceeded",
    "invalid_arguments",
    "invalid_arg_name",
    "invalid_array_arg",
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_charset",
    "invalid_json",
    "invalid_payload",
    "invalid_post_type",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "too_many_attachments",
];
/// Errors that speak of the token, and so of every message. Any other one of an edit or a reply speaks of the message that is to
/// be edited or answered, or of its channel: somebody deleted it, it is too old, it is in another workspace. A new message may
/// still get through, to the channel that is configured now.
const OF_THE_TOKEN: [&str; 14] = [
    "access_denied",
    "account_inactive",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "method_deprecated",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "org_login_required",
    "team_access_not_granted",
    "token_expired",
    "token_revoked",
];

/// Words of a 400 that speak of where an incoming webhook goes, which somebody can mend, and not of the message (docs.slack.dev,
/// "Sending messages using incoming webhooks", and the changelog of 2016-05-17).
const OF_THE_WEBHOOK: [&str; 5] = ["channel_not_found", "no_active_hooks", "no_service", "team_disabled", "user_not_found"];
/// Slack's own names are a tenth of this.
const NAME_MAX: usize = 100;

/// A Slack with its client.
#[derive(Debug)]
pub(super) struct Sender {
    config: SlackConfig,
    client: Client,
}

/// A message in Slack.
struct Message<'a> {
    channel: &'a str,
    ts: &'a str,
}

impl<'a> Message<'a> {
    /// The message that a receiver's own name of a conversation stands for, if it is one of ours: `CHANNEL/TS`.
    fn of(remote: &'a str) -> Option<Self> {
        let (channel, ts) = remote.split_once('/')?;
        let is_id = !channel.is_empty() && channel.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_ts = !ts.is_empty() && ts.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (is_id && is_ts).then_some(Self { channel, ts })
    }
}

/// What a method of Slack's answers.
#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
}

/// Why a method did not do it.
enum Failure {
    /// The message that it is about, or the channel, is out of reach: nothing was done.
    Gone(Verdict),
    /// Anything else.
    Ends(Verdict),
}

/// The way to Slack's methods, for one message.
struct Bot<'a> {
    client: &'a Client,
    api_url: &'a str,
    token: &'a SecretString,
    until: Instant,
    now: Time,
}

impl Sender {
    pub(super) fn new(config: SlackConfig) -> Result<Self, String> {
        Ok(Self { client: Client::new(&config.client)?, config })
    }

    pub(super) async fn send(&self, notification: &Notification, now: Time, until: Instant) -> Sent {
        let body = payload(notification);
        match &self.config.way {
            SlackWay::Webhook(url) => {
                let url = secret::read(url, until).await?;
                let (headers, secrets) = (HeaderMap::new(), [&url]);
                let post = Post { url: url.expose_secret(), headers, body: body.to_string(), until, secrets: &secrets };
                Ok(judge_webhook(&self.client.post(post, now).await?).into())
            }
            SlackWay::Bot { token, channel, api_url } => {
                let token = secret::read(token, until).await?;
                let bot = Bot { client: &self.client, api_url, token: &token, until, now };
                bot.tell(notification, channel, body).await
            }
        }
    }
}

impl Bot<'_> {
    /// The beginning is a new message. It is edited when there is more, and at the end. A reminder is a reply that the channel
    /// sees too: an edit reminds nobody. Where the message is out of reach, or nobody knows it, all of these are a new one.
    async fn tell(&self, notification: &Notification, channel: &str, body: Value) -> Sent {
        let followed = match (notification.message.turn, Message::of(&notification.remote)) {
            (Turn::Updated | Turn::Resolved, Some(Message { channel, ts })) => {
                // Without `parse`, an edit looks for names and links by itself.
                Some(self.call("chat.update", &body, &[("channel", channel), ("ts", ts), ("parse", "none")]).await)
            }
            (Turn::Reminder, Some(Message { channel, ts })) => {
                let mut reply = body.clone();
                reply["reply_broadcast"] = true.into();
                let done = self.call("chat.postMessage", &reply, &[("channel", channel), ("thread_ts", ts)]).await;
                // The conversation is still its first message.
                Some(done.map(|_| None))
            }
            (Turn::Firing | Turn::Over, _) | (Turn::Updated | Turn::Resolved | Turn::Reminder, None) => None,
        };
        let done = match followed {
            None | Some(Err(Failure::Gone(_))) => self.call("chat.postMessage", &body, &[("channel", channel)]).await,
            Some(done) => done,
        };
        match done {
            Ok(remote) => Ok(Receipt { verdict: Verdict::Delivered, remote, is_of_this_alone: false }),
            Err(Failure::Gone(verdict) | Failure::Ends(verdict)) => Err(verdict),
        }
    }

    /// Calls a method; answers what the message is called, if Slack says so.
    async fn call(&self, method: &str, body: &Value, more: &[(&str, &str)]) -> Result<Option<Text>, Failure> {
        let mut body = body.clone();
        for (name, value) in more {
            body[*name] = (*value).into();
        }
        let url = format!("{}/{method}", self.api_url);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, client::bearer(self.token).map_err(Failure::Ends)?);
        let post = Post { url: &url, headers, body: body.to_string(), until: self.until, secrets: &[self.token] };
        let answer = self.client.post(post, self.now).await.map_err(Failure::Ends)?;
        judge(&answer, more.iter().any(|(name, _)| matches!(*name, "ts" | "thread_ts")))
    }
}

/// What the answer of an incoming webhook means. A success says `ok`; what says anything else is a proxy, or somebody else.
fn judge_webhook(answer: &Answer) -> Verdict {
    let is_ok = answer.body.trim() == "ok" || serde_json::from_str::<Said>(&answer.body).is_ok_and(|said| said.ok);
    match answer.verdict() {
        Verdict::Refused(_) if OF_THE_WEBHOOK.contains(&answer.body.trim()) => answer.to_be_mended(),
        Verdict::Delivered if !is_ok => {
            Verdict::Unknown(Why::new(Reason::Answer, format!("it did not answer ok: {}", answer.said)))
        }
        verdict => verdict,
    }
}

/// What the answer of a method means. Whether it did something stands in the body, and the status is 200 all the same.
fn judge(answer: &Answer, is_follow_up: bool) -> Result<Option<Text>, Failure> {
    match answer.verdict() {
        Verdict::Delivered => {}
        verdict => return Err(Failure::Ends(verdict)),
    }
    let Ok(said) = serde_json::from_str::<Said>(&answer.body) else {
        let why = Why::new(Reason::Answer, format!("that is no answer of Slack's: {}", answer.said));
        return Err(Failure::Ends(Verdict::Unknown(why)));
    };
    let Said { ok, error, channel, ts } = said;
    if ok {
        let name = format!("{channel}/{ts}");
        return Ok((name.len() <= NAME_MAX && Message::of(&name).is_some()).then(|| name.into()));
    }
    let error = error.as_str();
    let why = |reason| Why::new(reason, answer.said.clone());
    Err(match () {
        () if AMBIGUOUS.contains(&error) => Failure::Ends(Verdict::Unknown(why(Reason::Server))),
        () if BUSY.contains(&error) => Failure::Ends(Verdict::NotSent(answer.wait, why(Reason::Busy))),
        () if NEVER.contains(&error) => Failure::Ends(Verdict::Refused(why(Reason::Rejected))),
        () if is_follow_up && !OF_THE_TOKEN.contains(&error) => Failure::Gone(answer.to_be_mended()),
        // A token that has expired, a channel that the bot is not in, and what Slack may think of later.
        () => Failure::Ends(answer.to_be_mended()),
    })
}
