//! Events about notifications that a receiver has refused for ever, on the plans and providers that they were about.
//!
//! Run by `Notifier` as one task. It does what it can: what does not fit into its queue or fails is in the log, the metrics and
//! the API all the same. It stands in nobody's way.

use super::kubernetes_events::regarding;
use crate::alert::Alert;
use crate::dispatch::Receiver;
use crate::kube_events::{Event, Events, Failure, Regarding};
use crate::lease::Leadership;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;

/// So many objects are told of one notification.
const MOST: usize = 10;
/// So many Events wait; what is more is left out.
const QUEUE: usize = 100;

/// Where the Events are handed in.
#[derive(Clone)]
pub(super) struct DeadLetters(mpsc::Sender<(Regarding, Event)>);

impl DeadLetters {
    /// With the task that makes them; it ends when nobody can hand in any more. `deadline` is the longest that one may take.
    pub(super) fn new(
        events: Events,
        leadership: Leadership,
        deadline: Duration,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (send, queue) = mpsc::channel(QUEUE);
        (Self(send), publish(events, leadership, deadline, queue))
    }

    /// Says it on what these alerts are about. `why` has no secret in it.
    pub(super) fn tell(&self, alerts: &[Alert], receiver: &Receiver, why: &str) {
        let objects: BTreeSet<Regarding> = alerts.iter().map(regarding).collect();
        for about in objects.into_iter().take(MOST) {
            let note = format!("The receiver {receiver} refused what it was told of this, and is not told it again: {why}");
            let event = Event { is_warning: true, reason: "NotificationRefused".to_owned(), action: "Notify", note };
            let _ = self.0.try_send((about, event));
        }
    }
}

async fn publish(events: Events, leadership: Leadership, deadline: Duration, mut queue: mpsc::Receiver<(Regarding, Event)>) {
    let mut was_denied = false;
    while let Some((about, event)) = queue.recv().await {
        // Whoever is in office now knows nothing of it.
        let Some(permit) = leadership.permit(deadline) else { continue };
        match tokio::time::timeout(permit.left(), events.publish(&about, &event, false)).await {
            Ok(Err(Failure::Denied(why))) if !was_denied => {
                was_denied = true;
                tracing::warn!("no Events tell of what was refused: {why}; notify.dead_letter_events: false asks for none");
            }
            Ok(Err(why)) => tracing::debug!(object = %about.key, "no Event: {why}"),
            Ok(Ok(())) | Err(_) => {}
        }
    }
}
