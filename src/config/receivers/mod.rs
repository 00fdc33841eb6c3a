//! The type of `notify.receivers`: each has a type, and the keys of that type, one file per type. What is secret is never shown.
//!
//! Read by `config`, carried out by `notify`. `keys` takes the keys of one receiver, `http` has those of all that speak HTTP,
//! `credential` says where a secret is kept, `rate` how often one may be told.

mod alertmanager;
mod credential;
mod http;
mod keys;
mod kubernetes_events;
mod pagerduty;
mod rate;
mod slack;
mod webhook;

pub use alertmanager::{AlertmanagerConfig, Server};
pub use credential::{Credential, Form, Place};
pub use http::ClientConfig;
pub use kubernetes_events::KubernetesEventsConfig;
pub use pagerduty::{PagerDutyConfig, Region};
pub use rate::Rate;
pub use slack::{SlackConfig, SlackWay};
pub use webhook::WebhookConfig;

use super::section::suggest;
use super::setting::{Setting, structure, text};
use figment::value::Value;
use keys::{Keys, Shown};
use std::collections::BTreeMap;
use std::time::Duration;

/// The types that there are.
const TYPES: &[&str] = &["alertmanager", "kubernetes_events", "log", "pagerduty", "slack", "webhook"];

/// A receiver: where its notifications go and how.
#[derive(Clone, Debug)]
pub enum ReceiverConfig {
    /// Alertmanagers, which are shown what fires.
    Alertmanager(AlertmanagerConfig),
    /// Events of the source cluster.
    KubernetesEvents(KubernetesEventsConfig),
    /// A line of the log.
    Log,
    /// Incidents and change events of PagerDuty.
    PagerDuty(PagerDutyConfig),
    /// Messages of Slack.
    Slack(SlackConfig),
    /// A webhook.
    Webhook(WebhookConfig),
}

impl ReceiverConfig {
    fn parse(value: &Value) -> Result<Self, Vec<String>> {
        let one = |error: &str| vec![error.to_owned()];
        let dict = value.as_dict().ok_or_else(|| one("it has no keys"))?;
        let kind = dict.get("type").map(text).ok_or_else(|| one("it has no type"))?.map_err(|_| one("type takes a text"))?;
        let mut keys = Keys::of(dict);
        let receiver = match kind.as_str() {
            "alertmanager" => AlertmanagerConfig::take(&mut keys).map(Self::Alertmanager),
            "kubernetes_events" => Some(Self::KubernetesEvents(KubernetesEventsConfig::take(&mut keys))),
            "log" => Some(Self::Log),
            "pagerduty" => PagerDutyConfig::take(&mut keys).map(Self::PagerDuty),
            "slack" => SlackConfig::take(&mut keys).map(Self::Slack),
            "webhook" => WebhookConfig::take(&mut keys).map(Self::Webhook),
            other => return Err(vec![format!("there is no type {other:?}; {}", suggest(other, TYPES))]),
        };
        keys.finish(receiver)
    }

    fn show(&self) -> String {
        let (kind, keys) = match self {
            Self::Alertmanager(alertmanager) => ("alertmanager", alertmanager.show()),
            Self::KubernetesEvents(events) => ("kubernetes_events", events.show()),
            Self::Log => ("log", Shown::default()),
            Self::PagerDuty(pagerduty) => ("pagerduty", pagerduty.show()),
            Self::Slack(slack) => ("slack", slack.show()),
            Self::Webhook(webhook) => ("webhook", webhook.show()),
        };
        keys.after("type", kind)
    }

    /// What those that speak HTTP have in common.
    pub fn client(&self) -> Option<&ClientConfig> {
        match self {
            Self::Alertmanager(alertmanager) => Some(&alertmanager.client),
            Self::KubernetesEvents(_) | Self::Log => None,
            Self::PagerDuty(pagerduty) => Some(&pagerduty.client),
            Self::Slack(slack) => Some(&slack.client),
            Self::Webhook(webhook) => Some(&webhook.client),
        }
    }

    /// Whether it is shown what fires, and no conversation is held with it.
    pub fn is_mirror(&self) -> bool {
        match self {
            Self::Alertmanager(_) => true,
            Self::KubernetesEvents(_) | Self::Log | Self::PagerDuty(_) | Self::Slack(_) | Self::Webhook(_) => false,
        }
    }

    /// How often it may be told something; `None` for as often as there is something.
    pub fn rate(&self) -> Option<Rate> {
        match self {
            Self::KubernetesEvents(events) => events.rate,
            other => other.client().and_then(|client| client.rate),
        }
    }

    /// How long one message may take; `None` for one that takes no time.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::KubernetesEvents(events) => Some(events.timeout),
            other => other.client().map(|client| client.timeout),
        }
    }

    /// Its secrets, by key.
    pub fn credentials(&self) -> Vec<(&'static str, &Credential)> {
        match self {
            Self::Alertmanager(alertmanager) => {
                alertmanager.bearer_token.iter().map(|token| ("bearer_token", token)).collect()
            }
            Self::KubernetesEvents(_) | Self::Log => Vec::new(),
            Self::PagerDuty(pagerduty) => vec![("routing_key", &pagerduty.routing_key)],
            Self::Slack(slack) => match &slack.way {
                SlackWay::Webhook(url) => vec![("url", url)],
                SlackWay::Bot { token, .. } => vec![("token", token)],
            },
            Self::Webhook(webhook) => {
                let others = [("bearer_token", &webhook.bearer_token), ("hmac_secret", &webhook.hmac_secret)];
                let others = others.into_iter().filter_map(|(name, secret)| Some((name, secret.as_ref()?)));
                std::iter::once(("url", &webhook.url)).chain(others).collect()
            }
        }
    }
}

/// Receivers by name.
#[derive(Clone, Debug, Default)]
pub struct Receivers(pub BTreeMap<String, ReceiverConfig>);

impl Receivers {
    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Setting for Receivers {
    const ACCEPTS: &'static str = "a map from names to receivers such as {type: log}, {type: slack, url_file: /path} or {type: webhook, url_file: /path}";
    const SECRET: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        let value = structure(value);
        let mut good = BTreeMap::new();
        let mut bad = Vec::new();
        for (name, value) in value.as_dict().ok_or_else(String::new)? {
            match ReceiverConfig::parse(value) {
                Ok(receiver) => drop(good.insert(name.clone(), receiver)),
                Err(why) => bad.extend(why.into_iter().map(|why| format!("{name}: {why}"))),
            }
        }
        if bad.is_empty() { Ok(Self(good)) } else { Err(bad.join("; ")) }
    }
    fn show(&self) -> String {
        let entries = self.0.iter().map(|(name, receiver)| format!("{}: {}", name.show(), receiver.show()));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
    }
}
