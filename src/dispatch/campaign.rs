//! The report of the campaign at fixed times of the day: when it is due to whom. What it says is made elsewhere.
//!
//! Run by `due`. One that was missed while this program was away is told once, late; one that fell due before a receiver was in
//! force is not told.

use super::conversation::{Outcome, Receiver};
use crate::plan::Time;
use std::collections::{BTreeMap, BTreeSet};

const DAY: u32 = 24 * 60 * 60;

/// Who gets the report, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Who gets it.
    pub receivers: BTreeSet<Receiver>,
    /// Seconds after midnight in UTC.
    pub times: BTreeSet<u32>,
}

impl Schedule {
    /// The latest time of it that is not after `now`.
    fn last(&self, now: Time) -> Option<Time> {
        self.around(now).filter(|at| *at <= now).max()
    }

    /// The earliest time of it that is after `now`.
    fn next(&self, now: Time) -> Option<Time> {
        self.around(now).filter(|at| *at > now).min()
    }

    /// Its times of yesterday, today and tomorrow.
    fn around(&self, now: Time) -> impl Iterator<Item = Time> {
        let today = i64::from(now.unix() - now.unix() % DAY);
        let days = [-1, 0, 1].map(|day| today + day * i64::from(DAY));
        self.times.iter().flat_map(move |time| days.map(|day| Time::from_unix(day + i64::from(*time)))).flatten()
    }
}

/// A report that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignReport {
    /// To this receiver.
    pub receiver: Receiver,
    /// The time that it was due, by which it is known.
    pub at: Time,
    /// Whether the receiver may have it already.
    pub is_repeat: bool,
}

/// How it stands with the reports of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The latest that is dealt with, or when the receiver came to be in force.
    pub last: Time,
    /// The one that is under way.
    pub sending: Option<Time>,
    /// The one whose outcome is unknown.
    pub in_doubt: Option<Time>,
    /// Nothing is sent before this time.
    pub again: Option<Time>,
}

impl Reported {
    /// Of a receiver that has just come to be in force.
    pub fn since(now: Time) -> Self {
        Self { last: now, sending: None, in_doubt: None, again: None }
    }

    /// Takes what became of the one that is under way.
    pub(super) fn take(&mut self, outcome: &Outcome) {
        let Some(sending) = self.sending.take() else { return };
        match outcome {
            Outcome::Delivered | Outcome::Refused => (self.last, self.in_doubt) = (sending, None),
            Outcome::Failed(again) => self.again = Some(*again),
            Outcome::Unknown(again) => (self.again, self.in_doubt) = (Some(*again), Some(sending)),
        }
    }
}

/// The reports that are due, and when the next one is.
pub(super) fn due(
    schedule: &Schedule,
    reported: &mut BTreeMap<Receiver, Reported>,
    now: Time,
) -> (Vec<CampaignReport>, Option<Time>) {
    let (Some(at), next) = (schedule.last(now), schedule.next(now)) else { return (Vec::new(), None) };
    let mut again = next;
    let mut reports = Vec::new();
    for receiver in &schedule.receivers {
        let stands = reported.entry(receiver.clone()).or_insert_with(|| Reported::since(now));
        if stands.sending.is_some() || stands.last >= at {
            continue;
        }
        if let Some(later) = stands.again.filter(|later| *later > now) {
            again = again.into_iter().chain([later]).min();
            continue;
        }
        // An older one that did not arrive is not told any more: this one says how things are now.
        let is_repeat = stands.in_doubt == Some(at);
        (stands.sending, stands.again) = (Some(at), None);
        reports.push(CampaignReport { receiver: receiver.clone(), at, is_repeat });
    }
    (reports, again)
}
