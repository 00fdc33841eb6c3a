//! Who is told of an alert, and how fast.
//!
//! Built by `config`, used by `due` and `begin`. Routes are looked at in order and the first that matches counts, as in
//! Alertmanager; there is no tree.

use super::campaign::Schedule;
use super::labels::Labels;
use super::mirror::Mirrors;
use super::pace::Pace;
use crate::alert::Severity;
use crate::plan::Matcher;
use crate::plan::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How fast what is found is told, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the first news waits for more of it.
    pub group_wait: Duration,
    /// The least time between two messages of a conversation, unless it gets worse.
    pub group_interval: Duration,
    /// After which time what still fires is told again; zero for never.
    pub repeat_interval: Duration,
    /// Whether the end is told.
    pub send_resolved: bool,
}

/// Which alerts go to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// All of these have to pass.
    pub matchers: Vec<Matcher>,
    /// Who is told; nobody, if empty.
    pub receivers: Vec<Text>,
}

impl Selection {
    pub(super) fn matches(&self, labels: &Labels<'_>) -> bool {
        self.matchers.iter().all(|matcher| matcher.passes(labels.get(matcher.label())))
    }
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which alerts go to whom.
    pub selection: Selection,
    /// How fast.
    pub timing: Timing,
}

/// When a receiver gets one message for many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// So many new threads of a receiver in its window are told one by one; zero for any number.
    pub threads: usize,
    /// The window.
    pub window: Duration,
}

/// The whole of what the configuration says about who is told of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Every receiver that conversations are held with: all but the mirrors, which no route here names either.
    pub receivers: BTreeSet<Text>,
    /// The routes, in order.
    pub routes: Vec<Route>,
    /// Protection from floods.
    pub storm: Storm,
    /// Whether a receiver that is new is told, once, what fires already.
    pub tell_baseline: bool,
    /// The rules that are on, with their severities.
    pub rules: BTreeMap<Text, Severity>,
    /// The namespaces that are watched; all, if empty.
    pub namespaces: BTreeSet<Text>,
    /// Reports at fixed times.
    pub campaign: Schedule,
    /// How fast a receiver takes messages, where there is a limit.
    pub paces: BTreeMap<Text, Pace>,
    /// Receivers that are shown what fires.
    pub mirrors: Mirrors,
}

impl Routing {
    /// The route of an alert; `None` if nobody is to be told.
    pub fn route(&self, labels: &Labels<'_>) -> Option<&Route> {
        self.routes.iter().find(|route| route.selection.matches(labels))
    }

    /// What the ledger keeps of it.
    pub fn standing(&self) -> Standing {
        Standing {
            rules: self.rules.clone(),
            namespaces: self.namespaces.clone(),
            routes: self.routes.iter().map(|route| route.selection.clone()).collect(),
        }
    }
}

/// What was in force when this program last ran: what it selected then and did not tell is owed, and what is selected only
/// now was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The rules that were on, with their severities.
    pub rules: BTreeMap<Text, Severity>,
    /// The namespaces that were watched; all, if empty.
    pub namespaces: BTreeSet<Text>,
    /// Who was told of what.
    pub routes: Vec<Selection>,
}

impl Standing {
    /// Whether this receiver was told of such an alert.
    pub fn covers(&self, labels: &Labels<'_>, receiver: &Text) -> bool {
        let watched = self.namespaces.is_empty() || self.namespaces.contains(labels.get("namespace"));
        // By the severity that it had then.
        let Some(severity) = self.rules.get(labels.get("rule")) else { return false };
        let labels = labels.with_severity(*severity);
        let route = self.routes.iter().find(|selection| selection.matches(&labels));
        watched && route.is_some_and(|route| route.receivers.contains(receiver))
    }
}
