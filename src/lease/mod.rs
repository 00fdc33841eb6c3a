//! Leadership: which replica may act, and the fence that keeps all others from it.
//!
//! `app` runs the [`Elector`], `notify` and `archive` take a [`Permit`] for each action, and whoever serves series looks at the
//! [`Standing`]. `election` decides and is pure, `elector` makes the requests. Nothing here knows what an action is, and nothing
//! but the lease is ever written.

pub mod election;
mod elector;

pub use election::Standing;
pub use elector::Elector;

use election::Held;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Where a pod finds its own namespace.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Tells the time since boot. An `Instant` would not do: it stands still while the machine sleeps, and the lease does not.
pub type Clock = fn() -> Duration;

/// The time since boot, with that during which the machine slept.
pub fn boot_time() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    // Elsewhere, as on macOS, this one goes on in a sleep.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    Duration::try_from(rustix::time::clock_gettime(CLOCK)).unwrap_or_default()
}

/// The namespace of the pod in which the program runs, if it runs in one.
pub fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string(NAMESPACE).ok()?;
    Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}

/// A name that no other process has: the name of the pod or host, and chance, for a pod's containers share its name.
pub fn identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}_{:016x}", RandomState::new().build_hasher().finish())
}

/// How the lease is held.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who we are: see [`identity`].
    pub identity: String,
    /// How long nobody else takes it after a renewal.
    pub duration: Duration,
    /// How long renewals may fail before it is given up.
    pub renew_deadline: Duration,
    /// How often it is renewed, or looked at.
    pub retry: Duration,
}

impl Settings {
    /// Checks the times.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn check(&self) -> Result<(), String> {
        let Self { duration, renew_deadline, retry, .. } = self;
        if retry.is_zero() || renew_deadline <= retry {
            return Err(format!(
                "the lease's renew_deadline ({renew_deadline:?}) must be longer than its retry ({retry:?})"
            ));
        }
        if duration <= renew_deadline {
            return Err(format!(
                "the lease's duration ({duration:?}) must be longer than its renew_deadline ({renew_deadline:?})"
            ));
        }
        Ok(())
    }
}

/// Whether this replica leads, for all who want to act. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    grant: Mutex<Grant>,
    trouble: Mutex<Option<String>>,
    standing: watch::Sender<Standing>,
    /// Whether the term is to be given up.
    resigned: AtomicBool,
}

/// What may be permitted.
#[derive(Clone, Copy, Debug)]
enum Grant {
    /// Everything: there is no lease.
    Always,
    /// What ends while this term lasts.
    Term(Held),
    /// Nothing.
    Nothing,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is replaced as a whole, so it is right whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leadership {
    fn new(clock: Clock, grant: Grant, standing: Standing) -> Self {
        let (standing, _) = watch::channel(standing);
        Self(Arc::new(Shared {
            clock,
            grant: Mutex::new(grant),
            trouble: Mutex::new(None),
            standing,
            resigned: AtomicBool::new(false),
        }))
    }

    /// That of a program without a lease: it always leads.
    pub fn always() -> Self {
        Self::new(boot_time, Grant::Always, Standing::Leading { term: 0 })
    }

    /// **The fence.** Permits an action that takes at most `deadline`, if it ends before anybody else can lead: counted on the
    /// clock that also runs while this process or the machine stands still, from when the last successful renewal was begun.
    /// So it needs no help of the elector, which may be as frozen as we were.
    pub fn permit(&self, deadline: Duration) -> Option<Permit> {
        let grant = *lock(&self.0.grant);
        let now = (self.0.clock)();
        let term = match grant {
            Grant::Always => 0,
            Grant::Term(held) if held.covers(now, deadline) => held.term,
            Grant::Term(_) | Grant::Nothing => return None,
        };
        Some(Permit { deadline, until: now.saturating_add(deadline), term, clock: self.0.clock })
    }

    /// How this replica stands, now and as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.0.standing.subscribe()
    }

    /// Gives the term up, so that another one begins, here or elsewhere: somebody else has acted in it.
    pub fn resign(&self) {
        self.0.resigned.store(true, Ordering::SeqCst);
    }

    /// Answers once whether it was given up.
    fn take_resignation(&self) -> bool {
        self.0.resigned.swap(false, Ordering::SeqCst)
    }

    /// What keeps from the lease, in the server's words; for those who ask how the program does.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.0.trouble).clone()
    }

    /// Answers whether it is news.
    fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut known = lock(&self.0.trouble);
        let is_news = *known != trouble;
        *known = trouble;
        is_news
    }

    /// Answers whether the standing is news. What is permitted comes first: who hears of a new standing finds it to be so.
    fn set(&self, held: Option<Held>, standing: &Standing) -> bool {
        *lock(&self.0.grant) = held.map_or(Grant::Nothing, Grant::Term);
        self.0.standing.send_if_modified(|known| {
            let is_news = known != standing;
            known.clone_from(standing);
            is_news
        })
    }
}

/// Leave for one action. It is made by [`Leadership::permit`] alone, and an action takes it by value: no action without, and no
/// second one with the same.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    deadline: Duration,
    until: Duration,
    term: u64,
    clock: Clock,
}

impl Permit {
    /// How long the action may take, from when the permit was given.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What is left of that: what an action that begins now bounds itself with. Nothing, if the process stood still meanwhile.
    pub fn left(&self) -> Duration {
        self.until.saturating_sub((self.clock)())
    }

    /// The term in which it was given; 0 where there is no lease.
    pub fn term(&self) -> u64 {
        self.term
    }
}
