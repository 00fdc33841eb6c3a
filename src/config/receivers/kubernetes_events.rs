//! The keys of a receiver of type `kubernetes_events`.

use super::http::Timeout;
use super::keys::{Keys, Shown};
use super::rate::Rate;
use std::time::Duration;

/// So that a storm does not hold up others who talk to the API server; a notification is of many Events at most.
const RATE: Rate = Rate { messages: 10, window: Duration::from_secs(1) };

/// Events on the plans and providers of the source cluster.
#[derive(Clone, Copy, Debug)]
pub struct KubernetesEventsConfig {
    /// How long one notification may take, with all its Events.
    pub timeout: Duration,
    /// How often it may be told something.
    pub rate: Option<Rate>,
}

impl KubernetesEventsConfig {
    pub(super) fn take(keys: &mut Keys<'_>) -> Self {
        Self {
            timeout: keys.take::<Timeout>("timeout").unwrap_or_default().0,
            rate: keys.take("rate_limit").unwrap_or(Some(RATE)),
        }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::default().key("timeout", &Timeout(self.timeout)).key("rate_limit", &self.rate)
    }
}
