//! How everything stands at one instant, as far as it decides about notifications: what fires, whom it is for, and what must
//! not be told.
//!
//! Made by `due` and `begin` from the alerts and the objects; nothing of it is kept.

use super::conversation::{Conversation, Receiver, Sight};
use super::labels::Labels;
use super::route::{Route, Routing};
use super::thread::{ThreadId, Topic, weight};
use crate::alert::{Alert, AlertId, AlertState, Alerts, Scope, uid_of};
use crate::plan::{Key, PlanState, Text, Time};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Why an alert causes no message of its own. It never keeps an end from being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hush {
    /// It is told.
    No,
    /// What causes it fires itself: whoever is told of that is not told of each of its consequences. Or it did until a moment
    /// ago, and the plan has not noticed yet: until then.
    Caused(Option<Time>),
    /// Somebody has muted the plan, until then or for good.
    Muted(Option<Time>),
}

/// An alert with whom it is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) alert: &'a Alert,
    pub(super) route: Option<&'a Route>,
    pub(super) hush: Hush,
    /// Who is told of what causes it.
    told_of_cause: Option<&'a Route>,
}

impl Member<'_> {
    pub(super) fn is_for(&self, receiver: &Receiver) -> bool {
        self.route.is_some_and(|route| route.selection.receivers.contains(receiver))
    }

    pub(super) fn is_audible(&self, receiver: &Receiver) -> bool {
        match self.hush {
            Hush::No => true,
            Hush::Caused(_) => !self.told_of_cause.is_some_and(|route| route.selection.receivers.contains(receiver)),
            Hush::Muted(_) => false,
        }
    }
}

