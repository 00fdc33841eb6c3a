//! What is due now: what fires, less what was told.
//!
//! Called by the loop after each evaluation and when a time comes that it named. Level-triggered: nothing is queued, so nothing
//! can be lost between two calls.

use super::campaign::{self, CampaignReport, Reported};
use super::conversation::{Conversation, Outcome, Receiver, Sight, Step};
use super::pace::Paced;
use super::route::{Route, Routing, Standing, Timing};
use super::scene::{Member, Scene};
use super::thread::{ThreadId, Topic, weight};
use super::{Intent, Send, Turn};
use crate::alert::{Alert, AlertId, AlertState, Alerts, PLAN_FAILED, Scope};
use crate::plan::{Key, Text, Time};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A digest takes no more threads than this, so that what the ledger keeps of it has a bound; the next digest takes them.
const MOST_THREADS: usize = 2000;

/// What happened longer ago than this has been seen: a controller writes a time down moments after it, by a clock that is not
/// ours.
const LAG: Duration = Duration::from_secs(120);

/// Where nothing in a conversation is routed any more.
const UNROUTED: Timing = Timing {
    group_wait: Duration::ZERO,
    group_interval: Duration::from_secs(300),
    repeat_interval: Duration::ZERO,
    send_resolved: true,
};

/// The attempts of a plan whose failure a receiver was told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Namespace and name of the plan.
    pub plan: Key,
    /// Indices of the attempts.
    pub attempts: BTreeSet<usize>,
}

/// What was told to whom: all that has to survive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The conversations, by receiver and topic.
    pub conversations: BTreeMap<(Receiver, Topic), Conversation>,
    /// The failures that need not be told any more, by receiver and uid of the plan.
    pub settled: BTreeMap<(Receiver, Text), Settled>,
    /// What was in force; `None` before the first start.
    pub standing: Option<Standing>,
    /// The reports of the campaign, by receiver.
    pub reported: BTreeMap<Receiver, Reported>,
}

/// What is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// To be sent now. The caller owes an outcome for each.
    pub sends: Vec<Send>,
    /// Reports of the campaign, to be sent now. The caller owes an outcome for each, under [`Topic::Campaign`].
    pub reports: Vec<CampaignReport>,
    /// When to ask again though nothing changes.
    pub again: Option<Time>,
}

impl Due {
    fn wait(&mut self, at: Time) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }
}

/// Decides what is told, and keeps account of it.
#[derive(Debug)]
pub struct Dispatch {
    pub(super) routing: Routing,
    pub(super) told: Told,
    paced: Paced,
    /// Whether the times of the reports are others than before, and stock was not taken yet.
    pub(super) is_new_schedule: bool,
}

/// What is decided in one pass, and for whom there is room for it.
struct Pass<'a> {
    due: Due,
    routing: &'a Routing,
    paced: &'a mut Paced,
    now: Time,
}

impl Pass<'_> {
    /// Whether the receiver takes another message now; if not, it is decided again when it does.
    fn has_room(&mut self, receiver: &Receiver) -> bool {
        let next = self.paced.next(receiver, self.routing.paces.get(receiver), self.now);
        next.into_iter().for_each(|at| self.due.wait(at));
        next.is_none()
    }
}

impl Dispatch {
    /// Goes on from what was told before.
    pub fn new(routing: Routing, told: Told) -> Self {
        Self { routing, told, paced: Paced::default(), is_new_schedule: false }
    }

    /// Other routes from now on: see [`Dispatch::adopt`].
    pub fn set_routing(&mut self, routing: Routing) {
        self.is_new_schedule |= self.routing.campaign.times != routing.campaign.times;
        self.routing = routing;
    }

