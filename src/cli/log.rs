//! Sets up the log: to standard error, RFC 3339 in UTC, for people or as JSON.

use crate::config::{LogConfig, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;

/// Sets it up, once in the life of the program.
pub(super) fn init(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let coloured = super::may_colour(&std::io::stderr());
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(coloured);
    // It fails only if there is one already, as in a test that runs two commands.
    let _ = match config.format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
