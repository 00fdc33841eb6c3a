//! The promises about notifications, against a model of what a receiver sees: whatever happens to objects, deliveries, the
//! process and the ledger, nothing is lost, repeats are marked, and ends are told.

mod plans;

use crate::desk::{Desk, Kept, impatient, line, routing};
use crate::support::{decode, minute, provider};
use mtv_sentinel::alert::{AlertId, AlertState, Settings};
use mtv_sentinel::dispatch::{Outcome, Routing, Send, Told, Topic, Turn};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::ledger::{Account, Head, LIMIT, Stored, encode, recover, split};
use mtv_sentinel::plan::{Key, Kind, Time};
use mtv_sentinel::store::Store;
use plans::{Latest, Plan};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PLANS: usize = 5;
const PARTS: u16 = 3;

/// Something happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    Start(usize),
    VmFails(usize, usize),
    Block(usize),
    Unblock(usize),
    Fail(usize),
    Succeed(usize),
    Archive(usize),
    Delete(usize),
    Mute(usize, bool),
    Provider(bool),
    /// Time passes, in half minutes.
    Pass(u16),
    /// The program decides, and what is due goes out.
    Look,
    /// The oldest message that is under way ends like this.
    Answer(Answer),
    /// The program dies; what was under way has arrived or not.
    Die(bool),
    /// The program starts again, without this part of its ledger if there is one.
    Rise(Option<u16>),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Arrives,
    ArrivesUnknown,
    LostUnknown,
    Fails,
}

fn event() -> impl Strategy<Value = Event> {
    let p = 0..PLANS;
    prop_oneof![
        4 => p.clone().prop_map(Event::Start),
        4 => (p.clone(), 0..3usize).prop_map(|(plan, vm)| Event::VmFails(plan, vm)),
        2 => p.clone().prop_map(Event::Block),
        2 => p.clone().prop_map(Event::Unblock),
        5 => p.clone().prop_map(Event::Fail),
        2 => p.clone().prop_map(Event::Succeed),
        1 => p.clone().prop_map(Event::Archive),
        1 => p.clone().prop_map(Event::Delete),
        1 => (p, any::<bool>()).prop_map(|(plan, mute)| Event::Mute(plan, mute)),
        1 => any::<bool>().prop_map(Event::Provider),
        6 => (1u16..30).prop_map(Event::Pass),
        8 => Just(Event::Look),
        4 => Just(Event::Answer(Answer::Arrives)),
        2 => Just(Event::Answer(Answer::ArrivesUnknown)),
        2 => Just(Event::Answer(Answer::LostUnknown)),
        2 => Just(Event::Answer(Answer::Fails)),
        2 => any::<bool>().prop_map(Event::Die),
        3 => Just(Event::Rise(None)),
        1 => (0..PARTS).prop_map(|part| Event::Rise(Some(part))),
    ]
}

/// What a receiver has seen of one incident.
#[derive(Debug, Default)]
struct Incident {
    /// The alerts of the latest message.
    shows: BTreeSet<AlertId>,
    resolved: bool,
}

/// What arrived at one receiver.
#[derive(Debug, Default)]
struct Inbox {
    incidents: BTreeMap<(Topic, u32), Incident>,
    /// Failures by uid and attempt that some message told of.
    failures: BTreeSet<(String, usize)>,
}

struct World {
    desk: Desk,
    plans: Vec<Plan>,
    provider_ready: bool,
    half_minutes: u32,
    is_up: bool,
    under_way: Vec<Send>,
    inboxes: BTreeMap<String, Inbox>,
    /// Conversations of which an outcome is unknown, by receiver and topic.
    doubt: BTreeSet<(String, Topic)>,
    /// What was there at the first start, by receiver.
    baseline: BTreeSet<(String, AlertId)>,
    old_failures: BTreeSet<(String, usize)>,
    /// Uids of which a part of the ledger was lost: what ended meanwhile, nobody can know.
    lost: BTreeSet<String>,
    kept: Option<(Kept, Time)>,
}

fn settings() -> Settings {
    let mut settings = impatient();
    settings.holds.insert("PlanBlocked", Duration::from_secs(60));
    settings
}

fn routes() -> Routing {
    routing(
        "  routes: [{matchers: ['rule=~\"PlanFailed|VmFailed\"'], receivers: [log, pager]}, {receivers: [log]}]
  group_wait: 1m\n  group_interval: 2m\n  storm_threads: 2\n  storm_window: 10m",
    )
}

