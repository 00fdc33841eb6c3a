//! Tells people: carries out what `dispatch` says is due, one file for each kind of receiver.
//!
//! Run by `app` as one task, fed by the loop, which never waits for it. It decides nothing about what is due, and never
//! imports `http`, `watch` or `archive`.

mod log;

use crate::dispatch::{Outcome, Receiver, Topic};
use crate::message::Notification;
use crate::metrics::Own;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What became of a notification.
#[derive(Debug)]
pub struct Done {
    /// To this receiver.
    pub receiver: Receiver,
    /// About this.
    pub topic: Topic,
    /// That.
    pub outcome: Outcome,
}

/// Delivers notifications until the sender is gone, so that what is due when the program stops is still told. Each is answered
/// with what became of it.
pub async fn deliver(own: Arc<Own>, mut due: mpsc::UnboundedReceiver<Notification>, done: mpsc::UnboundedSender<Done>) {
    while let Some(notification) = due.recv().await {
        let Notification { receiver, message, .. } = &notification;
        if let Some(why) = &message.fallback {
            tracing::warn!(%receiver, "{why}; the built-in text is sent");
            own.count_template_failure();
        }
        log::send(&notification);
        own.count_notification(receiver, message.rule, message.turn.as_str());
        let Notification { receiver, topic, .. } = notification;
        // The loop is gone only when the program stops.
        let _ = done.send(Done { receiver, topic, outcome: Outcome::Delivered });
    }
}
