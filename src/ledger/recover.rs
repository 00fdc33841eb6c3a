//! From stored parts to an account: what to do when one is missing or damaged.
//!
//! Called once, at the start or at a takeover, before anything is decided.

use super::parts::{merge, part_of};
use super::{Account, Damage, Head, decode, decode_head};
use crate::plan::Time;
use std::collections::BTreeMap;

/// A part as it was found: its name for people, and its text.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What a person finds it by.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// What is known.
    pub account: Account,
    /// The highest epoch of all parts; 0 if there are none.
    pub epoch: u64,
    /// What could not be read, by name.
    pub damaged: Vec<(String, String)>,
    /// Of how many parts the ledger was.
    parts: u16,
    /// Those that were read: their number, and of how many they were.
    read: Vec<(u16, u16)>,
    /// When they were last known to be whole: the least of them, so that nothing is taken as told that may not have been.
    beat: Option<Time>,
}

/// Reads what was found.
///
/// # Errors
/// The name of a part of a newer version, and what to do: the account of a newer program must not be overwritten.
pub fn recover(stored: impl IntoIterator<Item = Stored>) -> Result<Recovered, (String, Damage)> {
    let mut recovered = Recovered::default();
    let mut read: BTreeMap<u16, (Head, Account)> = BTreeMap::new();
    // The head of a part says enough to go on, though its body is damaged.
    let mut heads: Vec<Head> = Vec::new();
    for Stored { name, text } in stored {
        heads.extend(decode_head(&text).ok());
        match decode(&text) {
            Ok((head, account)) => drop(read.insert(head.part, (head, account))),
            Err(newer @ Damage::Newer(_)) => return Err((name, newer)),
            Err(Damage::Corrupt(why)) => recovered.damaged.push((name, why)),
        }
    }
    recovered.epoch = heads.iter().map(|head| head.epoch).max().unwrap_or_default();
    recovered.parts = heads.iter().map(|head| head.parts).max().unwrap_or_default();
    recovered.beat = heads.iter().map(|head| head.beat).min();
    if heads.is_empty() && !recovered.damaged.is_empty() {
        // There was a ledger, and nobody knows until when: all that fires may have been told.
        (recovered.parts, recovered.beat) = (1, Some(Time::MIN));
    }
    recovered.read = read.values().map(|(head, _)| (head.part, head.parts)).collect();
    recovered.account = merge(read.into_values().map(|(_, account)| account));
    Ok(recovered)
}

impl Recovered {
    /// If what concerns this uid was lost: when the ledger was last known to be whole. Nothing is lost if there is nothing at
    /// all, which is a first start.
    pub fn lost(&self, uid: &str) -> Option<Time> {
        // A part that was cut in another number has what concerns it all the same.
        let is_there = self.read.iter().any(|(part, parts)| part_of(uid, *parts) == *part);
        let is_lost = self.parts > 0 && !is_there;
        self.beat.filter(|_| is_lost)
    }

    /// How many parts are missing.
    pub fn missing(&self) -> usize {
        usize::from(self.parts).saturating_sub(self.read.len())
    }
}
