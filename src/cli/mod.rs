//! The command line: one file for each command. Reads files and environment, sets up the log, gives exit codes.
//!
//! Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 done, but some of the input could not be read.

mod alerts;
mod archive;
mod check_config;
mod completion;
mod demo;
mod guards;
mod log;
mod metrics;
mod preview;
mod record;
mod render;
mod rules;
mod run;
mod test_notify;
mod version;

use crate::config::{Config, Errors, Layers};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Failed.
const FAILED: u8 = 1;
/// Wrong usage or configuration; clap uses the same code.
const USAGE: u8 = 2;
/// Done, but some of the input could not be read.
const PARTIAL: u8 = 3;

#[derive(Parser)]
#[command(
    name = "mtv-sentinel",
    version = crate::app::VERSION,
    about = "Watches Forklift (MTV) migration plans: exports progress, reports failures, tells which finished plans to archive",
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 done, but some of the input could not be read.\n\
                  Without a command it runs the daemon."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon (the default)
    Run(run::RunArgs),
    /// Run the daemon on recordings of real campaigns, sped up and looping, on this machine only
    Demo(demo::DemoArgs),
    /// Print the metrics of a source once, for node_exporter's textfile collector
    Render(render::RenderArgs),
    /// Print what deserves attention now: alerts that fire or are about to
    Alerts(alerts::AlertsArgs),
    /// Print which plans the archive policies would archive, why not the others, and what would be deleted
    Archive(archive::ArchiveArgs),
    /// Print a message as a person would get it
    Preview(preview::PreviewArgs),
    /// Send a receiver a message that is marked as a test, and the end of it
    TestNotify(test_notify::TestNotifyArgs),
    /// Write what a cluster shows as a recording, for replays and bug reports
    Record(record::RecordArgs),
    /// Check the configuration and tell everything that is wrong with it
    CheckConfig(check_config::CheckConfigArgs),
    /// Print the reference of all metrics
    Metrics(metrics::MetricsArgs),
    /// Print the reference of all alert rules
    Rules(rules::RulesArgs),
    /// Print the reference of archiving: what it deletes, and what keeps a plan from it
    Guards(guards::GuardsArgs),
    /// Print version, commit and target
    Version(version::VersionArgs),
    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),
}

/// Where the configuration comes from; every command that needs one has these.
#[derive(Args, Clone, Default)]
struct ConfigArgs {
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where objects come from: cluster, files:PATH (- for standard input) or replay:PATH
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Name of the cluster, told in every message
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

/// Why a command did not do what it was asked.
enum Failure {
    /// Wrong usage or configuration.
    Usage(String),
    /// Anything else.
    Failed(anyhow::Error),
    /// It did, but some of the input could not be read; that was told already.
    Partial,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Failed(error) => write!(f, "{error:#}"),
            Self::Partial => f.write_str("some of the input could not be read"),
        }
    }
}

impl From<Errors> for Failure {
    fn from(errors: Errors) -> Self {
        Self::Usage(format!("the configuration is wrong:\n{}", indent(&errors.to_string())))
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

impl ConfigArgs {
    /// The file of the configuration.
    fn file(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// Loads the configuration: the file, the environment, and these flags with `more`.
    fn load(&self, more: Vec<(&'static str, Option<String>)>) -> Result<Config, Failure> {
        let file = match &self.config {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("--config {}: {error}", path.display())))?;
                Some((path.display().to_string(), text))
            }
        };
        let own = vec![("source", self.source.clone()), ("cluster", self.cluster.clone())];
        let flags = own.into_iter().chain(more).filter_map(|(path, value)| Some((path, value?))).collect();
        // A variable that is no Unicode is none of ours.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Config::load(Layers { file, environment: environment.collect(), flags })?)
    }
}

/// Runs the command that the arguments ask for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Render(args) => render::run(args),
        Command::Alerts(args) => alerts::run(args),
        Command::Archive(args) => archive::run(args),
        Command::Preview(args) => preview::run(args),
        Command::TestNotify(args) => test_notify::run(args),
        Command::Record(args) => record::run(args),
        Command::CheckConfig(args) => check_config::run(args),
        Command::Metrics(args) => metrics::run(args),
        Command::Rules(args) => rules::run(args),
        Command::Guards(args) => guards::run(args),
        Command::Version(args) => version::run(args),
        Command::Completion(args) => completion::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure::Usage(_)) => {
            complain(&failure.to_string());
            ExitCode::from(USAGE)
        }
        Err(failure @ Failure::Failed(_)) => {
            complain(&failure.to_string());
            ExitCode::from(FAILED)
        }
        Err(Failure::Partial) => ExitCode::from(PARTIAL),
    }
}

/// An error for the person at the terminal.
#[allow(clippy::print_stderr)]
fn complain(message: &str) {
    eprintln!("error: {message}");
}

/// Something odd about the input.
#[allow(clippy::print_stderr)]
fn warn(message: &str) {
    eprintln!("warning: {message}");
}

/// Whether what goes to a stream may be coloured: it is a terminal, and NO_COLOR is not set to anything.
fn may_colour(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a result to standard output. A reader that has had enough is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Into::into),
    }
}
