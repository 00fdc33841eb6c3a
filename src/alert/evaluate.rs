//! From the state of a plan or a provider to its alerts: pending while they do not hold long enough, then firing, then gone.
//!
//! Level-triggered: what holds is found anew at each evaluation from the current objects, and the little that they do not say
//! is in `memory`.

use super::checks;
use super::memory::{Identity, Memory};
use super::rules::{Check, Finding, RULES, Rule, Severity, Since};
use crate::plan::{Key, Kind, PlanState, Provider, Text, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What an alert is known by. An attempt is (plan uid, index in the history), never a Migration uid: Forklift restarts the
/// same Migration by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertId {
    /// Uid of the plan or provider; namespace and name for one written by hand, which has none.
    pub uid: Text,
    /// Index of the attempt; 0 for a plan that was never run, and for providers.
    pub attempt: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What it is about within its scope, such as a VM; empty for the whole.
    pub subject: Text,
    /// How often it has fired before.
    pub episode: u32,
}

/// What an alert concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A plan.
    Plan(Key),
    /// A provider.
    Provider(Key),
}

impl Scope {
    /// The kind of object.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plan(_) => Kind::Plan,
            Self::Provider(_) => Kind::Provider,
        }
    }

    /// Its namespace and name.
    pub fn key(&self) -> &Key {
        match self {
            Self::Plan(key) | Self::Provider(key) => key,
        }
    }
}

closed_enum! {
    /// How an alert stands.
    pub enum AlertState {
        /// Its condition holds, but not long enough.
        Pending = "pending",
        /// It fires.
        Firing = "firing",
        /// It was over before it could be seen to fire. Not among the alerts that hold.
        Over = "over",
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it is known by.
    pub id: AlertId,
    /// What it concerns.
    pub scope: Scope,
    /// How urgent it is.
    pub severity: Severity,
    /// How it stands.
    pub state: AlertState,
    /// Since when its condition holds.
    pub since: Time,
    /// When it began to fire, or will if its condition still holds then.
    pub fires: Time,
    /// What is wrong.
    pub reason: Text,
    /// Providers that cause it, if nothing else does.
    pub causes: Vec<Key>,
}

/// What the configuration says about the rules.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Rules that are switched on though the table has them off.
    pub on: Vec<&'static str>,
    /// Rules that are switched off.
    pub off: Vec<&'static str>,
    /// Severities that differ from the table's, by rule.
    pub severities: BTreeMap<&'static str, Severity>,
    /// Durations that differ from the table's, by rule.
    pub holds: BTreeMap<&'static str, Duration>,
}

impl Settings {
    /// Whether a rule holds under these settings.
    pub fn is_on(&self, rule: &Rule) -> bool {
        (rule.on || self.on.contains(&rule.name)) && !self.off.contains(&rule.name)
    }

    /// The severity that a rule has under these settings.
    pub fn severity(&self, rule: &Rule) -> Severity {
        self.severities.get(rule.name).copied().unwrap_or(rule.severity)
    }

    /// How long a rule has to hold under these settings.
    pub fn hold(&self, rule: &Rule) -> Duration {
        self.holds.get(rule.name).copied().unwrap_or(rule.hold)
    }
}

/// By what an object is known: its uid; namespace and name for one written by hand, which has none.
pub fn uid_of(key: &Key, uid: &Text) -> Text {
    if uid.is_empty() { key.to_string().into() } else { uid.clone() }
}

/// The rule whose findings the history keeps.
pub const PLAN_FAILED: &str = "PlanFailed";

/// All alerts, by what they concern.
#[derive(Debug, Default)]
pub struct Alerts {
    settings: Settings,
    active: imbl::OrdMap<Scope, Arc<[Alert]>>,
    /// Failures of earlier attempts, and of the last one of an archived plan: over, and still in the object.
    over: BTreeMap<Scope, Box<[Alert]>>,
    memory: BTreeMap<Scope, Memory>,
    /// The alerts of providers that fired last, and when they ended.
    ended: BTreeMap<Scope, (Alert, Time)>,
}

