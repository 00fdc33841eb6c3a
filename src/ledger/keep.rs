//! The one task that writes the ledger. What is to be sent goes through it: it lets go of a notification only when the account
//! that knows of it is written.
//!
//! Run by `app` for a term of office, fed by the loop, which never waits for it. While it writes, whatever comes is gathered and
//! written together. If it cannot write it tries again and lets nothing go: nothing is ever sent blindly.

use super::config_maps::WriteError;
use super::{Account, Head, LIMIT, Place, Recovered, encode, recover, restamp, split};
use crate::metrics::Own;
use crate::plan::Time;
use std::hash::{BuildHasher, Hasher, RandomState};
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
            self.take(newer);
        }
    }

    fn take(&mut self, newer: Self) {
        (self.account, self.beat) = (newer.account, newer.beat);
        self.then.extend(newer.then);
    }

    /// Takes what comes in a pause; answers whether nothing more will, which ends it.
    async fn wait(&mut self, pause: Duration, saves: &mut mpsc::UnboundedReceiver<Self>) -> bool {
        let end = tokio::time::Instant::now() + pause;
        loop {
            match tokio::time::timeout_at(end, saves.recv()).await {
                Ok(Some(newer)) => self.take(newer),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// So many bits of an epoch are chance.
const CHANCE: u32 = 16;

/// The epoch after this one. Two that begin at once do not have the same: one of them is the later one, and both know which.
fn next_epoch(last: u64, chance: u64) -> u64 {
    (((last >> CHANCE) + 1) << CHANCE) | (chance % (1 << CHANCE))
}

fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Writes accounts, as this number of parts.
pub struct Keeper {
    place: Place,
    parts: u16,
    epoch: u64,
    /// What was written last, by part.
    written: Vec<Option<(Account, Time)>>,
    /// Whether there are no other parts.
    is_alone: bool,
    own: Arc<Own>,
}

impl Keeper {
    /// Reads what is there and begins a term: whatever was written in an earlier one is marked as ours, so that who wrote it
    /// finds that out.
    ///
    /// # Errors
    /// If it cannot be read or marked, or is of a newer version.
    pub async fn open(mut place: Place, parts: u16, own: Arc<Own>) -> anyhow::Result<(Self, Recovered)> {
        let stored = place.read(parts).await?;
        let recovered = recover(stored.clone()).map_err(|(name, why)| anyhow::anyhow!("{name}: {why}"))?;
        let epoch = next_epoch(recovered.epoch, chance());
        for (name, why) in &recovered.damaged {
            let aside = place.set_aside(name).await?;
            tracing::error!("{name}: {why}; it is put aside as {aside}");
        }
        if recovered.missing() > 0 {
            let parts = recovered.missing();
            tracing::warn!(
                parts,
                "parts of the ledger are lost: what they knew is told again where it may not have been told"
            );
        }
        for (head, text) in stored.iter().filter_map(|stored| restamp(&stored.text, epoch)) {
            place.mark(head.part, epoch, text).await?;
            own.count_ledger_write();
        }
        own.count_ledger_conflicts(place.take_conflicts());
        Ok((Self { place, parts, epoch, written: vec![None; parts.into()], is_alone: false, own }, recovered))
    }

    /// The number of this term: the higher bits count, the lower ones are chance.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Writes accounts until the sender is gone, or somebody else is in office.
    ///
    /// # Errors
    /// If somebody with a later term has written.
    pub async fn keep<T>(
        mut self,
        mut saves: mpsc::UnboundedReceiver<Save<T>>,
        release: mpsc::UnboundedSender<T>,
    ) -> Result<(), WriteError> {
        while let Some(mut save) = saves.recv().await {
            let (mut pause, mut is_last) = (PAUSES.0, saves.is_closed() && saves.is_empty());
            loop {
                save.gather(&mut saves);
                let written = self.write(&save.account, save.beat).await;
                self.own.count_ledger_conflicts(self.place.take_conflicts());
                match written {
                    Ok(()) => break,
                    Err(deposed @ WriteError::Deposed(..)) => return Err(deposed),
                    Err(WriteError::Other(error)) => {
                        self.own.count_ledger_failure();
                        tracing::error!(
                            held = save.then.len(),
                            "the ledger cannot be written, so nothing is sent: {error:#}"
                        );
                    }
                }
                // Nothing more comes: who stops does not wait for a disk that is full.
                if is_last {
                    return Ok(());
                }
                is_last = save.wait(pause, &mut saves).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            for item in save.then.drain(..) {
                // The receivers are gone only when the program stops.
                let _ = release.send(item);
            }
        }
        Ok(())
    }

    /// Writes the parts that are not what they were.
    async fn write(&mut self, account: &Account, beat: Time) -> Result<(), WriteError> {
        // From the last to the first: where there are more parts than before, the new ones have copies of what the old ones lose.
        for (number, part) in split(account, self.parts).into_iter().enumerate().rev() {
            let as_written = |(written, at): &(Account, Time)| *written == part && beat.since(*at) < HEARTBEAT;
            if self.written.get(number).is_some_and(|written| written.as_ref().is_some_and(as_written)) {
                continue;
            }
            let number_of = u16::try_from(number).map_err(anyhow::Error::new)?;
            let head = Head { part: number_of, parts: self.parts, epoch: self.epoch, beat };
            let text = encode(&head, &part, LIMIT).map_err(anyhow::Error::new)?;
            self.own.set_ledger_bytes(head.part, text.len());
            self.place.write(head.part, self.epoch, text).await?;
            self.own.count_ledger_write();
            self.written[number] = Some((part, beat));
        }
        if !self.is_alone {
            // All of it is in these now: others are of a ledger of more parts.
            self.place.remove_from(self.parts).await?;
            self.is_alone = true;
        }
        Ok(())
    }
}
