//! Cuts the account into parts and puts it together again.
//!
//! By the uid of an object, hashed. A conversation about many plans is in the parts of all of them, each with its own alerts, so
//! that the loss of one part loses nothing of the others.

use super::Account;
use crate::alert::{Memory, Scope};
use crate::dispatch::{Conversation, Intent, Receiver, Told, Topic};
use crate::plan::Text;
use std::collections::BTreeMap;

/// The number of the part that holds what concerns this uid.
pub fn part_of(uid: &str, parts: u16) -> u16 {
    let hash = crc32fast::hash(uid.as_bytes()) % u32::from(parts.max(1));
    u16::try_from(hash).unwrap_or_default()
}

/// Cuts an account into this number of parts.
pub fn split(account: &Account, parts: u16) -> Vec<Account> {
    // What is small and concerns no single object is in each.
    let (standing, reported) = (account.told.standing.clone(), account.told.reported.clone());
    let common = Told { standing, reported, ..Told::default() };
    let mut cut = vec![Account { told: common, ..Account::default() }; parts.max(1).into()];
    let at = |uid: &str| usize::from(part_of(uid, parts));
    for ((receiver, uid), settled) in &account.told.settled {
        cut[at(uid)].told.settled.insert((receiver.clone(), uid.clone()), settled.clone());
    }
    for (scope, memory) in &account.memory {
        let uid = memory.seen.keys().chain(memory.fired.keys()).next().map(|identity| identity.uid.clone());
        cut[at(&uid.unwrap_or_default())].memory.insert(scope.clone(), memory.clone());
    }
    for (key, conversation) in &account.told.conversations {
        match &key.1 {
            Topic::Thread(thread) => {
                cut[at(&thread.uid)].told.conversations.insert(key.clone(), conversation.clone());
            }
            Topic::Digest(_) | Topic::Baseline(_) | Topic::Over(_) | Topic::Campaign(_) => {
                for (part, piece) in pieces(conversation, parts) {
                    cut[usize::from(part)].told.conversations.insert(key.clone(), piece);
                }
            }
        }
    }
    cut
}

/// The pieces of a conversation about many plans, by part.
fn pieces(whole: &Conversation, parts: u16) -> Vec<(u16, Conversation)> {
    let piece = |part| {
        let is_mine = |uid: &Text| part_of(uid, parts) == part;
        let mut piece = whole.clone();
        piece.known.retain(|alert| is_mine(&alert.id.uid));
        piece.perhaps.retain(|alert| is_mine(&alert.id.uid));
        piece.silent.retain(|id| is_mine(&id.uid));
        piece.threads.retain(|thread| is_mine(&thread.uid));
        for intent in piece.sending.iter_mut().chain(piece.once.as_deref_mut()) {
            intent.alerts.retain(|alert| is_mine(&alert.id.uid));
            intent.ended.retain(|alert| is_mine(&alert.id.uid));
        }
        (part, piece)
    };
    let has_content = |piece: &Conversation| {
        let mut intents = piece.sending.iter().chain(piece.once.as_deref());
        let said = intents.any(|intent| !intent.alerts.is_empty() || !intent.ended.is_empty());
        said || piece.is_owed() || !piece.silent.is_empty() || !piece.threads.is_empty()
    };
    // One that is empty is kept too: it says when it was opened.
    (0..parts.max(1)).map(piece).filter(|(part, piece)| *part == 0 || has_content(piece)).collect()
}

/// Puts parts together, in any order and cut in any number. Pieces that were written at different times may disagree: what is in
/// doubt in one is in doubt.
pub fn merge(parts: impl IntoIterator<Item = Account>) -> Account {
    let mut whole = Account::default();
    for Account { told, memory } in parts {
        whole.told.standing = whole.told.standing.or(told.standing);
        whole.told.settled.extend(told.settled);
        for (receiver, reported) in told.reported {
            let latest = whole.told.reported.entry(receiver).or_insert(reported);
            if (reported.last, reported.sending, reported.in_doubt) > (latest.last, latest.sending, latest.in_doubt) {
                *latest = reported;
            }
        }
        for (key, piece) in told.conversations {
            join(&mut whole.told.conversations, key, piece);
        }
        for (scope, memory) in memory {
            join_memory(&mut whole.memory, scope, memory);
        }
    }
    whole
}

fn join_memory(whole: &mut BTreeMap<Scope, Memory>, scope: Scope, memory: Memory) {
    let entry = whole.entry(scope).or_default();
    entry.seen.extend(memory.seen);
    entry.fired.extend(memory.fired);
}

fn join(whole: &mut BTreeMap<(Receiver, Topic), Conversation>, key: (Receiver, Topic), piece: Conversation) {
    let Some(other) = whole.get_mut(&key) else {
        whole.insert(key, piece);
        return;
    };
    other.episode = other.episode.max(piece.episode);
    other.opened = other.opened.into_iter().chain(piece.opened).min();
    other.told = other.told.max(piece.told);
    other.known.extend(piece.known);
    other.perhaps.extend(piece.perhaps);
    other.in_doubt = other.in_doubt.or(piece.in_doubt);
    other.silent.extend(piece.silent);
    other.again = other.again.max(piece.again);
    other.failures = other.failures.max(piece.failures);
    other.waiting = other.waiting.into_iter().chain(piece.waiting).min();
    other.closed &= piece.closed;
    other.threads.extend(piece.threads);
    if other.remote.is_empty() {
        other.remote = piece.remote;
    }
    other.sending = join_intents(other.sending.take(), piece.sending);
    other.once = join_intents(other.once.take().map(|once| *once), piece.once.map(|once| *once)).map(Box::new);
}

fn join_intents(one: Option<Intent>, other: Option<Intent>) -> Option<Intent> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.alerts.extend(other.alerts);
            one.ended.extend(other.ended);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}
