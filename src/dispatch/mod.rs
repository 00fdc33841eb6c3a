//! What is due to be told to whom: what fires, less what was told.
//!
//! Called by the loop after each evaluation. Pure: it decides, `notify` sends, the ledger keeps the account. A reader begins
//! with `conversation`, the state machine of one receiver and one topic; `due` runs all of them and opens new ones, `begin`
//! takes stock at the start. `thread` says which alerts are one conversation, `route` with `labels` who is told,
//! `scene` how things stand now, `pace` how fast a receiver takes it, `campaign` when a report is due,
//! `overview` how the conversations stand. `mirror` is apart from all that: what fires, for who is shown it as it stands.

#![warn(clippy::wildcard_enum_match_arm)]

mod alert_set;
mod begin;
mod campaign;
mod conversation;
mod due;
mod labels;
mod mirror;
mod overview;
mod pace;
mod reach;
mod route;
mod scene;
mod thread;

pub use crate::plan::{Matcher, OF_THE_PLAN, Operator};
pub use alert_set::AlertSet;
pub use begin::{Began, Lost};
pub use campaign::{CampaignReport, Reported, Schedule};
pub use conversation::{Conversation, Intent, Outcome, Receiver};
pub use due::{Dispatch, Due, Settled, Told};
pub use labels::{LABELS, Labels};
pub use mirror::{Mirrored, Mirrors};
pub use overview::{DeadLetter, Line, Pending, Stage};
pub use pace::Pace;
pub use reach::unreachable;
pub use route::{Route, Routing, Selection, Standing, Storm, Timing};
pub use thread::{ThreadId, Topic};

use crate::alert::{Alert, list};
use crate::plan::Text;

closed_enum! {
    /// What a notification says of its topic.
    pub enum Turn {
        /// It began.
        Firing = "firing",
        /// More has come to it.
        Updated = "updated",
        /// It still fires, and nothing is new: a reminder that the route asks for.
        Reminder = "reminder",
        /// It was over before it could be told: a failure of an attempt that another one has followed.
        Over = "over",
        /// Nothing in it fires any more.
        Resolved = "resolved",
    }
}

/// A notification that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// To this receiver.
    pub receiver: Receiver,
    /// About this.
    pub topic: Topic,
    /// How often the topic was resolved and began again before. Topic and episode name one incident.
    pub episode: u32,
    /// What it says.
    pub turn: Turn,
    /// Whether the receiver may know it already: it is not known what became of the last one.
    pub is_repeat: bool,
    /// How often in a row it has not arrived.
    pub failures: u32,
    /// What the receiver calls the conversation; empty if it has no name there.
    pub remote: Text,
    /// The alert that says the most.
    pub alert: Alert,
    /// The others, the worst first. At the end these two are what was told last.
    pub others: Vec<Alert>,
    /// Of a conversation that goes on: the alerts that have ended since it was last told of.
    pub ended: Vec<Alert>,
}

impl Send {
    /// What is wrong, by all alerts of the topic: the first ten are named, the rest is counted.
    pub fn reason(&self) -> String {
        list(std::iter::once(&self.alert).chain(&self.others).map(|alert| alert.reason.to_string()))
    }
}
