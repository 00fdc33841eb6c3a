//! `log`: what is written to standard error.

use super::section::section;
use super::setting::words;

closed_enum! {
    /// How much is written. An error means that something was lost or needs a person, a warning that it was mended.
    #[derive(Default)]
    pub enum LogLevel {
        /// Only what needs a person.
        Error = "error",
        /// And what was mended.
        Warn = "warn",
        /// And changes of phase.
        #[default]
        Info = "info",
        /// And each observation.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

closed_enum! {
    /// How it is written.
    #[derive(Default)]
    pub enum LogFormat {
        /// For people.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words!(LogLevel, "error, warn, info, debug or trace");
words!(LogFormat, "text or json");

section! {
    /// What is written to standard error.
    pub struct LogConfig {
        /// How much: error, warn, info, debug or trace.
        level: LogLevel = "info",
        /// How: text or json.
        format: LogFormat = "text",
    }
}
