//! A part of the ledger as text: a head line with a version and a checksum, then the account.
//!
//! Used by whoever stores parts. A program reads the formats of its own version and the one before; one that it does not know
//! is refused, so that an older program never takes the account of a newer one for an empty one.

use super::Account;
use super::format_1;
use crate::dispatch::Conversation;
use crate::plan::Time;
use serde::{Deserialize, Serialize};

/// The format that is written.
pub const FORMAT: u32 = 1;
/// A part has at most so many bytes: a ConfigMap holds 1 MiB, its other fields included (Kubernetes documentation,
/// ConfigMaps).
pub const LIMIT: usize = 900 * 1024;
/// So many characters of a reason are kept: enough to say what has ended.
const REASON: usize = 256;
/// So many where the part is too big otherwise.
const SHORT_REASON: usize = 32;

/// What is said of a part before its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub part: u16,
    /// How many parts there are.
    pub parts: u16,
    /// The term of office of the one who wrote it: one that is lower must not write any more.
    pub epoch: u64,
    /// When it was last known to be whole.
    pub beat: Time,
}

/// Why a part cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It is of a version that this program does not know.
    #[error("it has format {0}, and this program reads up to {FORMAT}: run the version that wrote it, or a newer one")]
    Newer(u32),
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Corrupt(String),
}

/// A part is too big, whatever is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("part {part} of the ledger takes {bytes} bytes, more than {limit}: use more parts")]
pub struct TooBig {
    /// Its number.
    pub part: u16,
    /// Its size.
    pub bytes: usize,
    /// The limit.
    pub limit: usize,
}

#[derive(Serialize, Deserialize)]
struct HeadLine {
    format: u32,
    #[serde(default)]
    part: u16,
    #[serde(default)]
    parts: u16,
    #[serde(default)]
    epoch: u64,
    #[serde(default)]
    beat: u32,
    #[serde(default)]
    sum: String,
}

fn corrupt(why: impl std::fmt::Display) -> Damage {
    Damage::Corrupt(why.to_string())
}

/// The checksum of what a part says, its head included.
fn sum(head: &Head, body: &str) -> String {
    let Head { part, parts, epoch, beat } = head;
    let seed = format!("{part}/{parts} {epoch} {beat}\n");
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(seed.as_bytes());
    hasher.update(body.as_bytes());
    format!("{:08x}", hasher.finalize())
}

/// Writes a part. If it is too big, reasons are shortened first, then what is resolved is left out.
///
/// # Errors
/// If it is still too big.
pub fn encode(head: &Head, account: &Account, limit: usize) -> Result<String, TooBig> {
    let text = write(head, account, REASON);
    if text.len() <= limit {
        return Ok(text);
    }
    let text = write(head, account, SHORT_REASON);
    if text.len() <= limit {
        return Ok(text);
    }
    let mut lean = account.clone();
    lean.told.conversations.retain(|_, told| Conversation::is_open(told) || !told.silent.is_empty());
    let text = write(head, &lean, SHORT_REASON);
    if text.len() <= limit { Ok(text) } else { Err(TooBig { part: head.part, bytes: text.len(), limit }) }
}

fn write(head: &Head, account: &Account, reason: usize) -> String {
    let body = format_1::write(account, reason);
    let Head { part, parts, epoch, beat } = *head;
    let line = HeadLine { format: FORMAT, part, parts, epoch, beat: beat.unix(), sum: sum(head, &body) };
    // Neither has anything that JSON could not write.
    let line = serde_json::to_string(&line).unwrap_or_default();
    format!("{line}\n{body}\n")
}

/// Reads a part.
///
/// # Errors
/// If it is of an unknown version, or not what was written.
pub fn decode(text: &str) -> Result<(Head, Account), Damage> {
    let (line, body) = text.split_once('\n').ok_or_else(|| corrupt("it ends in its first line"))?;
    let line: HeadLine = serde_json::from_str(line).map_err(corrupt)?;
    let read = match line.format {
        1 => format_1::read,
        0 => return Err(corrupt("there is no format 0")),
        newer => return Err(Damage::Newer(newer)),
    };
    let body = body.strip_suffix('\n').ok_or_else(|| corrupt("its end is missing"))?;
    let beat = Time::from_unix(line.beat.into()).ok_or_else(|| corrupt("it has no time"))?;
    let head = Head { part: line.part, parts: line.parts, epoch: line.epoch, beat };
    if sum(&head, body) != line.sum {
        return Err(corrupt("its checksum is another"));
    }
    Ok((head, read(body).map_err(corrupt)?))
}
