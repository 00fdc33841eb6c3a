//! `version`: what was built, from what, for what.

use super::{Failure, print};
use crate::app::{COMMIT, VERSION};
use clap::{Args, ValueEnum};

#[derive(Args, Clone)]
pub(super) struct VersionArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value = "text")]
    output: VersionFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum VersionFormat {
    /// One line
    Text,
    /// A JSON object
    Json,
}

pub(super) fn run(args: VersionArgs) -> Result<(), Failure> {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    Ok(print(&match args.output {
        VersionFormat::Text => format!("mtv-sentinel {VERSION} ({COMMIT}, {target}, {profile})\n"),
        VersionFormat::Json => {
            let version = serde_json::json!({"version": VERSION, "commit": COMMIT, "target": target, "profile": profile});
            format!("{version}\n")
        }
    })?)
}
