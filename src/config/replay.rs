//! `replay`: the source replay:PATH.

use super::section::section;
use super::setting::{Factor, Setting, text};
use crate::plan::Time;
use figment::value::Value;

section! {
    /// The source replay:PATH.
    pub struct ReplayConfig {
        /// How many times faster than it was recorded.
        speed: Factor = "1",
        /// Stop at this instant of the recording (RFC 3339), and stay there; nothing for its end.
        at: Instant = "\"\"",
        /// Start again at the end.
        repeat: bool = "false",
    }
}

/// An instant, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instant(pub Option<Time>);

impl Setting for Instant {
    const ACCEPTS: &'static str = "an instant such as 2026-11-23T15:37:44Z, or nothing";
    const OPTIONAL: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        Time::parse(&text).map(|time| Self(Some(time))).ok_or_else(String::new)
    }
    fn show(&self) -> String {
        self.0.map(|time| time.to_string()).unwrap_or_default().show()
    }
}
