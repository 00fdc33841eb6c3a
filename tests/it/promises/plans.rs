//! Plans as the cluster of the model has them, and the objects that they are shown as.

use crate::support::{minute, plan};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::plan::Time;
use serde_json::json;
use std::collections::BTreeMap;

/// A plan as the cluster has it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How often it was deleted and made anew.
    pub incarnation: usize,
    pub exists: bool,
    /// Of each attempt before the latest, when it failed, if it did.
    pub before: Vec<Option<Time>>,
    /// The latest attempt.
    pub latest: Latest,
    pub failed: BTreeMap<usize, Time>,
    pub blocked: bool,
    pub archived: bool,
    pub muted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latest {
    #[default]
    None,
    Runs,
    Failed(Time),
    Succeeded,
}

impl Plan {
    pub fn object(&self, number: usize) -> Object {
        let at = |kind: &str, category: &str, at: Time| json!({"type": kind, "category": category, "status": "True", "lastTransitionTime": at.to_string(), "message": ""});
        let start = minute(0.0);
        let outcome = match self.latest {
            Latest::None => vec![],
            Latest::Runs => vec![at("Executing", "Advisory", start)],
            Latest::Failed(time) => vec![at("Failed", "Advisory", time)],
            Latest::Succeeded => vec![at("Succeeded", "Advisory", start)],
        };
        let history: Vec<_> = self
            .before
            .iter()
            .map(|failed| json!({"conditions": failed.map(|time| at("Failed", "Advisory", time)).into_iter().collect::<Vec<_>>()}))
            .chain((self.latest != Latest::None).then(|| json!({"conditions": outcome})))
            .collect();
        let vms: Vec<_> = (0..3)
            .map(|vm| match self.failed.get(&vm) {
                Some(time) => json!({"id": format!("vm-{vm}"), "started": 1, "completed": time.to_string(), "conditions": [at("Failed", "Advisory", *time)]}),
                None => json!({"id": format!("vm-{vm}"), "started": 1}),
            })
            .collect();
        let mut conditions = outcome;
        conditions.extend(self.blocked.then(|| at("SourceProviderNotReady", "Critical", start)));
        conditions.extend(self.archived.then(|| at("Archived", "Advisory", start)));
        let annotations = if self.muted { json!({"mtv-sentinel.io/mute": "true"}) } else { json!({}) };
        plan(json!({
            "metadata": {"name": format!("p{number}"), "uid": self.uid(number), "annotations": annotations},
            "spec": {"archived": self.archived},
            "status": {"conditions": conditions, "migration": {"started": 1, "history": history,
                "vms": if self.latest == Latest::None { vec![] } else { vms }}}}))
    }

    pub fn uid(&self, number: usize) -> String {
        format!("p{number}-{}", self.incarnation)
    }
}
