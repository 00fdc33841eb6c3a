//! Who acts, and from what account: the lease, the ledger, and the terms of office that come of them.
//!
//! Built by `app`. Without a lease and with a folder or nothing there is one term, which begins before anything is observed.
//! Else a task tells the loop of each term as it begins and ends: it waits for the lease, reads the ledger, marks it as ours,
//! and waits until whoever was in office before can have nothing under way. It sends nothing and decides nothing about what is
//! told.

use super::{Input, cluster_settings};
use crate::config::{Config, LONGEST_ACTION, LeaseMode, LedgerStore, Source};
use crate::lease::{self, Elector, Leadership, Standing};
use crate::ledger::{ConfigMaps, Folder, Keeper, Place, Recovered, Save};
use crate::message::Notification;
use crate::metrics::Own;
use crate::watch::cluster::connect;
use anyhow::Context;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The first pause after the ledger could not be opened, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The way of what is to be sent.
pub(super) enum Way {
    /// None: nothing is to be sent.
    Closed,
    /// To those who send it.
    Straight(mpsc::UnboundedSender<Notification>),
    /// Through the ledger.
    Kept(mpsc::UnboundedSender<Save<Notification>>),
}

/// What the loop is told.
pub(super) enum Charge {
    /// A term of office begins, with this number and from this account.
    Begins(u64, Box<Recovered>, Way),
    /// It has ended.
    Ends,
    /// From now on this is the configuration.
    Configure(Box<Config>),
    /// Who leads, in words, and whether to serve series about plans: another replica may do that.
    Stands(String, bool),
}

/// Where the ledger is.
#[derive(Clone)]
enum Ledger {
    Memory,
    Folder(PathBuf),
    ConfigMaps(kube::Client, String, String),
}

impl Ledger {
    fn place(&self) -> anyhow::Result<Option<Place>> {
        Ok(match self {
            Self::Memory => None,
            Self::Folder(path) => Some(Place::Folder(Arc::new(Folder::open(path).context("ledger.path")?))),
            Self::ConfigMaps(client, namespace, name) => {
                Some(Place::ConfigMaps(Box::new(ConfigMaps::new(client.clone(), namespace, name))))
            }
        })
    }
}

/// The rules of office for one run of the program.
pub(super) struct Office {
    ledger: Ledger,
    parts: u16,
    own: Arc<Own>,
    /// Whether this process may act.
    pub(super) leadership: Leadership,
    has_lease: bool,
    elector: Option<Elector>,
}

/// The namespace of the lease and of the ConfigMaps.
fn namespace(config: &Config) -> anyhow::Result<String> {
    let named = Some(config.lease.namespace.clone()).filter(|namespace| !namespace.is_empty());
    named.or_else(lease::own_namespace).context("lease.namespace is empty, and this is no pod that has one: name one")
}

/// Whether there is a lease.
fn has_lease(config: &Config, input: &Input) -> bool {
    let is_live = matches!(input, Input::Cluster(_)) && config.general.source == Source::Cluster;
    match config.lease.enabled {
        LeaseMode::On => is_live,
        LeaseMode::Off => false,
        LeaseMode::Auto => is_live && config.kubernetes.kubeconfig.is_none() && lease::own_namespace().is_some(),
    }
}

impl Office {
    /// What the configuration says.
    ///
    /// # Errors
    /// If there is no way to the cluster where one is needed, or no namespace.
    pub(super) async fn new(config: &Config, input: &Input, own: Arc<Own>) -> anyhow::Result<Self> {
        let has_lease = has_lease(config, input);
        let store = match (config.ledger.store, &config.ledger.path, input) {
            (_, _, Input::Replay(..)) => LedgerStore::Memory,
            (LedgerStore::Auto, Some(_), _) => LedgerStore::Folder,
            (LedgerStore::Auto, None, _) if has_lease => LedgerStore::ConfigMaps,
            (LedgerStore::Auto, None, _) => LedgerStore::Memory,
            (store @ (LedgerStore::Folder | LedgerStore::ConfigMaps | LedgerStore::Memory), ..) => store,
        };
        let client = if has_lease || store == LedgerStore::ConfigMaps {
            Some((connect(&cluster_settings(config)).await?, namespace(config)?))
        } else {
            None
        };
        let ledger = match (store, &config.ledger.path, &client) {
            (LedgerStore::Folder, Some(path), _) => Ledger::Folder(path.clone()),
            (LedgerStore::ConfigMaps, _, Some((client, namespace))) => {
                Ledger::ConfigMaps(client.clone(), namespace.clone(), config.ledger.name.clone())
            }
            (LedgerStore::Auto | LedgerStore::Folder | LedgerStore::ConfigMaps | LedgerStore::Memory, ..) => Ledger::Memory,
        };
        let (elector, leadership) = match client.filter(|_| has_lease) {
            Some((client, namespace)) => {
                let settings = lease::Settings {
                    namespace,
                    name: config.lease.name.clone(),
                    identity: lease::identity(),
                    duration: config.lease.duration.0,
                    renew_deadline: config.lease.renew_deadline.0,
                    retry: config.lease.retry.0,
                };
                let made = Elector::new(client, settings, Arc::clone(&own), lease::boot_time);
                let (elector, leadership) = made.map_err(anyhow::Error::msg)?;
                (Some(elector), leadership)
            }
            None => (None, Leadership::always()),
        };
        let parts = u16::try_from(config.ledger.parts.0).unwrap_or(u16::MAX);
        Ok(Self { ledger, parts, own, leadership, has_lease, elector })
    }

