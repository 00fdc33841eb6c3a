//! Who leads, in the shape of client-go's leader election: what the lease shows goes in, what to write comes out.
//!
//! Driven by `elector`, which makes the requests. Pure: time is handed in, as the time since boot. The times that stand in a
//! lease are not even read, so the clock of another machine can mislead nobody: a lease lives while it is seen to change.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

/// What a lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty for nobody.
    pub holder: String,
    /// For how long after each renewal, as its holder says.
    pub duration: Duration,
    /// How often it was acquired.
    pub term: u64,
    /// The version of the object, which each write changes.
    pub version: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no lease: create one, for this term.
    Create {
        /// The term that begins.
        term: u64,
    },
    /// The lease is free: write ourselves into it, for this term.
    TakeOver {
        /// The term that begins.
        term: u64,
        /// Why it is free.
        free: Free,
    },
    /// It is ours, and this term goes on.
    Renew,
    /// Somebody may act on it until then, if they do not renew it before.
    Wait {
        /// By our clock.
        until: Duration,
    },
}

/// Why a lease is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Free {
    /// Nobody holds it.
    Released,
    /// Its holder has not renewed it for as long as it holds.
    Expired,
    /// It names us, from a term that is over or never began for us.
    Ours,
}

/// How this replica stands. Exporting goes on until another holder is seen; acting is for the leader alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody is known to lead. Also while a lease names somebody who was not seen to renew it: they may be long dead.
    Unknown,
    /// This replica leads.
    Leading {
        /// Since the lease was acquired for the so-many-th time; 0 where there is no lease.
        term: u64,
    },
    /// Somebody else leads.
    Following {
        /// Who.
        holder: String,
    },
    /// This replica led and could not keep the lease; nobody else was seen to lead since.
    Lost,
}

/// A term of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub term: u64,
    /// When the last renewal that succeeded was begun: the server wrote it no earlier.
    pub renewed: Duration,
    /// How long nobody else takes the lease from then on.
    pub duration: Duration,
}

impl Held {
    /// Whether what begins now and takes this long ends while nobody else can lead.
    pub fn covers(&self, now: Duration, action: Duration) -> bool {
        now.saturating_sub(self.renewed).saturating_add(action) < self.duration
    }
}

/// What the latest look showed.
#[derive(Debug)]
struct Seen {
    record: Option<Record>,
    /// When it was first seen to be so.
    since: Duration,
    /// How long from then on somebody else may act on it, or on what it was before.
    patience: Duration,
}

/// The state of an elector.
#[derive(Debug)]
pub struct Election {
    identity: String,
    duration: Duration,
    renew_deadline: Duration,
    seen: Option<Seen>,
    held: Option<Held>,
    standing: Standing,
    latest_term: u64,
}

impl Election {
    /// One that has seen nothing.
    pub fn new(identity: String, duration: Duration, renew_deadline: Duration) -> Self {
        let standing = Standing::Unknown;
        Self { identity, duration, renew_deadline, seen: None, held: None, standing, latest_term: 0 }
    }

    /// Takes what a look at the lease showed (`None` if there is none), and says what to do. `now` is read after the answer
    /// came: whatever it shows was written before.
    pub fn look(&mut self, found: Option<Record>, now: Duration) -> Decision {
        let until = self.see(found, now);
        let record = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        let is_ours = record.is_some_and(|record| record.holder == self.identity);
        if is_ours && self.held.is_some() {
            return Decision::Renew;
        }
        if now < until {
            return Decision::Wait { until };
        }
        let term = self.latest_term.saturating_add(1);
        match record {
            None => Decision::Create { term },
            Some(_) if is_ours => Decision::TakeOver { term, free: Free::Ours },
            Some(record) if record.holder.is_empty() => Decision::TakeOver { term, free: Free::Released },
            Some(_) => Decision::TakeOver { term, free: Free::Expired },
        }
    }

    /// A write of ours succeeded: what the server says the lease is now, when the request was begun, and when its answer came.
    pub fn written(&mut self, record: Record, started: Duration, now: Duration) {
        let is_ours = record.holder == self.identity;
        let held = Held { term: record.term, renewed: started, duration: self.duration };
        self.see(Some(record), now);
        if is_ours {
            self.held = Some(held);
            self.standing = Standing::Leading { term: held.term };
        }
        self.expire(now);
    }

    /// Gives the term up if it could not be renewed in time.
    pub fn expire(&mut self, now: Duration) {
        if self.give_up_at().is_some_and(|at| now >= at) {
            self.step_down();
        }
    }

    /// When the term is given up, unless it is renewed before.
    pub fn give_up_at(&self) -> Option<Duration> {
        self.held.map(|held| held.renewed.saturating_add(self.renew_deadline))
    }

    /// Stops leading, for whatever reason. The lease itself still names us.
    pub fn step_down(&mut self) {
        self.held = None;
        self.nobody_leads();
    }

    /// The term of ours, while there is one.
    pub fn held(&self) -> Option<Held> {
        self.held
    }

    /// How this replica stands.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The latest term that is known of, whoever's it was.
    pub fn latest_term(&self) -> u64 {
        self.latest_term
    }

    fn nobody_leads(&mut self) {
        self.standing = match self.standing {
            Standing::Unknown | Standing::Following { .. } => Standing::Unknown,
            Standing::Leading { .. } | Standing::Lost => Standing::Lost,
        };
    }

    /// Notes what the lease is; answers until when somebody else may act on it.
    fn see(&mut self, found: Option<Record>, now: Duration) -> Duration {
        let changed = self.seen.as_ref().is_some_and(|seen| seen.record != found);
        let (since, patience) = match &self.seen {
            Some(seen) if !changed => (seen.since, seen.patience),
            Some(_) | None => (now, self.patience(found.as_ref(), now)),
        };
        let until = since.saturating_add(patience);
        let (holder, term) = found.as_ref().map_or(("", 0), |record| (&*record.holder, record.term));
        let is_ours = holder == self.identity;
        self.latest_term = self.latest_term.max(term);
        // With another number it is another term: one that began without an answer, or somebody's edit.
        if self.held.is_some_and(|held| !is_ours || held.term != term) {
            self.step_down();
        }
        // At first sight nobody knows whether a holder lives. One that has written since the look before does.
        if changed && !is_ours && !holder.is_empty() {
            self.standing = Standing::Following { holder: holder.to_owned() };
        } else if self.held.is_none() && now >= until {
            self.nobody_leads();
        }
        self.seen = Some(Seen { record: found, since, patience });
        until
    }

    /// How long somebody else may act on a lease after it was seen to have become this.
    fn patience(&self, found: Option<&Record>, now: Duration) -> Duration {
        let before = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        let holder = match found {
            Some(record) if record.holder.is_empty() || record.holder == self.identity => None,
            Some(record) => Some(record),
            // It was deleted, and who held it may not know yet. While our own term lasts, that was nobody else.
            None if self.held.is_some_and(|held| held.covers(now, Duration::ZERO)) => None,
            None => before.filter(|record| !record.holder.is_empty()),
        };
        // A holder renews for longer than an edited lease may say.
        holder.map_or(Duration::ZERO, |record| record.duration.max(self.duration))
    }
}
