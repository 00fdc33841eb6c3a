//! How long a receiver is left alone after a failure: longer each time, never for ever, and not in step with others.
//!
//! Kept for each receiver by its task.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
pub(super) const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Something worked.
    pub(super) fn reset(&mut self) -> Duration {
        self.failures = 0;
        Duration::ZERO
    }

    /// Something failed: how long to wait, at least as long as the receiver asks.
    pub(super) fn fail(&mut self, asked: Option<Duration>) -> Duration {
        let pause = pause(self.failures, RandomState::new().build_hasher().finish());
        self.failures = self.failures.saturating_add(1);
        pause.max(asked.unwrap_or_default())
    }
}

/// Doubles with each failure up to the longest; a quarter of it is chance.
fn pause(failures: u32, chance: u64) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    let quarter = whole / 4;
    whole - quarter + quarter.mul_f64((chance % 1024) as f64 / 1024.0)
}
