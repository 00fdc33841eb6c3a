//! Which alerts are one conversation: a message that grows, an incident that is resolved once.

use crate::alert::{Alert, AlertId, RULES, Severity};
use crate::plan::{Text, Time};

/// The rules that tell of one failure as it unfolds. What fails in an attempt is one thing to a person, whichever rule sees it.
const FAILURE: [&str; 3] = ["VmFailed", "PlanBlocked", "PlanFailed"];

/// What a thread is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadId {
    /// Uid of the plan or provider.
    pub uid: Text,
    /// Index of the attempt; 0 for providers.
    pub attempt: usize,
    /// The rule, or `Failure` for those that tell of a failure together.
    pub topic: &'static str,
    /// What it is about within that, if there can be several.
    pub subject: Text,
    /// How often that has fired before; 0 for a failure, which comes again as a new thread.
    pub episode: u32,
}

impl ThreadId {
    /// The topic of the threads that tell of a failure.
    pub const FAILURE: &'static str = "Failure";

    /// The thread that an alert belongs to.
    pub fn of(alert: &AlertId) -> Self {
        let is_failure = FAILURE.contains(&alert.rule);
        Self {
            uid: alert.uid.clone(),
            attempt: alert.attempt,
            topic: if is_failure { Self::FAILURE } else { alert.rule },
            subject: if is_failure { Text::new() } else { alert.subject.clone() },
            episode: if is_failure { 0 } else { alert.episode },
        }
    }
}

/// What a receiver sees as one conversation: a message that grows, an incident that is resolved once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// One thread.
    Thread(ThreadId),
    /// Many threads that began together, told in one message. Named by when it was opened.
    Digest(Time),
    /// What fired before a receiver, rule or route was in force; told once, never resolved. Named by when that was.
    Baseline(Time),
    /// Failures of attempts that were over before they could be told; told once, never resolved. Named by when that was.
    Over(Time),
    /// How the campaign stands; told once, at this time of its schedule.
    Campaign(Time),
}

impl Topic {
    /// Whether it is told once, so that there is no end to tell.
    pub fn is_told_once(&self) -> bool {
        match self {
            Self::Thread(_) | Self::Digest(_) => false,
            Self::Baseline(_) | Self::Over(_) | Self::Campaign(_) => true,
        }
    }
}

/// By what the alerts of a thread are ordered: the worst first, then by the table of rules, then the oldest.
pub(super) fn weight(alert: &Alert) -> (Severity, usize, Time, &AlertId) {
    let row = RULES.iter().position(|rule| rule.name == alert.id.rule).unwrap_or(RULES.len());
    (alert.severity, row, alert.since, &alert.id)
}
