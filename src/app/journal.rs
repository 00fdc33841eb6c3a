//! Writes down what happened: events and oddities as lines of the log.
//!
//! Called by the loop. Changes of phase and flags that stay are told at info, everything smaller at debug.

use super::engine::Outcome;
use crate::message::Notification;
use crate::plan::{Event, Fact};

/// Takes what the loop did.
pub trait Journal: Send {
    /// Writes it down.
    fn write(&mut self, outcome: &Outcome);

    /// Writes down that something is told.
    fn tell(&mut self, _: &Notification) {}
}

/// The journal of the daemon: tracing.
#[derive(Debug, Default)]
pub struct Log;

impl Journal for Log {
    fn write(&mut self, outcome: &Outcome) {
        for oddity in &outcome.oddities {
            tracing::warn!("{oddity}");
        }
        for watch in &outcome.watches {
            tracing::warn!("{watch}");
        }
        if let Some(alerts @ 1..) = outcome.began.as_ref().map(|began| began.baseline) {
            tracing::info!(alerts, "alerts that fired before the start are not told one by one");
        }
        for (receiver, conversations) in outcome.began.iter().flat_map(|began| &began.abandoned) {
            tracing::error!(%receiver, conversations, "the ends of these cannot be told: the receiver is gone");
        }
        for event in &outcome.events {
            write_event(event);
        }
    }
}

fn write_event(event: &Event) {
    let (namespace, plan, at) = (event.plan.namespace.as_str(), event.plan.name.as_str(), event.at);
    match &event.fact {
        Fact::Appeared { phase } => tracing::debug!(namespace, plan, %at, %phase, "plan appeared"),
        Fact::Gone { phase } => tracing::info!(namespace, plan, %at, %phase, "plan is gone"),
        Fact::Phase { from, to } => tracing::info!(namespace, plan, %at, %from, %to, "plan phase"),
        Fact::Attempt { number } => tracing::debug!(namespace, plan, %at, number, "attempt began"),
        Fact::Raised { flag } if !flag.passes() => tracing::info!(namespace, plan, %at, %flag, "flag raised"),
        Fact::Lowered { flag } if !flag.passes() => tracing::info!(namespace, plan, %at, %flag, "flag lowered"),
        Fact::Raised { flag } => tracing::debug!(namespace, plan, %at, %flag, "flag raised"),
        Fact::Lowered { flag } => tracing::debug!(namespace, plan, %at, %flag, "flag lowered"),
        Fact::Cutover { at: Some(cutover) } => tracing::debug!(namespace, plan, %at, %cutover, "cutover set"),
        Fact::Cutover { at: None } => tracing::debug!(namespace, plan, %at, "cutover taken back"),
        Fact::Vm { vm, from, to, reason } => {
            let from = from.map_or("", |from| from.as_str());
            tracing::debug!(namespace, plan, %at, %vm, from, %to, %reason, "VM phase");
        }
    }
}
