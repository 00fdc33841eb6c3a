//! The HTTP listener: metrics, probes, API. Read-only.
//!
//! Run by `app` as one task. It sees the published [`View`] and nothing else of the model, and never imports `watch`, `notify`
//! or `archive`. `routes` says what there is, `negotiate` which form a scrape gets, `api` what the JSON looks like, `archiving` the part about archiving, `answer`
//! what they give, `server` holds the limits, `auth` and `web` say who may ask and how.

mod answer;
mod api;
mod archiving;
mod auth;
mod deadline;
mod negotiate;
mod notifications;
mod pages;
mod routes;
mod server;
mod web;

pub use api::alerts_json;
pub use archiving::{archive_json, in_order, losses_to_come};
pub use negotiate::{Negotiated, negotiate};
pub use server::{Server, serve};
pub use web::Web;

use crate::alert::{Alert, Scope};
use crate::dispatch::{DeadLetter, Line};
use crate::metrics::Exposition;
use crate::plan::{Key, Time};
use crate::policy::Decision;
use crate::store::{Health, Snapshot};
use std::sync::Arc;

/// What the loop publishes: one consistent state of everything.
#[derive(Debug, Default)]
pub struct View {
    /// The objects.
    pub snapshot: Snapshot,
    /// The metrics about them.
    pub exposition: Exposition,
    /// What the archive policies say of each plan; empty while there are none.
    pub decisions: imbl::OrdMap<Key, Arc<Decision>>,
    /// Whether everything that was there at the start has been seen.
    pub synced: bool,
    /// The time of the last observation, by the source's clock.
    pub at: Option<Time>,
    /// Every alert, by what it concerns.
    pub alerts: imbl::OrdMap<Scope, Arc<[Alert]>>,
    /// The effective configuration, as YAML without secrets.
    pub config: Arc<str>,
    /// Who leads, in words; empty where there is no lease.
    pub leads: Arc<str>,
    /// Whether this replica is the one that acts.
    pub acts: bool,
    /// What receivers know, and what is on its way to them.
    pub notifications: Arc<[Line]>,
    /// The latest notifications that can never be delivered.
    pub dead_letters: Vec<DeadLetter>,
    /// How the watches of a cluster stand; none for other sources.
    pub health: Health,
}
