//! The receiver `webhook`: the payload of Alertmanager's webhooks, version 4, so that bridges written for it work unchanged.
//!
//! Source of the shape: Alertmanager's documentation of `webhook_config`. `payload` is pure; `send` posts it.

use super::{Verdict, client};
use crate::alert::{Alert, Scope};
use crate::dispatch::{ThreadId, Topic, Turn};
use crate::message::Notification;
use crate::plan::Time;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// So many alerts are in a payload; the rest is counted.
const MOST_ALERTS: usize = 100;

/// Where it goes and how.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The URL; a secret.
    pub url: SecretString,
    /// Sent as `Authorization: Bearer`, if there is one.
    pub bearer_token: Option<SecretString>,
    /// How long a request may take.
    pub timeout: Duration,
}

/// A webhook with its client.
#[derive(Debug)]
pub(super) struct Sender {
    webhook: Webhook,
    client: Client,
}

impl Sender {
    pub(super) fn new(webhook: Webhook) -> reqwest::Result<Self> {
        Ok(Self { client: client::client(webhook.timeout)?, webhook })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.webhook.timeout
    }

    pub(super) async fn send(&self, notification: &Notification, now: Time) -> Verdict {
        let mut request = self.client.post(self.webhook.url.expose_secret());
        if let Some(token) = &self.webhook.bearer_token {
            request = request.bearer_auth(token.expose_secret());
        }
        let body = payload(notification, &now.to_string()).to_string();
        let request = request.header("Content-Type", "application/json").body(body);
        client::verdict(request.send().await, now).await
    }
}

/// What is posted. `at` is now, in RFC 3339.
pub fn payload(notification: &Notification, at: &str) -> Value {
    let message = &notification.message;
    let is_over = matches!(message.turn, Turn::Resolved | Turn::Over);
    let status = if is_over { "resolved" } else { "firing" };
    let annotations = json!({"summary": message.title, "description": message.text});
    let alerts: Vec<Value> = notification
        .alerts
        .iter()
        .take(MOST_ALERTS)
        .map(|alert| {
            json!({
                "status": status,
                "labels": labels(alert, &message.cluster),
                "annotations": {"summary": message.title, "description": alert.reason},
                "startsAt": alert.since.to_string(),
                // Alertmanager's word for an end that is not known.
                "endsAt": if is_over { at } else { "0001-01-01T00:00:00Z" },
                "generatorURL": message.links.first().map(|link| link.href.as_str()).unwrap_or_default(),
                "fingerprint": fingerprint(alert),
            })
        })
        .collect();
    let common = common(&alerts);
    json!({
        "version": "4",
        "groupKey": key(notification),
        "truncatedAlerts": notification.alerts.len().saturating_sub(MOST_ALERTS),
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
    let topic = match &notification.topic {
        Topic::Thread(ThreadId { uid, attempt, topic, subject, episode }) => {
            format!("{topic}/{uid}/{attempt}/{subject}/{episode}")
        }
        Topic::Digest(at) => format!("digest/{}", at.unix()),
        Topic::Baseline(at) => format!("baseline/{}", at.unix()),
        Topic::Over(at) => format!("over/{}", at.unix()),
        Topic::Campaign(at) => format!("campaign/{}", at.unix()),
    };
    format!("mtv-sentinel/{topic}/{}", notification.episode)
}

fn labels(alert: &Alert, cluster: &str) -> Map<String, Value> {
    let key = alert.scope.key();
    let kind = match alert.scope {
        Scope::Plan(_) => "plan",
        Scope::Provider(_) => "provider",
    };
    let mut labels = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            labels.insert(name.to_owned(), value.into());
        }
    };
    put("alertname", alert.id.rule);
    put("severity", alert.severity.as_str());
    put("namespace", &key.namespace);
    put(kind, &key.name);
    put("vm", &alert.id.subject);
    put("cluster", cluster);
    if let Scope::Plan(_) = alert.scope {
        put("attempt", &(alert.id.attempt + 1).to_string());
    }
    labels
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
