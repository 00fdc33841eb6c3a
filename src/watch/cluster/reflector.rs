//! One watch: lists everything, follows the changes, and begins anew when it has to.
//!
//! Run by [`super::follow`], one task each. It says what it sees and how it stands; what is to be thought of that is the
//! loop's business. Nothing that exists is taken away while it lists: the loop sweeps when a list is complete.

use super::requests::{self, Failure, Line, Lines};
use super::{RawEvent, Settings, connect};
use crate::forklift::{self, Envelope};
use crate::plan::Text;
use crate::store::{Report, Trouble, WatchId};
use crate::watch::{Clock, Observation, Seen, applied};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const SHORTEST_BACKOFF: Duration = Duration::from_millis(500);
/// That the server answers is told at most this often.
const CONTACT: Duration = Duration::from_secs(2);

/// A watch that ends before this without a word is refused in effect: asking again at once would be a storm.
const SHORT: Duration = Duration::from_secs(1);

/// Why a round ended.
enum End {
    /// The receiver is gone.
    Stop,
    /// A request failed.
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Where a watch's results go.
pub(super) struct Outputs {
    pub(super) to: mpsc::Sender<Observation>,
    /// Undecoded, for a recording.
    pub(super) raw: Option<mpsc::Sender<RawEvent>>,
}

/// A watch.
pub(super) struct Reflector {
    id: WatchId,
    client: kube::Client,
    settings: Arc<Settings>,
    outputs: Outputs,
    /// The version to go on from; `None` before the first list and when it has become too old.
    version: Option<String>,
    streaming: bool,
    /// How many watches have not listed everything once; this one too, until it has.
    unsynced: Arc<AtomicUsize>,
    synced: bool,
    broken: bool,
    /// The last version was too old, and no watch has worked since.
    gone: bool,
    told: Option<Instant>,
}

impl Reflector {
    pub(super) fn new(
        id: WatchId,
        client: kube::Client,
        settings: Arc<Settings>,
        outputs: Outputs,
        unsynced: Arc<AtomicUsize>,
    ) -> Self {
        let streaming = settings.streaming_lists;
        Self {
            id,
            client,
            settings,
            outputs,
            version: None,
            streaming,
            unsynced,
            synced: false,
            broken: false,
            gone: false,
            told: None,
        }
    }

