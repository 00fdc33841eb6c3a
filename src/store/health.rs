//! Whether each watch of a cluster works, and since when it does not: what makes stale data visible.
//!
//! Kept by the loop beside the store, from what the source says; read by probes and metrics. Pure: `now` is an argument.

use crate::plan::{Kind, Text, Time};
use std::collections::BTreeMap;
use std::time::Duration;

closed_enum! {
    /// Why a watch does not work.
    pub enum Trouble {
        /// The kind is not there: Forklift is not installed, or its CRDs were removed.
        NotInstalled = "not_installed",
        /// The credentials are refused; they are read anew.
        Unauthorized = "unauthorized",
        /// A right is missing.
        Forbidden = "forbidden",
        /// The server asks for patience.
        Throttled = "throttled",
        /// The server fails.
        Server = "server",
        /// The server is not reached, or a connection broke.
        Connection = "connection",
        /// The server said nothing for longer than it may.
        Silent = "silent",
    }
}

/// One watch: a kind, in a namespace or (empty) in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId {
    /// The kind.
    pub kind: Kind,
    /// The namespace, or empty for all.
    pub namespace: Text,
}

impl std::fmt::Display for WatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}s", self.kind)?;
        if self.namespace.is_empty() { Ok(()) } else { write!(f, " in {}", self.namespace) }
    }
}

/// What a watch reports of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It begins to list everything.
    Listing,
    /// It has listed everything.
    Listed,
    /// The server answered.
    Contact,
    /// A watch ended in order and was taken up again.
    Restarted,
    /// It does not work: why, and in the server's words.
    Broken(Trouble, String),
}

/// How a watch stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchHealth {
    /// Whether everything was listed once.
    pub synced: bool,
    /// When the server last answered.
    pub last_contact: Option<Time>,
    /// What is wrong, and since when.
    pub broken: Option<Broken>,
    /// Listings that have begun.
    pub listings: u64,
    /// Watches that ended in order.
    pub restarts: u64,
}

/// What is wrong with a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Since when.
    pub since: Time,
    /// Why.
    pub trouble: Trouble,
    /// In the server's words.
    pub message: String,
}

/// All watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health(BTreeMap<WatchId, WatchHealth>);

impl Health {
    /// Takes a report. Answers whether it is news: the first of its kind of trouble, or the end of one.
    pub fn report(&mut self, watch: WatchId, report: Report, at: Time) -> bool {
        let health = self.0.entry(watch).or_default();
        let was = health.broken.as_ref().map(|broken| broken.trouble);
        match report {
            Report::Listing => health.listings += 1,
            Report::Listed => {
                health.synced = true;
                health.last_contact = Some(at);
                health.broken = None;
            }
            Report::Contact => {
                health.last_contact = Some(at);
                health.broken = None;
            }
            Report::Restarted => health.restarts += 1,
            Report::Broken(trouble, message) => {
                let since = health.broken.as_ref().map_or(at, |broken| broken.since);
                health.broken = Some(Broken { since, trouble, message });
            }
        }
        was != health.broken.as_ref().map(|broken| broken.trouble)
    }

    /// Each watch with how it stands.
    pub fn watches(&self) -> impl Iterator<Item = (&WatchId, &WatchHealth)> {
        self.0.iter()
    }

    /// Since when a watch does not work, if one does not: what has happened since may not have been seen.
    pub fn blind_since(&self) -> Option<Time> {
        self.0.values().filter_map(|health| health.broken.as_ref()).map(|broken| broken.since).min()
    }

    /// Whether what is known can be relied upon at `now`: no watch has been broken for longer than `patience`.
    pub fn is_fresh(&self, now: Time, patience: Duration) -> bool {
        let stale = |health: &WatchHealth| health.broken.as_ref().is_some_and(|broken| now.since(broken.since) > patience);
        !self.0.values().any(stale)
    }
}
