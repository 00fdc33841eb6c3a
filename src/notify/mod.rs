//! Tells people: carries out what `dispatch` says is due, one file for each kind of receiver. `mirror` is apart from that: it
//! shows Alertmanagers what fires.
//!
//! Run by `app`, fed by the loop, which never waits for it. It decides nothing about what is due, and never imports `http`, `watch`
//! or `archive`. A reader begins with `work`, the task of one receiver; `senders` has one variant for each kind. `client` is the
//! HTTP client, `secret` reads secrets, `backoff` is how long to wait after a failure, `digest` hashes, `labels` are what Alertmanager knows an alert by, `dead_letters` says by
//! Events what was refused for ever.

pub mod alertmanager;
mod backoff;
mod client;
mod dead_letters;
mod digest;
pub mod kubernetes_events;
mod labels;
mod log;
mod mirror;
pub mod pagerduty;
mod secret;
mod senders;
mod slack;
mod slack_payload;
pub mod webhook;
mod work;

pub use mirror::{Mirrors, Shown};
pub use senders::{Senders, check, longest};
pub use slack_payload::payload as slack_payload;
pub use work::Notifier;

use crate::dispatch::{Receiver, Topic};
use crate::plan::Text;
use std::time::Duration;

/// What became of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrived.
    Delivered,
    /// It did not arrive, for certain; how long the receiver wants to be left alone, if it says so, and why.
    NotSent(Option<Duration>, Why),
    /// It may have arrived.
    Unknown(Why),
    /// It did not arrive and never will.
    Refused(Why),
}

closed_enum! {
    /// Why something did not arrive, or may not have: the word for a label.
    pub enum Reason {
        /// There was no connection, or it broke.
        Connection = "connection",
        /// It took too long.
        Timeout = "timeout",
        /// The receiver asks for patience.
        Busy = "busy",
        /// The URL, the token, the channel or a right is wrong: somebody has to mend it.
        Denied = "denied",
        /// A secret cannot be read, or is none.
        Secret = "secret",
        /// The receiver has a trouble of its own.
        Server = "server",
        /// The answer is none that this receiver gives.
        Answer = "answer",
        /// This very message will never be taken.
        Rejected = "rejected",
    }
}

/// Why something did not arrive, or may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The word for a label.
    pub reason: Reason,
    /// For people; without secrets.
    pub text: String,
}

impl Why {
    /// For this reason, in these words.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Verdict {
    /// The word for labels.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::NotSent(..) => "failed",
            Self::Unknown(_) => "unknown",
            Self::Refused(_) => "refused",
        }
    }

    /// The reason for labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Delivered => "ok",
            Self::NotSent(_, why) | Self::Unknown(why) | Self::Refused(why) => why.reason.as_str(),
        }
    }
}

/// What a receiver says of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What became of it.
    pub verdict: Verdict,
    /// What the receiver calls the conversation from now on, if it says so.
    pub remote: Option<Text>,
    /// Whether what is wrong concerns this conversation alone, so that others go on.
    pub is_of_this_alone: bool,
}

impl From<Verdict> for Receipt {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, remote: None, is_of_this_alone: false }
    }
}

/// What became of a notification.
#[derive(Debug)]
pub struct Done {
    /// To this receiver.
    pub receiver: Receiver,
    /// About this.
    pub topic: Topic,
    /// In which term of office it was decided.
    pub term: u64,
    /// Its title.
    pub title: String,
    /// That.
    pub verdict: Verdict,
    /// What the receiver calls the conversation from now on, if it says so.
    pub remote: Option<Text>,
    /// How long to wait before it is tried again.
    pub pause: Duration,
}

/// The title; an own template may have made an empty one, which services do not take.
fn title(message: &crate::message::Message) -> &str {
    let mut names = [message.title.as_str(), message.rule, message.about.as_str()].into_iter();
    names.find(|name| !name.trim().is_empty()).unwrap_or_default()
}

/// At most so many characters of what a service takes no more of; what is cut off is marked.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