    /// The elector, to be run until all that is under way has ended; none where there is no lease.
    pub(super) fn elector(&mut self) -> Option<Elector> {
        self.elector.take()
    }

    /// The only term, if there is but one and it can begin at once. What is let go of goes to `send`.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub(super) async fn only_term(&self, send: &mpsc::UnboundedSender<Notification>) -> anyhow::Result<Option<Term>> {
        match self.ledger {
            _ if self.has_lease => Ok(None),
            Ledger::ConfigMaps(..) => Ok(None),
            Ledger::Memory | Ledger::Folder(_) => self.open(0, send).await.map(Some),
        }
    }

    /// Opens the ledger for a term.
    async fn open(&self, number: u64, send: &mpsc::UnboundedSender<Notification>) -> anyhow::Result<Term> {
        let Some(place) = self.ledger.place()? else {
            return Ok(Term { number, recovered: Box::default(), way: Way::Straight(send.clone()), keeping: None });
        };
        let (keeper, recovered) = Keeper::open(place, self.parts, Arc::clone(&self.own)).await.context("the ledger")?;
        let (save, saves) = mpsc::unbounded_channel();
        let keeping = Some(Keeping { keeper, saves, send: send.clone() });
        Ok(Term { number, recovered: Box::new(recovered), way: Way::Kept(save), keeping })
    }

    /// Opens it, however long that takes.
    async fn open_patiently(&self, number: u64, send: &mpsc::UnboundedSender<Notification>) -> Term {
        let mut pause = PAUSES.0;
        loop {
            match self.open(number, send).await {
                Ok(term) => return term,
                Err(error) => {
                    self.own.count_ledger_failure();
                    tracing::error!("nothing is sent before the ledger can be used: {error:#}");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Holds office whenever the lease says so, until the loop is gone.
    pub(super) async fn hold(self, send: mpsc::UnboundedSender<Notification>, tell: mpsc::UnboundedSender<Charge>) {
        let mut standing = self.leadership.standing();
        loop {
            let stands = standing.borrow_and_update().clone();
            let (words, exports) = match &stands {
                Standing::Following { holder } => (format!("{holder} leads"), false),
                Standing::Unknown => ("it is not known yet who leads".to_owned(), true),
                Standing::Lost => ("this replica leads no more, and no other one has been seen to".to_owned(), true),
                Standing::Leading { term } => (format!("this replica leads, in term {term}"), true),
            };
            tracing::info!("{words}");
            let _ = tell.send(Charge::Stands(words, exports));
            if let Standing::Leading { term } = stands {
                tokio::select! {
                    () = self.serve(term, &send, &tell) => {}
                    () = left(&mut standing, term) => {}
                }
                let _ = tell.send(Charge::Ends);
            }
            // Somebody else has written the ledger, and the lease knows of it in a moment; or it does not, and then it is right:
            // another term begins, with a number of its own.
            let deposed = matches!(stands, Standing::Leading { .. });
            let another = async {
                if deposed && !self.has_lease {
                    return tokio::time::sleep(PAUSES.1).await;
                }
                if deposed && tokio::time::timeout(PAUSES.1, changes(&mut standing, &stands)).await.is_err() {
                    self.leadership.resign();
                }
                changes(&mut standing, &stands).await;
            };
            tokio::select! {
                () = another => {}
                () = tell.closed() => return,
            }
        }
    }

    /// One term, until the loop is gone or somebody else has written the ledger.
    async fn serve(&self, number: u64, send: &mpsc::UnboundedSender<Notification>, tell: &mpsc::UnboundedSender<Charge>) {
        let begin = async {
            let term = self.open_patiently(number, send).await;
            if self.has_lease {
                // What another replica has begun comes to its end first.
                tokio::time::sleep(LONGEST_ACTION).await;
            }
            term
        };
        let Term { number, recovered, way, keeping } = tokio::select! {
            term = begin => term,
            // Who stops does not wait for a ledger that cannot be opened.
            () = tell.closed() => return,
        };
        let _ = tell.send(Charge::Begins(number, recovered, way));
        match keeping {
            Some(keeping) => keeping.run().await,
            None => tell.closed().await,
        }
    }
}

/// Until this replica stands otherwise.
async fn changes(standing: &mut watch::Receiver<Standing>, from: &Standing) {
    // An error means that the elector has ended, which it does last of all.
    if standing.wait_for(|now| now != from).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Until this term has ended.
async fn left(standing: &mut watch::Receiver<Standing>, term: u64) {
    changes(standing, &Standing::Leading { term }).await;
}

/// A term that begins.
pub(super) struct Term {
    pub(super) number: u64,
    pub(super) recovered: Box<Recovered>,
    pub(super) way: Way,
    pub(super) keeping: Option<Keeping>,
}

/// The task that writes the ledger in a term.
pub(super) struct Keeping {
    keeper: Keeper,
    saves: mpsc::UnboundedReceiver<Save<Notification>>,
    send: mpsc::UnboundedSender<Notification>,
}

impl Keeping {
    /// Writes until the loop is gone, or somebody else is in office.
    pub(super) async fn run(self) {
        let Self { keeper, saves, send } = self;
        if let Err(error) = keeper.keep(saves, send).await {
            tracing::error!("this replica notifies no more: {error}");
        }
    }
}
