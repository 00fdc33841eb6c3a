//! `metrics`: the reference of all metrics.

use super::{Failure, print};
use crate::metrics::{reference_json, reference_markdown};
use clap::{Args, ValueEnum};

#[derive(Args, Clone)]
pub(super) struct MetricsArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "md")]
    format: ReferenceFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum ReferenceFormat {
    /// Markdown, as docs/metrics.md
    Md,
    /// A JSON array
    Json,
}

pub(super) fn run(args: MetricsArgs) -> Result<(), Failure> {
    Ok(print(&match args.format {
        ReferenceFormat::Md => reference_markdown(),
        ReferenceFormat::Json => reference_json(),
    })?)
}
