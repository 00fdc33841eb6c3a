//! A source, looked at once: for the commands that print something and end.
//!
//! Called by `cli`. Files and recordings are read as they are; a cluster is watched until it has shown everything.

use super::{COMMIT, Engine, Input, QUEUE, VERSION};
use crate::config::{Config, Source};
use crate::metrics::Own;
use crate::store::{Report, Trouble};
use crate::watch::replay::Recording;
use crate::watch::{Clock, Observation, Seen, files};
use anyhow::Context;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What was seen.
pub struct Once {
    /// The engine, at the end of it.
    pub engine: Engine,
    /// What is odd about the input, each thing once.
    pub oddities: Vec<String>,
    /// Whether all of the input could be read.
    pub whole: bool,
}

impl Once {
    fn observe(&mut self, observation: Observation) {
        self.whole &= !matches!(observation.what, Seen::BadInput(..) | Seen::Unreadable(..));
        self.oddities.extend(self.engine.observe(observation).oddities);
    }
}

/// Looks at the source that the configuration names. What is due by its clock is concluded.
///
/// # Errors
/// If it cannot be read at all, or a cluster does not answer a watch.
pub fn once(config: &Config) -> anyhow::Result<Once> {
    let engine = Engine::new(config, Arc::new(Own::new(VERSION, COMMIT)));
    let mut once = Once { engine, oddities: Vec::new(), whole: true };
    match &config.general.source {
        Source::Cluster => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
            runtime.block_on(cluster(config, &mut once))?;
        }
        Source::Files(path) => {
            let observations = files::read(path).with_context(|| format!("source files:{}", path.display()))?;
            observations.into_iter().for_each(|observation| once.observe(observation));
        }
        Source::Replay(path) => {
            let recording = Recording::load(path).map_err(anyhow::Error::msg).context("source replay")?;
            recording.observations(config.replay.at.0).for_each(|observation| once.observe(observation));
            return Ok(once);
        }
    }
    let _ = once.engine.tick(Clock::wall());
    Ok(once)
}

async fn cluster(config: &Config, once: &mut Once) -> anyhow::Result<()> {
    let (to, mut observations) = mpsc::channel(QUEUE);
    let source = Input::open(config)?.start(to);
    while !once.engine.is_synced() {
        let Some(observation) = observations.recv().await else {
            return Err(super::end_of_source(source.await));
        };
        // A server that asks for patience gets it; anything else would not be better a moment later.
        if let Seen::Report(watch, Report::Broken(trouble, message)) = &observation.what
            && *trouble != Trouble::Throttled
        {
            anyhow::bail!("source cluster: the watch of {watch} is broken ({trouble}): {message}");
        }
        once.observe(observation);
    }
    source.abort();
    Ok(())
}
