//! The ledger: what was told to whom, kept across restarts.
//!
//! Used by `app`. `parts` cuts the account into parts of bounded size and puts it together again, `codec` writes a part as
//! text and reads it, `format_1` is the form of that text, `recover` says what to do when a part is missing or damaged: these
//! are pure. `keep` is the task that writes, `folder` where it writes to. It decides nothing about what is told; that is
//! `dispatch`.
//!
//! A part is written before something is sent and again when its outcome is known. Parts are found by the uid of an object, so
//! that all that concerns a plan is in one part.

#![warn(clippy::wildcard_enum_match_arm)]

mod codec;
mod config_maps;
mod folder;
mod format_1;
mod keep;
mod parts;
mod place;
mod recover;

pub use codec::{Damage, FORMAT, Head, LIMIT, TooBig, decode, decode_head, encode, restamp};
pub use config_maps::{ConfigMaps, WriteError};
pub use folder::Folder;
pub use keep::{Keeper, Save};
pub use parts::{merge, part_of, split};
pub use place::Place;
pub use recover::{Recovered, Stored, recover};

use crate::alert::{Memory, Scope};
use crate::dispatch::Told;
use std::collections::BTreeMap;

/// All that has to survive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What was told to whom.
    pub told: Told,
    /// What alerts have to remember.
    pub memory: BTreeMap<Scope, Memory>,
}
