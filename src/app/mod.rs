//! Builds the daemon once, supervises it, and stops it in order.
//!
//! Called by `cli`, which has read files and environment. One loop owns the model; each output has one task, and none waits
//! for another: the published view (scrapes), the notifications, the archiver.

mod archiving;
mod blindness;
mod engine;
mod journal;
mod mirroring;
mod office;
mod once;
mod receivers;
mod reload;
mod telling;

pub use engine::{Engine, Outcome};
pub use journal::{Journal, Log};
pub use once::{Once, once};
pub use receivers::{receivers, try_receiver};
pub use reload::Reload;
pub use telling::Answer;

use crate::archive;
use crate::config::{Config, Source};
use crate::http::{self, View};
use crate::ledger::Save;
use crate::message::Notification;
use crate::metrics::Own;
use crate::notify::{self, Notifier};
use crate::plan::Time;
use crate::watch::replay::{Pace, Recording};
use crate::watch::{Clock, Observation, Seen, cluster, files, replay};
use anyhow::Context;
use office::{Charge, Office, Term, Way};
use reload::{Followers, Reloader};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

/// Version and commit, as `version` and the build metric tell them.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that was built, where the build knew it.
pub const COMMIT: &str = match option_env!("MTV_SENTINEL_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// How long, when the program stops, an outcome is waited for: longer than a message may take.
const LAST_WAIT: Duration = Duration::from_secs(6);

/// Observations that wait for the loop; a source that is faster waits.
const QUEUE: usize = 1024;

/// An input that is opened: from here on only its content can be wrong.
pub enum Input {
    /// Files, as `kubectl get` prints them.
    Files(std::path::PathBuf, Duration),
    /// A recording.
    Replay(Recording, Pace),
    /// A live cluster.
    Cluster(cluster::Settings),
}

impl Input {
    /// Opens the source that the configuration names.
    ///
    /// # Errors
    /// If it cannot be read, or is one that this version does not have.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        match &config.general.source {
            Source::Cluster => Ok(Self::Cluster(cluster_settings(config))),
            Source::Files(path) => {
                if path.as_os_str() != "-" {
                    std::fs::metadata(path).with_context(|| format!("source files:{}", path.display()))?;
                }
                Ok(Self::Files(path.clone(), config.files.poll_interval.0))
            }
            Source::Replay(path) => {
                let recording = Recording::load(path).map_err(anyhow::Error::msg).context("source replay")?;
                let pace = Pace {
                    speed: config.replay.speed.0,
                    until: config.replay.at.0,
                    repeat: config.replay.repeat,
                    longest_pause: Duration::MAX,
                };
                Ok(Self::Replay(recording, pace))
            }
        }
    }

    fn clock(&self) -> Clock {
        match self {
            Self::Files(..) | Self::Cluster(_) => Clock::Wall,
            Self::Replay(_, pace) => Clock::recorded(pace.speed),
        }
    }

    fn start(self, to: mpsc::Sender<Observation>) -> JoinHandle<anyhow::Result<()>> {
        tokio::spawn(async move {
            match self {
                Self::Files(path, poll) => {
                    let name = path.display().to_string();
                    files::follow(path, poll, to).await.with_context(|| format!("source files:{name}"))
                }
                Self::Replay(recording, pace) => {
                    replay::play(recording, pace, to).await;
                    Ok(())
                }
                Self::Cluster(settings) => cluster::follow(settings, to).await.context("source cluster"),
            }
        })
    }
}

/// How the configuration says that a cluster is to be watched.
pub fn cluster_settings(config: &Config) -> cluster::Settings {
    let config = &config.kubernetes;
    cluster::Settings {
        kubeconfig: config.kubeconfig.clone(),
        context: Some(config.context.clone()).filter(|context| !context.is_empty()),
        namespaces: config.namespaces.clone(),
        page_size: config.page_size.0,
        watch_timeout: config.watch_timeout.0,
        request_timeout: config.request_timeout.0,
        longest_backoff: config.longest_backoff.0,
        streaming_lists: config.streaming_lists,
    }
}

