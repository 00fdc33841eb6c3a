//! `alerts`: what holds now, by any source.

use super::{ConfigArgs, Failure, print, warn};
use crate::alert::{Alert, worst_first};
use crate::app::{self, Once};
use crate::config::Source;
use crate::http::alerts_json;
use clap::{Args, ValueEnum};

#[derive(Args, Clone)]
pub(super) struct AlertsArgs {
    #[command(flatten)]
    config: ConfigArgs,
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
    /// As /api/v1/alerts
    Json,
}

pub(super) fn run(args: AlertsArgs) -> Result<(), Failure> {
    let config = args.config.load(vec![("replay.at", args.at.clone())])?;
    if args.at.is_some() && !matches!(config.general.source, Source::Replay(_)) {
        return Err(Failure::Usage("--at needs --source replay:PATH: only a recording has a past".to_owned()));
    }
    let Once { mut engine, oddities, whole } = app::once(&config)?;
    oddities.iter().for_each(|oddity| warn(oddity));
    let view = engine.view();
    print(&match args.output {
        Output::Table => table(&worst_first(&view.alerts)),
        Output::Json => alerts_json(&config.general.cluster, &view).map_err(anyhow::Error::from)?,
    })?;
    if whole { Ok(()) } else { Err(Failure::Partial) }
}

fn table(alerts: &[&Alert]) -> String {
    if alerts.is_empty() {
        return "nothing holds\n".to_owned();
    }
    let heads = ["STATE", "SEVERITY", "RULE", "OF", "SINCE", "REASON"].map(str::to_owned);
    let rows = alerts.iter().map(|alert| {
        [
            alert.state.to_string(),
            alert.severity.to_string(),
            alert.id.rule.to_owned(),
            format!("{} {}", alert.scope.kind().as_str().to_lowercase(), alert.scope.key()),
            alert.since.to_string(),
            // One line each; the rest is in the JSON.
            alert.reason.lines().next().unwrap_or_default().to_owned(),
        ]
        // What a VM or an error is called is anybody's: it must not speak to the terminal.
        .map(|cell| cell.replace(char::is_control, "\u{fffd}"))
    });
    let rows: Vec<_> = std::iter::once(heads).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    text
}
