//! `archive`: what the policies of the configuration would archive, by any source. It changes nothing.

use super::{ConfigArgs, Failure, print, warn};
use crate::app::{self, Once};
use crate::config::{Config, Source};
use crate::http::{View, archive_json, in_order, losses_to_come};
use crate::plan::Time;
use crate::policy::{Decision, Lost, Outcome};
use crate::watch::Clock;
use clap::{Args, ValueEnum};
use std::time::Duration;

#[derive(Args, Clone)]
pub(super) struct ArchiveArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only tell what would be archived; this version does nothing else, and has to be told so
    #[arg(long)]
    dry_run: bool,
    /// Show the plans that are never archived too, at the end
    #[arg(long)]
    all: bool,
    /// The instant of a recording (RFC 3339); its end if not given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// A table
    Table,
    /// JSON: each plan with `archive` as in /api/v1/plans
    Json,
}

pub(super) fn run(args: ArchiveArgs) -> Result<(), Failure> {
    if !args.dry_run {
        let message = "this version archives nothing, it only tells what it would archive: add --dry-run";
        return Err(Failure::Usage(message.to_owned()));
    }
    let config = args.config.load(vec![("replay.at", args.at.clone())])?;
    if args.at.is_some() && !matches!(config.general.source, Source::Replay(_)) {
        return Err(Failure::Usage("--at needs --source replay:PATH: only a recording has a past".to_owned()));
    }
    if config.archive.policies.0.is_empty() {
        warn("archive.policies is empty: nothing is archived without a policy");
    }
    let Once { mut engine, oddities, whole } = app::once(&config)?;
    oddities.iter().for_each(|oddity| warn(oddity));
    let view = engine.view();
    print(&match args.output {
        Output::Table => table(&view, now(&config, view.at), args.all),
        Output::Json => archive_json(&config.general.cluster, &view, args.all).map_err(anyhow::Error::from)?,
    })?;
    if whole { Ok(()) } else { Err(Failure::Partial) }
}

/// A recording has its own time.
fn now(config: &Config, seen: Option<Time>) -> Time {
    match (&config.general.source, seen) {
        (Source::Replay(_), Some(at)) => at,
        (Source::Replay(_) | Source::Cluster | Source::Files(_), _) => Clock::wall(),
    }
}

fn table(view: &View, now: Time, all: bool) -> String {
    const HEADS: [&str; 8] =
        ["DECISION", "PLAN", "OUTCOME", "AGE", "POLICY", "REASON", "UNTIL", "WHY, AND WHAT WOULD BE DELETED"];
    let plans = in_order(view);
    let shown = plans.iter().filter(|(_, _, decision)| all || !matches!(decision, Decision::Never(_)));
    let rows = shown.map(|(key, state, decision)| {
        // Every candidate loses its helpers; the JSON names them.
        let losses = losses_to_come(state, decision).into_iter().filter(|loss| loss.what != Lost::Helpers);
        let losses: Vec<String> = losses.map(|loss| loss.to_string()).collect();
        let deletes = if losses.is_empty() { String::new() } else { format!("; deletes: {}", losses.join("; ")) };
        let none = || "-".to_owned();
        [
            decision.as_str().to_owned(),
            key.to_string(),
            Outcome::of(state).map_or_else(none, |outcome| outcome.to_string()),
            state.plan.completed.map_or_else(none, |end| age(now.since(end))),
            decision.policy().map_or_else(none, ToString::to_string),
            decision.reason().to_string(),
            decision.until().map_or_else(none, |until| until.to_string()),
            format!("{}{deletes}", decision.says()),
        ]
        // What a plan or VM is called is anybody's: it must not speak to the terminal.
        .map(|cell| cell.replace(char::is_control, "\u{fffd}"))
    });
    let rows: Vec<[String; 8]> = rows.collect();
    let mut text = String::new();
    if !rows.is_empty() {
        let rows: Vec<_> = std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..7).map(width).collect();
        for row in &rows {
            row.iter().zip(&widths).for_each(|(cell, width)| text.push_str(&format!("{cell:width$}  ")));
            text.push_str(&row[7]);
            text.push('\n');
        }
        text.push('\n');
    }
    let number = |name: &str| plans.iter().filter(|(_, _, decision)| decision.as_str() == name).count();
    let never = number("Never");
    let hidden = if all || never == 0 { "" } else { " (--all shows them)" };
    text.push_str(&format!(
        "{} would be archived, {} wait, {never} are never archived as they are{hidden}. Nothing was changed.\n",
        number("Archive"),
        number("Wait")
    ));
    text
}

/// An age as people say it: its largest unit.
fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
