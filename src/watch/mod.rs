//! Where objects come from: a cluster, files, recordings. Every source yields the same [`Observation`]s.
//!
//! Called by `app` (as tasks) and by `cli` (read to the end). It decodes, and decides nothing; it never imports `http`,
//! `notify` or `archive`.

mod clock;
pub mod cluster;
mod documents;
pub mod files;
pub mod replay;

pub use clock::Clock;

use crate::forklift::{self, DecodeError, Decoded, Envelope, Head};
use crate::plan::{Key, Kind, Text, Time};
use crate::store::{Report, WatchId};

/// What a source saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When, by the source's clock: the time of the recording in a replay.
    pub at: Time,
    /// What.
    pub what: Seen,
}

/// What can be seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The current version of an object.
    Applied(Box<Decoded>),
    /// An object exists, but its current version cannot be decoded.
    Unreadable(Kind, Key, String),
    /// An object is gone.
    Deleted(Kind, Key),
    /// Input that is no object: where it is, and what is wrong with it.
    BadInput(String, String),
    /// All objects of a kind, in a namespace or (empty) in all, are about to be shown.
    RelistBegins(Kind, Text),
    /// All objects of a kind, in a namespace or (empty) in all, have been shown.
    RelistEnds(Kind, Text),
    /// How a watch of a cluster stands.
    Report(WatchId, Report),
    /// Everything that was there at the start has been shown.
    Synced,
    /// A replay starts again: nothing of what was shown is there any more.
    Restarted,
    /// A replay has ended: its time stands still.
    Ended,
}

impl Observation {
    fn new(at: Time, what: Seen) -> Self {
        Self { at, what }
    }
}

/// What a document shows: an object, the objects of a list, or an event of a watch. `origin` says where it is from.
fn seen(json: &[u8], origin: &str) -> Vec<Seen> {
    let mut found = Vec::new();
    look(json, origin, &mut found);
    found
}

fn look(json: &[u8], origin: &str, found: &mut Vec<Seen>) {
    let bad = |reason: String| Seen::BadInput(origin.to_owned(), reason);
    match forklift::outline(json) {
        Ok(Envelope::Object(head)) => found.push(applied(head, json)),
        Ok(Envelope::List) => match documents::items(json) {
            Ok(items) => items.into_iter().for_each(|item| look(item, origin, found)),
            Err(reason) => found.push(bad(reason)),
        },
        Ok(Envelope::Foreign) => match documents::event(json) {
            None => {}
            Some(event) => found.extend(event_seen(event, origin)),
        },
        Err(DecodeError { kind: Some(kind), key: Some(key), reason }) => found.push(Seen::Unreadable(kind, key, reason)),
        Err(error) => found.push(bad(error.to_string())),
    }
}

fn applied(head: Head, json: &[u8]) -> Seen {
    match forklift::decode_as(&head, json) {
        Ok(decoded) => Seen::Applied(Box::new(decoded)),
        Err(error) => Seen::Unreadable(head.kind, head.key, error.reason),
    }
}

/// What an event of a watch shows; bookmarks and objects of other kinds show nothing.
fn event_seen(event: documents::Event<'_>, origin: &str) -> Option<Seen> {
    let bad = |reason: String| Some(Seen::BadInput(origin.to_owned(), reason));
    let object = event.object.get().as_bytes();
    match &*event.kind {
        "BOOKMARK" => return None,
        "ADDED" | "MODIFIED" | "DELETED" => {}
        other => return bad(format!("an event of type {other:?}; there are ADDED, MODIFIED and DELETED")),
    }
    match forklift::outline(object) {
        Ok(Envelope::Object(head)) if event.kind == "DELETED" => Some(Seen::Deleted(head.kind, head.key)),
        Ok(Envelope::Object(head)) => Some(applied(head, object)),
        Ok(Envelope::List | Envelope::Foreign) => None,
        Err(error) => bad(error.to_string()),
    }
}