    /// What was told, for the ledger to keep.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// What is due now. Each send counts as under way from here on, until [`Dispatch::record`] says what became of it.
    pub fn due(&mut self, alerts: &Alerts, store: &Store, now: Time) -> Due {
        let scene = Scene::new(alerts, store, &self.routing, now);
        let mut pass = Pass { due: Due::default(), routing: &self.routing, paced: &mut self.paced, now };
        continue_all(&mut self.told, &scene, &mut pass);
        open_all(&mut self.told, &scene, &mut pass);
        tell_what_is_over(&mut self.told, &scene, &mut pass);
        let mut due = pass.due;
        forget(&mut self.told, &self.routing, &scene, now);
        let (reports, next) = campaign::due(&self.routing.campaign, &mut self.told.reported, now);
        due.reports = reports;
        scene.unmuted().into_iter().chain(next).for_each(|at| due.wait(at));
        due
    }

    /// The instant before which everything that fired is told to whom it concerns, or is not to be told: the heartbeat of the
    /// ledger. What it says of an alert holds even if the part that knew the alert is lost.
    pub fn told_until(&self, alerts: &Alerts, store: &Store, now: Time) -> Time {
        let scene = Scene::new(alerts, store, &self.routing, now);
        let is_told = |receiver: &Receiver, member: &Member<'_>| match member.alert.state {
            AlertState::Over => self.told.is_settled(receiver, member.alert),
            AlertState::Firing => self.told.is_known(receiver, &member.alert.id),
            AlertState::Pending => true,
        };
        let untold = scene.holding.iter().chain(&scene.over).filter(|member| {
            let receivers = member.route.into_iter().flat_map(|route| &route.selection.receivers);
            receivers.into_iter().any(|receiver| !is_told(receiver, member))
        });
        untold.map(|member| member.alert.fires).min().into_iter().chain([now.minus(LAG)]).min().unwrap_or(now)
    }

    /// Takes what a receiver calls a conversation: to be given to it with whatever is sent in it.
    pub fn name(&mut self, receiver: &Receiver, topic: &Topic, remote: Text) {
        if let Some(conversation) = self.told.conversations.get_mut(&(receiver.clone(), topic.clone())) {
            conversation.remote = remote;
        }
    }

    /// Takes what became of a send.
    pub fn record(&mut self, receiver: &Receiver, topic: &Topic, outcome: Outcome, now: Time) {
        if let (Topic::Campaign(_), Some(reported)) = (topic, self.told.reported.get_mut(receiver)) {
            return reported.take(&outcome);
        }
        let Some(conversation) = self.told.conversations.get_mut(&(receiver.clone(), topic.clone())) else { return };
        if let (Outcome::Delivered | Outcome::Refused, Some(intent)) = (&outcome, &conversation.sending) {
            settle(&mut self.told.settled, receiver, intent.alerts.iter().chain(&intent.ended));
        }
        conversation.take(outcome, now);
    }
}

/// Notes the failures among these alerts as told.
pub(super) fn settle<'a>(
    settled: &mut BTreeMap<(Receiver, Text), Settled>,
    receiver: &Receiver,
    alerts: impl IntoIterator<Item = &'a Alert>,
) {
    for alert in alerts.into_iter().filter(|alert| alert.id.rule == PLAN_FAILED) {
        let entry = settled.entry((receiver.clone(), alert.id.uid.clone())).or_default();
        entry.plan = alert.scope.key().clone();
        entry.attempts.insert(alert.id.attempt);
    }
}

/// Begins to tell a conversation.
fn begin(
    conversation: &mut Conversation,
    receiver: &Receiver,
    topic: &Topic,
    (turn, is_repeat): (Turn, bool),
    sight: &Sight<'_>,
    pass: &mut Pass<'_>,
) {
    let Intent { turn, mut alerts, ended } = conversation.begin(turn, sight, pass.now);
    alerts.sort_by(|one, other| weight(one).cmp(&weight(other)));
    let mut alerts = alerts.into_iter();
    let Some(alert) = alerts.next() else {
        // There is nothing to say, and nobody would ever answer what became of it.
        (conversation.sending, conversation.waiting) = (None, None);
        return;
    };
    pass.paced.note(receiver, pass.routing.paces.get(receiver), pass.now);
    let (receiver, topic, others, episode) = (receiver.clone(), topic.clone(), alerts.collect(), conversation.episode);
    let (remote, failures) = (conversation.remote.clone(), conversation.failures);
    pass.due.sends.push(Send { receiver, topic, episode, turn, is_repeat, failures, remote, alert, others, ended });
}

