//! Receivers that are ready to send: one variant for each kind.
//!
//! Made by `app` from the configuration, at the start and whenever that is read anew; used by `work`.

use super::dead_letters::DeadLetters;
use super::{
    Reason, Receipt, Verdict, Why, alertmanager, client, kubernetes_events, log, pagerduty, secret, slack, webhook,
};
use crate::config::ReceiverConfig;
use crate::dispatch::Receiver;
use crate::kube_events::Events;
use crate::lease::{Leadership, Permit};
use crate::message::Notification;
use crate::plan::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Requests to a server that are under way at once.
const AT_ONCE: usize = 4;
/// What a sender needs to say how far it came.
const MOMENT: Duration = Duration::from_millis(50);

/// A kind of receiver, ready to send.
pub(super) enum Sender {
    Alertmanager(alertmanager::Sender),
    KubernetesEvents(kubernetes_events::Sender),
    Log,
    PagerDuty(pagerduty::Sender),
    Slack(slack::Sender),
    Webhook(webhook::Sender),
}

impl Sender {
    fn new(config: ReceiverConfig, events: Option<Events>) -> Result<Self, String> {
        Ok(match config {
            ReceiverConfig::Alertmanager(config) => Self::Alertmanager(alertmanager::Sender::new(config)?),
            ReceiverConfig::KubernetesEvents(_) => Self::KubernetesEvents(kubernetes_events::Sender::new(events)?),
            ReceiverConfig::Log => Self::Log,
            ReceiverConfig::PagerDuty(config) => Self::PagerDuty(pagerduty::Sender::new(config)?),
            ReceiverConfig::Slack(config) => Self::Slack(slack::Sender::new(config)?),
            ReceiverConfig::Webhook(config) => Self::Webhook(webhook::Sender::new(config)?),
        })
    }

    /// How many may be under way at once. What people read one below the other is in order.
    pub(super) fn at_once(&self) -> usize {
        match self {
            Self::Log | Self::Slack(_) => 1,
            Self::Alertmanager(_) | Self::KubernetesEvents(_) | Self::PagerDuty(_) | Self::Webhook(_) => AT_ONCE,
        }
    }

    /// Sends, with leave to, and within the time that is left of it.
    pub(super) async fn act(&self, permit: Permit, notification: &Notification, now: Time) -> Receipt {
        let left = permit.left().max(Duration::from_millis(1));
        // It ends by itself a moment before, and then it knows how far it came.
        let until = Instant::now() + left.saturating_sub(MOMENT.min(left / 4));
        match tokio::time::timeout(left, self.send(notification, now, until)).await {
            Ok(receipt) => receipt,
            Err(_) => {
                Verdict::Unknown(Why::new(Reason::Timeout, format!("no answer within {:?}", permit.deadline()))).into()
            }
        }
    }

    async fn send(&self, notification: &Notification, now: Time, until: Instant) -> Receipt {
        let sent = match self {
            Self::Alertmanager(alertmanager) => alertmanager.send(notification, now, until).await,
            Self::KubernetesEvents(events) => events.send(notification).await,
            Self::Log => {
                log::send(notification);
                Ok(Verdict::Delivered.into())
            }
            Self::PagerDuty(pagerduty) => pagerduty.send(notification, now, until).await,
            Self::Slack(slack) => slack.send(notification, now, until).await,
            Self::Webhook(webhook) => webhook.send(notification, now, until).await,
        };
        sent.unwrap_or_else(Receipt::from)
    }
}

/// How long one of these may take to be sent something.
pub fn longest<'a>(receivers: impl IntoIterator<Item = &'a ReceiverConfig>) -> Duration {
    receivers.into_iter().filter_map(ReceiverConfig::timeout).max().unwrap_or_default()
}

/// What is wrong with a receiver before anything is sent: a secret or a file that cannot be read or holds something else. Each
/// names its key.
pub fn check(config: &ReceiverConfig) -> Vec<String> {
    let wrong = |(name, credential)| Some(format!("{name}_file: {}", secret::look(credential).err()?));
    let secrets = config.credentials().into_iter().filter_map(wrong);
    let client = config.client().and_then(|config| client::Client::new(config).err());
    secrets.chain(client).collect()
}

/// Those who send, by receiver; each with the time that one message may take.
pub struct Senders {
    pub(super) by_name: BTreeMap<Receiver, (Arc<Sender>, Duration)>,
    /// Who tells of what is refused.
    dead_letters: Option<Events>,
}

impl Senders {
    /// Makes the receivers ready. `events` is for those whose messages are Events, and, if `dead_letters` says so, for an Event on
    /// a plan or provider when a receiver refuses what it is told of it.
    ///
    /// # Errors
    /// If TLS cannot be set up, or the file of an authority cannot be read.
    pub fn new(
        receivers: Vec<(Receiver, ReceiverConfig)>,
        events: Option<Events>,
        dead_letters: bool,
    ) -> anyhow::Result<Self> {
        let make = |(name, config): (Receiver, ReceiverConfig)| {
            let deadline = longest([&config]);
            let sender =
                Sender::new(config, events.clone()).map_err(|why| anyhow::anyhow!("notify.receivers.{name}: {why}"))?;
            Ok((name, (Arc::new(sender), deadline)))
        };
        let by_name = receivers.into_iter().map(make).collect::<anyhow::Result<_>>()?;
        Ok(Self { by_name, dead_letters: events.filter(|_| dead_letters) })
    }

    /// Where dead letters are handed in, and the task that tells of them.
    pub(super) fn dead_letters(
        &self,
        leadership: &Leadership,
    ) -> Option<(DeadLetters, impl Future<Output = ()> + Send + 'static)> {
        let longest = self.by_name.values().map(|(_, deadline)| *deadline).max().unwrap_or_default();
        Some(DeadLetters::new(self.dead_letters.clone()?, leadership.clone(), longest))
    }
}
