//! The source `cluster`: Plans, Migrations and Providers of a live API server.
//!
//! One watch for each kind and namespace, each a task of its own (`reflector`), so that trouble with one kind costs only that
//! kind. `connect` makes clients, `requests` speaks to the server. Objects go straight from the bytes of the answer into the
//! pruned model. Nothing is ever written.

mod connect;
mod reflector;
mod requests;

pub use connect::{ConnectError, connect};

use super::Observation;
use crate::plan::{Kind, Text};
use crate::store::WatchId;
use reflector::{Outputs, Reflector};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How a cluster is watched.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The kubeconfig; `None` for the environment's, or the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; `None` for its current one.
    pub context: Option<String>,
    /// The namespaces to watch; none for all.
    pub namespaces: Vec<String>,
    /// Objects in a page of a list: what is in memory twice for a moment.
    pub page_size: u32,
    /// How long the server may keep a watch open. A connection that is silent for a little longer is dead.
    pub watch_timeout: Duration,
    /// How long the server may take to begin an answer, or to go on with it.
    pub request_timeout: Duration,
    /// The longest pause between two attempts.
    pub longest_backoff: Duration,
    /// Whether to try lists as streams first.
    pub streaming_lists: bool,
}

/// What a watch shows before it is decoded, for a recording.
#[derive(Clone, Debug)]
pub enum RawEvent {
    /// A list of everything begins.
    ListBegins {
        /// Of this kind.
        kind: String,
        /// In this namespace, or in all.
        namespace: String,
    },
    /// The list is complete.
    ListEnds {
        /// Of this kind.
        kind: String,
        /// In this namespace, or in all.
        namespace: String,
        /// When, RFC 3339 with milliseconds.
        time: String,
    },
    /// An object.
    Object {
        /// Whether it was deleted.
        deleted: bool,
        /// The object.
        json: Vec<u8>,
        /// When it was seen, RFC 3339 with milliseconds.
        time: String,
    },
}

/// Watches a cluster until the receiver is gone.
///
/// # Errors
/// If there is no usable configuration. That the server is not reached is no error: it is tried again, visibly.
pub async fn follow(settings: Settings, to: mpsc::Sender<Observation>) -> Result<(), ConnectError> {
    start(settings, to, None).await
}

/// Watches a cluster as [`follow`] does, and gives what it sees undecoded.
///
/// # Errors
/// As [`follow`].
pub async fn record(settings: Settings, raw: mpsc::Sender<RawEvent>) -> Result<(), ConnectError> {
    let (to, mut observations) = mpsc::channel::<Observation>(1024);
    let told = async {
        while let Some(observation) = observations.recv().await {
            if let crate::watch::Seen::Report(watch, crate::store::Report::Broken(trouble, message)) = observation.what {
                tracing::warn!(%watch, %trouble, message, "a watch is broken");
            }
            if raw.is_closed() {
                return;
            }
        }
    };
    let watches = start(settings, to, Some(raw.clone()));
    tokio::select! {
        ended = watches => ended,
        () = raw.closed() => Ok(()),
        () = told => Ok(()),
    }
}

async fn start(
    settings: Settings,
    to: mpsc::Sender<Observation>,
    raw: Option<mpsc::Sender<RawEvent>>,
) -> Result<(), ConnectError> {
    let client = connect(&settings).await?;
    let settings = Arc::new(settings);
    let namespaces = if settings.namespaces.is_empty() { vec![String::new()] } else { settings.namespaces.clone() };
    let unsynced = Arc::new(AtomicUsize::new(Kind::ALL.len() * namespaces.len()));
    let mut watches = JoinSet::new();
    for kind in Kind::ALL {
        for namespace in &namespaces {
            let id = WatchId { kind: *kind, namespace: Text::from(namespace.as_str()) };
            let outputs = Outputs { to: to.clone(), raw: raw.clone() };
            let reflector = Reflector::new(id, client.clone(), Arc::clone(&settings), outputs, Arc::clone(&unsynced));
            watches.spawn(reflector.run());
        }
    }
    drop((to, raw));
    while watches.join_next().await.is_some() {}
    Ok(())
}
