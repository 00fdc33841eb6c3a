//! The part of the engine that tells: what is due, in words, and the account of it.
//!
//! Owned by `engine`, which has the objects and the alerts. It acts only in a term of office: another replica may hold the
//! lease, and then nothing is due here and nothing is saved. No IO.

use super::mirroring::Mirroring;
use crate::alert::{Alerts, Scope};
use crate::config::Config;
use crate::dispatch::{
    Began, CampaignReport, DeadLetter, Dispatch, Line, Outcome, Pending, Receiver, Routing, Send, Told, Topic,
};
use crate::ledger::{Account, Recovered};
use crate::message::{Message, Notice, Notification};
use crate::metrics::Own;
use crate::plan::{Text, Time};
use crate::store::Store;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How old the heartbeat of the ledger may be.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// All that is known, as it stands.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) alerts: &'a Alerts,
    pub(super) store: &'a Store,
    /// How many plans could be archived, where there is a policy.
    pub(super) candidates: Option<usize>,
}

/// A time in which this process is the one that acts.
struct Office {
    /// Its number.
    term: u64,
    /// What the ledger knew at its start.
    recovered: Recovered,
    /// Whether stock was taken of what is there.
    begun: bool,
}

/// What is told, and what was.
pub(super) struct Telling {
    dispatch: Dispatch,
    routing: Routing,
    mirroring: Mirroring,
    messages: crate::message::Settings,
    office: Option<Office>,
    /// Whether the account has changed since it was last saved, and when that was.
    to_save: bool,
    saved: Option<Time>,
    /// When to ask again what is due, though nothing changes.
    due_again: Option<Time>,
    /// Whether something has changed that may be due to be told.
    is_news: bool,
    own: Arc<Own>,
    dead_letters: VecDeque<DeadLetter>,
    /// The conversations as they were last shown; nothing if they have changed since.
    shown: Option<Arc<[Line]>>,
}

/// So many dead letters are shown; the log and the metrics have all of them.
const MOST_DEAD_LETTERS: usize = 100;

impl Telling {
    /// In office, with nothing told before.
    pub(super) fn new(config: &Config, own: Arc<Own>) -> Self {
        let routing = config.notify.routing(&config.alerts, &config.kubernetes);
        let mut telling = Self {
            dispatch: Dispatch::new(routing.clone(), Told::default()),
            mirroring: Mirroring::new(routing.mirrors.clone()),
            routing,
            messages: config.message.settings(&config.general.cluster),
            office: None,
            to_save: false,
            saved: None,
            due_again: None,
            is_news: false,
            own,
            dead_letters: VecDeque::new(),
            shown: None,
        };
        for receiver in &telling.routing.receivers {
            telling.own.start_notifications(receiver);
        }
        telling.take_office(0, Recovered::default());
        telling
    }

    /// Goes on from what the ledger knows, from [`Telling::begin`] on.
    pub(super) fn take_office(&mut self, term: u64, mut recovered: Recovered) {
        let told = std::mem::take(&mut recovered.account.told);
        self.dispatch = Dispatch::new(self.routing.clone(), told);
        self.office = Some(Office { term, recovered, begun: false });
        (self.to_save, self.saved, self.due_again, self.is_news) = (false, None, None, false);
    }

    /// Another one acts from now on, or nobody.
    pub(super) fn leave_office(&mut self) {
        self.dispatch = Dispatch::new(self.routing.clone(), Told::default());
        self.office = None;
        self.show_pending();
        (self.to_save, self.saved, self.due_again, self.is_news) = (false, None, None, false);
    }

    /// Follows another configuration from now on; in office it takes stock of what that changes.
    pub(super) fn configure(&mut self, config: &Config, known: Known<'_>, now: Option<Time>) -> Option<Began> {
        let before = std::mem::replace(&mut self.routing, config.notify.routing(&config.alerts, &config.kubernetes));
        for gone in before.receivers.difference(&self.routing.receivers) {
            self.own.set_pending(gone, Pending::default());
        }
        self.messages = config.message.settings(&config.general.cluster);
        self.mirroring = Mirroring::new(self.routing.mirrors.clone());
        for receiver in &self.routing.receivers {
            self.own.start_notifications(receiver);
        }
        self.dispatch.set_routing(self.routing.clone());
        let (true, Some(now)) = (self.is_telling(), now) else { return None };
        self.changed(true);
        let began = self.dispatch.adopt(known.alerts, known.store, now);
        Some(self.count_abandoned(began))
    }

    fn count_abandoned(&self, began: Began) -> Began {
        for (receiver, number) in &began.abandoned {
            self.own.count_dead_letters(receiver, "abandoned", *number);
        }
        began
    }

    /// Begins the term anew with nothing told: a recording starts again.
    pub(super) fn restart(&mut self) {
        self.mirroring.changed();
        if let Some(Office { term, .. }) = self.office {
            self.take_office(term, Recovered::default());
        }
    }

    /// Takes stock, once in a term, when everything that is there has been seen.
    pub(super) fn begin(&mut self, known: Known<'_>, now: Time) -> Option<Began> {
        let office = self.office.as_mut().filter(|office| !office.begun)?;
        office.begun = true;
        (self.to_save, self.is_news) = (true, true);
        let began = self.dispatch.begin(known.alerts, known.store, &|uid| office.recovered.lost(uid), now);
        Some(self.count_abandoned(began))
    }

