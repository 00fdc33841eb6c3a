//! One conversation: what a receiver knows, perhaps knows, and is to be told next. A state machine without IO.
//!
//! Kept by `due` for each receiver and topic, and by the ledger across restarts. It knows nothing of other conversations.

use super::Turn;
use super::alert_set::AlertSet;
use super::route::Timing;
use super::thread::{ThreadId, weight};
use crate::alert::{Alert, AlertId, Scope};
use crate::plan::{Text, Time};
use std::collections::BTreeSet;

/// What is being told, or is to be told as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// What it says.
    pub turn: Turn,
    /// The alerts that it tells of; of a resolve, those that it ends.
    pub alerts: Vec<Alert>,
    /// Those of which the receiver knows that have ended.
    pub ended: Vec<Alert>,
}

/// What became of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It did not arrive, for certain. It is decided anew at this time.
    Failed(Time),
    /// It may have arrived: the connection broke after the body had gone out, or we did. It is told again at this time,
    /// marked.
    Unknown(Time),
    /// It did not arrive and never will. The same is not tried again.
    Refused,
}

/// A conversation with a receiver about a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// How often it was resolved and began again before.
    pub episode: u32,
    /// When its episode was opened; `None` before the first attempt to tell of it.
    pub opened: Option<Time>,
    /// When something last arrived.
    pub told: Option<Time>,
    /// What the receiver knows.
    pub known: AlertSet,
    /// What it may know beside: sent, with an outcome that is unknown.
    pub perhaps: AlertSet,
    /// What the last one said whose outcome is unknown.
    pub in_doubt: Option<Turn>,
    /// Not to be told: it was there before the receiver was, or the receiver has refused it.
    pub silent: BTreeSet<AlertId>,
    /// What is under way.
    pub sending: Option<Intent>,
    /// Nothing is sent before this time.
    pub again: Option<Time>,
    /// How often in a row nothing arrived.
    pub failures: u32,
    /// Since when something waits to arrive.
    pub waiting: Option<Time>,
    /// Whether its end is not to be told.
    pub ends_silently: bool,
    /// What it is about; nothing for a digest.
    pub scope: Option<Scope>,
    /// Whether its episode is resolved; a thread that fires again opens another one.
    pub closed: bool,
    /// Of a digest: its threads, told or about to be.
    pub threads: BTreeSet<ThreadId>,
    /// Of something that is told once, as it stood: what that is.
    pub once: Option<Box<Intent>>,
    /// What the receiver calls it, such as the id of the message that grows; empty if it has no name there. Only the receiver
    /// understands it.
    pub remote: Text,
}

/// How the alerts of a conversation stand now.
#[derive(Debug, Default)]
pub(super) struct Sight<'a> {
    /// Those that fire, and are for this receiver or known to it.
    pub(super) live: Vec<&'a Alert>,
    /// Those of them that must not cause a message: muted, or caused by something that is told itself.
    pub(super) suppressed: BTreeSet<&'a AlertId>,
    /// Whether something that was told still holds, though it does not fire yet as far as is remembered.
    pub(super) holds: bool,
    /// Whether no route of these wants its end to be told.
    pub(super) ends_silently: bool,
}

impl<'a> Sight<'a> {
    fn live_ids(&self) -> BTreeSet<&'a AlertId> {
        self.live.iter().map(|alert| &alert.id).collect()
    }
}

