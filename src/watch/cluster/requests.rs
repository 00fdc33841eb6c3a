//! Lists and watches, one request each: what is asked, and what an answer or its failure means.
//!
//! Used by `reflector`. Bodies are read frame by frame and cut into lines here, so that an object is decoded from the bytes of
//! the answer, a broken one costs only itself, and every failure keeps the server's words and its Retry-After.

use super::Settings;
use crate::plan::Kind;
use crate::store::{Trouble, WatchId};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::core::Request;
use kube::core::params::{ListParams, WatchParams};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// The longest answer to a failed request that is read.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// How much longer than its timeout a watch may be silent: the time of an answer on its way.
const GRACE: Duration = Duration::from_secs(5);

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The version to go on from is too old: everything has to be listed anew.
    Gone,
    /// The server does not know lists as streams.
    NoStreamingLists,
    /// Anything else, with how long the server wants us to wait.
    Trouble(Trouble, String, Option<Duration>),
}

impl Failure {
    fn new(trouble: Trouble, message: impl Into<String>) -> Self {
        Self::Trouble(trouble, message.into(), None)
    }
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) metadata: PageMetadata,
    #[serde(default)]
    pub(super) items: Vec<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMetadata {
    pub(super) resource_version: String,
    pub(super) r#continue: Option<String>,
}

fn path(watch: &WatchId) -> String {
    let plural = match watch.kind {
        Kind::Plan => "plans",
        Kind::Migration => "migrations",
        Kind::Provider => "providers",
    };
    let namespace = if watch.namespace.is_empty() { String::new() } else { format!("namespaces/{}/", watch.namespace) };
    format!("/apis/forklift.konveyor.io/v1beta1/{namespace}{plural}")
}

fn invalid(error: &kube::core::request::Error) -> Failure {
    Failure::new(Trouble::Connection, format!("the request cannot be made: {error}"))
}

async fn send(client: &kube::Client, request: http::Request<Vec<u8>>, patience: Duration) -> Result<Body, Failure> {
    let sent = tokio::time::timeout(patience, client.send(request.map(Body::from))).await;
    let response = match sent {
        Err(_) => return Err(Failure::new(Trouble::Silent, format!("no answer within {patience:?}"))),
        Ok(Err(error)) => return Err(Failure::new(Trouble::Connection, chain(&error))),
        Ok(Ok(response)) => response,
    };
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    let (head, body) = response.into_parts();
    let retry_after = head.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut lines = Lines::new(body, patience);
    let text = lines.rest(LONGEST_MESSAGE).await;
    Err(refused(head.status.as_u16(), &text, retry_after))
}

/// An error with all its causes: kube's own words leave out what happened on the wire.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// The part of a Status that says what is wrong.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    message: String,
    code: u16,
    details: StatusDetails,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: Option<u64>,
}

/// What a refusal means. The body is a Status, or plain text where a filter in front of the API refused.
fn refused(code: u16, body: &[u8], retry_after: Option<u64>) -> Failure {
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    let message = match status.message.as_str() {
        "" => String::from_utf8_lossy(body).trim().chars().take(200).collect(),
        message => message.to_owned(),
    };
    let wait = retry_after.or(status.details.retry_after_seconds).map(Duration::from_secs);
    let trouble = match code {
        410 => return Failure::Gone,
        400 | 422 => return Failure::NoStreamingLists,
        401 => Trouble::Unauthorized,
        403 => Trouble::Forbidden,
        404 => Trouble::NotInstalled,
        429 => Trouble::Throttled,
        _ => Trouble::Server,
    };
    Failure::Trouble(trouble, format!("{code} {message}"), wait)
}

/// Asks for a page of the list of everything.
pub(super) async fn list(
    client: &kube::Client,
    watch: &WatchId,
    settings: &Settings,
    next: Option<&str>,
) -> Result<Page, Failure> {
    let mut parameters = ListParams::default().limit(settings.page_size);
    if let Some(next) = next {
        parameters = parameters.continue_token(next);
    }
    let request = Request::new(path(watch)).list(&parameters).map_err(|error| invalid(&error))?;
    let body = send(client, request, settings.request_timeout).await?;
    let bytes = Lines::new(body, settings.request_timeout).all().await?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::new(Trouble::Server, format!("the list is no list: {error}")))
}