/// Alerts in the order in which to look at them: what fires before what is pending, the most urgent first, of these the oldest.
pub fn worst_first(alerts: &imbl::OrdMap<Scope, Arc<[Alert]>>) -> Vec<&Alert> {
    let mut all: Vec<&Alert> = alerts.values().flat_map(|alerts| alerts.iter()).collect();
    all.sort_by_key(|alert| (alert.state == AlertState::Pending, alert.severity, alert.since));
    all
}

/// What an evaluation led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Whether an alert began, changed or ended.
    pub changed: bool,
    /// When to evaluate again though nothing changes.
    pub again: Option<Time>,
}

impl Alerts {
    /// No alerts, with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Other settings, from the next evaluation on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Evaluates every rule for a plan as it is now; `None` for one that is gone.
    pub fn plan(&mut self, key: &Key, state: Option<&PlanState>, now: Time) -> Evaluated {
        let scope = Scope::Plan(key.clone());
        let Some(state) = state else { return self.gone(&scope) };
        let uid = uid_of(key, &state.plan.uid);
        let attempt = state.plan.attempts.len().saturating_sub(1);
        let over = self.failures_over(&scope, &uid, state);
        let before = if over.is_empty() { self.over.remove(&scope) } else { self.over.insert(scope.clone(), over.clone()) };
        let more_is_over =
            over.iter().any(|alert| !before.iter().flat_map(|before| before.iter()).any(|old| old.id == alert.id));
        let mut evaluated = self.evaluate(scope, &uid, attempt, now, |check| match check {
            Check::Plan(check) => check(state),
            Check::Provider(_) => Vec::new(),
        });
        evaluated.changed |= more_is_over;
        evaluated
    }

    /// The failures that only the history still tells of.
    fn failures_over(&self, scope: &Scope, uid: &Text, state: &PlanState) -> Box<[Alert]> {
        let Some(rule) = RULES.iter().find(|rule| rule.name == PLAN_FAILED && self.settings.is_on(rule)) else {
            return Box::default();
        };
        let alert = |(attempt, at, reason)| Alert {
            id: AlertId { uid: uid.clone(), attempt, rule: rule.name, subject: Text::new(), episode: 0 },
            scope: scope.clone(),
            severity: self.settings.severity(rule),
            state: AlertState::Over,
            since: at,
            fires: at,
            reason,
            causes: Vec::new(),
        };
        checks::failures_over(state).into_iter().map(alert).collect()
    }

    /// Evaluates every rule for a provider as it is now, with the number of plans that use it; `None` for one that is gone.
    pub fn provider(&mut self, key: &Key, provider: Option<(&Provider, usize)>, now: Time) -> Evaluated {
        let scope = Scope::Provider(key.clone());
        let Some((provider, plans)) = provider else { return self.gone(&scope) };
        let uid = uid_of(key, &provider.uid);
        self.evaluate(scope, &uid, 0, now, |check| match check {
            Check::Provider(check) => check(provider, plans),
            Check::Plan(_) => Vec::new(),
        })
    }

    /// Every alert, in order of what they concern; sharing costs nothing.
    pub fn all(&self) -> imbl::OrdMap<Scope, Arc<[Alert]>> {
        self.active.clone()
    }

    /// The alerts of a scope.
    pub fn of(&self, scope: &Scope) -> &[Alert] {
        self.active.get(scope).map_or(&[], |alerts| alerts)
    }

    /// Whether there is anything to tell or to keep quiet about: an alert, or a failure that is over.
    pub fn has(&self, scope: &Scope) -> bool {
        self.active.contains_key(scope) || self.over.contains_key(scope)
    }

    /// Every alert that fires or is pending.
    pub fn holding(&self) -> impl Iterator<Item = &Alert> {
        self.active.values().flat_map(|alerts| alerts.iter())
    }