/// How everything stands.
pub(super) struct Scene<'a> {
    store: &'a Store,
    /// What fires, by thread.
    pub(super) threads: BTreeMap<ThreadId, Vec<Member<'a>>>,
    /// What is over, and still told of by the objects.
    pub(super) over: Vec<Member<'a>>,
    /// What holds, though it may not fire yet.
    pub(super) holding: Vec<Member<'a>>,
    present: BTreeSet<&'a AlertId>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(alerts: &'a Alerts, store: &'a Store, routing: &'a Routing, now: Time) -> Self {
        let member = |alert: &'a Alert| {
            let labels = Labels::of(alert, store);
            let cause = cause(alert, alerts, now);
            let hush = match (muted(labels.plan(), now), cause) {
                (Hush::No, Some((_, until))) => Hush::Caused(until),
                (hush, _) => hush,
            };
            let told_of_cause = cause.and_then(|(cause, _)| routing.route(&Labels::of(cause, store)));
            Member { alert, route: routing.route(&labels), hush, told_of_cause }
        };
        let holding: Vec<Member<'a>> = alerts.holding().map(member).collect();
        let mut threads: BTreeMap<ThreadId, Vec<Member<'a>>> = BTreeMap::new();
        for member in holding.iter().filter(|member| member.alert.state == AlertState::Firing) {
            threads.entry(ThreadId::of(&member.alert.id)).or_default().push(*member);
        }
        for members in threads.values_mut() {
            members.sort_by(|one, other| weight(one.alert).cmp(&weight(other.alert)));
        }
        let present = holding.iter().map(|member| &member.alert.id).collect();
        Self { store, threads, over: alerts.over().map(member).collect(), holding, present }
    }

    /// Whether an alert fires, or holds and will.
    pub(super) fn holds(&self, id: &AlertId) -> bool {
        self.present.contains(id)
    }

    /// Those of a thread that concern a receiver: for it by a route, or known to it; without what it is not to be told.
    pub(super) fn members(
        &self,
        thread: &ThreadId,
        receiver: &Receiver,
        conversation: Option<&Conversation>,
    ) -> impl Iterator<Item = &Member<'a>> {
        let knows =
            move |id: &AlertId| conversation.is_some_and(|told| told.known.contains(id) || told.perhaps.contains(id));
        let is_silent = move |id: &AlertId| conversation.is_some_and(|told| told.silent.contains(id));
        let concerns =
            move |member: &&Member<'a>| (member.is_for(receiver) || knows(&member.alert.id)) && !is_silent(&member.alert.id);
        self.threads.get(thread).into_iter().flatten().filter(concerns)
    }

    /// How a conversation stands, and the route of the worst that fires in it.
    pub(super) fn sight(&self, receiver: &Receiver, topic: &Topic, told: &Conversation) -> (Sight<'a>, Option<&'a Route>) {
        let own = if let Topic::Thread(thread) = topic { Some(thread) } else { None };
        let mut members: Vec<&Member<'a>> =
            own.into_iter().chain(&told.threads).flat_map(|thread| self.members(thread, receiver, Some(told))).collect();
        members.sort_by(|one, other| weight(one.alert).cmp(&weight(other.alert)));
        let sight = Sight {
            live: members.iter().map(|member| member.alert).collect(),
            suppressed: members
                .iter()
                .filter(|member| !member.is_audible(receiver))
                .map(|member| &member.alert.id)
                .collect(),
            holds: told.told_of().any(|alert| self.holds(&alert.id)),
            ends_silently: members.iter().all(|member| member.route.is_some_and(|route| !route.timing.send_resolved)),
        };
        (sight, members.first().and_then(|member| member.route))
    }

    /// The instant at which a mute ends, or a cause that is over counts no more, that keeps something from being told.
    pub(super) fn unmuted(&self) -> Option<Time> {
        let until = |member: &Member<'a>| match member.hush {
            Hush::Muted(until) | Hush::Caused(until) => until,
            Hush::No => None,
        };
        self.holding.iter().chain(&self.over).filter_map(until).min()
    }

    /// Whether something of this attempt can still fire.
    pub(super) fn can_fire(&self, scope: &Scope, uid: &Text, attempt: usize) -> bool {
        match scope {
            Scope::Plan(key) => self.store.plan(key).is_some_and(|state| {
                uid_of(key, &state.plan.uid) == *uid && state.plan.attempts.len().saturating_sub(1) <= attempt
            }),
            Scope::Provider(key) => self.store.provider(key).is_some_and(|provider| uid_of(key, &provider.uid) == *uid),
        }
    }

    /// Whether a plan is there.
    pub(super) fn has_plan(&self, key: &Key, uid: &Text) -> bool {
        self.store.plan(key).is_some_and(|state| uid_of(key, &state.plan.uid) == *uid)
    }
}

/// How long a provider that is well again still counts as the cause of what it had caused: its plans notice it one after another.
const RECOVERY: Duration = Duration::from_secs(60);

/// What causes an alert, if that fires itself: the alert of a provider. Or if it did until a moment ago, with the end of that.
fn cause<'a>(alert: &Alert, alerts: &'a Alerts, now: Time) -> Option<(&'a Alert, Option<Time>)> {
    let fires = |provider: &Key| {
        let mut of = alerts.of(&Scope::Provider(provider.clone())).iter();
        of.find(|cause| cause.state == AlertState::Firing).map(|cause| (cause, None))
    };
    let fired = |provider: &Key| {
        let (cause, end) = alerts.ended(&Scope::Provider(provider.clone()))?;
        let until = end.plus(RECOVERY);
        (until > now).then_some((cause, Some(until)))
    };
    alert.causes.iter().find_map(fires).or_else(|| alert.causes.iter().find_map(fired))
}

/// What the annotation `mtv-sentinel.io/mute` of a plan says: `true` mutes it, an instant (RFC 3339) mutes it until then.
/// Anything else does not: a message too many is better than one that was swallowed by a slip.
pub(super) fn muted(plan: Option<&PlanState>, now: Time) -> Hush {
    match plan.and_then(|state| state.plan.annotation("mute")) {
        Some("true") => Hush::Muted(None),
        Some(text) => Time::parse(text).filter(|until| *until > now).map_or(Hush::No, |until| Hush::Muted(Some(until))),
        None => Hush::No,
    }
}