    /// Watches until the receiver is gone.
    pub(super) async fn run(mut self) {
        let mut pause = SHORTEST_BACKOFF;
        loop {
            let wait = match self.round().await {
                Ok(()) => {
                    pause = SHORTEST_BACKOFF;
                    continue;
                }
                Err(End::Stop) => return,
                Err(End::Failed(failure)) => self.after(failure).await,
            };
            let Some(wait) = wait else { continue };
            if !self.broken {
                pause = SHORTEST_BACKOFF;
            }
            self.broken = true;
            let wait = wait.max(jitter(pause)).min(self.settings.longest_backoff.max(wait));
            pause = (pause * 2).min(self.settings.longest_backoff);
            tokio::select! {
                () = self.outputs.to.closed() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// What follows from a failure: how long to wait at least, or `None` to go on at once.
    async fn after(&mut self, failure: Failure) -> Option<Duration> {
        match failure {
            Failure::Gone => {
                self.version = None;
                if !std::mem::replace(&mut self.gone, true) {
                    return None;
                }
                let message = "a version that was just listed is too old for the server".to_owned();
                self.report(Report::Broken(Trouble::Server, message)).await.ok().map(|()| Duration::ZERO)
            }
            Failure::NoStreamingLists if self.streaming && self.version.is_none() => {
                tracing::info!(watch = %self.id, "the server does not stream lists; they are read page by page");
                self.streaming = false;
                None
            }
            Failure::NoStreamingLists => {
                let message = "the server takes the request for invalid".to_owned();
                self.report(Report::Broken(Trouble::Server, message)).await.ok().map(|()| Duration::ZERO)
            }
            Failure::Trouble(trouble, message, wait) => {
                // A server that is too old for lists as streams may also break off in the middle.
                if self.streaming && self.version.is_none() && trouble == Trouble::Server && self.broken {
                    self.streaming = false;
                }
                let _ = self.report(Report::Broken(trouble, message)).await;
                if trouble == Trouble::Unauthorized {
                    match connect(&self.settings).await {
                        Ok(client) => self.client = client,
                        Err(error) => tracing::warn!(watch = %self.id, %error, "the credentials cannot be read anew"),
                    }
                }
                Some(wait.unwrap_or_default())
            }
        }
    }

    /// One list, or one watch to its end.
    async fn round(&mut self) -> Result<(), End> {
        let version = self.version.clone();
        match version {
            Some(version) => {
                let lines = requests::watch(&self.client, &self.id, &self.settings, Some(&version)).await?;
                self.contact(true).await?;
                let (opened, mut silent) = (Instant::now(), true);
                self.follow(lines, false, &mut silent).await?;
                if silent && opened.elapsed() < SHORT {
                    let message = "the watch ended at once and without a word".to_owned();
                    return Err(Failure::Trouble(Trouble::Connection, message, None).into());
                }
                self.gone = false;
                self.report(Report::Restarted).await
            }
            None => {
                self.report(Report::Listing).await?;
                self.show(Seen::RelistBegins(self.id.kind, self.id.namespace.clone())).await?;
                let (kind, namespace) = (self.id.kind.to_string(), self.id.namespace.to_string());
                self.record(|_| RawEvent::ListBegins { kind, namespace }).await?;
                if self.streaming {
                    let lines = requests::watch(&self.client, &self.id, &self.settings, None).await?;
                    self.follow(lines, true, &mut true).await
                } else {
                    self.list().await
                }
            }
        }
    }

    async fn list(&mut self) -> Result<(), End> {
        let mut next = None;
        loop {
            let page = requests::list(&self.client, &self.id, &self.settings, next.as_deref()).await?;
            self.contact(false).await?;
            for item in &page.items {
                self.object(false, item.get().as_bytes()).await?;
            }
            next = page.metadata.r#continue.filter(|next| !next.is_empty());
            if next.is_none() {
                return self.listed(page.metadata.resource_version).await;
            }
        }
    }

    /// Everything was shown.
    async fn listed(&mut self, version: String) -> Result<(), End> {
        self.version = Some(version);
        self.broken = false;
        self.show(Seen::RelistEnds(self.id.kind, self.id.namespace.clone())).await?;
        let (kind, namespace) = (self.id.kind.to_string(), self.id.namespace.to_string());
        self.record(|time| RawEvent::ListEnds { kind, namespace, time }).await?;
        self.report(Report::Listed).await?;
        if !self.synced {
            self.synced = true;
            if self.unsynced.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.show(Seen::Synced).await?;
            }
        }
        Ok(())
    }

    /// Follows a watch to its end. `listing`: it begins with everything that is there. `silent`: whether it has said nothing.
    async fn follow(&mut self, mut lines: Lines, mut listing: bool, silent: &mut bool) -> Result<(), End> {
        while let Some(line) = lines.next().await? {
            let line = requests::read(line)?;
            *silent = false;
            self.gone &= listing;
            match line {
                Line::Bookmark(version, complete) => {
                    if listing && complete {
                        listing = false;
                        self.listed(version).await?;
                    } else {
                        self.version = self.version.take().map(|_| version);
                        self.contact(false).await?;
                    }
                }
                Line::Object { deleted, object } => {
                    let version = self.object(deleted, object).await?;
                    // In the middle of a list there is no version to go on from.
                    if !listing && !version.is_empty() {
                        self.version = Some(version.to_string());
                    }
                    self.contact(false).await?;
                }
            }
        }
        if listing {
            return Err(Failure::Trouble(Trouble::Connection, "the list broke off".to_owned(), None).into());
        }
        Ok(())
    }

    /// Shows an object; answers its version.
    async fn object(&mut self, deleted: bool, json: &[u8]) -> Result<Text, End> {
        let (seen, version) = match forklift::outline(json) {
            Ok(Envelope::Object(head)) if deleted => (Seen::Deleted(head.kind, head.key), head.resource_version),
            Ok(Envelope::Object(head)) => {
                let version = head.resource_version.clone();
                (applied(head, json), version)
            }
            Ok(Envelope::List | Envelope::Foreign) => return Ok(Text::new()),
            Err(error) => (Seen::BadInput(format!("watch of {}", self.id), error.to_string()), Text::new()),
        };
        self.show(seen).await?;
        self.record(|time| RawEvent::Object { deleted, json: json.to_vec(), time }).await?;
        Ok(version)
    }

    /// Tells that the server answers, at once if it did not before.
    async fn contact(&mut self, opened: bool) -> Result<(), End> {
        let due = self.told.is_none_or(|told| told.elapsed() >= CONTACT);
        if self.broken || due || opened {
            self.broken = false;
            self.told = Some(Instant::now());
            self.report(Report::Contact).await?;
        }
        Ok(())
    }

    async fn report(&self, report: Report) -> Result<(), End> {
        self.show(Seen::Report(self.id.clone(), report)).await
    }

    /// Gives an event to the recording, if there is one.
    async fn record(&self, event: impl FnOnce(String) -> RawEvent) -> Result<(), End> {
        match &self.outputs.raw {
            None => Ok(()),
            Some(raw) => raw.send(event(Clock::wall_text())).await.map_err(|_| End::Stop),
        }
    }

    async fn show(&self, what: Seen) -> Result<(), End> {
        self.outputs.to.send(Observation::new(Clock::wall(), what)).await.map_err(|_| End::Stop)
    }
}

/// The pause, up to a half longer: watches that broke together do not come back together.
fn jitter(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish() % 1024;
    pause + pause.mul_f64(random as f64 / 2048.0)
}
