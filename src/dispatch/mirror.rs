//! What fires, for receivers that are shown it as it stands: a mirror of the alerts, and no conversation about them.
//!
//! Called by the loop whenever something has changed that a route or a mute looks at. Pure, and no account is kept: who is shown
//! everything again and again needs neither the past nor whoever else shows it. What such a receiver makes of it (groups,
//! silences, what causes what) is its own business, so nothing is left out here but what a person has muted.

use super::labels::Labels;
use super::route::Selection;
use super::scene::{Hush, muted};
use crate::alert::{Alert, Alerts};
use crate::plan::{Text, Time};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// The receivers that are mirrors, and what is for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Their names. No conversation is held with them.
    pub receivers: BTreeSet<Text>,
    /// The routes, all of them and in the same order, so that the first that matches counts here too; with mirrors only.
    pub routes: Vec<Selection>,
}

/// What fires at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrored<'a> {
    /// For each mirror, in the order of what it concerns.
    pub firing: BTreeMap<&'a Text, Vec<&'a Alert>>,
    /// When to look again though nothing changes: a mute ends then.
    pub again: Option<Time>,
}

impl Mirrors {
    /// What fires, for whom.
    pub fn look<'a>(&'a self, alerts: &'a Alerts, store: &Store, now: Time) -> Mirrored<'a> {
        let firing = self.receivers.iter().map(|receiver| (receiver, Vec::new())).collect();
        let mut mirrored = Mirrored { firing, again: None };
        if self.receivers.is_empty() {
            return mirrored;
        }
        for alert in alerts.firing() {
            let labels = Labels::of(alert, store);
            let route = self.routes.iter().find(|route| route.matches(&labels));
            let receivers = route.map_or(&[][..], |route| &route.receivers);
            if receivers.is_empty() {
                continue;
            }
            match muted(labels.plan(), now) {
                // That a provider causes it is for the mirror to say: it may have rules of its own for that.
                Hush::No | Hush::Caused(_) => {}
                Hush::Muted(until) => {
                    mirrored.again = mirrored.again.into_iter().chain(until).min();
                    continue;
                }
            }
            for receiver in receivers {
                mirrored.firing.entry(receiver).or_default().push(alert);
            }
        }
        mirrored
    }
}
