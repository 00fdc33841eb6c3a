//! `record`: writes what a cluster shows as a recording, for replays and bug reports.

mod anonymise;
mod recorder;

use super::{ConfigArgs, Failure, complain, log};
use crate::app::cluster_settings;
use crate::watch::cluster::{self, RawEvent};
use anonymise::Anonymiser;
use anyhow::Context;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use recorder::Recorder;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

#[derive(Args, Clone)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Namespaces to record, by commas; all if not given
    #[arg(long, value_name = "NAMES")]
    namespaces: Option<String>,
    /// File to write; packed if its name ends with .gz
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace names, ids, addresses and quoted parts of messages, so that the recording can be shown to strangers
    #[arg(long)]
    anonymise: bool,
}

pub(super) fn run(args: RecordArgs) -> Result<(), Failure> {
    let mut config = args.config.load(vec![("kubernetes.namespaces", args.namespaces.clone())])?;
    log::init(&config.log);
    // A recording is for a person who waits: memory does not matter, the first page does.
    config.kubernetes.streaming_lists = false;
    let mut out = Output::create(&args.output).with_context(|| format!("cannot write {}", args.output.display()))?;
    let mut anonymiser = args.anonymise.then(Anonymiser::default);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    let written = runtime.block_on(async {
        let stop = super::run::stop_signal()?;
        let (to, mut raw) = mpsc::channel(1024);
        let source = tokio::spawn(cluster::record(cluster_settings(&config), to));
        let written = tokio::select! {
            written = write(&mut raw, &mut out, &mut anonymiser) => written,
            () = stop => Ok(()),
        };
        drop(raw);
        match source.await {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(())) | Err(_) => written,
        }
    });
    let ended = out.finish().with_context(|| format!("cannot write {}", args.output.display()));
    written.and(ended)?;
    complain_of_nothing(&args.output);
    Ok(())
}

/// Says so if nothing was recorded: the usual reason is a missing right, which the log tells.
fn complain_of_nothing(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        complain(&format!("nothing was recorded: {} is empty", path.display()));
    }
}

async fn write(
    raw: &mut mpsc::Receiver<RawEvent>,
    out: &mut Output,
    anonymiser: &mut Option<Anonymiser>,
) -> anyhow::Result<()> {
    let mut recorder = Recorder::default();
    while let Some(event) = raw.recv().await {
        for mut line in recorder.take(event) {
            if let Some(anonymiser) = anonymiser {
                anonymiser.object(&mut line["object"]);
            }
            out.line(&line.to_string())?;
        }
    }
    Ok(())
}

/// The file, packed or not. Each line is on the disk when it is written, so that a recording that is cut off is one.
enum Output {
    Plain(BufWriter<File>),
    Packed(Box<GzEncoder<BufWriter<File>>>),
}

impl Output {
    fn create(path: &Path) -> std::io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        Ok(if packed { Self::Packed(Box::new(GzEncoder::new(file, Compression::default()))) } else { Self::Plain(file) })
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        match self {
            Self::Plain(file) => {
                writeln!(file, "{line}")?;
                file.flush()?;
            }
            Self::Packed(file) => writeln!(file, "{line}")?,
        }
        Ok(())
    }

    fn finish(self) -> std::io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Packed(file) => file.finish()?.flush(),
        }
    }
}