    fn is_telling(&self) -> bool {
        self.office.as_ref().is_some_and(|office| office.begun)
    }

    /// Something has changed: an alert, or only what a route or a mute looks at.
    pub(super) fn changed(&mut self, is_alert: bool) {
        self.mirroring.changed();
        self.is_news = true;
        self.to_save |= is_alert;
    }

    /// When something may be due though nothing changes.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.due_again.filter(|_| self.is_telling()).into_iter().chain(self.mirroring.next_deadline()).min()
    }

    /// What is due to be told now.
    pub(super) fn due(&mut self, known: Known<'_>, now: Time) -> Vec<Notification> {
        let is_time = self.due_again.is_some_and(|at| at <= now);
        if !self.is_telling() || !(self.is_news || is_time) {
            return Vec::new();
        }
        let due = self.dispatch.due(known.alerts, known.store, now);
        self.is_news = false;
        self.show_pending();
        self.due_again = due.again;
        self.to_save |= !due.sends.is_empty() || !due.reports.is_empty();
        let sends = due.sends.into_iter().map(|send| self.word(send, known.store, now));
        let reports = due.reports.into_iter().map(|report| self.word_report(report, known, now));
        let term = self.office.as_ref().map_or(0, |office| office.term);
        sends.chain(reports).map(|notification| Notification { term, ..notification }).collect()
    }

    /// What the mirrors are to be shown from now on, if it may be something else.
    pub(super) fn mirror(&mut self, known: Known<'_>, now: Time) -> Option<Arc<BTreeMap<Receiver, Arc<[Notice]>>>> {
        self.mirroring.look(known, &self.messages, now)
    }

    /// The account and its heartbeat, if there is something to save: a change, or a heartbeat that is due. `seen` is up to when
    /// everything has been seen.
    pub(super) fn save(&mut self, known: Known<'_>, seen: Time, now: Time) -> Option<(Account, Time)> {
        let is_old = self.saved.is_none_or(|saved| now.since(saved) >= HEARTBEAT);
        if !self.is_telling() || !(self.to_save || is_old) {
            return None;
        }
        (self.to_save, self.saved) = (false, Some(now));
        let beat = self.dispatch.told_until(known.alerts, known.store, seen);
        Some((Account { told: self.dispatch.told().clone(), memory: known.alerts.memory().clone() }, beat))
    }

    /// Puts a report into words, by how all plans stand now.
    fn word_report(&self, report: CampaignReport, known: Known<'_>, now: Time) -> Notification {
        let snapshot = known.store.snapshot();
        let plans = snapshot.plans.values().map(|state| &**state);
        let message = Message::of_campaign(&report, plans, known.candidates, &self.messages, now);
        Notification::of_report(report, message)
    }

    /// Puts a send into words, by what is known of its object now.
    fn word(&self, send: Send, store: &Store, now: Time) -> Notification {
        let (plan, provider) = match &send.alert.scope {
            Scope::Plan(key) => (store.plan(key), None),
            Scope::Provider(key) => (None, store.provider(key)),
        };
        let message =
            Message::of(&send, plan.map(|plan| &**plan), provider.map(|provider| &**provider), &self.messages, now);
        Notification::of(send, message)
    }

    fn show_pending(&mut self) {
        self.shown = None;
        let pending = self.dispatch.told().pending();
        for receiver in &self.routing.receivers {
            self.own.set_pending(receiver, pending.get(receiver).copied().unwrap_or_default());
        }
    }

    /// How the conversations stand, for people.
    pub(super) fn lines(&mut self) -> Arc<[Line]> {
        Arc::clone(self.shown.get_or_insert_with(|| self.dispatch.told().lines().into()))
    }

    /// The latest dead letters.
    pub(super) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.dead_letters.iter().cloned().collect()
    }

    /// Takes a notification that can never be delivered.
    pub(super) fn keep_dead_letter(&mut self, letter: DeadLetter) {
        self.own.count_dead_letters(&letter.receiver, "refused", 1);
        self.dead_letters.push_back(letter);
        if self.dead_letters.len() > MOST_DEAD_LETTERS {
            self.dead_letters.pop_front();
        }
    }

    /// Whether this replica tells.
    pub(super) fn is_in_office(&self) -> bool {
        self.office.is_some()
    }

    /// Whether the outcome of something is not known yet.
    pub(super) fn is_sending(&self) -> bool {
        let told = self.dispatch.told();
        told.conversations.values().any(|told| told.sending.is_some())
            || told.reported.values().any(|reported| reported.sending.is_some())
    }

    /// Takes what became of a notification of this term; of one of another, somebody else keeps account.
    pub(super) fn record(&mut self, answer: Answer<'_>, now: Time) {
        let Answer { term, receiver, topic, remote, outcome } = answer;
        if self.office.as_ref().is_none_or(|office| office.term != term) {
            return;
        }
        if let Some(remote) = remote {
            self.dispatch.name(receiver, topic, remote);
        }
        self.dispatch.record(receiver, topic, outcome, now);
        self.changed(true);
        self.show_pending();
    }
}

/// What became of a notification.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The term in which it was decided.
    pub term: u64,
    /// To this receiver.
    pub receiver: &'a Receiver,
    /// About this.
    pub topic: &'a Topic,
    /// What the receiver calls the conversation from now on, if it says so.
    pub remote: Option<Text>,
    /// That.
    pub outcome: Outcome,
}
