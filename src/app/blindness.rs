//! What the watches say of themselves, and what may be concluded while one of them does not work.
//!
//! Owned by `engine`. No IO.

use crate::plan::Time;
use crate::store::{Health, Report, WatchId};
use std::time::Duration;

/// A watch that is back shows what was missed in the moments after its first answer.
const CATCHING_UP: Duration = Duration::from_secs(10);

/// A time in which a watch was broken.
#[derive(Clone, Copy, Debug)]
struct Blind {
    /// Since when it was.
    since: Time,
    /// When all has been seen again; `None` while it is broken.
    until: Option<Time>,
}

/// How the watches do.
#[derive(Debug, Default)]
pub(super) struct Blindness {
    health: Health,
    blind: Option<Blind>,
}

impl Blindness {
    /// Takes a report of a watch; answers what there is to say, if it is news.
    pub(super) fn take(&mut self, watch: WatchId, report: Report, at: Time) -> Option<String> {
        let said = match &report {
            Report::Broken(trouble, message) => format!("the watch of {watch} is broken ({trouble}): {message}"),
            Report::Listing | Report::Listed | Report::Contact | Report::Restarted => {
                format!("the watch of {watch} works again")
            }
        };
        let is_news = self.health.report(watch, report, at);
        self.blind = match (self.health.blind_since(), self.blind) {
            (Some(since), before) => {
                Some(Blind { since: before.map_or(since, |before| before.since.min(since)), until: None })
            }
            (None, Some(Blind { since, until: None })) => Some(Blind { since, until: Some(at.plus(CATCHING_UP)) }),
            (None, Some(Blind { until: Some(until), .. })) if until <= at => None,
            (None, blind) => blind,
        };
        is_news.then_some(said)
    }

    /// The time up to which everything has been seen, as far as the watches say.
    pub(super) fn seen(&self, now: Time) -> Time {
        match self.blind {
            Some(Blind { since, until }) if until.is_none_or(|until| until > now) => since.min(now),
            Some(_) | None => now,
        }
    }

    /// When a conclusion that is due at this time can be drawn; `None` while nobody can say.
    pub(super) fn can_see(&self, due: Time) -> Option<Time> {
        match self.blind {
            None => Some(due),
            Some(Blind { until, .. }) => until.map(|until| until.max(due)),
        }
    }

    /// When the watch that has been silent the longest was last heard of, or now.
    pub(super) fn heard(&self, now: Time) -> Time {
        self.health.watches().filter_map(|(_, health)| health.last_contact).chain([now]).min().unwrap_or(now)
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }
}
