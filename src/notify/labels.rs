//! The labels of an alert as Alertmanager knows them: its own, and those in a payload of its webhooks.
//!
//! Used by `alertmanager` and `webhook`. No two alerts that fire together have the same, and they stay the same for as long as
//! one fires: Alertmanager knows an alert by nothing else. So neither a uid nor an episode is among them.

use super::digest;
use crate::alert::{Alert, Scope};
use serde_json::{Map, Value};

/// Characters of a value: Kubernetes has no name that is longer, but files and Forklift's inventory may.
const VALUE_MAX: usize = 253;

pub(super) fn labels(alert: &Alert, cluster: &str) -> Map<String, Value> {
    let key = alert.scope.key();
    let kind = match alert.scope {
        Scope::Plan(_) => "plan",
        Scope::Provider(_) => "provider",
    };
    let mut labels = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            labels.insert(name.to_owned(), cut(value).into());
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

/// A value that is not too long. The end of one that is cut off is a hash of the whole, so that different ones stay different.
fn cut(value: &str) -> String {
    match value.char_indices().nth(VALUE_MAX) {
        None => value.to_owned(),
        Some(_) => {
            let hash: String = digest::sha256(value).chars().take(16).collect();
            value.chars().take(VALUE_MAX - hash.len() - 1).chain(['…']).collect::<String>() + &hash
        }
    }
}
