//! The body of the loop: one observation in, what changed out. No IO, so that tests and one-shot commands drive it as the
//! daemon does.
//!
//! Owned by the loop in `app`; `cli` uses it for `render`. It owns the store, the alerts, what was told, the decisions and the
//! rendered lines. Everything is computed from the current objects; nothing is queued in it.

use crate::alert::{AlertState, Alerts, RULES, Scope};
use crate::archive::Decided;
use crate::config::Config;
use crate::dispatch::{Began, CampaignReport, Dispatch, Outcome as Delivery, Receiver, Routing, Send, Told, Topic};
use crate::forklift::{Issue, Object};
use crate::http::View;
use crate::ledger::{Account, Recovered};
use crate::message::{Message, Notification};
use crate::metrics::{Cache, Own, PlanContext};
use crate::plan::{Event, Key, Kind, Text, Time};
use crate::policy::{self, Decision, Policy};
use crate::store::{Changes, Health, Report, Store, WatchId};
use crate::watch::{Observation, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What the loop knows.
pub struct Engine {
    store: Store,
    alerts: Alerts,
    dispatch: Dispatch,
    /// What the ledger knew at the start.
    recovered: Recovered,
    /// Whether the account has changed since it was last saved, and when that was.
    to_save: bool,
    saved: Option<Time>,
    routing: Routing,
    /// When to ask again what is due, though nothing changes.
    due_again: Option<Time>,
    /// Whether something has changed that may be due to be told.
    is_news: bool,
    policy: Option<Policy>,
    decisions: imbl::OrdMap<Key, Decision>,
    /// When to conclude again about something that does not change.
    deadlines: BTreeSet<(Time, Scope)>,
    /// The deadline of each.
    deadline_of: BTreeMap<Scope, Time>,
    cache: Cache,
    shown_labels: Vec<(String, String)>,
    alert_settings: crate::alert::Settings,
    messages: crate::message::Settings,
    own: Arc<Own>,
    synced: bool,
    health: Health,
    blind: Option<Blind>,
    at: Option<Time>,
    /// Oddities that were named already: each is named once.
    named: BTreeSet<String>,
}

/// How old the heartbeat of the ledger may be.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// A watch that is back shows what was missed in the moments after its first answer.
const CATCHING_UP: Duration = Duration::from_secs(10);

/// A time in which a watch was broken.
#[derive(Clone, Copy, Debug)]
struct Blind {
    /// Since when it was.
    since: Time,
    /// When all has been seen again; `None` while it is broken.
    until: Option<Time>,
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
        let routing = config.notify.routing(&config.alerts, &config.kubernetes);
        let engine = Self {
            store: Store::default(),
            alerts: Alerts::new(alert_settings.clone()),
            dispatch: Dispatch::new(routing.clone(), Told::default()),
            recovered: Recovered::default(),
            to_save: false,
            saved: None,
            routing,
            due_again: None,
            is_news: false,
            policy: config.archive.policy(),
            decisions: imbl::OrdMap::new(),
            deadlines: BTreeSet::new(),
            deadline_of: BTreeMap::new(),
            cache: Cache::default(),
            shown_labels: config.metrics.shown_labels(),
            alert_settings,
            messages: config.message.settings(&config.general.cluster),
            own,
            synced: false,
            health: Health::default(),
            blind: None,
            at: None,
            named: BTreeSet::new(),
        };
        engine.count_alerts();
        for receiver in &engine.routing.receivers {
            engine.own.start_notifications(receiver);
        }
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
                    let store = &self.store;
                    self.alerts.keep(|scope| match scope {
                        Scope::Plan(key) => store.plan(key).is_some(),
                        Scope::Provider(key) => store.provider(key).is_some(),
                    });
                    outcome.began = Some(self.dispatch.begin(&self.alerts, store, &|uid| self.recovered.lost(uid), at));
                    self.to_save = true;
                    self.is_news = true;
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
        if self.seen(now) == now {
            self.reconsider(now, &mut outcome);
        }
        outcome
    }

    /// Goes on from what the ledger knows. Called before anything is observed.
    pub fn resume(&mut self, recovered: Recovered) {
        self.alerts.remember(recovered.account.memory.clone());
        self.dispatch = Dispatch::new(self.routing.clone(), recovered.account.told.clone());
        self.recovered = recovered;
    }

    /// The account and its heartbeat, if there is something to save: a change, or a heartbeat that is due.
    pub fn save(&mut self, now: Time) -> Option<(Account, Time)> {
        let is_old = self.saved.is_none_or(|saved| now.since(saved) >= HEARTBEAT);
        if !self.synced || !(self.to_save || is_old) {
            return None;
        }
        (self.to_save, self.saved) = (false, Some(now));
        // What a watch that does not work has not shown may have fired.
        let seen = self.health.watches().filter_map(|(_, health)| health.last_contact).chain([now]).min().unwrap_or(now);
        let beat = self.dispatch.told_until(&self.alerts, &self.store, seen);
        Some((Account { told: self.dispatch.told().clone(), memory: self.alerts.memory().clone() }, beat))
    }

    /// What is due to be told now. The caller owes an outcome for each, through [`Engine::record`].
    pub fn due(&mut self, now: Time) -> Vec<Notification> {
        let is_time = self.due_again.is_some_and(|at| at <= now);
        if !self.synced || !(self.is_news || is_time) {
            return Vec::new();
        }
        let due = self.dispatch.due(&self.alerts, &self.store, now);
        self.is_news = false;
        self.due_again = due.again;
        self.to_save |= !due.sends.is_empty() || !due.reports.is_empty();
        let sends = due.sends.into_iter().map(|send| self.word(send, now));
        sends.chain(due.reports.into_iter().map(|report| self.word_report(report, now))).collect()
    }

    /// Puts a report into words, by how all plans stand now.
    fn word_report(&self, report: CampaignReport, now: Time) -> Notification {
        let snapshot = self.store.snapshot();
        let is_candidate = |decision: &&Decision| matches!(decision, Decision::Archive(_));
        let candidates = self.policy.as_ref().map(|_| self.decisions.values().filter(is_candidate).count());
        let plans = snapshot.plans.values().map(|state| &**state);
        let message = Message::of_campaign(&report, plans, candidates, &self.messages, now);
        Notification::of_report(report, message)
    }

    /// Puts a send into words, by what is known of its object now.
    fn word(&self, send: Send, now: Time) -> Notification {
        let (plan, provider) = match &send.alert.scope {
            Scope::Plan(key) => (self.store.plan(key), None),
            Scope::Provider(key) => (None, self.store.provider(key)),
        };
        let message =
            Message::of(&send, plan.map(|plan| &**plan), provider.map(|provider| &**provider), &self.messages, now);
        Notification::of(send, message)
    }

    /// Whether the outcome of something is not known yet.
    pub fn is_sending(&self) -> bool {
        let told = self.dispatch.told();
        told.conversations.values().any(|told| told.sending.is_some())
            || told.reported.values().any(|reported| reported.sending.is_some())
    }

    /// Takes what a receiver calls a conversation. Followed by what became of the notification that it was told by.
    pub fn name_conversation(&mut self, receiver: &Receiver, topic: &Topic, remote: Text) {
        self.dispatch.name(receiver, topic, remote);
    }

    /// Takes what became of a notification.
    pub fn record(&mut self, receiver: &Receiver, topic: &Topic, delivery: Delivery, now: Time) {
        self.dispatch.record(receiver, topic, delivery, now);
        self.is_news = true;
        self.to_save = true;
    }

    /// When [`Engine::tick`] or [`Engine::due`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        let due = if self.synced { self.due_again } else { None };
        let first = self.deadlines.first().map(|(at, _)| *at);
        let concluding = match self.blind {
            None => first,
            Some(Blind { until, .. }) => first.zip(until).map(|(at, until)| at.max(until)),
        };
        concluding.into_iter().chain(due).min()
    }

    /// Whether everything that was there at the start has been seen.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// A consistent view for readers.
    pub fn view(&self) -> View {
        let snapshot = self.store.snapshot();
        let exposition = self.cache.exposition();
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
            decisions: self.decisions.clone(),
            synced: self.synced,
            at: self.at,
            health: self.health.clone(),
            alerts: self.alerts.all(),
        }
    }

    /// Forgets all that was observed: the recording starts again.
    fn restart(&mut self) {
        self.store = Store::default();
        self.alerts = Alerts::new(self.alert_settings.clone());
        self.dispatch = Dispatch::new(self.routing.clone(), Told::default());
        self.due_again = None;
        self.decisions = imbl::OrdMap::new();
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

    fn conclude_all(&mut self, scopes: BTreeSet<Scope>, now: Time, outcome: &mut Outcome) {
        let mut alerts_changed = false;
        for scope in scopes {
            alerts_changed |= match &scope {
                Scope::Plan(key) => self.conclude(key, now, outcome),
                Scope::Provider(key) => self.conclude_provider(key, now),
            };
            // A mute or a label by which a route chooses may have changed, though no alert has.
            self.is_news |= self.alerts.has(&scope);
        }
        if alerts_changed {
            self.count_alerts();
            self.is_news = true;
            self.to_save = true;
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
        let now = self.seen(now);
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
        let evaluated = self.alerts.plan(key, state.as_deref(), self.seen(now));
        let before = self.decisions.get(key).copied();
        let Some(state) = state else {
            self.set_deadline(&scope, None);
            self.decisions.remove(key);
            self.cache.remove_plan(key);
            return evaluated.changed;
        };
        let decision = self.policy.as_ref().map(|policy| policy::decide(&state, policy, now));
        if let Some(decision) = decision {
            self.decisions.insert(key.clone(), decision);
            if before != Some(decision) {
                outcome.decisions.push(Decided { plan: key.clone(), decision });
            }
        }
        let again = [evaluated.again, decision.and_then(Decision::look_again)].into_iter().flatten().min();
        self.set_deadline(&scope, again);
        let alerts = self.alerts.of(&scope);
        self.cache.put_plan(&PlanContext { state: &state, decision, alerts, shown_labels: &self.shown_labels });
        evaluated.changed
    }

    /// The time up to which everything has been seen, as far as the watches say.
    fn seen(&self, now: Time) -> Time {
        match self.blind {
            Some(Blind { since, until }) if until.is_none_or(|until| until > now) => since.min(now),
            Some(_) | None => now,
        }
    }

    /// A report of a watch: counted, and told when it is news.
    fn take_report(&mut self, watch: WatchId, report: Report, at: Time, outcome: &mut Outcome) {
        self.own.count_report(&watch, &report);
        if let Report::Contact | Report::Listed = report {
            self.own.set_contact(&watch, at);
        }
        let said = match &report {
            Report::Broken(trouble, message) => format!("the watch of {watch} is broken ({trouble}): {message}"),
            Report::Listing | Report::Listed | Report::Contact | Report::Restarted => {
                format!("the watch of {watch} works again")
            }
        };
        if self.health.report(watch, report, at) {
            outcome.watches.push(said);
        }
        self.blind = match (self.health.blind_since(), self.blind) {
            (Some(since), before) => {
                Some(Blind { since: before.map_or(since, |before| before.since.min(since)), until: None })
            }
            (None, Some(Blind { since, until: None })) => Some(Blind { since, until: Some(at.plus(CATCHING_UP)) }),
            (None, Some(Blind { until: Some(until), .. })) if until <= at => None,
            (None, blind) => blind,
        };
    }

    /// How long after the newest time in a plan it was seen, once everything has been listed.
    fn measure_lag(&self, object: &Object, at: Time) {
        let listed = self.synced && self.health.watches().next().is_some();
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