    /// Every alert that fires.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.holding().filter(|alert| alert.state == AlertState::Firing)
    }

    /// The alert of a provider that fired last, if it does no more, and when it ended.
    pub fn ended(&self, scope: &Scope) -> Option<(&Alert, Time)> {
        self.ended.get(scope).map(|(alert, at)| (alert, *at))
    }

    /// Every failure of an attempt that was over before now, and that the objects still tell of.
    pub fn over(&self) -> impl Iterator<Item = &Alert> {
        self.over.values().flatten()
    }

    /// What the objects do not say, for the ledger to keep.
    pub fn memory(&self) -> &BTreeMap<Scope, Memory> {
        &self.memory
    }

    /// Takes what the ledger kept. Called before anything is evaluated.
    pub fn remember(&mut self, memory: BTreeMap<Scope, Memory>) {
        self.memory = memory;
    }

    /// Forgets what is not there. Called when everything that is there has been seen.
    pub fn keep(&mut self, is_there: impl Fn(&Scope) -> bool) {
        self.memory.retain(|scope, _| is_there(scope));
    }

    /// Notes when what a provider causes has lost its cause.
    fn note_end(&mut self, scope: &Scope, after: &[Alert], now: Time) {
        let fires = |alert: &&Alert| alert.state == AlertState::Firing;
        match (self.of(scope).iter().find(fires).cloned(), after.iter().find(fires)) {
            (_, Some(_)) => drop(self.ended.remove(scope)),
            (Some(before), None) => drop(self.ended.insert(scope.clone(), (before, now))),
            (None, None) => {}
        }
    }

    fn gone(&mut self, scope: &Scope) -> Evaluated {
        self.ended.remove(scope);
        self.memory.remove(scope);
        self.over.remove(scope);
        Evaluated { changed: self.active.remove(scope).is_some(), again: None }
    }

    fn evaluate(
        &mut self,
        scope: Scope,
        uid: &Text,
        attempt: usize,
        now: Time,
        check: impl Fn(Check) -> Vec<Finding>,
    ) -> Evaluated {
        let mut memory = self.memory.remove(&scope).unwrap_or_default();
        let mut seen = BTreeMap::new();
        let mut again: Option<Time> = None;
        let mut alerts = Vec::new();
        for rule in RULES.iter().filter(|rule| self.settings.is_on(rule)) {
            for finding in check(rule.check) {
                let (uid, subject) = (uid.clone(), finding.subject);
                let identity = Identity { uid, attempt, rule: rule.name, subject };
                let known = || memory.seen.get(&identity).copied().unwrap_or(now);
                let from = match (rule.since, finding.from) {
                    (Since::Object, Some(from)) => from,
                    // The object may say less than was seen, and one that is seen for the first time says nothing of before.
                    (Since::Seen, Some(from)) => from.max(known()),
                    (Since::Object | Since::Seen, None) => known(),
                };
                if rule.since == Since::Seen || finding.from.is_none() {
                    seen.insert(identity.clone(), from);
                }
                let fires_at = from.plus(self.settings.hold(rule));
                let ends = finding.until.filter(|until| *until > now);
                if finding.until.is_some() && ends.is_none() {
                    continue;
                }
                let next = [Some(from), Some(fires_at), ends].into_iter().flatten().filter(|at| *at > now).min();
                again = [again, next].into_iter().flatten().min();
                let fires = fires_at <= now;
                if from > now || !(fires || rule.pending_is_shown) {
                    continue;
                }
                let episode = memory.episode(&identity, fires);
                let Identity { uid, attempt, rule: name, subject } = identity;
                alerts.push(Alert {
                    id: AlertId { uid, attempt, rule: name, subject, episode },
                    scope: scope.clone(),
                    severity: self.settings.severity(rule),
                    state: if fires { AlertState::Firing } else { AlertState::Pending },
                    since: from,
                    fires: fires_at,
                    reason: finding.reason,
                    causes: finding.causes,
                });
            }
        }
        memory.seen = seen;
        memory.keep(uid, attempt, |identity| {
            let is_it = |alert: &Alert| alert.id.rule == identity.rule && alert.id.subject == identity.subject;
            alerts.iter().any(|alert| alert.state == AlertState::Firing && is_it(alert))
        });
        let changed = self.of(&scope) != alerts.as_slice();
        if changed && matches!(scope, Scope::Provider(_)) {
            self.note_end(&scope, &alerts, now);
        }
        if alerts.is_empty() {
            self.active.remove(&scope);
        } else if changed {
            self.active.insert(scope.clone(), alerts.into());
        }
        if !memory.is_empty() {
            self.memory.insert(scope, memory);
        }
        Evaluated { changed, again }
    }
}
