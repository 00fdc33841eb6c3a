//! The keys of all receivers that speak HTTP: how long they may take, how often they may be told, and the way to them.

use super::credential::{Credential, Form};
use super::keys::{Keys, Shown};
use super::rate::Rate;
use crate::config::LONGEST_ACTION;
use crate::config::setting::Setting;
use figment::value::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How long one message may take, if nothing else is said, and at most.
const LONGEST: Duration = LONGEST_ACTION;

/// How a server is spoken to.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How long one message may take, with all its requests.
    pub timeout: Duration,
    /// How often it may be told something.
    pub rate: Option<Rate>,
    /// Authorities in PEM that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way, which may have a password; else what the environment says.
    pub proxy: Option<Credential>,
}

impl ClientConfig {
    /// Of one that is told things, this often if nothing else is said.
    pub(super) fn take(keys: &mut Keys<'_>, rate: Option<Rate>) -> Self {
        Self { rate: keys.take("rate_limit").unwrap_or(rate), ..Self::take_without_rate(keys) }
    }

    /// Of one that has its own rhythm.
    pub(super) fn take_without_rate(keys: &mut Keys<'_>) -> Self {
        Self {
            timeout: keys.take::<Timeout>("timeout").unwrap_or_default().0,
            rate: None,
            ca_file: keys.take::<Option<PathBuf>>("ca_file").flatten(),
            proxy: keys.secret("proxy", Form::Url),
        }
    }

    pub(super) fn show(&self, shown: Shown) -> Shown {
        self.show_way(shown.key("timeout", &Timeout(self.timeout)).key("rate_limit", &self.rate))
    }

    pub(super) fn show_without_rate(&self, shown: Shown) -> Shown {
        self.show_way(shown.key("timeout", &Timeout(self.timeout)))
    }

    fn show_way(&self, shown: Shown) -> Shown {
        let shown = if self.ca_file.is_some() { shown.key("ca_file", &self.ca_file) } else { shown };
        shown.secret("proxy", self.proxy.as_ref())
    }
}

/// How long one message may take.
pub(super) struct Timeout(pub(super) Duration);

impl Default for Timeout {
    fn default() -> Self {
        Self(LONGEST)
    }
}

impl Setting for Timeout {
    const ACCEPTS: &'static str = "a duration from 10ms to 5s";
    fn parse(value: &Value) -> Result<Self, String> {
        let duration: Duration = Setting::parse(value)?;
        if (Duration::from_millis(10)..=LONGEST).contains(&duration) { Ok(Self(duration)) } else { Err(String::new()) }
    }
    fn show(&self) -> String {
        self.0.show()
    }
}
