//! The part of the engine that shows what fires to the mirrors, whoever is in office.
//!
//! Owned by `telling`, which notes that something has changed. It looks anew at all that fires, and only then. No IO.

use super::telling::Known;
use crate::dispatch::{Mirrored, Mirrors, Receiver};
use crate::message::{Notice, Settings};
use crate::plan::Time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the mirrors are shown.
pub(super) struct Mirroring {
    mirrors: Mirrors,
    /// Whether what was shown last may not be so any more.
    is_stale: bool,
    /// When to look again though nothing changes.
    again: Option<Time>,
}

impl Mirroring {
    pub(super) fn new(mirrors: Mirrors) -> Self {
        Self { mirrors, is_stale: true, again: None }
    }

    /// Something has changed.
    pub(super) fn changed(&mut self) {
        self.is_stale = true;
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.again
    }

    /// What is to be shown from now on, if it may be something else.
    pub(super) fn look(
        &mut self,
        known: Known<'_>,
        messages: &Settings,
        now: Time,
    ) -> Option<Arc<BTreeMap<Receiver, Arc<[Notice]>>>> {
        let is_time = self.again.is_some_and(|at| at <= now);
        if self.mirrors.receivers.is_empty() || !(self.is_stale || is_time) {
            return None;
        }
        self.is_stale = false;
        let Mirrored { firing, again } = self.mirrors.look(known.alerts, known.store, now);
        self.again = again;
        let worded = firing.into_iter().map(|(receiver, alerts)| {
            (receiver.clone(), alerts.into_iter().map(|alert| Notice::of(alert, messages)).collect())
        });
        Some(Arc::new(worded.collect()))
    }
}
