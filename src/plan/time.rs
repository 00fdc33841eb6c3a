//! Instants as Kubernetes writes them: whole seconds, in four bytes.
//!
//! Used throughout the model, where thousands of them live. It never reads a clock.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// An instant in whole seconds since 1970 UTC, from 1970-01-01T00:00:01Z to 2106. `Option<Time>` takes four bytes too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU32);

impl Time {
    /// The first instant that can be told.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The last instant that can be told, in 2106.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// The instant `seconds` after 1970; `None` outside the range that four bytes hold.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        u32::try_from(seconds).ok().and_then(NonZeroU32::new).map(Self)
    }

    /// Reads RFC 3339 text; fractions of a second are cut off. `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().and_then(|t| Self::from_unix(t.as_second()))
    }

    /// Seconds since 1970, the form in which Prometheus takes timestamps.
    pub fn unix(self) -> u32 {
        self.0.get()
    }

    /// `later` seconds from here, at most the last instant that can be told.
    pub fn plus(self, later: Duration) -> Self {
        let seconds = u32::try_from(later.as_secs()).unwrap_or(u32::MAX);
        Self(self.0.saturating_add(seconds))
    }

    /// `earlier` seconds before here, at least the first instant that can be told.
    pub fn minus(self, earlier: Duration) -> Self {
        let seconds = u32::try_from(earlier.as_secs()).unwrap_or(u32::MAX);
        NonZeroU32::new(self.0.get().saturating_sub(seconds)).map_or(Self::MIN, Self)
    }

    /// The time from `earlier` to here; zero if `earlier` is later (clocks of two machines differ).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.unix().saturating_sub(earlier.unix()).into())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.unix().into()) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => self.unix().fmt(f),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
