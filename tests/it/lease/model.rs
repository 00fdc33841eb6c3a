//! Three electors and a server on a clock of our own: requests and answers that are late or lost, processes that stand still,
//! crash or stop in order, in whatever order that chance gives.
//!
//! What holds: an action of a replica ends before the time at which its last successful renewal was begun, plus the duration of
//! the lease ([`Held::covers`]). So the times in which a replica may have an action under way are those from an answer that made
//! or kept it leader to that end. No two replicas have such times in common, whatever the deadline of the action.

use mtv_sentinel::lease::election::{Decision, Election, Record, Standing};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
const LONGEST_CALL: Duration = Duration::from_secs(5);
/// How long things go wrong, and how long it takes at most until somebody leads when they go right again.
const TROUBLE: Duration = Duration::from_secs(300);
const PEACE: Duration = Duration::from_secs(60);

/// Chance, by splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Mostly short, sometimes longer than any timeout.
    fn delay(&mut self) -> Duration {
        let longest = match self.below(12) {
            0 => 30_000,
            1 | 2 => 5_000,
            _ => 50,
        };
        Duration::from_millis(self.below(longest))
    }
}

#[derive(Clone)]
enum Request {
    Look,
    /// With the version that was looked at.
    Write(Option<String>, Record),
}

enum Answer {
    Seen(Option<Record>),
    Written(Record),
    Conflict,
}

enum Event {
    /// A replica begins a round.
    Wake(usize),
    /// A request is at the server; its answer takes so long, or is lost.
    Request(usize, u64, Request, Option<Duration>),
    Answer(usize, u64, Answer),
    Timeout(usize, u64),
}

struct Replica {
    name: String,
    election: Election,
    /// Its clock began so long before ours.
    offset: Duration,
    /// The call that it waits for, and when it was begun, by our clock.
    call: Option<(u64, Duration)>,
    frozen_until: Duration,
    stopping: bool,
}

/// A time in which a replica may have an action under way.
struct Term {
    who: String,
    from: Duration,
    to: Duration,
}

struct World {
    chance: Chance,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    number: u64,
    lease: Option<Record>,
    highest_term: u64,
    replicas: Vec<Replica>,
    terms: Vec<Term>,
}

impl World {
    fn new(seed: u64, replicas: usize) -> Self {
        let mut world = Self {
            chance: Chance(seed),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            number: 0,
            lease: None,
            highest_term: 0,
            replicas: Vec::new(),
            terms: Vec::new(),
        };
        for who in 0..replicas {
            let replica = world.replica(who);
            world.replicas.push(replica);
            let begins = world.chance.delay();
            world.at(begins, Event::Wake(who));
        }
        world
    }

    /// A process that begins; its clock is nobody else's.
    fn replica(&mut self, who: usize) -> Replica {
        self.number += 1;
        let name = format!("{who}-{}", self.number);
        let election = Election::new(name.clone(), DURATION, RENEW_DEADLINE);
        let offset = Duration::from_secs(self.chance.below(1_000_000));
        Replica { name, election, offset, call: None, frozen_until: Duration::ZERO, stopping: false }
    }

    fn at(&mut self, time: Duration, event: Event) {
        self.number += 1;
        self.queue.insert((time, self.number), event);
    }

    fn is_peace(&self) -> bool {
        self.now >= TROUBLE
    }

    fn run(&mut self) {
        while let Some(((now, _), event)) = self.queue.pop_first() {
            if now > TROUBLE + PEACE {
                return;
            }
            self.now = now;
            match event {
                Event::Request(who, call, request, back) => {
                    let answer = self.serve(request);
                    if let Some(back) = back {
                        self.at(now + back, Event::Answer(who, call, answer));
                    }
                }
                Event::Wake(who) | Event::Answer(who, ..) | Event::Timeout(who, _)
                    if now < self.replicas[who].frozen_until =>
                {
                    self.at(self.replicas[who].frozen_until, event);
                }
                Event::Wake(who) => self.wake(who),
                Event::Answer(who, call, answer) => {
                    if let Some((_, started)) = self.replicas[who].call.take_if(|(waits_for, _)| *waits_for == call) {
                        self.answered(who, answer, started);
                    }
                }
                Event::Timeout(who, call) => {
                    if self.replicas[who].call.take_if(|(waits_for, _)| *waits_for == call).is_some() {
                        self.rest(who);
                    }
                }
            }
        }
    }

    /// The server: a write needs the version that there is.
    fn serve(&mut self, request: Request) -> Answer {
        let Request::Write(expected, record) = request else { return Answer::Seen(self.lease.clone()) };
        if self.lease.as_ref().map(|lease| &lease.version) != expected.as_ref() {
            return Answer::Conflict;
        }
        let before = self.lease.as_ref();
        if before.is_none_or(|before| before.term != record.term) {
            assert!(record.term > self.highest_term, "a term has a number of its own, and it is higher: {record:?}");
            self.highest_term = record.term;
        } else {
            let same = before.is_some_and(|before| before.holder == record.holder || record.holder.is_empty());
            assert!(same, "one term, two holders: {before:?} {record:?}");
        }
        self.number += 1;
        let record = Record { version: self.number.to_string(), ..record };
        self.lease = Some(record.clone());
        Answer::Written(record)
    }