/// Runs the daemon on a listener until `stop` is done, then ends answers that are under way and delivers what is due.
///
/// # Errors
/// If the source fails at the start, or a part ends that should not.
pub async fn run(
    config: Config,
    input: Input,
    listener: TcpListener,
    journal: Box<dyn Journal>,
    reload: Option<Reload>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let own = Arc::new(Own::new(VERSION, COMMIT));
    let events = receivers::events(&config, &input).await?;
    let (senders, mirrors) = receivers::ready(&config, events.clone(), &own)?;
    let mut office = Office::new(&config, &input, Arc::clone(&own)).await?;
    let leadership = office.leadership.clone();
    let (stop_sending, stopping) = watch::channel(false);
    let notifier = Notifier::new(senders, Arc::clone(&own), leadership, Clock::wall).until(stopping);
    let mut engine = Engine::new(&config, Arc::clone(&own));
    // Unbounded: what goes through these concerns single plans, and their tasks do nothing that could block.
    let (send, due) = mpsc::unbounded_channel();
    let (charge, charges) = mpsc::unbounded_channel();
    let only_term = office.only_term(&send).await?;
    let elector = office.elector();
    let (way, office) = match only_term {
        Some(Term { number, recovered, way, keeping }) => {
            engine.take_office(number, *recovered, None);
            drop(send);
            let keep = async {
                if let Some(keeping) = keeping {
                    keeping.run().await
                }
            };
            (way, tokio::spawn(keep))
        }
        None => {
            engine.leave_office();
            (Way::Closed, tokio::spawn(office.hold(send, charge.clone())))
        }
    };
    let (publish, view) = watch::channel(Arc::new(engine.view()));
    let server = http::Server::new(&config, VERSION, Clock::wall, view, Arc::clone(&own))
        .context("the web configuration is wrong")?;
    let (change, changes) = mpsc::unbounded_channel();
    let (change_mirrors, mirror_changes) = mpsc::unbounded_channel();
    let followers = Followers { senders: change, mirrors: change_mirrors, charge };
    let reloader = reload.map(|reload| Reloader::new(reload, config.clone(), Arc::clone(&own), events, followers));
    let (finish, done) = mpsc::unbounded_channel();
    let (decide, decisions) = mpsc::unbounded_channel();
    let (observe, observations) = mpsc::channel(QUEUE);

    let clock = input.clock();
    let mut source = input.start(observe);
    let (show, shown) = watch::channel(None);
    let mirrors = mirrors.keep(shown, mirror_changes);
    let mut notifier = tokio::spawn(async { tokio::join!(notifier.deliver(due, changes, finish), mirrors) });
    let archiver = tokio::spawn(archive::dry_run(decisions));
    let (stop_http, http_stopped) = watch::channel(false);
    let mut server = tokio::spawn(http::serve(listener, server, http_stopped));
    let reloader = tokio::spawn(async move {
        if let Some(reloader) = reloader {
            reloader.run().await;
        }
    });
    let (release, released) = oneshot::channel();
    let elector = tokio::spawn(async move {
        if let Some(elector) = elector {
            elector.run(async { drop(released.await) }).await;
        }
    });
    let inputs = Inputs { observations, done, charges };
    let outputs = Outputs { publish, way, show, decide, journal };
    let mut main_loop = tokio::spawn(run_loop(engine, clock, inputs, outputs));

    let result = tokio::select! {
        () = stop => Ok(()),
        ended = &mut source => Err(end_of_source(ended)),
        ended = &mut main_loop => Err(match ended {
            // Nothing more can come in. The source knows why.
            Ok(()) => end_of_source((&mut source).await),
            Err(error) => anyhow::Error::new(error).context("the loop"),
        }),
        // In order it ends after the loop, whose end says why.
        Err(error) = &mut notifier => Err(anyhow::Error::new(error).context("the notifications")),
        ended = &mut server => Err(anyhow::anyhow!("the HTTP server ended: {ended:?}")),
    };
    if result.is_ok() {
        tracing::info!("stopping");
    }
    // In order: nothing new comes in, the loop ends, what is due is delivered, and answers that are under way are finished.
    source.abort();
    let _ = stop_sending.send(true);
    if !main_loop.is_finished() {
        let _ = main_loop.await;
    }
    let _ = stop_http.send(true);
    let _ = tokio::join!(office, archiver, reloader);
    // What a receiver has not taken by now is in the ledger as under way, and is told again by the next start.
    if !notifier.is_finished() && tokio::time::timeout(LAST_WAIT, &mut notifier).await.is_err() {
        notifier.abort();
    }
    // Nothing is under way any more: another replica may act.
    let _ = release.send(());
    let _ = elector.await;
    if !server.is_finished() {
        let _ = server.await;
    }
    result
}

