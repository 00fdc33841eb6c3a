//! The configuration, read anew while the program runs: at SIGHUP, and when its file has changed. All of it is taken or nothing.
//!
//! Run by `app` beside the loop. What takes effect only at a start is not taken at all, so that what runs is what is written
//! somewhere.

use super::office::Charge;
use super::receivers::ready;
use crate::config::Config;
use crate::kube_events::Events;
use crate::metrics::Own;
use crate::notify::{Mirrors, Senders};
use crate::watch::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

/// How often the file is looked at: a ConfigMap takes longer to come to a pod.
const LOOK: Duration = Duration::from_secs(5);

/// Where the configuration comes from.
pub struct Reload {
    /// Its file; none if it is the environment and flags alone.
    pub file: Option<PathBuf>,
    /// Reads all of it.
    pub load: Box<dyn Fn() -> Result<Config, String> + Send + Sync>,
    /// SIGHUP. It ends a process that does not wait for it, so it is waited for before anybody can know of the process.
    pub hangup: Signal,
}

/// Those who follow a new configuration.
pub(super) struct Followers {
    pub(super) senders: mpsc::UnboundedSender<Senders>,
    pub(super) mirrors: mpsc::UnboundedSender<Mirrors>,
    pub(super) charge: mpsc::UnboundedSender<Charge>,
}

/// Takes new configurations to them.
pub(super) struct Reloader {
    reload: Reload,
    current: Config,
    own: Arc<Own>,
    events: Option<Events>,
    followers: Followers,
}

impl Reloader {
    pub(super) fn new(reload: Reload, current: Config, own: Arc<Own>, events: Option<Events>, followers: Followers) -> Self {
        own.set_config_reload(true, Clock::wall());
        Self { reload, current, own, events, followers }
    }

    /// Until the loop is gone.
    pub(super) async fn run(mut self) {
        let mut seen = self.text().await;
        loop {
            tokio::select! {
                Some(()) = self.reload.hangup.recv() => seen = self.text().await,
                () = tokio::time::sleep(LOOK) => {
                    let text = self.text().await;
                    // A file that is not there for a moment is being replaced.
                    if text.is_none() || text == seen {
                        continue;
                    }
                    seen = text;
                }
                () = self.followers.charge.closed() => return,
            }
            match self.read() {
                Ok(()) => tracing::info!("the configuration was read anew"),
                Err(why) => tracing::error!("the configuration was read anew and is not used, the old one is: {why}"),
            }
        }
    }

    async fn text(&self) -> Option<Vec<u8>> {
        tokio::fs::read(self.reload.file.as_ref()?).await.ok()
    }

    fn read(&mut self) -> Result<(), String> {
        let read = self.take();
        self.own.set_config_reload(read.is_ok(), Clock::wall());
        read
    }

    /// Everything that can be wrong is found before anything changes.
    fn take(&mut self) -> Result<(), String> {
        let config = (self.reload.load)()?;
        let fixed = self.current.fixed_differences(&config);
        if !fixed.is_empty() {
            return Err(format!("these keys take effect at a start only: {}", fixed.join(", ")));
        }
        let ready = ready(&config, self.events.clone(), &self.own);
        let (senders, mirrors) = ready.map_err(|error| format!("{error:#}"))?;
        // Those who send come first: the loop may have something for a new receiver at once.
        let _ = self.followers.senders.send(senders);
        let _ = self.followers.mirrors.send(mirrors);
        let _ = self.followers.charge.send(Charge::Configure(Box::new(config.clone())));
        self.current = config;
        Ok(())
    }
}