/// Opens a watch from a version on, or, without one, a list as a stream that goes on as a watch.
pub(super) async fn watch(
    client: &kube::Client,
    watch: &WatchId,
    settings: &Settings,
    version: Option<&str>,
) -> Result<Lines, Failure> {
    let seconds = u32::try_from(settings.watch_timeout.as_secs()).unwrap_or(u32::MAX).max(1);
    let parameters = if version.is_some() { WatchParams::default() } else { WatchParams::streaming_lists() };
    let parameters = parameters.timeout(seconds);
    let request =
        Request::new(path(watch)).watch(&parameters, version.unwrap_or_default()).map_err(|error| invalid(&error))?;
    let body = send(client, request, settings.request_timeout).await?;
    Ok(Lines::new(body, settings.watch_timeout + GRACE))
}

/// What a line of a watch says.
pub(super) enum Line<'a> {
    /// An object was added, changed or deleted.
    Object {
        /// Whether it was deleted.
        deleted: bool,
        /// The object.
        object: &'a [u8],
    },
    /// The watch has come to this version; with whether the list that came before is complete.
    Bookmark(String, bool),
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// Reads a line of a watch.
pub(super) fn read(line: &[u8]) -> Result<Line<'_>, Failure> {
    let broken = |error: serde_json::Error| Failure::new(Trouble::Server, format!("a broken event: {error}"));
    let event: crate::watch::documents::Event<'_> = serde_json::from_slice(line).map_err(broken)?;
    let object = event.object.get().as_bytes();
    match &*event.kind {
        "ADDED" | "MODIFIED" => Ok(Line::Object { deleted: false, object }),
        "DELETED" => Ok(Line::Object { deleted: true, object }),
        "BOOKMARK" => {
            let bookmark: Bookmark = serde_json::from_slice(object).map_err(broken)?;
            let complete =
                bookmark.metadata.annotations.get("k8s.io/initial-events-end").is_some_and(|value| value == "true");
            Ok(Line::Bookmark(bookmark.metadata.resource_version, complete))
        }
        "ERROR" => {
            let status: Status = serde_json::from_slice(object).unwrap_or_default();
            Err(refused(status.code, object, None))
        }
        other => Err(Failure::new(Trouble::Server, format!("an event of type {other:?}"))),
    }
}

/// The lines of an answer as they come.
pub(super) struct Lines {
    body: Body,
    patience: Duration,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    taken: usize,
}

impl Lines {
    fn new(body: Body, patience: Duration) -> Self {
        Self { body, patience, buffer: Vec::new(), taken: 0 }
    }

    /// The next frame goes into the buffer; `false` at the end.
    async fn more(&mut self) -> Result<bool, Failure> {
        match tokio::time::timeout(self.patience, self.body.frame()).await {
            Err(_) => Err(Failure::new(Trouble::Silent, format!("nothing came for {:?}", self.patience))),
            Ok(None) => Ok(false),
            Ok(Some(Err(error))) => Err(Failure::new(Trouble::Connection, chain(&error))),
            Ok(Some(Ok(frame))) => {
                self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                Ok(true)
            }
        }
    }

    /// The next line; `None` at the end. What stands after the last line end is no line: the connection was cut in it.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                self.taken = searched + end + 1;
                return Ok(Some(&self.buffer[..searched + end]));
            }
            searched = self.buffer.len();
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// All of it.
    async fn all(mut self) -> Result<Vec<u8>, Failure> {
        while self.more().await? {}
        Ok(self.buffer)
    }

    /// What can be had of it, at most so many bytes.
    async fn rest(&mut self, most: usize) -> Vec<u8> {
        while self.buffer.len() < most && matches!(self.more().await, Ok(true)) {}
        self.buffer.truncate(most);
        std::mem::take(&mut self.buffer)
    }
}
