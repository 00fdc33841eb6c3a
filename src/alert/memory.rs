//! What the objects do not say, and alerts cannot do without: when something was first seen, and how often it has fired.
//!
//! Kept by `evaluate` for each plan and provider, and by the ledger across restarts. Small: it holds the latest attempt only.

use crate::plan::{Text, Time};
use std::collections::BTreeMap;

/// An alert without its episode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Uid of the plan or provider.
    pub uid: Text,
    /// Index of the attempt.
    pub attempt: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What it is about within its scope.
    pub subject: Text,
}

/// How often an alert has begun to fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Episodes {
    /// How often.
    pub begun: u32,
    /// Whether the latest of these still lasts.
    pub lasts: bool,
}

/// What is remembered of one plan or provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// When something was first seen for which Forklift keeps no time, while it holds.
    pub seen: BTreeMap<Identity, Time>,
    /// How often an alert has fired.
    pub fired: BTreeMap<Identity, Episodes>,
}

impl Memory {
    /// The number of the episode of an alert that fires, or would be the next to fire.
    pub(super) fn episode(&mut self, identity: &Identity, fires: bool) -> u32 {
        if !fires {
            return self.fired.get(identity).map_or(0, |episodes| episodes.begun);
        }
        let episodes = self.fired.entry(identity.clone()).or_default();
        if !episodes.lasts {
            *episodes = Episodes { begun: episodes.begun + 1, lasts: true };
        }
        episodes.begun - 1
    }

    /// Ends the episodes of what fires no more, and forgets earlier attempts, which cannot fire again.
    pub(super) fn keep(&mut self, uid: &Text, attempt: usize, fires: impl Fn(&Identity) -> bool) {
        self.fired.retain(|identity, _| (&identity.uid, identity.attempt) == (uid, attempt));
        for (identity, episodes) in &mut self.fired {
            episodes.lasts &= fires(identity);
        }
    }

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.fired.is_empty()
    }
}
