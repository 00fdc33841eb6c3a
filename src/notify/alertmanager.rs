//! The receiver `alertmanager`: what fires, as Prometheus would post it (`POST /api/v2/alerts`).
//!
//! Source of the shape: Alertmanager's `api/v2/openapi.yaml`, `postableAlerts`; of the times: Prometheus' `rules/manager.go`.
//! `postable` is pure; `Sender` posts what it is given. What is posted when is decided by `mirror`.

use super::client::{self, Client, Post, Sent};
use super::labels::labels;
use super::{Verdict, Why, secret};
use crate::config::{AlertmanagerConfig, Server};
use crate::dispatch::Turn;
use crate::message::{Link, Notice, Notification};
use crate::plan::Time;
use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::future::join_all;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// An alert that is not posted any more is over after so many times the interval at which it was: Prometheus' own number.
const PROMISED: u32 = 4;
/// A clock that is a little behind ours would take an end of this very second for one to come, and keep the later one that was
/// promised before. So an end is dated back.
const SKEW: Duration = Duration::from_secs(5);

/// Alertmanagers with a client.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) config: AlertmanagerConfig,
    client: Client,
}

impl Sender {
    pub(super) fn new(config: AlertmanagerConfig) -> Result<Self, String> {
        Ok(Self { client: Client::new(&config.client)?, config })
    }

    /// How long what is posted fires without being posted again.
    pub(super) fn promise(&self) -> Duration {
        self.config.resend_interval.saturating_mul(PROMISED)
    }

    /// Posts the alerts of a notification to every server: a test. The first verdict that is no success is the answer, with the
    /// name of its server.
    pub(super) async fn send(&self, notification: &Notification, now: Time, end: Instant) -> Sent {
        let is_over = matches!(notification.message.turn, Turn::Resolved | Turn::Over);
        let until = if is_over { None } else { Some(now.plus(self.promise())) };
        let alerts = Notice::all_of(notification);
        let alerts: Vec<Value> = alerts.iter().map(|notice| postable(notice, until, now)).collect();
        let body = Value::from(alerts).to_string();
        let posts = self.config.servers.iter().map(|server| async {
            let of = |why: Why| Why { text: format!("{}: {}", server.host(), why.text), ..why };
            match self.post(server, body.clone(), now, end).await {
                Verdict::Delivered => Verdict::Delivered,
                Verdict::NotSent(wait, why) => Verdict::NotSent(wait, of(why)),
                Verdict::Unknown(why) => Verdict::Unknown(of(why)),
                Verdict::Refused(why) => Verdict::Refused(of(why)),
            }
        });
        let sent = join_all(posts).await.into_iter().find(|verdict| *verdict != Verdict::Delivered);
        Ok(sent.unwrap_or(Verdict::Delivered).into())
    }

    /// When a post that is begun now has to be over.
    pub(super) fn until(&self) -> Instant {
        self.client.until()
    }

    /// Posts to one server.
    pub(super) async fn post(&self, server: &Server, body: String, now: Time, until: Instant) -> Verdict {
        let mut headers = self.config.headers.clone();
        let mut secrets: Vec<SecretString> = server.secrets().collect();
        secrets.extend(headers.values().filter_map(|value| value.to_str().ok()).map(Into::into));
        match secret::read_if(self.config.bearer_token.as_ref(), until).await {
            Err(verdict) => return verdict,
            Ok(None) => {}
            Ok(Some(token)) => {
                if let Err(verdict) = client::bearer(&token).map(|value| headers.insert(AUTHORIZATION, value)) {
                    return verdict;
                }
                secrets.push(token);
            }
        }
        if let Some(user) = &server.user {
            secrets.extend(basic(user, &mut headers));
        }
        let secrets: Vec<&SecretString> = secrets.iter().collect();
        let post = Post { url: &server.url, headers, body, until, secrets: &secrets };
        match self.client.post(post, now).await {
            Ok(answer) => answer.verdict(),
            Err(verdict) => verdict,
        }
    }
}

/// Sets `Authorization: Basic`; answers what stands in it, which nobody is to see either.
fn basic(user: &SecretString, headers: &mut HeaderMap) -> Option<SecretString> {
    let user = user.expose_secret();
    // RFC 7617: the colon is there without a password too.
    let encoded = BASE64_STANDARD.encode(if user.contains(':') { user.to_owned() } else { format!("{user}:") });
    // Base64 can always stand in a header.
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Some(encoded.into())
}

/// An alert as it is posted: one that fires until then, unless it is posted again, or one that has ended.
///
/// Its start is when it began to fire, not since when its condition holds, as with Prometheus. It is never later than now: the
/// clock by which it was found may be ahead of ours, and Alertmanager takes no alert that ends before it starts.
pub fn postable(notice: &Notice, until: Option<Time>, now: Time) -> Value {
    let starts = notice.alert.fires.min(now);
    let ends = until.unwrap_or_else(|| now.minus(SKEW)).max(starts);
    let mut annotations = Map::new();
    let mut annotate = |name: &str, text: &str| {
        if !text.is_empty() {
            annotations.insert(name.to_owned(), text.into());
        }
    };
    annotate("summary", &notice.title);
    annotate("description", &notice.reason);
    annotate("meaning", notice.meaning);
    annotate("next", notice.next);
    for Link { text, href } in &notice.links {
        annotate(&format!("{}_url", text.to_lowercase()), href);
    }
    let mut alert = json!({
        "labels": labels(&notice.alert, &notice.cluster),
        "annotations": annotations,
        "startsAt": starts.to_string(),
        "endsAt": ends.to_string(),
    });
    // It has to be a URL, or not to be there.
    if let Some(link) = notice.links.first() {
        alert["generatorURL"] = link.href.as_str().into();
    }
    alert
}

/// What Alertmanager knows an alert by.
pub(super) fn key(notice: &Notice) -> String {
    Value::from(labels(&notice.alert, &notice.cluster)).to_string()
}