/// What to do with a conversation, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Tell it.
    Tell { turn: Turn, is_repeat: bool },
    /// Decide again at this time.
    Wait(Time, &'static str),
    /// Nothing, until something changes.
    Rest(&'static str),
    /// It is over, and nothing is owed.
    Close(&'static str),
}

impl Conversation {
    /// Whether the receiver knows or may know of anything: then it is owed the end of it.
    pub fn is_owed(&self) -> bool {
        !self.known.is_empty() || !self.perhaps.is_empty()
    }

    /// Whether it has been opened and not been resolved.
    pub fn is_open(&self) -> bool {
        !self.closed && (self.is_owed() || self.sending.is_some() || self.opened.is_some() || self.once.is_some())
    }

    /// Whether the alert needs no telling: it is known or not to be told.
    pub(super) fn accounts_for(&self, id: &AlertId) -> bool {
        self.known.contains(id) || self.perhaps.contains(id) || self.silent.contains(id)
    }

    /// What is known and perhaps known.
    pub(super) fn told_of(&self) -> impl Iterator<Item = &Alert> {
        self.known.iter().chain(&self.perhaps)
    }

    /// What is to be done now.
    pub(super) fn next(&self, sight: &Sight<'_>, timing: &Timing, now: Time) -> Step {
        if self.sending.is_some() {
            return Step::Rest("one is under way");
        }
        if let Some(again) = self.again.filter(|again| *again > now) {
            return Step::Wait(again, "the last one did not arrive");
        }
        if let Some(once) = &self.once {
            // What a lost part of the ledger knew of it is gone.
            let is_empty = once.alerts.is_empty();
            let tell = Step::Tell { turn: once.turn, is_repeat: self.in_doubt.is_some() };
            return if is_empty { Step::Close("nothing of it is left") } else { tell };
        }
        if self.in_doubt == Some(Turn::Resolved) && self.is_owed() {
            return Step::Tell { turn: Turn::Resolved, is_repeat: true };
        }
        let audible = || sight.live.iter().filter(|alert| !sight.suppressed.contains(&alert.id));
        // What is quiet and was never told is nothing to this receiver.
        if audible().next().is_none() && !sight.live.iter().any(|alert| self.accounts_for(&alert.id)) {
            return self.end(sight);
        }
        let turn = if self.known.is_empty() { Turn::Firing } else { Turn::Updated };
        if self.in_doubt.is_some() {
            return if audible().next().is_some() {
                Step::Tell { turn, is_repeat: true }
            } else {
                Step::Rest("it is muted, or its cause is told")
            };
        }
        let news = || audible().filter(|alert| !self.known.contains(&alert.id));
        let Some(told) = self.told.filter(|_| !self.known.is_empty()) else {
            return match news().next() {
                Some(_) => Step::Tell { turn: Turn::Firing, is_repeat: false },
                None => Step::Rest("it is muted, or its cause is told"),
            };
        };
        let next = told.plus(timing.group_interval);
        if news().next().is_some() {
            let worst = |alert: &Alert| (weight(alert).0, weight(alert).1);
            let known = self.known.iter().map(worst).min();
            let is_worse = news().map(|alert| worst(alert)).min() < known;
            return if is_worse || next <= now {
                Step::Tell { turn: Turn::Updated, is_repeat: false }
            } else {
                Step::Wait(next, "told of it a moment ago")
            };
        }
        if !self.threads.is_empty() && self.has_ended(sight) {
            return if next <= now {
                Step::Tell { turn: Turn::Updated, is_repeat: false }
            } else {
                Step::Wait(next, "told of it a moment ago")
            };
        }
        self.remind(sight, timing, told, now)
    }

    /// Nothing of it fires any more.
    fn end(&self, sight: &Sight<'_>) -> Step {
        if sight.holds {
            Step::Rest("it still holds, and will fire again")
        } else if !self.is_owed() {
            Step::Close("it was over before it was told")
        } else if self.ends_silently {
            Step::Close("its route does not tell ends")
        } else {
            Step::Tell { turn: Turn::Resolved, is_repeat: false }
        }
    }

    fn remind(&self, sight: &Sight<'_>, timing: &Timing, told: Time, now: Time) -> Step {
        if timing.repeat_interval.is_zero() || sight.live.iter().all(|alert| sight.suppressed.contains(&alert.id)) {
            return Step::Rest("nothing is new");
        }
        match told.plus(timing.repeat_interval) {
            next if next <= now => Step::Tell { turn: Turn::Reminder, is_repeat: false },
            next => Step::Wait(next, "a reminder is due then"),
        }
    }

    /// Whether something that is known has ended.
    fn has_ended(&self, sight: &Sight<'_>) -> bool {
        let live = sight.live_ids();
        self.known.iter().any(|alert| !live.contains(&alert.id))
    }

    /// What to send for a turn. Nothing is under way before, one is after.
    pub(super) fn begin(&mut self, turn: Turn, sight: &Sight<'_>, now: Time) -> Intent {
        let intent = match (&self.once, turn) {
            (Some(once), _) => (**once).clone(),
            (None, Turn::Resolved) => {
                let told: AlertSet = self.told_of().cloned().collect();
                Intent { turn, alerts: told.into_iter().collect(), ended: Vec::new() }
            }
            (None, Turn::Firing | Turn::Updated | Turn::Reminder | Turn::Over) => {
                // What is muted or caused by something else is no part of it, unless it was told before.
                let is_quiet = |alert: &Alert| sight.suppressed.contains(&alert.id) && !self.accounts_for(&alert.id);
                let live = sight.live_ids();
                let ended = self.told_of().filter(|alert| !live.contains(&alert.id));
                let ended: AlertSet = ended.cloned().collect();
                Intent {
                    turn,
                    alerts: sight.live.iter().filter(|alert| !is_quiet(alert)).map(|alert| (*alert).clone()).collect(),
                    ended: ended.into_iter().collect(),
                }
            }
        };
        match turn {
            // Whoever is told of several is told their end if one of their routes wants that.
            Turn::Firing | Turn::Updated | Turn::Reminder => {
                self.ends_silently = sight.ends_silently && (self.ends_silently || !self.is_owed());
            }
            Turn::Resolved | Turn::Over => {}
        }
        self.opened = self.opened.or(Some(now));
        self.waiting = self.waiting.or(Some(now));
        self.again = None;
        self.sending.insert(intent).clone()
    }

    /// Takes what became of what was under way.
    pub(super) fn take(&mut self, outcome: Outcome, now: Time) {
        let Some(intent) = self.sending.take() else { return };
        match outcome {
            Outcome::Delivered => {
                (self.failures, self.waiting, self.told, self.in_doubt) = (0, None, Some(now), None);
                self.arrived(intent);
            }
            Outcome::Failed(again) => {
                self.again = Some(again);
                self.failures = self.failures.saturating_add(1);
            }
            Outcome::Unknown(again) => {
                self.again = Some(again);
                self.failures = self.failures.saturating_add(1);
                self.in_doubt = Some(intent.turn);
                self.perhaps.extend(intent.alerts);
            }
            Outcome::Refused => {
                (self.failures, self.waiting, self.in_doubt) = (0, None, None);
                match intent.turn {
                    Turn::Resolved | Turn::Over => self.close(),
                    Turn::Firing | Turn::Updated | Turn::Reminder if self.once.is_some() => self.close(),
                    Turn::Firing | Turn::Updated | Turn::Reminder => {
                        let unknown = intent.alerts.into_iter().filter(|alert| !self.known.contains(&alert.id));
                        self.silent.extend(unknown.map(|alert| alert.id));
                        // It counts as said, so that it is not said again at once.
                        self.told = self.told.map(|_| now);
                        self.drop_ended(&intent.ended);
                    }
                }
            }
        }
    }

    fn arrived(&mut self, intent: Intent) {
        if self.once.is_some() || intent.turn == Turn::Resolved {
            return self.close();
        }
        self.perhaps = AlertSet::default();
        self.known = intent.alerts.into_iter().collect();
        self.drop_ended(&intent.ended);
    }

    /// A thread that was said to have ended leaves the digest, and opens a conversation of its own when it fires again.
    fn drop_ended(&mut self, ended: &[Alert]) {
        let ids: BTreeSet<&AlertId> = ended.iter().map(|alert| &alert.id).collect();
        self.known.retain(|alert| !ids.contains(&alert.id));
        let lasts: BTreeSet<ThreadId> = self.known.iter().map(|alert| ThreadId::of(&alert.id)).collect();
        for ended in ended.iter().map(|alert| ThreadId::of(&alert.id)) {
            if !lasts.contains(&ended) {
                self.threads.remove(&ended);
            }
        }
    }

    /// A thread that was over before the digest could tell of it is no part of it.
    pub(super) fn drop_threads(&mut self, fires: impl Fn(&ThreadId) -> bool) {
        let Self { known, perhaps, sending, threads, .. } = self;
        let sent = sending.iter().flat_map(|intent| &intent.alerts);
        let told = known.iter().chain(perhaps.iter()).chain(sent);
        let told: BTreeSet<ThreadId> = told.map(|alert| ThreadId::of(&alert.id)).collect();
        threads.retain(|thread| fires(thread) || told.contains(thread));
    }

    /// Ends the episode.
    pub(super) fn close(&mut self) {
        self.closed = true;
        (self.waiting, self.failures) = (None, 0);
        self.known = AlertSet::default();
        self.perhaps = AlertSet::default();
        self.threads = BTreeSet::new();
        self.once = None;
        self.remote = Text::new();
    }

    /// Begins another episode, if it was closed.
    pub(super) fn reopen(&mut self) {
        if self.closed {
            let silent = std::mem::take(&mut self.silent);
            *self = Self { episode: self.episode + 1, silent, ..Self::default() };
        }
    }

    /// The process that was telling it is gone: nobody knows what became of that.
    pub(super) fn lose_track(&mut self, now: Time) {
        self.take(Outcome::Unknown(now), now);
    }
}

/// Name of a receiver.
pub type Receiver = Text;
