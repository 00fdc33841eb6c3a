//! `render`: the metrics of a source, once.

use super::{ConfigArgs, Failure, warn};
use crate::app::{self, Once};
use crate::config::Source;
use crate::metrics::Format;
use anyhow::Context;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

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
    if args.at.is_some() && !matches!(config.general.source, Source::Replay(_)) {
        return Err(Failure::Usage("--at needs --source replay:PATH: only a recording has a past".to_owned()));
    }
    let Once { mut engine, oddities, whole } = app::once(&config)?;
    oddities.iter().for_each(|oddity| warn(oddity));
    let page = engine.view().exposition.families(Format::Text);
    match &args.output {
        None => super::print(&String::from_utf8_lossy(&page))?,
        Some(path) => replace(path, &page).with_context(|| format!("cannot write {}", path.display()))?,
    }
    if whole { Ok(()) } else { Err(Failure::Partial) }
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