impl World {
    /// A cluster in which these things have happened before the program was there.
    fn new(before: &[Event]) -> Self {
        let mut world = Self {
            desk: Desk::new(routes(), settings()),
            plans: vec![Plan { exists: true, ..Plan::default() }; PLANS],
            provider_ready: true,
            half_minutes: 10,
            is_up: false,
            under_way: Vec::new(),
            inboxes: BTreeMap::new(),
            doubt: BTreeSet::new(),
            baseline: BTreeSet::new(),
            old_failures: BTreeSet::new(),
            lost: BTreeSet::new(),
            kept: None,
        };
        before
            .iter()
            .filter(|event| !matches!(event, Event::Look | Event::Answer(_) | Event::Die(_) | Event::Rise(_)))
            .for_each(|event| world.happen(*event));
        world.kept = Some((Kept { told: Told::default(), memory: BTreeMap::new() }, world.now()));
        world.rise(None);
        for receiver in ["log", "pager"] {
            let firing = world
                .desk
                .alerts
                .holding()
                .filter(|alert| alert.state == AlertState::Firing || alert.id.rule == "PlanBlocked");
            world.baseline.extend(firing.map(|alert| (receiver.to_owned(), alert.id.clone())));
        }
        world.old_failures = world.failures_in_history();
        for send in world.desk.due().sends {
            assert!(matches!(send.topic, Topic::Baseline(_)), "the first start tells {}", line(&send));
            world.desk.record(&send, Outcome::Delivered);
        }
        world
    }

    fn now(&self) -> Time {
        minute(f64::from(self.half_minutes) / 2.0)
    }

    fn failures_in_history(&self) -> BTreeSet<(String, usize)> {
        let plans = self.plans.iter().enumerate().filter(|(_, plan)| plan.exists);
        plans
            .flat_map(|(number, plan)| {
                let latest = matches!(plan.latest, Latest::Failed(_)).then_some(plan.before.len());
                let before = plan.before.iter().enumerate().filter(|(_, failed)| failed.is_some()).map(|(at, _)| at);
                before.chain(latest).map(move |attempt| (plan.uid(number), attempt)).collect::<Vec<_>>()
            })
            .collect()
    }

