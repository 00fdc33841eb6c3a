//! What time it is for the loop: the wall clock, or the time of a recording that is being played.
//!
//! The only place that reads a clock on behalf of the model.

use crate::plan::Time;
use std::time::{Duration, Instant};

/// The clock of a source.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The wall clock.
    Wall,
    /// The time of a recording: it runs from the last observation on, and stands still at the end.
    Recorded {
        /// How many times faster than the wall clock.
        speed: f64,
        /// Time of the last observation, and when it was made.
        last: Option<(Time, Instant)>,
        /// Whether the recording is at its end.
        ended: bool,
    },
}

impl Clock {
    /// The clock of a recording that is played at this speed.
    pub fn recorded(speed: f64) -> Self {
        Self::Recorded { speed, last: None, ended: false }
    }

    /// The wall clock's time.
    #[allow(clippy::disallowed_methods)]
    pub fn wall() -> Time {
        let seconds = jiff::Timestamp::now().as_second();
        Time::from_unix(seconds).unwrap_or(if seconds < 0 { Time::MIN } else { Time::MAX })
    }

    /// How much of this second of the wall clock is over.
    #[allow(clippy::disallowed_methods)]
    fn of_this_second() -> Duration {
        Duration::from_nanos(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs().into())
    }

    /// The wall clock's time as recordings have it: RFC 3339 with milliseconds.
    #[allow(clippy::disallowed_methods)]
    pub fn wall_text() -> String {
        format!("{:.3}", jiff::Timestamp::now())
    }

    /// Takes note of an observation made at `at`.
    pub fn observe(&mut self, at: Time, over: bool) {
        if let Self::Recorded { last, ended, .. } = self {
            *last = Some((at, Instant::now()));
            *ended = over;
        }
    }

    /// The time now; `None` before the first observation of a recording.
    pub fn now(&self) -> Option<Time> {
        match self {
            Self::Wall => Some(Self::wall()),
            Self::Recorded { last: None, .. } => None,
            Self::Recorded { last: Some((at, _)), ended: true, .. } => Some(*at),
            Self::Recorded { speed, last: Some((at, made)), ended: false } => {
                Some(at.plus(Duration::from_secs_f64((made.elapsed().as_secs_f64() * speed).min(1e9))))
            }
        }
    }

    /// How long to wait on the wall clock until it is `at`; `None` if that time never comes.
    pub fn until(&self, at: Time) -> Option<Duration> {
        let left = at.since(self.now()?);
        match self {
            // This second has begun a while ago.
            Self::Wall => Some(left.saturating_sub(Self::of_this_second())),
            Self::Recorded { ended: true, .. } => left.is_zero().then_some(left),
            Self::Recorded { speed, .. } => Some(Duration::from_secs_f64((left.as_secs_f64() / speed).min(1e9))),
        }
    }
}