/// Goes on with the conversations that there are; where a receiver does not take all at once, with the worst first.
fn continue_all(told: &mut Told, scene: &Scene<'_>, pass: &mut Pass<'_>) {
    let Told { conversations, settled, .. } = told;
    let mut tells = Vec::new();
    for ((receiver, topic), conversation) in conversations.iter_mut() {
        conversation.silent.retain(|id| scene.holds(id));
        conversation.drop_threads(|thread| scene.threads.contains_key(thread));
        if !conversation.is_open() {
            continue;
        }
        let (sight, route) = scene.sight(receiver, topic, conversation);
        match conversation.next(&sight, route.map_or(&UNROUTED, |route| &route.timing), pass.now) {
            Step::Tell { turn, is_repeat } => {
                let once = conversation.once.iter().flat_map(|once| &once.alerts);
                let concerned = sight.live.iter().copied().chain(conversation.told_of()).chain(once);
                let severity = concerned.map(|alert| alert.severity).min();
                tells.push((severity, (receiver.clone(), topic.clone()), (turn, is_repeat)));
            }
            Step::Wait(at, _) => pass.due.wait(at),
            // What did not arrive is over: nothing waits any more.
            Step::Rest(_) if conversation.sending.is_none() && conversation.in_doubt.is_none() => {
                (conversation.waiting, conversation.failures) = (None, 0);
            }
            Step::Rest(_) => {}
            Step::Close(_) => {
                settle(settled, receiver, conversation.told_of());
                // What was never told leaves no trace.
                let was_told = conversation.is_owed();
                conversation.close();
                if !was_told {
                    conversation.opened = None;
                }
            }
        }
    }
    tells.sort_by_key(|(severity, ..)| *severity);
    for (_, key, turn) in tells {
        if let Some(conversation) = conversations.get_mut(&key)
            && pass.has_room(&key.0)
        {
            let (sight, _) = scene.sight(&key.0, &key.1, conversation);
            begin(conversation, &key.0, &key.1, turn, &sight, pass);
        }
    }
}

/// A thread of which a receiver is to be told for the first time, or again.
struct Opening<'a> {
    thread: ThreadId,
    lead: Member<'a>,
    at: Time,
}

/// Opens conversations about what is new.
fn open_all(told: &mut Told, scene: &Scene<'_>, pass: &mut Pass<'_>) {
    for (receiver, openings) in openings(told, pass.routing, scene) {
        // What comes while the first of it waits is told with it.
        match openings.iter().map(|opening| opening.at).min() {
            Some(at) if at > pass.now => pass.due.wait(at),
            Some(_) => open(told, scene, &receiver, openings, pass),
            None => {}
        }
    }
}

fn openings<'a>(told: &Told, routing: &Routing, scene: &Scene<'a>) -> BTreeMap<Receiver, Vec<Opening<'a>>> {
    let in_digest: BTreeSet<(&Receiver, &ThreadId)> = told
        .conversations
        .iter()
        .flat_map(|((receiver, _), digest)| digest.threads.iter().map(move |thread| (receiver, thread)))
        .collect();
    let mut openings: BTreeMap<Receiver, Vec<Opening<'a>>> = BTreeMap::new();
    for (thread, members) in &scene.threads {
        let receivers = members.iter().filter_map(|member| member.route).flat_map(|route| &route.selection.receivers);
        for receiver in receivers.collect::<BTreeSet<_>>() {
            let conversation = told.conversations.get(&(receiver.clone(), Topic::Thread(thread.clone())));
            if conversation.is_some_and(Conversation::is_open) || in_digest.contains(&(receiver, thread)) {
                continue;
            }
            let audible = || {
                let members = scene.members(thread, receiver, conversation);
                members.filter(|member| member.is_audible(receiver) && routing.receivers.contains(receiver))
            };
            let wait = |member: &Member<'_>| member.route.map_or(Duration::ZERO, |route| route.timing.group_wait);
            let at = audible().map(|member| member.alert.fires.plus(wait(member))).min();
            if let (Some(lead), Some(at)) = (audible().next(), at) {
                let opening = Opening { thread: thread.clone(), lead: *lead, at };
                openings.entry(receiver.clone()).or_default().push(opening);
            }
        }
    }
    openings
}

