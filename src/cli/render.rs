//! `render`: the metrics of a source, once.

use super::{ConfigArgs, Failure, warn};
use crate::app::{COMMIT, Engine, VERSION};
use crate::config::{Config, Source};
use crate::metrics::{Format, Own};
use crate::watch::replay::Recording;
use crate::watch::{Clock, Observation, Seen, files};
use anyhow::Context;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args, Clone)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The instant of a recording (RFC 3339); its end if not given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// File to write, replaced in one step; standard output if not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: RenderArgs) -> Result<(), Failure> {
    let config = args.config.load(vec![("replay.at", args.at.clone())])?;
    let is_replay = matches!(config.general.source, Source::Replay(_));
    if args.at.is_some() && !is_replay {
        return Err(Failure::Usage("--at needs --source replay:PATH: only a recording has a past".to_owned()));
    }
    let observations = observations(&config)?;
    let mut engine = Engine::new(&config, Arc::new(Own::new(VERSION, COMMIT)));
    let mut whole = true;
    for observation in observations {
        whole &= !matches!(observation.what, Seen::BadInput(..) | Seen::Unreadable(..));
        for oddity in engine.observe(observation).oddities {
            warn(&oddity);
        }
    }
    if !is_replay {
        let _ = engine.tick(Clock::wall());
    }
    let page = engine.view().exposition.families(Format::Text);
    match &args.output {
        None => super::print(&String::from_utf8_lossy(&page))?,
        Some(path) => replace(path, &page).with_context(|| format!("cannot write {}", path.display()))?,
    }
    if whole { Ok(()) } else { Err(Failure::Partial) }
}

fn observations(config: &Config) -> Result<Vec<Observation>, Failure> {
    match &config.general.source {
        Source::Cluster => {
            let mend =
                "render needs --source files:PATH or --source replay:PATH; for a cluster, pipe kubectl get into files:-";
            Err(Failure::Usage(mend.to_owned()))
        }
        Source::Files(path) => Ok(files::read(path).with_context(|| format!("source files:{}", path.display()))?),
        Source::Replay(path) => {
            let recording = Recording::load(path).map_err(anyhow::Error::msg).context("source replay")?;
            Ok(recording.observations(config.replay.at.0).collect())
        }
    }
}

/// Writes beside the file and renames, so that a reader sees the old page or the new one.
fn replace(path: &Path, page: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().ok_or_else(|| std::io::Error::other("it has no file name"))?;
    // A name that the textfile collector does not read.
    let beside = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        file.write_all(page)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
