//! From bytes to JSON documents, whatever they were: gzip or not, YAML or JSON, one or many.
//!
//! Used by the sources. A broken document costs nothing but itself.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Read;

/// A piece of input: a JSON document, or why there is none, each with the line on which it begins.
pub(super) struct Document<'a> {
    pub(super) line: usize,
    pub(super) json: Result<Cow<'a, [u8]>, String>,
}

/// An event of a watch: our recording format, and what `kubectl --watch --output-watch-events -o json` prints.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    /// When it was delivered; kubectl does not tell.
    #[serde(default, borrow)]
    pub(super) time: Option<Cow<'a, str>>,
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// What is at most unpacked from gzip: a larger input is refused.
const MOST_BYTES: u64 = 4 << 30;

/// The bytes, unpacked if they are gzip.
pub(super) fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(&*bytes).take(MOST_BYTES);
    match reader.read_to_end(&mut unpacked) {
        Ok(_) if reader.limit() == 0 => Err(format!("it unpacks to more than {MOST_BYTES} bytes")),
        Ok(_) => Ok(unpacked),
        Err(error) => Err(format!("broken gzip: {error}")),
    }
}

/// The documents in `bytes`: JSON if the first of them is, else YAML.
pub(super) fn documents(bytes: &[u8]) -> Vec<Document<'_>> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => Vec::new(),
        Some(b'{' | b'[') => json_documents(bytes),
        Some(_) => yaml_documents(bytes),
    }
}

/// JSON values one after another, on one line each or not. After a broken one it goes on at the next line that begins with
/// a brace, as every document of NDJSON and of pretty-printed JSON does.
fn json_documents(bytes: &[u8]) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    let (mut start, mut line, mut counted) = (0, 1, 0);
    while start < bytes.len() {
        let mut stream = serde_json::Deserializer::from_slice(&bytes[start..]).into_iter::<&RawValue>();
        let next = stream.next();
        let text_start = start + bytes[start..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        line += newlines(&bytes[counted..text_start]);
        counted = text_start;
        match next {
            None => break,
            Some(Ok(value)) => {
                start += stream.byte_offset();
                found.push(Document { line, json: Ok(Cow::Borrowed(value.get().as_bytes())) });
            }
            Some(Err(error)) => {
                let at = line + error.line().saturating_sub(1 + newlines(&bytes[start..text_start]));
                found.push(Document { line, json: Err(format!("broken JSON: {error} (line {at} of the input)")) });
                let Some(next) = next_object(bytes, text_start + 1) else { break };
                start = next;
            }
        }
    }
    found
}

fn next_object(bytes: &[u8], from: usize) -> Option<usize> {
    let at = bytes.get(from..)?.windows(2).position(|pair| pair == b"\n{")?;
    Some(from + at + 1)
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// YAML documents. A line of three dashes begins one wherever it stands, so a broken document does not hide the next.
fn yaml_documents(bytes: &[u8]) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let mut at = 0;
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let begins = line.starts_with(b"---") && line.get(3).is_none_or(u8::is_ascii_whitespace);
        if begins {
            found.extend(yaml_document(&bytes[start..at], first_line));
            (start, first_line) = (at + 3, number + 1);
        }
        at += line.len();
    }
    found.extend(yaml_document(&bytes[start..], first_line));
    found
}

fn yaml_document(bytes: &[u8], line: usize) -> Option<Document<'_>> {
    let blank = |line: &[u8]| matches!(line.iter().find(|byte| !byte.is_ascii_whitespace()), None | Some(b'#'));
    if bytes.split(|byte| *byte == b'\n').all(blank) {
        return None;
    }
    let json = to_json(bytes).map(Cow::Owned).map_err(|reason| format!("broken YAML: {reason}"));
    Some(Document { line, json })
}

/// Rewrites a YAML document as JSON, value by value: what follows reads one format only.
fn to_json(yaml: &[u8]) -> Result<Vec<u8>, String> {
    // A capture of ten thousand plans has tens of millions of values. It is the user's own file: no budget.
    let options = serde_saphyr::options! { budget: None, with_snippet: false };
    let mut json = Vec::with_capacity(yaml.len());
    let mut writer = serde_json::Serializer::new(&mut json);
    serde_saphyr::with_deserializer_from_slice_with_options(yaml, options, |reader| {
        serde_transcode::transcode(reader, &mut writer).map_err(|error| serde::de::Error::custom(error.to_string()))
    })
    .map_err(|error| error.to_string())?;
    Ok(json)
}

/// The items of a list, or of an array, each as it stands.
pub(super) fn items(json: &[u8]) -> Result<Vec<&[u8]>, String> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(default, borrow)]
        items: Vec<&'a RawValue>,
    }
    let items = if json.starts_with(b"[") {
        serde_json::from_slice::<Vec<&RawValue>>(json)
    } else {
        serde_json::from_slice::<List<'_>>(json).map(|list| list.items)
    };
    items.map(|items| items.into_iter().map(|item| item.get().as_bytes()).collect()).map_err(|error| error.to_string())
}

/// The event that a document is, if it is one.
pub(super) fn event(json: &[u8]) -> Option<Event<'_>> {
    serde_json::from_slice(json).ok()
}

/// Whether a document is an object at all; a lone number or text is none.
pub(super) fn is_object(json: &[u8]) -> bool {
    json.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(json).is_ok()
}
