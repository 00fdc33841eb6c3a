//! Kubernetes Events about plans and providers: what `kubectl describe` shows below an object.
//!
//! The only file that makes them; used by `notify`. It creates and patches Events and nothing else, and decides neither what is
//! told nor whether it is tried again. Source of the limits: the validation of events.k8s.io/v1 in kube-apiserver
//! (`pkg/apis/core/validation/events.go`).
//!
//! An Event is named by what it says, so that saying the same again finds the first one, which becomes a series. That needs no
//! memory, so it also holds after a restart and for another replica. kube's `Recorder` keeps such a memory for six minutes, leaves
//! the text of the first Event whatever a later one says, and makes names that are too long for objects with long names.

use crate::plan::{Key, Kind, Text};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as Object, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::Status;
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::time::Duration;

/// Group and version of plans and providers.
const API_VERSION: &str = "forklift.konveyor.io/v1beta1";
/// Who makes the Events.
const CONTROLLER: &str = "mtv-sentinel";
/// How long one Event may take with all its requests.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a note.
const NOTE_MAX: usize = 1024;
/// Bytes of a reason, an action and the name of an instance.
const WORD_MAX: usize = 128;
/// Bytes of a name, without the dot and the 16 digits at its end.
const NAME_MAX: usize = 253 - 17;

/// The object that an Event is about, in whose namespace the Event is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Regarding {
    /// A plan or a provider.
    pub kind: Kind,
    /// Namespace and name.
    pub key: Key,
    /// Its uid; empty if it is not known.
    pub uid: Text,
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Whether it is of type Warning, else Normal.
    pub is_warning: bool,
    /// Why, in one word in CamelCase.
    pub reason: String,
    /// What was done, in one word in CamelCase.
    pub action: &'static str,
    /// What people read.
    pub note: String,
}

/// Why there is no Event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing was made, and it may be tried again: after this time, if the server says so.
    #[error("{1}")]
    Later(Option<Duration>, String),
    /// Nothing was made: a right is missing, which somebody can give.
    #[error("{0}")]
    Denied(String),
    /// It is not known whether it was made.
    #[error("{0}")]
    Unknown(String),
    /// Nothing was made, and this Event never will be: its namespace is gone, or going.
    #[error("{0}")]
    Never(String),
}

/// Makes Events. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    client: kube::Client,
    instance: Text,
}

impl Events {
    /// `instance` tells which process it is. The client must not try again by itself.
    pub fn new(client: kube::Client, instance: &str) -> Self {
        Self { client, instance: fit(instance, WORD_MAX).into() }
    }

    /// Makes an Event. One that says the same and is still there becomes a series and counts one more; but if this very Event
    /// may have been made before, by an attempt of which nobody knows what became (`is_retry`), it is left as it is.
    ///
    /// # Errors
    /// If it was not made, or that is not known.
    pub async fn publish(&self, about: &Regarding, event: &Event, is_retry: bool) -> Result<(), Failure> {
        match tokio::time::timeout(PATIENCE, self.make(about, event, is_retry)).await {
            Ok(made) => made.map_err(|error| failure(&error)),
            Err(_) => Err(Failure::Unknown(format!("the API server did not answer within {PATIENCE:?}"))),
        }
    }

    async fn make(&self, about: &Regarding, event: &Event, is_retry: bool) -> kube::Result<()> {
        let api: Api<Object> = Api::namespaced(self.client.clone(), &about.key.namespace);
        let object = self.object(about, event);
        for is_last in [false, true] {
            match api.create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.is_already_exists() && !is_retry => {}
                Err(kube::Error::Api(status)) if status.is_already_exists() => return Ok(()),
                made => return made.map(drop),
            }
            match count(&api, object.metadata.name.as_deref().unwrap_or_default()).await {
                // It vanished in between: Events live for an hour.
                Err(kube::Error::Api(status)) if status.is_not_found() && !is_last => {}
                counted => return counted,
            }
        }
        Ok(())
    }

    fn object(&self, about: &Regarding, event: &Event) -> Object {
        let text = |text: &str| Some(text.to_owned());
        let Regarding { kind, key, uid } = about;
        Object {
            metadata: ObjectMeta {
                name: Some(name(about, event)),
                namespace: text(&key.namespace),
                ..ObjectMeta::default()
            },
            regarding: Some(ObjectReference {
                api_version: text(API_VERSION),
                kind: text(kind.as_str()),
                namespace: text(&key.namespace),
                name: text(&key.name),
                uid: text(uid).filter(|uid| !uid.is_empty()),
                ..ObjectReference::default()
            }),
            type_: text(if event.is_warning { "Warning" } else { "Normal" }),
            reason: Some(fit(&event.reason, WORD_MAX)),
            action: Some(fit(event.action, WORD_MAX)),
            note: Some(fit(&event.note, NOTE_MAX)),
            event_time: Some(wall_clock()),
            reporting_controller: text(CONTROLLER),
            reporting_instance: text(&self.instance),
            ..Object::default()
        }
    }
}

/// Lets an Event that is there count one more. An empty patch tells how often it has been: there is no need for the right to read
/// Events, and whoever counts at the same time loses nothing but a number.
async fn count(api: &Api<Object>, name: &str) -> kube::Result<()> {
    let found = api.patch(name, &PatchParams::default(), &Patch::Merge(json!({}))).await?;
    let count = found.series.map_or(1, |series| series.count).saturating_add(1);
    let series = EventSeries { count, last_observed_time: wall_clock() };
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"series": series}))).await.map(drop)
}

/// The name of an Event: the name of its object, and a hash of what it says. Another version of Rust may hash otherwise: then there
/// is a second Event instead of a series.
fn name(about: &Regarding, event: &Event) -> String {
    let mut hasher = DefaultHasher::new();
    (about, event).hash(&mut hasher);
    // Each part between dots has to end with a letter or digit.
    let start = head(&about.key.name, NAME_MAX).trim_end_matches(['.', '-']);
    format!("{start}.{:016x}", hasher.finish())
}

/// A text as one line of at most so many bytes; what is cut off is marked.
fn fit(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() <= most { line } else { format!("{}…", head(&line, most - '…'.len_utf8())) }
}

/// The beginning of a text, of at most so many bytes.
fn head(text: &str, most: usize) -> &str {
    text.split_at(text.floor_char_boundary(most)).0
}

fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => refused(status),
        other if found_nobody(other) => Failure::Later(None, causes(other)),
        other => Failure::Unknown(causes(other)),
    }
}

/// What a refusal means.
fn refused(status: &Status) -> Failure {
    let said = format!("{} {}", status.code, status.message);
    let details = status.details.as_ref();
    let is_ending = details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"));
    let is_gone = details.is_some_and(|details| details.kind == "namespaces");
    match status.code {
        403 if is_ending => Failure::Never(said),
        404 if is_gone => Failure::Never(said),
        401 | 403 | 404 => Failure::Denied(said),
        408 | 429 | 503 => {
            let seconds = details.map_or(0, |details| details.retry_after_seconds);
            Failure::Later((seconds > 0).then(|| Duration::from_secs(seconds.into())), said)
        }
        500..=599 => Failure::Unknown(said),
        _ => Failure::Never(said),
    }
}

/// Whether there was no connection, so that nothing can have been made.
fn found_nobody(error: &kube::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let kind = next.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)) {
            return true;
        }
        cause = next.source();
    }
    false
}

/// An error with its causes: kube's own words leave out what happened on the wire.
fn causes(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

/// What others read as the time of the Event.
#[allow(clippy::disallowed_methods)]
fn wall_clock() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}