/// Why a source ended, which it does on its own only when it cannot begin.
fn end_of_source(ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("the source ended"),
        Ok(Err(error)) => error,
        Err(error) => anyhow::Error::new(error).context("the source"),
    }
}

/// Where what concerns the loop comes from.
struct Inputs {
    observations: mpsc::Receiver<Observation>,
    done: mpsc::UnboundedReceiver<notify::Done>,
    charges: mpsc::UnboundedReceiver<Charge>,
}

/// Where the loop's results go.
struct Outputs {
    publish: watch::Sender<Arc<View>>,
    way: Way,
    show: watch::Sender<notify::Shown>,
    decide: mpsc::UnboundedSender<archive::Decided>,
    journal: Box<dyn Journal>,
}

impl Outputs {
    fn write(&mut self, outcome: Outcome) {
        self.journal.write(&outcome);
        // The receivers are gone only when the program stops.
        for decided in outcome.decisions {
            let _ = self.decide.send(decided);
        }
    }

    /// A term of office begins or ends.
    fn take(&mut self, charge: Charge, engine: &mut Engine, now: Option<Time>) {
        match charge {
            Charge::Begins(term, recovered, way) => {
                self.way = way;
                let outcome = engine.take_office(term, *recovered, now);
                self.write(outcome);
            }
            Charge::Ends => {
                self.way = Way::Closed;
                engine.leave_office();
            }
            Charge::Stands(words, exports) => engine.stand(words, exports),
            Charge::Configure(config) => {
                let outcome = engine.configure(&config, now);
                self.write(outcome);
            }
        }
    }

    /// Tells what is due, and saves the account before it.
    fn tell(&mut self, engine: &mut Engine, now: Time) {
        let due = engine.due(now);
        due.iter().for_each(|notification| self.journal.tell(notification));
        self.save(engine, now, due);
    }

    /// Saves the account, and lets these go after it.
    fn save(&mut self, engine: &mut Engine, now: Time, due: Vec<Notification>) {
        match &self.way {
            Way::Closed => {}
            Way::Straight(send) => due.into_iter().for_each(|notification| drop(send.send(notification))),
            Way::Kept(save) => {
                if let Some((account, beat)) = engine.save(now) {
                    let _ = save.send(Save { account, beat, then: due });
                }
            }
        }
    }
}

/// The loop: observations in, conclusions out; a view is published after each batch. Ends with the source.
async fn run_loop(
    mut engine: Engine,
    mut clock: Clock,
    Inputs { mut observations, mut done, mut charges }: Inputs,
    mut outputs: Outputs,
) {
    let (mut batch, mut ended) = (Vec::new(), Vec::new());
    loop {
        let deadline = engine.next_deadline().and_then(|at| clock.until(at));
        let timer = tokio::time::sleep(deadline.unwrap_or(Duration::MAX));
        tokio::select! {
            received = observations.recv_many(&mut batch, QUEUE) => {
                if received == 0 {
                    break;
                }
                for observation in batch.drain(..) {
                    clock.observe(observation.at, observation.what == Seen::Ended);
                    outputs.write(engine.observe(observation));
                }
            }
            () = timer, if deadline.is_some() => {
                if let Some(now) = clock.now() {
                    outputs.write(engine.tick(now));
                }
            }
            // None comes where there is one term only.
            Some(charge) = charges.recv() => outputs.take(charge, &mut engine, clock.now()),
            // None comes when the receivers are gone, which is told elsewhere.
            1.. = done.recv_many(&mut ended, QUEUE) => {
                for done in ended.drain(..) {
                    if let Some(now) = clock.now() {
                        receivers::record(&mut engine, done, now);
                    }
                }
            }
        }
        if let Some(now) = clock.now() {
            outputs.tell(&mut engine, now);
            if let Some(shown) = engine.mirror(now) {
                outputs.show.send_replace(Some(shown));
            }
        }
        outputs.publish.send_replace(Arc::new(engine.view()));
    }
    // What is under way still comes to an end, and the account should know it: else it would be told again.
    let last = tokio::time::Instant::now() + LAST_WAIT;
    while engine.is_sending() {
        let Ok(Some(done)) = tokio::time::timeout_at(last, done.recv()).await else { break };
        if let Some(now) = clock.now() {
            receivers::record(&mut engine, done, now);
            outputs.save(&mut engine, now, Vec::new());
        }
    }
}