fn open(told: &mut Told, scene: &Scene<'_>, receiver: &Receiver, mut openings: Vec<Opening<'_>>, pass: &mut Pass<'_>) {
    let (storm, now) = (pass.routing.storm, pass.now);
    let is_recent = |at: Time| now.since(at) < storm.window;
    let own = told.conversations.iter().filter(|((of, _), _)| of == receiver);
    let recent = own.filter(|(_, told)| told.once.is_none() && told.opened.is_some_and(is_recent)).count();
    if storm.threads > 0 && recent + openings.len() > storm.threads {
        return open_digest(told, scene, receiver, openings, pass);
    }
    openings.sort_by_key(|opening| opening.lead.alert.severity);
    for Opening { thread, lead, .. } in openings {
        // What is not opened leaves no trace.
        if !pass.has_room(receiver) {
            return;
        }
        let topic = Topic::Thread(thread);
        let conversation = told.conversations.entry((receiver.clone(), topic.clone())).or_default();
        conversation.reopen();
        conversation.scope = Some(lead.alert.scope.clone());
        tell(conversation, scene, receiver, &topic, lead.route, pass);
    }
}

/// Adds the threads to the digest that is open, or opens one. Nothing is dropped: it is told in fewer messages.
fn open_digest(told: &mut Told, scene: &Scene<'_>, receiver: &Receiver, openings: Vec<Opening<'_>>, pass: &mut Pass<'_>) {
    if !pass.has_room(receiver) {
        return;
    }
    let now = pass.now;
    let has_room = |topic: &Topic, digest: &Conversation| {
        matches!(topic, Topic::Digest(_)) && digest.is_open() && digest.threads.len() < MOST_THREADS
    };
    let mut own = told.conversations.iter().filter(|((of, _), _)| of == receiver);
    let open = own.find(|((_, topic), digest)| has_room(topic, digest)).map(|((_, topic), _)| topic.clone());
    let topic = open.unwrap_or(Topic::Digest(now));
    let route = openings.first().and_then(|opening| opening.lead.route);
    let mut silent = BTreeSet::new();
    for opening in &openings {
        let own = (receiver.clone(), Topic::Thread(opening.thread.clone()));
        silent.extend(told.conversations.get(&own).into_iter().flat_map(|own| own.silent.iter().cloned()));
    }
    let digest = told.conversations.entry((receiver.clone(), topic.clone())).or_default();
    let room = if digest.closed { 0 } else { MOST_THREADS.saturating_sub(digest.threads.len()) };
    if room < openings.len() {
        // The next digest takes the rest; it is named by its second.
        pass.due.wait(now.plus(Duration::from_secs(1)));
    }
    if room == 0 {
        return;
    }
    digest.silent.extend(silent);
    digest.threads.extend(openings.into_iter().take(room).map(|opening| opening.thread));
    tell(digest, scene, receiver, &topic, route, pass);
}

/// Tells a conversation that has just got something new, if it is time.
fn tell(
    conversation: &mut Conversation,
    scene: &Scene<'_>,
    receiver: &Receiver,
    topic: &Topic,
    route: Option<&Route>,
    pass: &mut Pass<'_>,
) {
    let timing = route.map_or(&UNROUTED, |route| &route.timing);
    let (sight, _) = scene.sight(receiver, topic, conversation);
    match conversation.next(&sight, timing, pass.now) {
        Step::Tell { turn, is_repeat } if pass.has_room(receiver) => {
            begin(conversation, receiver, topic, (turn, is_repeat), &sight, pass);
        }
        Step::Wait(at, _) => pass.due.wait(at),
        Step::Tell { .. } | Step::Rest(_) | Step::Close(_) => {}
    }
}

