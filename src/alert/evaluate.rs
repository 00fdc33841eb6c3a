//! From a plan's state to the alerts that fire for it.

use super::rules::{RULES, Rule, Severity};
use crate::plan::{Key, PlanState, Text, Time};
use std::collections::BTreeMap;

/// What an alert is known by. An attempt is (plan uid, index in the history), never a Migration uid: Forklift restarts the
/// same Migration by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertId {
    /// The plan's uid; namespace and name for one written by hand, which has none.
    pub uid: Text,
    /// Index of the attempt; 0 for a plan that was never run.
    pub attempt: usize,
    /// The rule's name.
    pub rule: &'static str,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it is known by.
    pub id: AlertId,
    /// The plan.
    pub plan: Key,
    /// How urgent it is.
    pub severity: Severity,
    /// Since when.
    pub since: Time,
    /// What is wrong.
    pub reason: Text,
}

/// What the configuration says about the rules.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Rules that are switched off, by name.
    pub off: Vec<&'static str>,
    /// Severities that differ from the table's, by rule.
    pub severities: BTreeMap<&'static str, Severity>,
}

impl Settings {
    /// The severity that a rule has under these settings.
    pub fn severity(&self, rule: &Rule) -> Severity {
        self.severities.get(rule.name).copied().unwrap_or(rule.severity)
    }
}

/// The alerts that fire, by plan.
#[derive(Debug, Default)]
pub struct Alerts {
    settings: Settings,
    firing: BTreeMap<Key, Vec<Alert>>,
}

impl Alerts {
    /// No alerts, with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, firing: BTreeMap::new() }
    }

    /// Evaluates every rule for a plan as it is now; `None` for one that is gone. Answers whether its alerts changed.
    pub fn evaluate(&mut self, key: &Key, state: Option<&PlanState>, now: Time) -> bool {
        let alerts: Vec<Alert> = state.map(|state| self.found(key, state, now)).unwrap_or_default();
        let before = if alerts.is_empty() { self.firing.remove(key) } else { self.firing.insert(key.clone(), alerts) };
        before.as_deref().unwrap_or_default() != self.firing.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every alert that fires, in order of plan.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.firing.values().flatten()
    }

    fn found(&self, key: &Key, state: &PlanState, now: Time) -> Vec<Alert> {
        let rules = RULES.iter().filter(|rule| !self.settings.off.contains(&rule.name));
        rules
            .filter_map(|rule| {
                let finding = (rule.check)(state)?;
                Some(Alert {
                    id: AlertId { uid: scope(state), attempt: state.plan.attempts.len().saturating_sub(1), rule: rule.name },
                    plan: key.clone(),
                    severity: self.settings.severity(rule),
                    since: finding.since.unwrap_or(now),
                    reason: finding.reason,
                })
            })
            .collect()
    }
}

fn scope(state: &PlanState) -> Text {
    let plan = &state.plan;
    if plan.uid.is_empty() { plan.key.to_string().into() } else { plan.uid.clone() }
}
