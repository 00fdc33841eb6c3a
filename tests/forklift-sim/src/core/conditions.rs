//! Conditions as Forklift's controllers keep them: staged anew in each reconcile, never "False".

use super::time::Stamp;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Categories that matter.
pub(super) mod category {
    /// Blocks.
    pub(crate) const CRITICAL: &str = "Critical";
    /// Does not block.
    pub(crate) const WARN: &str = "Warn";
    /// The family of Ready.
    pub(crate) const REQUIRED: &str = "Required";
    /// Does not block.
    pub(crate) const ADVISORY: &str = "Advisory";
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// How much it matters. May be empty.
    pub category: String,
    /// Whether it survives a reconcile that does not set it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
    /// What it is about, such as VMs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// When anything in it last changed.
    pub last_transition_time: Stamp,
    /// Text for people.
    #[serde(default)]
    pub message: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Always "True".
    pub status: String,
    /// What.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip)]
    staged: bool,
}

impl Condition {
    /// A condition that is true since `now`.
    pub fn new(kind: &str, category: &str, message: &str, now: Timestamp) -> Self {
        Self {
            category: category.into(),
            durable: false,
            items: Vec::new(),
            last_transition_time: Stamp(now),
            message: message.into(),
            reason: String::new(),
            status: "True".into(),
            kind: kind.into(),
            staged: true,
        }
    }

    /// The same with a reason.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = reason.into();
        self
    }

    /// The same, kept by reconciles that do not set it.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// The same about some items.
    pub fn items(mut self, items: Vec<String>) -> Self {
        self.items = items;
        self
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.category == other.category
            && self.durable == other.durable
            && self.items == other.items
            && self.message == other.message
            && self.reason == other.reason
    }
}

/// The conditions of one object, in the order in which they were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// A reconcile begins: what it does not set and is not durable will be dropped.
    pub fn stage(&mut self) {
        for condition in &mut self.0 {
            condition.staged = condition.durable;
        }
    }

    /// The reconcile has set all it had to set.
    pub fn unstage(&mut self) {
        self.0.retain(|condition| condition.staged);
    }

    /// Sets a condition. One of the same type keeps its place, and its time if nothing differs.
    pub fn set(&mut self, mut condition: Condition) {
        condition.staged = true;
        match self.0.iter_mut().find(|known| known.kind == condition.kind) {
            Some(known) if known.says_the_same(&condition) => known.staged = true,
            Some(known) => *known = condition,
            None => self.0.push(condition),
        }
    }

    /// Removes the conditions of some types.
    pub fn remove(&mut self, kinds: &[&str]) {
        self.0.retain(|condition| !kinds.contains(&condition.kind.as_str()));
    }

    /// A condition that is set, be it left from the reconcile before.
    pub fn get(&self, kind: &str) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind == kind)
    }

    /// Whether a condition is set.
    pub fn has(&self, kind: &str) -> bool {
        self.get(kind).is_some()
    }

    /// The first condition that blocks, of those set in this reconcile.
    pub fn blocker(&self) -> Option<&Condition> {
        self.blockers().next()
    }

    /// All conditions that block, of those set in this reconcile.
    pub fn blockers(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter().filter(|condition| condition.staged && matches!(condition.category.as_str(), "Critical" | "Error"))
    }

    /// Whether a condition was set in this reconcile or is durable.
    pub fn is_staged(&self, kind: &str) -> bool {
        self.get(kind).is_some_and(|condition| condition.staged)
    }

    /// The types, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|condition| condition.kind.as_str())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
