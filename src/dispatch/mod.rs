//! What is due to be told to whom: the alerts that fire, less what was told.
//!
//! Called by the loop after each evaluation. Pure: it decides, `notify` sends. Level-triggered: nothing is queued, so nothing
//! can be lost between two calls.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::alert::{Alert, AlertId, Alerts};
use crate::plan::Text;
use std::collections::BTreeMap;

closed_enum! {
    /// What a notification says of its alert.
    pub enum Turn {
        /// It fires.
        Firing = "firing",
        /// It is over.
        Resolved = "resolved",
    }
}

/// A notification that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// To this receiver.
    pub receiver: Text,
    /// About this alert.
    pub alert: Alert,
    /// What it says.
    pub turn: Turn,
}

/// What was told to whom, and what is not to be told because it was there before us.
#[derive(Debug, Default)]
pub struct Told {
    told: BTreeMap<(Text, AlertId), Entry>,
}

#[derive(Debug)]
struct Entry {
    alert: Alert,
    /// Found at the start and never told, so that its end is not told either.
    baseline: bool,
}

impl Told {
    /// Takes what fires now as known: what was there before we came is not news. Answers how many alerts that is.
    pub fn baseline(&mut self, alerts: &Alerts, receivers: &[Text]) -> usize {
        for alert in alerts.firing() {
            for receiver in receivers {
                let entry = Entry { alert: alert.clone(), baseline: true };
                self.told.insert((receiver.clone(), alert.id.clone()), entry);
            }
        }
        alerts.firing().count()
    }

    /// What is due now. The caller has to send all of it: it counts as told from here on.
    pub fn due(&mut self, alerts: &Alerts, receivers: &[Text]) -> Vec<Send> {
        let firing: BTreeMap<&AlertId, &Alert> = alerts.firing().map(|alert| (&alert.id, alert)).collect();
        let mut sends = Vec::new();
        self.told.retain(|(receiver, id), entry| {
            if firing.contains_key(id) {
                return true;
            }
            if !entry.baseline {
                sends.push(Send { receiver: receiver.clone(), alert: entry.alert.clone(), turn: Turn::Resolved });
            }
            false
        });
        for (id, alert) in firing {
            for receiver in receivers {
                self.told.entry((receiver.clone(), id.clone())).or_insert_with(|| {
                    sends.push(Send { receiver: receiver.clone(), alert: alert.clone(), turn: Turn::Firing });
                    Entry { alert: alert.clone(), baseline: false }
                });
            }
        }
        sends
    }
}
