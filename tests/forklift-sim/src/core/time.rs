//! Instants and durations as the simulator writes and reads them. Nothing here reads a clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// An instant that is written as Kubernetes does: whole seconds, `Z`. What is kept is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub Timestamp);

impl Stamp {
    /// Whether two stamps look the same in an object.
    pub fn same_second(self, other: Self) -> bool {
        self.0.as_second() == other.0.as_second()
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Timestamp::from_second(self.0.as_second()) {
            Ok(whole) => write!(f, "{whole}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A duration as people write it in a scenario: `3s`, `5m`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub SignedDuration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn millis(millis: i64) -> Self {
        Self(SignedDuration::from_millis(millis))
    }

    /// The same at a speed: a minute at 60 is a second.
    pub fn at_speed(self, speed: f64) -> Self {
        Self(SignedDuration::try_from_secs_f64(self.0.as_secs_f64() / speed).unwrap_or(self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", self.0.as_millis()))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// `at` and `span` later. At the end of time it stays there.
pub fn after(at: Timestamp, span: Span) -> Timestamp {
    at.checked_add(span.0).unwrap_or(Timestamp::MAX)
}
