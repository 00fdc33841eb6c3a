//! The body of the loop: one observation in, what changed out. No IO, so that tests and one-shot commands drive it as the
//! daemon does.
//!
//! Owned by the loop in `app`; `cli` uses it for `render`. It owns the store, the alerts, what was told, the decisions and the
//! rendered lines. Everything is computed from the current objects; nothing is queued in it.

use super::archiving::Archiving;
use super::blindness::Blindness;
use super::telling::{Answer, Known, Telling};
use crate::alert::{AlertState, Alerts, Memory, RULES, Scope};
use crate::archive::Decided;
use crate::config::Config;
use crate::dispatch::{Began, DeadLetter, Receiver};
use crate::forklift::{Issue, Object};
use crate::http::View;
use crate::ledger::{Account, Recovered};
use crate::message::{Notice, Notification};
use crate::metrics::{Cache, Exposition, Own, PlanContext};
use crate::plan::{Event, Key, Kind, Time};
use crate::policy::Decision;
use crate::store::{Changes, Report, Store, WatchId};
use crate::watch::{Observation, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the loop knows.
pub struct Engine {
    store: Store,
    alerts: Alerts,
    telling: Telling,
    /// What the ledger remembers, until everything that is there has been seen.
    kept: Option<BTreeMap<Scope, Memory>>,
    /// Whether series about plans are served; another replica may do that.
    exports: bool,
    /// Who leads, in words; empty where there is no lease.
    leads: Arc<str>,
    archiving: Archiving,
    /// When to conclude again about something that does not change.
    deadlines: BTreeSet<(Time, Scope)>,
    /// The deadline of each.
    deadline_of: BTreeMap<Scope, Time>,
    cache: Cache,
    shown_labels: Vec<(String, String)>,
    /// The effective configuration, for who asks.
    config: Arc<str>,
    alert_settings: crate::alert::Settings,
    own: Arc<Own>,
    synced: bool,
    watches: Blindness,
    at: Option<Time>,
    /// Oddities that were named already: each is named once.
    named: BTreeSet<String>,
}

/// What an observation led to.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// What happened to plans.
    pub events: Vec<Event>,
    /// Decisions of the archive policy that are new.
    pub decisions: Vec<Decided>,
    /// What is odd about the input, each thing once.
    pub oddities: Vec<String>,
    /// Watches that broke, or work again.
    pub watches: Vec<String>,
    /// What was found at the start.
    pub began: Option<Began>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(config: &Config, own: Arc<Own>) -> Self {
        let alert_settings = config.alerts.settings();
        let engine = Self {
            store: Store::default(),
            alerts: Alerts::new(alert_settings.clone()),
            kept: None,
            telling: Telling::new(config, Arc::clone(&own)),
            exports: true,
            leads: "".into(),
            archiving: Archiving::new(&config.archive.policies.0, Arc::clone(&own)),
            deadlines: BTreeSet::new(),
            deadline_of: BTreeMap::new(),
            cache: Cache::default(),
            shown_labels: config.metrics.shown_labels(),
            config: config.show().into(),
            alert_settings,
            own,
            synced: false,
            watches: Blindness::default(),
            at: None,
            named: BTreeSet::new(),
        };
        engine.count_alerts();
        engine
    }

    /// Takes an observation.
    pub fn observe(&mut self, observation: Observation) -> Outcome {
        let Observation { at, what } = observation;
        let mut outcome = Outcome::default();
        self.at = Some(at);
        self.own.set_last_observation(at);
        let changes = match what {
            Seen::Applied(decoded) => {
                let kind = decoded.object.kind();
                self.own.count_observation(kind, "applied");
                self.name_issues(kind, decoded.object.key(), &decoded.issues, &mut outcome);
                self.measure_lag(&decoded.object, at);
                self.store.apply(decoded.object, at)
            }
            Seen::Unreadable(kind, key, reason) => {
                self.own.count_observation(kind, "unreadable");
                self.name(format!("{kind} {key} cannot be decoded: {reason}"), &mut outcome);
                self.store.unreadable(kind, key, at)
            }
            Seen::Deleted(kind, key) => {
                self.own.count_observation(kind, "deleted");
                self.store.delete(kind, &key, at)
            }
            Seen::BadInput(origin, reason) => {
                self.own.count_bad_input();
                let colon = if origin.is_empty() { "" } else { ": " };
                self.name(format!("{origin}{colon}{reason}"), &mut outcome);
                Changes::default()
            }
            Seen::RelistBegins(kind, namespace) => {
                self.store.relist_begins(kind, &namespace);
                Changes::default()
            }
            Seen::RelistEnds(kind, namespace) => self.store.relist_ends(kind, &namespace, at),
            Seen::Report(watch, report) => {
                self.take_report(watch, report, at, &mut outcome);
                Changes::default()
            }
            Seen::Synced => {
                if !self.synced {
                    self.synced = true;
                    self.begin(at, &mut outcome);
                    // Until now nothing could be archived, for something could still have come.
                    if self.archiving.is_on() {
                        self.conclude_everything(at, &mut outcome);
                    }
                }
                Changes::default()
            }
            Seen::Restarted => {
                self.restart();
                Changes::default()
            }
            Seen::Ended => {
                self.reconsider(at, &mut outcome);
                Changes::default()
            }
        };
        self.follow(changes, at, &mut outcome);
        outcome
    }

    /// Decides anew what is due at `now`, though nothing was observed.
    pub fn tick(&mut self, now: Time) -> Outcome {
        let mut outcome = Outcome::default();
        // What is not seen to move has not stopped: while a watch is broken, time alone brings no conclusion.
        if self.watches.seen(now) == now {
            self.reconsider(now, &mut outcome);
        }
        outcome
    }

    /// Takes office, and goes on from what the ledger knows. Before anything was observed or at any time after it.
    pub fn take_office(&mut self, term: u64, mut recovered: Recovered, now: Option<Time>) -> Outcome {
        let mut outcome = Outcome::default();
        self.kept = Some(std::mem::take(&mut recovered.account.memory));
        self.telling.take_office(term, recovered);
        if let (true, Some(now)) = (self.synced, now) {
            self.begin(now, &mut outcome);
        }
        outcome
    }

    /// Tells nothing from now on: another replica does, or nobody holds the lease.
    pub fn leave_office(&mut self) {
        self.kept = None;
        self.telling.leave_office();
    }

    /// Follows another configuration from now on. What it does not select any more is not told any more; what only it selects
    /// was there before.
    pub fn configure(&mut self, config: &Config, now: Option<Time>) -> Outcome {
        let mut outcome = Outcome::default();
        self.alert_settings = config.alerts.settings();
        self.alerts.set_settings(self.alert_settings.clone());
        self.archiving.configure(&config.archive.policies.0, &self.store);
        self.shown_labels = config.metrics.shown_labels();
        self.config = config.show().into();
        if let Some(now) = now {
            self.conclude_everything(now, &mut outcome);
        }
        self.own.clear_alerts();
        self.count_alerts();
        let Self { telling, alerts, store, .. } = self;
        outcome.began = telling.configure(config, Known { alerts, store, candidates: None }, now);
        outcome
    }

    /// Concludes anew about all that is there.
    fn conclude_everything(&mut self, now: Time, outcome: &mut Outcome) {
        let snapshot = self.store.snapshot();
        let plans = snapshot.plans.keys().cloned().map(Scope::Plan);
        let providers = snapshot.providers.keys().cloned().map(Scope::Provider);
        self.conclude_all(plans.chain(providers).collect(), now, outcome);
    }

    /// Who leads, in words, and whether to serve series about plans.
    pub fn stand(&mut self, words: String, exports: bool) {
        (self.leads, self.exports) = (words.into(), exports);
    }

    /// Everything that is there has been seen. Only now what the ledger remembers is looked at: a plan that is seen before its
    /// Migration would let go of what it remembers of that.
    fn begin(&mut self, at: Time, outcome: &mut Outcome) {
        if let Some(kept) = self.kept.take() {
            // What was seen here and nobody wrote down is known all the same.
            let mut memory = self.alerts.memory().clone();
            for (scope, kept) in kept {
                let own = memory.entry(scope).or_default();
                own.seen.extend(kept.seen);
                own.fired.extend(kept.fired);
            }
            self.alerts.remember(memory);
            self.conclude_everything(at, outcome);
        }
        let store = &self.store;
        self.alerts.keep(|scope| match scope {
            Scope::Plan(key) => store.plan(key).is_some(),
            Scope::Provider(key) => store.provider(key).is_some(),
        });
        let (telling, known) = self.split();
        outcome.began = telling.begin(known, at);
    }

    fn split(&mut self) -> (&mut Telling, Known<'_>) {
        let candidates = self.archiving.candidates();
        (&mut self.telling, Known { alerts: &self.alerts, store: &self.store, candidates })
    }

    /// The account and its heartbeat, if there is something to save.
    pub fn save(&mut self, now: Time) -> Option<(Account, Time)> {
        // What a watch that does not work has not shown may have fired.
        let seen = self.watches.heard(now);
        let (telling, known) = self.split();
        telling.save(known, seen, now)
    }

    /// What is due to be told now. The caller owes an outcome for each, through [`Engine::record`].
    pub fn due(&mut self, now: Time) -> Vec<Notification> {
        if !self.synced {
            return Vec::new();
        }
        let (telling, known) = self.split();
        telling.due(known, now)
    }

    /// What the mirrors are to be shown from now on, if it may be something else; in office or not.
    pub fn mirror(&mut self, now: Time) -> Option<Arc<BTreeMap<Receiver, Arc<[Notice]>>>> {
        if !self.synced {
            return None;
        }
        let (telling, known) = self.split();
        telling.mirror(known, now)
    }

    /// Whether the outcome of something is not known yet.
    pub fn is_sending(&self) -> bool {
        self.telling.is_sending()
    }

    /// Takes a notification that can never be delivered.
    pub fn keep_dead_letter(&mut self, letter: DeadLetter) {
        self.telling.keep_dead_letter(letter);
    }

    /// Takes what became of a notification.
    pub fn record(&mut self, answer: Answer<'_>, now: Time) {
        self.telling.record(answer, now);
    }

    /// When [`Engine::tick`] or [`Engine::due`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        let due = if self.synced { self.telling.next_deadline() } else { None };
        let first = self.deadlines.first().map(|(at, _)| *at);
        let concluding = first.and_then(|at| self.watches.can_see(at));
        concluding.into_iter().chain(due).min()
    }

    /// Whether everything that was there at the start has been seen.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// A consistent view for readers.
    pub fn view(&mut self) -> View {
        let snapshot = self.store.snapshot();
        let exposition = if self.exports { self.cache.exposition() } else { Exposition::default() };
        for (kind, number) in [
            (Kind::Plan, snapshot.plans.len()),
            (Kind::Migration, snapshot.migrations),
            (Kind::Provider, snapshot.providers.len()),
        ] {
            self.own.set_objects(kind, number);
        }
        self.own.set_unreadable(snapshot.unreadable);
        self.own.set_synced(self.synced);
        self.own.set_samples(exposition.samples());
        View {
            snapshot,
            exposition,
            decisions: self.archiving.decisions(),
            synced: self.synced,
            at: self.at,
            health: self.watches.health().clone(),
            alerts: self.alerts.all(),
            config: Arc::clone(&self.config),
            leads: Arc::clone(&self.leads),
            acts: self.telling.is_in_office(),
            notifications: self.telling.lines(),
            dead_letters: self.telling.dead_letters(),
        }
    }

    /// Forgets all that was observed: the recording starts again.
    fn restart(&mut self) {
        self.store = Store::default();
        self.alerts = Alerts::new(self.alert_settings.clone());
        self.telling.restart();
        self.archiving.restart();
        self.deadlines.clear();
        self.deadline_of.clear();
        self.cache = Cache::default();
        self.synced = false;
    }

    fn follow(&mut self, changes: Changes, at: Time, outcome: &mut Outcome) {
        outcome.events = changes.events;
        let plans = changes.plans.into_iter().map(Scope::Plan);
        let providers = changes.providers.into_iter().map(Scope::Provider);
        self.conclude_all(plans.chain(providers).collect(), at, outcome);
    }

    /// Concludes anew about everything whose time has come.
    fn reconsider(&mut self, now: Time, outcome: &mut Outcome) {
        let mut due = BTreeSet::new();
        while let Some((at, scope)) = self.deadlines.first().cloned() {
            if at > now {
                break;
            }
            self.set_deadline(&scope, None);
            due.insert(scope);
        }
        self.conclude_all(due, now, outcome);
    }

    fn conclude_all(&mut self, mut scopes: BTreeSet<Scope>, now: Time, outcome: &mut Outcome) {
        let mut alerts_changed = false;
        let Self { archiving, store, .. } = self;
        let note = |scope: &Scope| match scope {
            Scope::Plan(key) => archiving.note(key, store),
            Scope::Provider(_) => BTreeSet::new(),
        };
        let others: Vec<Key> = scopes.iter().flat_map(note).collect();
        scopes.extend(others.into_iter().map(Scope::Plan));
        for scope in scopes {
            alerts_changed |= match &scope {
                Scope::Plan(key) => self.conclude(key, now, outcome),
                Scope::Provider(key) => self.conclude_provider(key, now),
            };
            // A mute or a label by which a route chooses may have changed, though no alert has.
            if self.alerts.has(&scope) {
                self.telling.changed(false);
            }
        }
        if alerts_changed {
            self.count_alerts();
            self.telling.changed(true);
        }
    }

    fn set_deadline(&mut self, scope: &Scope, at: Option<Time>) {
        if let Some(before) = self.deadline_of.remove(scope) {
            self.deadlines.remove(&(before, scope.clone()));
        }
        if let Some(at) = at {
            self.deadlines.insert((at, scope.clone()));
            self.deadline_of.insert(scope.clone(), at);
        }
    }

    /// Evaluates and renders one provider. Answers whether its alerts changed.
    fn conclude_provider(&mut self, key: &Key, now: Time) -> bool {
        let provider = self.store.provider(key).cloned();
        let plans = self.store.plans_using(key);
        let now = self.watches.seen(now);
        let evaluated = self.alerts.provider(key, provider.as_deref().map(|provider| (provider, plans)), now);
        self.set_deadline(&Scope::Provider(key.clone()), evaluated.again);
        match provider {
            Some(provider) => self.cache.put_provider(&provider),
            None => self.cache.remove_provider(key),
        }
        evaluated.changed
    }

    /// Evaluates, decides about and renders one plan. Answers whether its alerts changed.
    fn conclude(&mut self, key: &Key, now: Time, outcome: &mut Outcome) -> bool {
        let scope = Scope::Plan(key.clone());
        let state = self.store.plan(key).cloned();
        let evaluated = self.alerts.plan(key, state.as_deref(), self.watches.seen(now));
        let Some(state) = state else {
            self.set_deadline(&scope, None);
            self.archiving.forget(key);
            self.cache.remove_plan(key);
            return evaluated.changed;
        };
        let decided = self.archiving.decide(&state, &self.store, self.synced, self.watches.seen(now));
        if let Some((decision, true)) = &decided {
            outcome.decisions.push(Decided { plan: key.clone(), decision: Arc::clone(decision) });
        }
        let decision = decided.as_ref().map(|(decision, _)| &**decision);
        let again = [evaluated.again, decision.and_then(Decision::until)].into_iter().flatten().min();
        self.set_deadline(&scope, again);
        let alerts = self.alerts.of(&scope);
        self.cache.put_plan(&PlanContext { state: &state, decision, alerts, shown_labels: &self.shown_labels });
        evaluated.changed
    }

    /// A report of a watch: counted, and told when it is news.
    fn take_report(&mut self, watch: WatchId, report: Report, at: Time, outcome: &mut Outcome) {
        self.own.count_report(&watch, &report);
        if let Report::Contact | Report::Listed = report {
            self.own.set_contact(&watch, at);
        }
        outcome.watches.extend(self.watches.take(watch, report, at));
    }

    /// How long after the newest time in a plan it was seen, once everything has been listed.
    fn measure_lag(&self, object: &Object, at: Time) {
        let listed = self.synced && self.watches.health().watches().next().is_some();
        if let (true, Object::Plan(plan)) = (listed, object)
            && let Some(newest) = plan.newest_time()
        {
            self.own.observe_lag(at.since(newest));
        }
    }

    fn count_alerts(&self) {
        let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for rule in RULES.iter().filter(|rule| self.alert_settings.is_on(rule)) {
            for state in [AlertState::Pending, AlertState::Firing] {
                counts.insert((rule.name, self.alert_settings.severity(rule).as_str(), state.as_str()), 0);
            }
        }
        let all = self.alerts.all();
        for alert in all.values().flat_map(|alerts| alerts.iter()) {
            *counts.entry((alert.id.rule, alert.severity.as_str(), alert.state.as_str())).or_default() += 1;
        }
        for ((rule, severity, state), number) in counts {
            self.own.set_alerts(rule, severity, state, number);
        }
    }

    fn name_issues(&mut self, kind: Kind, key: &Key, issues: &[Issue], outcome: &mut Outcome) {
        for issue in issues {
            match issue {
                Issue::WrongType { field } => {
                    self.own.count_issue(kind, "wrong_type", field);
                    self.name(format!("{kind} {key}: {field} has a value of the wrong type"), outcome);
                }
                Issue::UnknownWord { field, word } => {
                    self.own.count_issue(kind, "unknown_word", field);
                    self.name(format!("{kind}s: {field} {word:?} is not known to this version"), outcome);
                }
                Issue::Twice { field } => {
                    self.own.count_issue(kind, "twice", field);
                    self.name(format!("{kind} {key}: {field} lists a VM twice; the first counts"), outcome);
                }
            }
        }
    }

    fn name(&mut self, oddity: String, outcome: &mut Outcome) {
        /// Beyond this number oddities are counted, but not named any more.
        const MOST_NAMED: usize = 10_000;
        if self.named.len() < MOST_NAMED && self.named.insert(oddity.clone()) {
            outcome.oddities.push(oddity);
        }
    }
}
