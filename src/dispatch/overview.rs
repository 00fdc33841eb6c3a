//! How the conversations stand, for people: what receivers know, what is on its way, what does not arrive.
//!
//! Made for `/api/v1/notifications` and for the metrics. It decides nothing.

use super::conversation::{Conversation, Receiver};
use super::due::Told;
use super::thread::Topic;
use crate::alert::Scope;
use crate::plan::{Text, Time};
use std::collections::BTreeMap;

closed_enum! {
    /// How a conversation stands.
    pub enum Stage {
        /// The receiver knows all of it.
        Told = "told",
        /// Something is on its way.
        Sending = "sending",
        /// Something did not arrive, and is told again.
        Retrying = "retrying",
        /// Something may have arrived, and is told again, marked.
        InDoubt = "in_doubt",
    }
}

/// A conversation that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// With this receiver.
    pub receiver: Receiver,
    /// About this.
    pub topic: Topic,
    /// How often it was resolved and began again before.
    pub episode: u32,
    /// How it stands.
    pub stage: Stage,
    /// The plan or provider; nothing for a digest.
    pub scope: Option<Scope>,
    /// What the receiver knows, or may know: the rules, each with the number of alerts.
    pub known: BTreeMap<Text, usize>,
    /// When it was opened.
    pub opened: Option<Time>,
    /// When something last arrived.
    pub told: Option<Time>,
    /// Since when something waits to arrive.
    pub waiting: Option<Time>,
    /// How often in a row it has not arrived.
    pub failures: u32,
    /// When it is tried again.
    pub again: Option<Time>,
}

/// A notification that can never be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// To this receiver.
    pub receiver: Receiver,
    /// When that was found.
    pub at: Time,
    /// Its title.
    pub title: String,
    /// Why.
    pub why: String,
}

/// What waits to arrive at a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// So many messages.
    pub messages: usize,
    /// Since when the first of them waits.
    pub oldest: Option<Time>,
}

impl Conversation {
    fn stage(&self) -> Stage {
        match (&self.sending, self.in_doubt, self.waiting) {
            (Some(_), ..) => Stage::Sending,
            (None, Some(_), _) => Stage::InDoubt,
            (None, None, Some(_)) => Stage::Retrying,
            (None, None, None) => Stage::Told,
        }
    }
}

impl Told {
    /// Every conversation that is open, by receiver.
    pub fn lines(&self) -> Vec<Line> {
        let open = self.conversations.iter().filter(|(_, told)| told.is_open());
        let line = |((receiver, topic), told): (&(Receiver, Topic), &Conversation)| {
            let mut known: BTreeMap<Text, usize> = BTreeMap::new();
            told.told_of().for_each(|alert| *known.entry(alert.id.rule.into()).or_default() += 1);
            Line {
                receiver: receiver.clone(),
                topic: topic.clone(),
                episode: told.episode,
                stage: told.stage(),
                scope: told.scope.clone(),
                known,
                opened: told.opened,
                told: told.told,
                waiting: told.waiting,
                failures: told.failures,
                again: told.again,
            }
        };
        open.map(line).collect()
    }

    /// What waits to arrive, by receiver.
    pub fn pending(&self) -> BTreeMap<&Receiver, Pending> {
        let mut pending: BTreeMap<&Receiver, Pending> = BTreeMap::new();
        for ((receiver, _), told) in &self.conversations {
            if let Some(waiting) = told.waiting {
                let of = pending.entry(receiver).or_default();
                of.messages += 1;
                of.oldest = of.oldest.into_iter().chain([waiting]).min();
            }
        }
        pending
    }
}
