//! What was there before is not news: what happens to the alerts that are found at the start.
//!
//! Called once, when everything that is there has been seen. A receiver, rule, namespace or route that was not in force when
//! this program last ran takes what holds already as its baseline. What was in force and is not told is owed, and `due` tells
//! it.

use super::campaign::Reported;
use super::conversation::{Conversation, Outcome, Receiver};
use super::due::{Dispatch, settle};
use super::labels::Labels;
use super::scene::{Member, Scene};
use super::thread::{ThreadId, Topic};
use super::{Intent, Turn};
use crate::alert::{Alert, AlertState, Alerts, RULES, Since};
use crate::plan::Time;
use crate::store::Store;
use std::collections::BTreeMap;

/// What was found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Began {
    /// Alerts that are not told to at least one receiver, because they were there before.
    pub baseline: usize,
    /// Conversations that cannot be ended, because their receiver is gone, by receiver.
    pub abandoned: BTreeMap<Receiver, usize>,
}

/// When a part of the ledger was lost: by the uid of an object the instant before which everything that fired had been told.
pub type Lost<'a> = &'a dyn Fn(&str) -> Option<Time>;

impl Dispatch {
    /// Takes account of what is there at the start.
    pub fn begin(&mut self, alerts: &Alerts, store: &Store, lost: Lost<'_>, now: Time) -> Began {
        for conversation in self.told.conversations.values_mut() {
            conversation.lose_track(now);
        }
        for reported in self.told.reported.values_mut() {
            reported.take(&Outcome::Unknown(now));
        }
        self.take_stock(alerts, store, lost, now)
    }

    /// Takes account of what other routes, rules and receivers change, while this program runs.
    pub fn adopt(&mut self, alerts: &Alerts, store: &Store, now: Time) -> Began {
        if std::mem::take(&mut self.is_new_schedule) {
            // A time of today that has passed was no time of a report then.
            self.told.reported.values_mut().for_each(|reported| reported.last = reported.last.max(now));
        }
        self.take_stock(alerts, store, &|_| None, now)
    }

    fn take_stock(&mut self, alerts: &Alerts, store: &Store, lost: Lost<'_>, now: Time) -> Began {
        let mut began = Began::default();
        let receivers = &self.routing.receivers;
        self.told.conversations.retain(|(receiver, _), told| {
            let stays = receivers.contains(receiver);
            if !stays && told.is_owed() {
                *began.abandoned.entry(receiver.clone()).or_default() += 1;
            }
            stays
        });
        let reported_to = &self.routing.campaign.receivers;
        self.told.reported.retain(|receiver, _| reported_to.contains(receiver));
        for receiver in &self.routing.campaign.receivers {
            self.told.reported.entry(receiver.clone()).or_insert_with(|| Reported::since(now));
        }
        let scene = Scene::new(alerts, store, &self.routing, now);
        let is_first = self.told.standing.is_none() && self.told.conversations.is_empty() && self.told.settled.is_empty();
        let mut baseline: BTreeMap<Receiver, Vec<Alert>> = BTreeMap::new();
        for member in scene.holding.iter().chain(&scene.over) {
            for receiver in member.route.into_iter().flat_map(|route| &route.selection.receivers) {
                let labels = Labels::of(member.alert, store);
                let was_in_force = match &self.told.standing {
                    Some(standing) => standing.covers(&labels, receiver),
                    // Only the part of the ledger that says so is lost.
                    None => !is_first || lost(&member.alert.id.uid).is_some(),
                };
                if !was_in_force && !begins_later(member.alert) {
                    if self.told.take_as_baseline(receiver, member.alert) {
                        baseline.entry(receiver.clone()).or_default().push(member.alert.clone());
                    }
                } else if was_in_force && let Some(whole) = lost(&member.alert.id.uid) {
                    self.told.take_as_lost(receiver, member, whole, now);
                }
            }
        }
        let distinct: std::collections::BTreeSet<_> = baseline.values().flatten().map(|alert| &alert.id).collect();
        began.baseline = distinct.len();
        if self.routing.tell_baseline {
            for (receiver, alerts) in baseline {
                let alerts: Vec<Alert> = alerts.into_iter().filter(|alert| alert.state != AlertState::Over).collect();
                if !alerts.is_empty() {
                    let once = Some(Box::new(Intent { turn: Turn::Firing, alerts, ended: Vec::new() }));
                    let conversation = Conversation { once, ..Conversation::default() };
                    self.told.conversations.insert((receiver, Topic::Baseline(now)), conversation);
                }
            }
        }
        self.told.standing = Some(self.routing.standing());
        began
    }
}

/// Whether an alert that is pending will fire because of what we saw, not of what was there before. Of a rule for which Forklift
/// keeps no clock nobody can say.
fn begins_later(alert: &Alert) -> bool {
    let keeps_clock = || RULES.iter().any(|rule| rule.name == alert.id.rule && rule.since == Since::Object);
    alert.state == AlertState::Pending && keeps_clock()
}

impl super::due::Told {
    /// Takes an alert as there before; answers whether that is so.
    fn take_as_baseline(&mut self, receiver: &Receiver, alert: &Alert) -> bool {
        if self.accounts_for(receiver, alert) {
            return false;
        }
        settle(&mut self.settled, receiver, [alert]);
        if alert.state != AlertState::Over {
            let topic = Topic::Thread(ThreadId::of(&alert.id));
            let conversation = self.conversations.entry((receiver.clone(), topic)).or_default();
            conversation.silent.insert(alert.id.clone());
        }
        true
    }

    /// Takes an alert as told if it fired while the ledger was whole, and else as one that may have been told.
    fn take_as_lost(&mut self, receiver: &Receiver, member: &Member<'_>, whole: Time, now: Time) {
        let alert = member.alert;
        if self.accounts_for(receiver, alert) || begins_later(alert) {
            return;
        }
        let was_told = alert.state != AlertState::Pending && alert.fires < whole;
        if was_told {
            settle(&mut self.settled, receiver, [alert]);
        }
        match (alert.state, was_told) {
            (AlertState::Over, true) => {}
            (AlertState::Over, false) => {
                let conversation = self.conversations.entry((receiver.clone(), Topic::Over(now))).or_default();
                if conversation.closed {
                    // Another one, of this very second, has been told.
                    *conversation = Conversation::default();
                }
                let nothing = || Box::new(Intent { turn: Turn::Over, alerts: Vec::new(), ended: Vec::new() });
                conversation.once.get_or_insert_with(nothing).alerts.push(alert.clone());
                conversation.in_doubt = Some(Turn::Over);
            }
            (AlertState::Firing | AlertState::Pending, was_told) => {
                let topic = Topic::Thread(ThreadId::of(&alert.id));
                let conversation = self.conversations.entry((receiver.clone(), topic)).or_default();
                conversation.scope = Some(alert.scope.clone());
                conversation.opened = Some(now);
                if was_told {
                    conversation.told = Some(whole);
                    conversation.known.extend([alert.clone()]);
                } else {
                    conversation.in_doubt = Some(Turn::Firing);
                    conversation.perhaps.extend([alert.clone()]);
                }
            }
        }
    }

    fn accounts_for(&self, receiver: &Receiver, alert: &Alert) -> bool {
        let own = (receiver.clone(), Topic::Thread(ThreadId::of(&alert.id)));
        let mut told = self.conversations.get(&own).into_iter().chain(self.of_many(receiver));
        match alert.state {
            AlertState::Over => self.is_settled(receiver, alert),
            AlertState::Firing | AlertState::Pending => told.any(|told| told.accounts_for(&alert.id)),
        }
    }
}