    fn send(&mut self, who: usize, request: Request) {
        self.number += 1;
        let call = self.number;
        let replica = &mut self.replicas[who];
        replica.call = Some((call, self.now));
        let left = replica.election.give_up_at().map_or(LONGEST_CALL, |at| at.saturating_sub(self.now + replica.offset));
        self.at(self.now + left.min(LONGEST_CALL), Event::Timeout(who, call));
        if self.is_peace() {
            let way = Duration::from_millis(5);
            self.at(self.now + way, Event::Request(who, call, request, Some(way)));
        } else if !self.chance.one_in(8) {
            let there = self.now + self.chance.delay();
            let back = self.chance.delay();
            let back = Some(back).filter(|_| !self.chance.one_in(8));
            self.at(there, Event::Request(who, call, request, back));
        }
    }

    fn wake(&mut self, who: usize) {
        let is_peace = self.is_peace();
        let replica = &mut self.replicas[who];
        replica.election.expire(self.now + replica.offset);
        if !is_peace && !replica.stopping {
            if self.chance.one_in(40) {
                // It crashes. What it had under way may still happen.
                self.replicas[who] = self.replica(who);
            } else if self.chance.one_in(40) {
                // It stops in order: its actions are done.
                let now = self.now;
                replica.election.step_down();
                replica.stopping = true;
                self.terms.iter_mut().filter(|term| term.who == replica.name).for_each(|term| term.to = term.to.min(now));
            }
        }
        self.send(who, Request::Look);
    }

    /// Until the next round; it may be long.
    fn rest(&mut self, who: usize) {
        if self.replicas[who].stopping {
            self.replicas[who] = self.replica(who);
        }
        if !self.is_peace() && self.chance.one_in(15) {
            self.replicas[who].frozen_until = self.now + Duration::from_millis(self.chance.below(40_000));
        }
        let replica = &mut self.replicas[who];
        replica.election.expire(self.now + replica.offset);
        let pause = match replica.election.give_up_at() {
            Some(at) => at.saturating_sub(self.now + replica.offset).min(RETRY),
            None => RETRY + Duration::from_millis(self.chance.below(2_000)),
        };
        self.at(self.now + pause, Event::Wake(who));
    }

    fn answered(&mut self, who: usize, answer: Answer, started: Duration) {
        let replica = &mut self.replicas[who];
        let now = self.now + replica.offset;
        match answer {
            Answer::Seen(found) if replica.stopping => match found {
                Some(lease) if lease.holder == replica.name => {
                    let version = Some(lease.version.clone());
                    self.send(who, Request::Write(version, Record { holder: String::new(), ..lease }));
                }
                Some(_) | None => self.rest(who),
            },
            Answer::Written(_) if replica.stopping => self.rest(who),
            Answer::Seen(found) => {
                let version = found.as_ref().map(|lease| lease.version.clone());
                let known_term = found.as_ref().map_or(0, |lease| lease.term);
                let term = match replica.election.look(found, now) {
                    Decision::Wait { .. } => return self.rest(who),
                    Decision::Renew => known_term,
                    Decision::Create { term } | Decision::TakeOver { term, .. } => term,
                };
                let holder = replica.name.clone();
                let record = Record { holder, duration: DURATION, term, version: String::new() };
                self.send(who, Request::Write(version, record));
            }
            Answer::Written(record) => {
                replica.election.written(record, started + replica.offset, now);
                if let Some(held) = replica.election.held() {
                    let to = held.renewed + held.duration - replica.offset;
                    self.terms.push(Term { who: replica.name.clone(), from: self.now, to });
                }
                self.rest(who);
            }
            Answer::Conflict => self.at(self.now, Event::Wake(who)),
        }
    }

    /// Times that two replicas have in common, if an action ended so much later.
    fn overlaps(&self, later: Duration) -> usize {
        let pairs = self.terms.iter().flat_map(|a| self.terms.iter().map(move |b| (a, b)));
        pairs.filter(|(a, b)| a.who < b.who && a.from < b.to + later && b.from < a.to + later).count()
    }

    fn holders(&self) -> usize {
        self.terms.chunk_by(|a, b| a.who == b.who).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_replicas_act_at_once_and_in_peace_one_leads(seed: u64, replicas in 2_usize..=3) {
        let mut world = World::new(seed, replicas);
        world.run();
        prop_assert_eq!(world.overlaps(Duration::ZERO), 0);
        let leading = |replica: &&Replica| matches!(replica.election.standing(), Standing::Leading { .. });
        prop_assert_eq!(world.replicas.iter().filter(leading).count(), 1);
        let following = |replica: &&Replica| matches!(replica.election.standing(), Standing::Following { .. });
        prop_assert_eq!(world.replicas.iter().filter(following).count(), replicas - 1);
    }
}

#[test]
fn the_model_changes_leaders_often_and_would_catch_an_action_that_takes_longer_than_permitted() {
    let worlds = (0..50).map(|seed| {
        let mut world = World::new(seed, 3);
        world.run();
        world
    });
    let (mut changes, mut caught) = (0, 0);
    for world in worlds {
        changes += world.holders();
        caught += world.overlaps(Duration::from_secs(1));
    }
    assert!(changes > 200, "{changes}");
    assert!(caught > 0);
}
