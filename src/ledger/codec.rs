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
    /// Of the head.
    #[serde(default)]
    head_sum: String,
    /// Of the body.
    #[serde(default)]
    sum: String,
}

fn corrupt(why: impl std::fmt::Display) -> Damage {
    Damage::Corrupt(why.to_string())
}

/// A checksum.
fn sum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

/// The checksum of a head and of that of its body.
fn head_sum(head: &Head, body_sum: &str) -> String {
    let Head { part, parts, epoch, beat } = head;
    sum(&format!("{part}/{parts} {epoch} {beat} {body_sum}"))
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
    let sum = sum(&body);
    let line = HeadLine { format: FORMAT, part, parts, epoch, beat: beat.unix(), head_sum: head_sum(head, &sum), sum };
    // Neither has anything that JSON could not write.
    let line = serde_json::to_string(&line).unwrap_or_default();
    format!("{line}\n{body}\n")
}

/// The same part as it would be had it been written in this term, whatever is in its body; `None` if its head is damaged.
pub fn restamp(text: &str, epoch: u64) -> Option<(Head, String)> {
    let (head, line, body) = read_head(text).ok()?;
    let head = Head { epoch, ..head };
    let head_sum = head_sum(&head, &line.sum);
    // It has nothing that JSON could not write.
    let line = serde_json::to_string(&HeadLine { epoch, head_sum, ..line }).unwrap_or_default();
    Some((head, format!("{line}\n{body}")))
}

/// Reads the head of a part, whatever has become of its body.
///
/// # Errors
/// If it is of an unknown version, or not what was written.
pub fn decode_head(text: &str) -> Result<Head, Damage> {
    read_head(text).map(|(head, _, _)| head)
}

fn read_head(text: &str) -> Result<(Head, HeadLine, &str), Damage> {
    let (line, body) = text.split_once('\n').ok_or_else(|| corrupt("it ends in its first line"))?;
    let line: HeadLine = serde_json::from_str(line).map_err(corrupt)?;
    if line.format > FORMAT {
        return Err(Damage::Newer(line.format));
    }
    let beat = Time::from_unix(line.beat.into()).ok_or_else(|| corrupt("it has no time"))?;
    let head = Head { part: line.part, parts: line.parts, epoch: line.epoch, beat };
    if head_sum(&head, &line.sum) != line.head_sum {
        return Err(corrupt("the checksum of its head is another"));
    }
    Ok((head, line, body))
}

/// Reads a part.
///
/// # Errors
/// If it is of an unknown version, or not what was written.
pub fn decode(text: &str) -> Result<(Head, Account), Damage> {
    let (head, line, body) = read_head(text)?;
    let body = body.strip_suffix('\n').ok_or_else(|| corrupt("its end is missing"))?;
    if sum(body) != line.sum {
        return Err(corrupt("its checksum is another"));
    }
    match line.format {
        1 => Ok((head, format_1::read(body).map_err(corrupt)?)),
        other => Err(corrupt(format!("there is no format {other}"))),
    }
}