/// Tells of failures that only the history still has, all of them in one message.
fn tell_what_is_over(told: &mut Told, scene: &Scene<'_>, pass: &mut Pass<'_>) {
    let now = pass.now;
    let mut news: BTreeMap<Receiver, Vec<Alert>> = BTreeMap::new();
    for member in &scene.over {
        for receiver in member.route.into_iter().flat_map(|route| &route.selection.receivers) {
            if member.is_audible(receiver) && !told.is_told_as_over(receiver, member.alert) {
                news.entry(receiver.clone()).or_default().push(member.alert.clone());
            }
        }
    }
    for (receiver, alerts) in news {
        let topic = Topic::Over(now);
        let conversation = told.conversations.entry((receiver.clone(), topic.clone())).or_default();
        if conversation.once.is_some() || conversation.closed {
            pass.due.wait(now.plus(Duration::from_secs(1)));
            continue;
        }
        conversation.once = Some(Box::new(Intent { turn: Turn::Over, alerts, ended: Vec::new() }));
        tell(conversation, scene, &receiver, &topic, None, pass);
    }
}

impl Told {
    /// Whether a failure need not be told any more.
    pub(super) fn is_settled(&self, receiver: &Receiver, failure: &Alert) -> bool {
        let settled = self.settled.get(&(receiver.clone(), failure.id.uid.clone()));
        settled.is_some_and(|settled| settled.attempts.contains(&failure.id.attempt))
    }

    /// Whether a receiver knows for certain of what fires, or is not to know.
    fn is_known(&self, receiver: &Receiver, id: &AlertId) -> bool {
        let own = self.conversations.get(&(receiver.clone(), Topic::Thread(ThreadId::of(id))));
        let mut told = own.into_iter().chain(self.of_many(receiver));
        told.any(|told| told.known.contains(id) || told.silent.contains(id))
    }

    /// Whether a failure that is over was told, or is being told.
    fn is_told_as_over(&self, receiver: &Receiver, failure: &Alert) -> bool {
        let thread = ThreadId::of(&failure.id);
        let own = (receiver.clone(), Topic::Thread(thread.clone()));
        self.is_settled(receiver, failure)
            || self.conversations.get(&own).is_some_and(Conversation::is_open)
            || self.of_many(receiver).any(|told| {
                let in_once = || told.once.iter().flat_map(|once| &once.alerts).any(|alert| alert.id == failure.id);
                told.threads.contains(&thread) || in_once()
            })
    }

    /// The conversations with a receiver about more than one thread.
    pub(super) fn of_many(&self, receiver: &Receiver) -> impl Iterator<Item = &Conversation> {
        let from = (receiver.clone(), Topic::Digest(Time::MIN));
        self.conversations.range(from..).take_while(move |((of, _), _)| of == receiver).map(|(_, told)| told)
    }
}

/// Forgets what cannot matter any more.
fn forget(told: &mut Told, routing: &Routing, scene: &Scene<'_>, now: Time) {
    let is_recent = |told: &Conversation| told.opened.is_some_and(|at| now.since(at) < routing.storm.window);
    told.conversations.retain(|(_, topic), told| match topic {
        _ if told.is_open() || !told.silent.is_empty() => true,
        // Its episode counts when it fires again, its opening in a storm.
        Topic::Thread(thread) => {
            let can_fire = |scope: &Scope| scene.can_fire(scope, &thread.uid, thread.attempt);
            let was_told = told.closed && (told.opened.is_some() || told.episode > 0);
            // Any other thread has the episode of its alert, which does not come again.
            let can_fire = |scope: &Scope| thread.topic == ThreadId::FAILURE && can_fire(scope);
            was_told && (is_recent(told) || told.scope.as_ref().is_some_and(can_fire))
        }
        Topic::Digest(_) => is_recent(told),
        Topic::Baseline(_) | Topic::Over(_) | Topic::Campaign(_) => false,
    });
    told.settled.retain(|(_, uid), settled| scene.has_plan(&settled.plan, uid));
}
