//! The receiver `webhook`: the payload of Alertmanager's webhooks, version 4, so that bridges written for it work unchanged.
//!
//! Source of the shape: Alertmanager's documentation of `webhook_config`. `payload` is pure; `send` posts it.

use super::client::{self, Client, Post, Sent};
use super::labels::labels;
use super::{cut, digest, secret};
use crate::alert::Alert;
use crate::config::WebhookConfig;
use crate::dispatch::{ThreadId, Topic, Turn};
use crate::message::{Notification, REASON_MAX};
use crate::plan::Time;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// So many alerts are in a payload; the rest is counted.
const MOST_ALERTS: usize = 100;
/// The Unix time at which a body was signed.
const TIMESTAMP: HeaderName = HeaderName::from_static("x-mtv-sentinel-timestamp");
/// What it was signed with.
const SIGNATURE: HeaderName = HeaderName::from_static("x-mtv-sentinel-signature");

/// A webhook with its client.
#[derive(Debug)]
pub(super) struct Sender {
    config: WebhookConfig,
    client: Client,
}

impl Sender {
    pub(super) fn new(config: WebhookConfig) -> Result<Self, String> {
        Ok(Self { client: Client::new(&config.client)?, config })
    }

    pub(super) async fn send(&self, notification: &Notification, now: Time, until: Instant) -> Sent {
        let WebhookConfig { url, bearer_token, hmac_secret, headers, .. } = &self.config;
        let url = secret::read(url, until).await?;
        let token = secret::read_if(bearer_token.as_ref(), until).await?;
        let hmac_secret = secret::read_if(hmac_secret.as_ref(), until).await?;
        let body = payload(notification, &now.to_string()).to_string();
        let mut headers = headers.clone();
        if let Some(token) = &token {
            headers.insert(AUTHORIZATION, client::bearer(token)?);
        }
        if let Some(secret) = &hmac_secret {
            let (timestamp, signature) = sign(secret.expose_secret(), now, &body);
            headers.insert(TIMESTAMP, timestamp.into());
            headers.extend(signature.parse().ok().map(|signature: HeaderValue| (SIGNATURE, signature)));
        }
        let values = self.config.headers.values().filter_map(|value| value.to_str().ok());
        let values: Vec<SecretString> = values.map(Into::into).collect();
        let secrets: Vec<&SecretString> = [&url].into_iter().chain(&token).chain(&hmac_secret).chain(&values).collect();
        let post = Post { url: url.expose_secret(), headers, body, until, secrets: &secrets };
        Ok(self.client.post(post, now).await?.verdict().into())
    }
}

/// Unix time and signature of a body: `sha256=` and the HMAC-SHA-256 of time, a dot and body. The time is signed too, so that
/// an old message cannot be shown again as a new one.
fn sign(secret: &str, now: Time, body: &str) -> (u32, String) {
    let timestamp = now.unix();
    (timestamp, format!("sha256={}", digest::hmac_sha256(secret, &format!("{timestamp}.{body}"))))
}

/// What is posted. `at` is now, in RFC 3339.
pub fn payload(notification: &Notification, at: &str) -> Value {
    let message = &notification.message;
    let is_over = matches!(message.turn, Turn::Resolved | Turn::Over);
    let status = if is_over { "resolved" } else { "firing" };
    let annotations = json!({"summary": message.title, "description": message.text});
    let link = message.links.first().map(|link| link.href.as_str()).unwrap_or_default();
    let entry = |(alert, is_over): (&Alert, bool)| {
        json!({
            "status": if is_over { "resolved" } else { "firing" },
            "labels": labels(alert, &message.cluster),
            "annotations": {"summary": message.title, "description": cut(&alert.reason, REASON_MAX)},
            "startsAt": alert.since.to_string(),
            // Alertmanager's word for an end that is not known.
            "endsAt": if is_over { at } else { "0001-01-01T00:00:00Z" },
            "generatorURL": link,
            "fingerprint": fingerprint(alert),
        })
    };
    // What has ended is said once, so it comes first: what fires is said again.
    let ended = notification.ended.iter().map(|alert| (alert, true));
    let all = || ended.clone().chain(notification.alerts.iter().map(|alert| (alert, is_over)));
    let alerts: Vec<Value> = all().take(MOST_ALERTS).map(entry).collect();
    let common = common(&alerts);
    json!({
        "version": "4",
        "groupKey": key(notification),
        "truncatedAlerts": all().count().saturating_sub(MOST_ALERTS),
        "status": status,
        "receiver": notification.receiver.as_str(),
        "groupLabels": {},
        "commonLabels": common,
        "commonAnnotations": annotations,
        "externalURL": message.links.first().map(|link| link.href.as_str()).unwrap_or_default(),
        "alerts": alerts,
    })
}

/// What names the incident: made of stable identifiers, never of text.
pub(super) fn key(notification: &Notification) -> String {
    // What is named by a time is named so in every cluster and for every receiver.
    let whose = format!("{}/{}", notification.message.cluster, notification.receiver);
    let topic = match &notification.topic {
        Topic::Thread(ThreadId { uid, attempt, topic, subject, episode }) => {
            format!("{topic}/{uid}/{attempt}/{subject}/{episode}")
        }
        Topic::Digest(at) => format!("digest/{}/{whose}", at.unix()),
        Topic::Baseline(at) => format!("baseline/{}/{whose}", at.unix()),
        Topic::Over(at) => format!("over/{}/{whose}", at.unix()),
        Topic::Campaign(at) => format!("campaign/{}/{whose}", at.unix()),
    };
    format!("mtv-sentinel/{topic}/{}", notification.episode)
}

/// Sixteen hexadecimal digits of the alert's identity.
fn fingerprint(alert: &Alert) -> String {
    let id = &alert.id;
    let name = format!("{}/{}/{}/{}/{}", id.uid, id.attempt, id.rule, id.subject, id.episode);
    let half = |salt: &str| crc32fast::hash(format!("{salt}{name}").as_bytes());
    format!("{:08x}{:08x}", half(""), half("/"))
}

/// The labels that all alerts share.
fn common(alerts: &[Value]) -> Map<String, Value> {
    let labels = |alert: &Value| alert["labels"].as_object().cloned().unwrap_or_default();
    let Some((first, others)) = alerts.split_first() else { return Map::new() };
    let mut common = labels(first);
    for other in others {
        let other = labels(other);
        common.retain(|name, value| other.get(name) == Some(value));
    }
    common
}
