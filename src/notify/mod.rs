//! Tells people: carries out what `dispatch` says is due, one file for each kind of receiver.
//!
//! Run by `app` as one task, fed by the loop, which never waits for it. It decides nothing about what is due, and never
//! imports `http`, `watch` or `archive`.

mod log;

use crate::dispatch::Send;
use crate::metrics::Own;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Delivers notifications until the sender is gone, so that what is due when the program stops is still told.
pub async fn deliver(cluster: String, own: Arc<Own>, mut due: mpsc::UnboundedReceiver<Send>) {
    while let Some(send) = due.recv().await {
        log::send(&cluster, &send);
        own.count_notification(&send.receiver, send.alert.id.rule, send.turn.as_str());
    }
}
