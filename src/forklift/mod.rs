//! From the text of a Forklift object to the pruned model, in one pass and whatever the object looks like.
//!
//! Called by `watch`. Pure: text in, model out. A value of the wrong type costs its field, not the object, and is counted;
//! so is a word that the vocabularies of `plan` do not have. Only what is no JSON object with a name is refused, and the
//! refusal keeps the key if there is one, so that the deletion of the object still works.

#![warn(clippy::wildcard_enum_match_arm)]

mod conditions;
mod convert;
mod intern;
mod loose;
mod managers;
mod shapes;

use crate::plan::{Key, Kind, Migration, Plan, Provider};
use loose::Loose;
use serde::Deserialize;

/// The API group of Forklift's objects, whatever the version.
const GROUP: &str = "forklift.konveyor.io/";

/// A decoded object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A Plan.
    Plan(Plan),
    /// A Migration.
    Migration(Migration),
    /// A Provider.
    Provider(Provider),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plan(_) => Kind::Plan,
            Self::Migration(_) => Kind::Migration,
            Self::Provider(_) => Kind::Provider,
        }
    }

    /// Its namespace and name.
    pub fn key(&self) -> &Key {
        match self {
            Self::Plan(plan) => &plan.key,
            Self::Migration(migration) => &migration.key,
            Self::Provider(provider) => &provider.key,
        }
    }
}

/// What was odd about an object that was decoded nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Issue {
    /// A value of the wrong type: this field was taken as absent.
    WrongType {
        /// Path of the field.
        field: &'static str,
    },
    /// A word that this version does not know, as a newer Forklift may write it.
    UnknownWord {
        /// Path of the field.
        field: &'static str,
        /// The word, cut at 64 characters.
        word: String,
    },
    /// A VM that is listed twice; the first counts.
    Twice {
        /// Path of the list.
        field: &'static str,
    },
}

/// An object and what was odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub object: Object,
    /// What was odd, each thing once.
    pub issues: Vec<Issue>,
}

/// An object that cannot be decoded at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{reason}", kind.map(|k| format!("{k} ")).unwrap_or_default(), key.as_ref().map(|k| format!("{k}: ")).unwrap_or_default())]
pub struct DecodeError {
    /// Its kind, if that much could be read.
    pub kind: Option<Kind>,
    /// Its key, if that much could be read.
    pub key: Option<Key>,
    /// Why.
    pub reason: String,
}

/// What an object is called, and its version: what a watch needs to know of it before it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its kind.
    pub kind: Kind,
    /// Namespace and name.
    pub key: Key,
    /// `metadata.resourceVersion`, or empty.
    pub resource_version: crate::plan::Text,
}

/// What a piece of JSON is, before it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// One object of a watched kind.
    Object(Head),
    /// A list: its items are decoded one by one.
    List,
    /// Something else.
    Foreign,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Outline {
    api_version: Loose<crate::plan::Text>,
    kind: Loose<crate::plan::Text>,
    metadata: Loose<OutlineMetadata>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OutlineMetadata {
    namespace: Loose<crate::plan::Text>,
    name: Loose<crate::plan::Text>,
    resource_version: Loose<crate::plan::Text>,
}
loose::map!(OutlineMetadata);

/// Tells what `json` is.
///
/// # Errors
/// If it is no JSON object, or one of a watched kind without a name.
pub fn outline(json: &[u8]) -> Result<Envelope, DecodeError> {
    let refuse = |kind, reason: String| DecodeError { kind, key: None, reason };
    let outline: Outline = serde_json::from_slice(json).map_err(|error| refuse(None, error.to_string()))?;
    let kind = outline.kind.value().unwrap_or_default();
    let version = outline.api_version.value().unwrap_or_default();
    if kind == "List" || (version.starts_with(GROUP) && kind.strip_suffix("List").and_then(Kind::parse).is_some()) {
        return Ok(Envelope::List);
    }
    let Some(kind) = Kind::parse(&kind).filter(|_| version.starts_with(GROUP)) else { return Ok(Envelope::Foreign) };
    let metadata = outline.metadata.value().unwrap_or_default();
    match metadata.name.value() {
        Some(name) if !name.is_empty() => {
            let key = Key::new(metadata.namespace.value().unwrap_or_default(), name);
            let resource_version = metadata.resource_version.value().unwrap_or_default();
            Ok(Envelope::Object(Head { kind, key, resource_version }))
        }
        Some(_) | None => Err(refuse(Some(kind), "it has no metadata.name".to_owned())),
    }
}

/// Decodes one object of a watched kind.
///
/// # Errors
/// If `json` is not such an object, or so broken that not even its fields can be told apart.
pub fn decode(json: &[u8]) -> Result<Decoded, DecodeError> {
    match outline(json)? {
        Envelope::Object(head) => decode_as(&head, json),
        Envelope::List | Envelope::Foreign => {
            let reason = "it is no Plan, Migration or Provider of forklift.konveyor.io".to_owned();
            Err(DecodeError { kind: None, key: None, reason })
        }
    }
}

/// Decodes an object whose head is known already.
///
/// # Errors
/// If it is so broken that not even its fields can be told apart.
pub fn decode_as(head: &Head, json: &[u8]) -> Result<Decoded, DecodeError> {
    convert::decode(head.kind, head.key.clone(), json).map_err(|error| DecodeError {
        kind: Some(head.kind),
        key: Some(head.key.clone()),
        reason: error.to_string(),
    })
}
