//! `completion`: a script for a shell, made from the same definition that parses.

use super::{Cli, Failure, print};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Args, Clone)]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: CompletionArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mtv-sentinel", &mut script);
    Ok(print(&String::from_utf8_lossy(&script))?)
}
