//! `check-config`: whether the configuration is right, and everything that is wrong with it.

use super::{ConfigArgs, Failure, print};
use crate::app;
use crate::config::Config;
use crate::http::Web;
use clap::Args;

#[derive(Args, Clone)]
pub(super) struct CheckConfigArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the effective configuration, without secrets
    #[arg(long)]
    print: bool,
    /// Print a configuration file with every key, its default and its meaning
    #[arg(long, conflicts_with_all = ["print", "config", "source", "cluster"])]
    sample: bool,
}

pub(super) fn run(args: CheckConfigArgs) -> Result<(), Failure> {
    if args.sample {
        return Ok(print(&Config::sample())?);
    }
    let config = args.config.load(Vec::new())?;
    Web::open(&config.http)?;
    app::receivers(&config)?;
    Ok(print(&if args.print { config.show() } else { "the configuration is right\n".to_owned() })?)
}
