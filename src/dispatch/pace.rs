//! How fast a receiver takes messages: what goes beyond waits here, where it is decided anew each time, and not in a queue.
//!
//! Used by `due`. Kept in memory only: a restart begins with an empty window, and the receiver says so if that is too fast.

use super::conversation::Receiver;
use crate::plan::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// So many messages within a window of whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// So many, at least one.
    pub messages: usize,
    /// In so long, at least a second.
    pub window: Duration,
}

/// When each receiver was last sent something.
#[derive(Debug, Default)]
pub(super) struct Paced(BTreeMap<Receiver, VecDeque<Time>>);

impl Paced {
    /// When the receiver takes the next one, if that is not now.
    pub(super) fn next(&mut self, receiver: &Receiver, pace: Option<&Pace>, now: Time) -> Option<Time> {
        let pace = pace?;
        let times = self.0.get_mut(receiver)?;
        while times.front().is_some_and(|at| at.plus(pace.window) <= now) {
            times.pop_front();
        }
        let full = times.len().checked_sub(pace.messages.max(1))?;
        times.get(full).map(|at| at.plus(pace.window.max(Duration::from_secs(1))))
    }

    /// It is sent one now.
    pub(super) fn note(&mut self, receiver: &Receiver, pace: Option<&Pace>, now: Time) {
        if pace.is_some() {
            self.0.entry(receiver.clone()).or_default().push_back(now);
        }
    }
}
