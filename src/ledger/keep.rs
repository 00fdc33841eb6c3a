//! The one task that writes the ledger. What is to be sent goes through it: it lets go of a notification only when the account
//! that knows of it is on the disk.
//!
//! Run by `app`, fed by the loop, which never waits for it. While it writes, whatever comes is gathered and written together.
//! If it cannot write it tries again and lets nothing go: nothing is ever sent blindly.

use super::{Account, Folder, Head, LIMIT, encode, split};
use crate::metrics::Own;
use crate::plan::Time;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// A heartbeat alone is written so often.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// The account as it is now, and what may go out once it is written.
#[derive(Debug)]
pub struct Save<T> {
    /// The account.
    pub account: Account,
    /// The instant before which everything that fired has been told.
    pub beat: Time,
    /// What may go out then.
    pub then: Vec<T>,
}

impl<T> Save<T> {
    /// Takes what came while it was not written yet.
    fn gather(&mut self, saves: &mut mpsc::UnboundedReceiver<Self>) {
        while let Ok(newer) = saves.try_recv() {
            (self.account, self.beat) = (newer.account, newer.beat);
            self.then.extend(newer.then);
        }
    }
}

/// Writes accounts into a folder, as this number of parts.
#[derive(Debug)]
pub struct Keeper {
    folder: Arc<Folder>,
    parts: u16,
    epoch: u64,
    /// What was written last, by part.
    written: Vec<Option<(Account, Time)>>,
}

impl Keeper {
    /// A keeper in this term of office.
    pub fn new(folder: Folder, parts: u16, epoch: u64) -> Self {
        Self { folder: Arc::new(folder), parts, epoch, written: vec![None; parts.into()] }
    }

    /// Writes accounts until the sender is gone.
    pub async fn keep<T>(
        mut self,
        own: Arc<Own>,
        mut saves: mpsc::UnboundedReceiver<Save<T>>,
        release: mpsc::UnboundedSender<T>,
    ) {
        while let Some(mut save) = saves.recv().await {
            let mut pause = PAUSES.0;
            loop {
                save.gather(&mut saves);
                match self.write(&save.account, save.beat, &own).await {
                    Ok(()) => break,
                    Err(error) => {
                        own.count_ledger_failure();
                        tracing::error!(
                            held = save.then.len(),
                            "the ledger cannot be written, so nothing is sent: {error:#}"
                        );
                    }
                }
                // Nothing more comes: who stops does not wait for a disk that is full.
                if saves.is_closed() && saves.is_empty() {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            for item in save.then.drain(..) {
                // The receivers are gone only when the program stops.
                let _ = release.send(item);
            }
        }
    }

    /// Writes the parts that are not what they were.
    async fn write(&mut self, account: &Account, beat: Time, own: &Own) -> anyhow::Result<()> {
        let is_first = self.written.iter().any(Option::is_none);
        for (number, part) in split(account, self.parts).into_iter().enumerate() {
            let as_written = |(written, at): &(Account, Time)| *written == part && beat.since(*at) < HEARTBEAT;
            if self.written.get(number).is_some_and(|written| written.as_ref().is_some_and(as_written)) {
                continue;
            }
            let head = Head { part: u16::try_from(number)?, parts: self.parts, epoch: self.epoch, beat };
            let text = encode(&head, &part, LIMIT)?;
            own.set_ledger_bytes(head.part, text.len());
            let folder = Arc::clone(&self.folder);
            tokio::task::spawn_blocking(move || folder.write(head.part, &text)).await??;
            own.count_ledger_write();
            self.written[number] = Some((part, beat));
        }
        if is_first {
            // All of it is in these now: others are of a ledger of more parts.
            let (folder, parts) = (Arc::clone(&self.folder), self.parts);
            tokio::task::spawn_blocking(move || folder.remove_from(parts)).await??;
        }
        Ok(())
    }
}
