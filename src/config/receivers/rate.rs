//! How often a receiver may be told something.
//!
//! Services close their door for a while, or for good, to who talks too fast. Kept by `dispatch`; here it is only read.

use crate::config::setting::{Setting, text};
use figment::value::Value;
use std::time::Duration;

/// So many messages in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub messages: usize,
    /// In so long.
    pub window: Duration,
}

impl Setting for Option<Rate> {
    const ACCEPTS: &'static str = "a number of messages in a duration, such as 1/1s or 100/1m, or none";
    const OPTIONAL: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        if text.is_empty() || text == "none" {
            return Ok(None);
        }
        let (messages, window) = text.split_once('/').ok_or_else(String::new)?;
        let messages = messages.trim().parse().map_err(|_| String::new())?;
        // A duration without a number is one of that unit, as in 100/m.
        let window = window.trim();
        let window = if window.starts_with(|c: char| c.is_ascii_digit()) { window.to_owned() } else { format!("1{window}") };
        let window = humantime::parse_duration(&window).map_err(|error| error.to_string())?;
        let fits = (1..=1_000_000).contains(&messages) && window >= Duration::from_secs(1);
        if fits { Ok(Some(Rate { messages, window })) } else { Err(String::new()) }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |rate| format!("{}/{}", rate.messages, rate.window.show()))
    }
}