    fn happen(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Start(p) if self.plans[p].exists && !self.plans[p].archived => {
                let plan = &mut self.plans[p];
                match plan.latest {
                    Latest::Runs | Latest::Succeeded => return,
                    Latest::Failed(at) => plan.before.push(Some(at)),
                    Latest::None => {}
                }
                (plan.latest, plan.failed, plan.blocked) = (Latest::Runs, BTreeMap::new(), false);
                self.changed(p);
            }
            Event::VmFails(p, vm) if self.plans[p].latest == Latest::Runs => {
                self.plans[p].failed.entry(vm).or_insert(now);
                self.changed(p);
            }
            Event::Block(p) | Event::Unblock(p) if self.plans[p].latest == Latest::Runs => {
                self.plans[p].blocked = matches!(event, Event::Block(_));
                self.changed(p);
            }
            Event::Fail(p) if self.plans[p].latest == Latest::Runs => {
                (self.plans[p].latest, self.plans[p].blocked) = (Latest::Failed(now), false);
                self.changed(p);
            }
            Event::Succeed(p) if self.plans[p].latest == Latest::Runs && self.plans[p].failed.is_empty() => {
                (self.plans[p].latest, self.plans[p].blocked) = (Latest::Succeeded, false);
                self.changed(p);
            }
            Event::Archive(p) if matches!(self.plans[p].latest, Latest::Failed(_) | Latest::Succeeded) => {
                self.plans[p].archived = true;
                self.changed(p);
            }
            Event::Delete(p) => {
                let incarnation = self.plans[p].incarnation + usize::from(!self.plans[p].exists);
                self.plans[p] = Plan { exists: !self.plans[p].exists, incarnation, ..Plan::default() };
                self.changed(p);
            }
            Event::Mute(p, mute) => {
                self.plans[p].muted = mute;
                self.changed(p);
            }
            Event::Provider(ready) => {
                self.provider_ready = ready;
                if self.is_up {
                    self.desk.apply(self.provider());
                }
            }
            Event::Pass(half_minutes) => {
                self.half_minutes += u32::from(half_minutes);
                self.desk.now = self.now();
                if self.is_up {
                    self.desk.evaluate_all();
                }
            }
            Event::Look if self.is_up => self.look(),
            Event::Answer(answer) if self.is_up && !self.under_way.is_empty() => self.answer(answer),
            Event::Die(arrives) if self.is_up => self.die(arrives),
            Event::Rise(lost) if !self.is_up => self.rise(lost),
            _ => {}
        }
    }

    fn provider(&self) -> Object {
        if self.provider_ready {
            return provider("vc", "vsphere");
        }
        decode(&json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "spec": {"type": "vsphere"},
            "metadata": {"namespace": "forklift", "name": "vc", "uid": "uid-vc"}}))
    }

    fn changed(&mut self, p: usize) {
        if !self.is_up {
        } else if self.plans[p].exists {
            self.desk.apply(self.plans[p].object(p));
        } else {
            self.desk.delete(Kind::Plan, &Key::new("ns", format!("p{p}")));
        }
    }

    fn look(&mut self) {
        for send in self.desk.due().sends {
            let key = (send.receiver.to_string(), send.topic.clone());
            let is_known_lost = || send_uids(&send).iter().any(|uid| self.lost.contains(uid));
            assert!(
                !send.is_repeat || self.doubt.contains(&key) || is_known_lost(),
                "it is marked as a repeat, and nothing is in doubt: {}",
                line(&send)
            );
            let busy = self.under_way.iter().any(|other| (&other.receiver, &other.topic) == (&send.receiver, &send.topic));
            assert!(!busy, "two are under way: {}", line(&send));
            self.under_way.push(send);
        }
    }

    fn answer(&mut self, answer: Answer) {
        let send = self.under_way.remove(0);
        let key = (send.receiver.to_string(), send.topic.clone());
        let again = self.desk.now.plus(Duration::from_secs(90));
        let (arrives, outcome) = match answer {
            Answer::Arrives => (true, Outcome::Delivered),
            Answer::ArrivesUnknown => (true, Outcome::Unknown(again)),
            Answer::LostUnknown => (false, Outcome::Unknown(again)),
            Answer::Fails => (false, Outcome::Failed(again)),
        };
        if arrives {
            self.arrive(&send);
        }
        match outcome {
            Outcome::Delivered => drop(self.doubt.remove(&key)),
            Outcome::Unknown(_) => drop(self.doubt.insert(key)),
            _ => {}
        }
        self.desk.record(&send, outcome);
    }

    fn arrive(&mut self, send: &Send) {
        let in_doubt = self.doubt.contains(&(send.receiver.to_string(), send.topic.clone()));
        let was_lost = send_uids(send).iter().any(|uid| self.lost.contains(uid));
        let inbox = self.inboxes.entry(send.receiver.to_string()).or_default();
        let ids: BTreeSet<AlertId> =
            std::iter::once(&send.alert).chain(&send.others).map(|alert| alert.id.clone()).collect();
        let told = ids.iter().chain(send.ended.iter().map(|alert| &alert.id));
        let failures: BTreeSet<_> =
            told.filter(|id| id.rule == "PlanFailed").map(|id| (id.uid.to_string(), id.attempt)).collect();
        if send.turn == Turn::Over {
            let all_known = failures.iter().all(|failure| inbox.failures.contains(failure));
            assert!(send.is_repeat || !all_known, "told before, and not marked: {}", line(send));
        }
        inbox.failures.extend(failures);
        if send.turn == Turn::Over || matches!(send.topic, Topic::Baseline(_)) {
            return;
        }
        let incident = inbox.incidents.entry((send.topic.clone(), send.episode)).or_default();
        match send.turn {
            Turn::Resolved => {
                assert!(!incident.resolved || send.is_repeat, "resolved twice, and not marked: {}", line(send));
                incident.resolved = true;
            }
            Turn::Firing | Turn::Updated | Turn::Reminder | Turn::Over => {
                assert!(!incident.resolved, "told after its end: {}", line(send));
                let is_news = ids.iter().any(|id| !incident.shows.contains(id)) || !send.ended.is_empty();
                assert!(send.is_repeat || is_news, "told before, and not marked: {}", line(send));
                assert!(!send.is_repeat || in_doubt || was_lost, "marked, and nothing was in doubt: {}", line(send));
                incident.resolved = false;
                incident.shows = ids;
            }
        }
    }

    fn die(&mut self, arrives: bool) {
        for send in std::mem::take(&mut self.under_way) {
            if arrives {
                self.arrive(&send);
            }
            self.doubt.insert((send.receiver.to_string(), send.topic.clone()));
        }
        let beat = self.desk.dispatch.told_until(&self.desk.alerts, &self.desk.store, self.desk.now);
        self.kept = Some((self.desk.kept(), beat));
        self.is_up = false;
    }

    fn rise(&mut self, lose: Option<u16>) {
        let (kept, beat) = self.kept.take().unwrap();
        let is_first = kept.told == Told::default();
        let account = Account { told: kept.told, memory: kept.memory };
        let parts = split(&account, PARTS).into_iter().zip(0..).filter(|(_, part)| Some(*part) != lose && !is_first);
        let stored = parts.map(|(account, part)| Stored {
            name: part.to_string(),
            text: encode(&Head { part, parts: PARTS, epoch: 1, beat }, &account, LIMIT).unwrap(),
        });
        let recovered = recover(stored).unwrap();
        for (number, plan) in self.plans.iter().enumerate() {
            self.lost.extend(recovered.lost(&plan.uid(number)).map(|_| plan.uid(number)));
            // What is gone has a part too.
            for incarnation in 0..plan.incarnation {
                let uid = format!("p{number}-{incarnation}");
                self.lost.extend(recovered.lost(&uid).map(|_| uid.clone()));
            }
        }
        self.lost.extend(recovered.lost("uid-vc").map(|_| "uid-vc".to_owned()));
        self.desk.store = Store::default();
        self.desk.now = self.now();
        self.desk.store.apply(self.provider(), self.desk.now);
        for (number, plan) in self.plans.iter().enumerate().filter(|(_, plan)| plan.exists) {
            self.desk.store.apply(plan.object(number), self.desk.now);
        }
        let kept = Kept { told: recovered.account.told.clone(), memory: recovered.account.memory.clone() };
        self.desk.restart(kept, routes(), &|uid| recovered.lost(uid));
        self.is_up = true;
        self.forget_what_was_lost(&|uid| recovered.lost(uid).is_some());
    }

    /// What nobody can know any more: which incidents of a lost part were resolved, and that one has ended meanwhile. What
    /// still fires is owed its end all the same.
    fn forget_what_was_lost(&mut self, is_lost: &dyn Fn(&str) -> bool) {
        let firing: BTreeSet<AlertId> = self.desk.alerts.holding().map(|alert| alert.id.clone()).collect();
        for inbox in self.inboxes.values_mut() {
            inbox.incidents.retain(|(topic, _), incident| match topic {
                Topic::Thread(thread) if is_lost(&thread.uid) => {
                    !incident.resolved && incident.shows.iter().any(|id| firing.contains(id))
                }
                _ => {
                    incident.shows.retain(|id| !is_lost(&id.uid));
                    incident.resolved || !incident.shows.is_empty()
                }
            });
        }
    }

    /// Everything works from here on, for long enough.
    fn calm_down(&mut self) {
        self.happen(Event::Rise(None));
        self.happen(Event::Provider(true));
        (0..PLANS).for_each(|plan| self.happen(Event::Mute(plan, false)));
        for _ in 0..12 {
            while !self.under_way.is_empty() {
                self.answer(Answer::Arrives);
            }
            self.happen(Event::Pass(20));
            self.look();
        }
        assert!(self.under_way.is_empty(), "it does not come to rest");
    }

    /// What has to be true then.
    fn check(&self) {
        for (receiver, takes) in [("log", None), ("pager", Some(["PlanFailed", "VmFailed"]))] {
            let none = Inbox::default();
            let inbox = self.inboxes.get(receiver).unwrap_or(&none);
            let firing: BTreeSet<AlertId> = self.desk.alerts.firing().map(|alert| alert.id.clone()).collect();
            let open = || inbox.incidents.iter().filter(|(_, incident)| !incident.resolved);
            let shown: BTreeSet<&AlertId> = open().flat_map(|(_, incident)| &incident.shows).collect();
            for id in firing.iter().filter(|id| takes.is_none_or(|rules| rules.contains(&id.rule))) {
                let is_old = self.baseline.contains(&(receiver.to_owned(), id.clone()));
                assert!(is_old || shown.contains(id), "{receiver} was not told of {id:?}");
            }
            for failure in self.failures_in_history().difference(&self.old_failures) {
                assert!(inbox.failures.contains(failure), "{receiver} was not told of the failure {failure:?}");
            }
            for (incident, shows) in open() {
                let is_over = |id: &&AlertId| !firing.contains(*id);
                // A thread ends with the last of it, a digest tells each end.
                let lasts = matches!(incident.0, Topic::Thread(_)) && shows.shows.iter().any(|id| !is_over(&id));
                let over: Vec<_> = shows.shows.iter().filter(is_over).filter(|_| !lasts).collect();
                assert_eq!(over, Vec::<&AlertId>::new(), "{receiver} was not told the end of {incident:?}");
            }
        }
    }
}

fn send_uids(send: &Send) -> BTreeSet<String> {
    std::iter::once(&send.alert).chain(&send.others).chain(&send.ended).map(|alert| alert.id.uid.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn nothing_is_lost_repeats_are_marked_and_ends_are_told(
        before in prop::collection::vec(event(), 0..12),
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut world = World::new(&before);
        events.iter().for_each(|event| world.happen(*event));
        world.calm_down();
        world.check();
    }
}
