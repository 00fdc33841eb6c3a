//! What is due to be told to whom: the threads that fire, less what was told.
//!
//! Called by the loop after each evaluation. Pure: it decides, `notify` sends. Level-triggered: nothing is queued, so nothing
//! can be lost between two calls. `thread` says which alerts are one conversation.

#![warn(clippy::wildcard_enum_match_arm)]

mod thread;

pub use thread::{ThreadId, Topic};

use crate::alert::{Alert, AlertId, AlertState, Alerts, Scope, list};
use crate::plan::Text;
use std::collections::{BTreeMap, BTreeSet};

closed_enum! {
    /// What a notification says of its thread.
    pub enum Turn {
        /// It began.
        Firing = "firing",
        /// More has come to it.
        Updated = "updated",
        /// It still fires, and nothing is new: a reminder that the route asks for.
        Reminder = "reminder",
        /// It was over before it could be told: a failure of an attempt that another one has followed.
        Over = "over",
        /// Nothing in it fires any more.
        Resolved = "resolved",
    }
}

/// A notification that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// To this receiver.
    pub receiver: Text,
    /// About this.
    pub topic: Topic,
    /// How often the topic was resolved and began again before. Topic and episode name one incident.
    pub episode: u32,
    /// What it says.
    pub turn: Turn,
    /// Whether the receiver may know it already: it is not known what became of the last one.
    pub is_repeat: bool,
    /// The alert that says the most.
    pub alert: Alert,
    /// The others, the worst first. At the end these two are what was told last.
    pub others: Vec<Alert>,
    /// Of a digest that goes on: the alerts that have ended since it was last told of.
    pub ended: Vec<Alert>,
}

impl Send {
    fn new(receiver: &Text, thread: &ThreadId, alerts: Vec<Alert>, turn: Turn) -> Option<Self> {
        let mut alerts = alerts;
        alerts.sort_by(|one, other| thread::weight(one).cmp(&thread::weight(other)));
        let mut alerts = alerts.into_iter();
        let alert = alerts.next()?;
        let others = alerts.collect();
        let (receiver, topic) = (receiver.clone(), Topic::Thread(thread.clone()));
        Some(Self { receiver, topic, episode: 0, turn, is_repeat: false, alert, others, ended: Vec::new() })
    }

    /// What is wrong, by all alerts of the thread: the first ten are named, the rest is counted.
    pub fn reason(&self) -> String {
        list(std::iter::once(&self.alert).chain(&self.others).map(|alert| alert.reason.to_string()))
    }
}

/// What was told to whom, and what is not to be told because it was there before us.
#[derive(Debug, Default)]
pub struct Told {
    told: BTreeMap<(Text, ThreadId), Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Found at the start and never told, so that their end is not told either.
    baseline: BTreeSet<AlertId>,
    /// What the receiver knows.
    told: BTreeMap<AlertId, Alert>,
}

/// What fires, by thread.
fn firing(alerts: &Alerts) -> BTreeMap<ThreadId, Vec<&Alert>> {
    let mut threads: BTreeMap<ThreadId, Vec<&Alert>> = BTreeMap::new();
    for alert in alerts.firing() {
        threads.entry(ThreadId::of(&alert.id)).or_default().push(alert);
    }
    threads
}

/// Whether what causes an alert fires itself: then that is told, and not each of its consequences.
fn is_inhibited(alert: &Alert, alerts: &Alerts) -> bool {
    let fires = |scope: &Scope| alerts.of(scope).iter().any(|cause| cause.state == AlertState::Firing);
    alert.causes.iter().any(|provider| fires(&Scope::Provider(provider.clone())))
}

impl Told {
    /// Takes what fires now as known: what was there before we came is not news. Answers how many alerts that is.
    pub fn baseline(&mut self, alerts: &Alerts, receivers: &[Text]) -> usize {
        for (thread, members) in firing(alerts) {
            for receiver in receivers {
                let entry = self.told.entry((receiver.clone(), thread.clone())).or_default();
                entry.baseline.extend(members.iter().map(|alert| alert.id.clone()));
            }
        }
        alerts.firing().count()
    }

    /// What is due now. The caller has to send all of it: it counts as told from here on.
    pub fn due(&mut self, alerts: &Alerts, receivers: &[Text]) -> Vec<Send> {
        let firing = firing(alerts);
        let mut sends = Vec::new();
        self.told.retain(|(receiver, thread), entry| {
            if firing.contains_key(thread) {
                return true;
            }
            // Owed whatever else fires. A thread of which nothing was told has nothing to send.
            let told = std::mem::take(&mut entry.told).into_values().collect();
            sends.extend(Send::new(receiver, thread, told, Turn::Resolved));
            false
        });
        for (thread, members) in &firing {
            for receiver in receivers {
                let key = (receiver.clone(), thread.clone());
                let entry = self.told.get(&key);
                let is_known = |id: &AlertId| entry.is_some_and(|e| e.baseline.contains(id) || e.told.contains_key(id));
                let news = members.iter().any(|alert| !is_known(&alert.id) && !is_inhibited(alert, alerts));
                if !news {
                    continue;
                }
                let entry = self.told.entry(key).or_default();
                let turn = if entry.told.is_empty() { Turn::Firing } else { Turn::Updated };
                let shown: Vec<Alert> = members
                    .iter()
                    .filter(|alert| !entry.baseline.contains(&alert.id))
                    .map(|alert| (*alert).clone())
                    .collect();
                entry.told = shown.iter().map(|alert| (alert.id.clone(), alert.clone())).collect();
                sends.extend(Send::new(receiver, thread, shown, turn));
            }
        }
        sends
    }
}
