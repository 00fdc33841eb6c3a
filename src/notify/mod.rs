//! Tells people: carries out what `dispatch` says is due, one file for each kind of receiver. `mirror` is apart from that: it
//! shows Alertmanagers what fires.
//!
//! Run by `app` as one task for each receiver, fed by the loop, which never waits for it. It decides nothing about what is due,
//! and never imports `http`, `watch` or `archive`. `client` is the HTTP client, `secret` reads secrets, `backoff` is how long to wait
//! after a failure, `digest` hashes, `labels` are what Alertmanager knows an alert by.

pub mod alertmanager;
mod backoff;
mod client;
mod digest;
mod labels;
mod log;
mod mirror;
pub mod pagerduty;
mod secret;
mod slack;
mod slack_payload;
pub mod webhook;

pub use mirror::{Mirrors, Shown};
pub use slack_payload::payload as slack_payload;

use crate::config::ReceiverConfig;
use crate::dispatch::{Receiver, Topic, Turn};
use crate::lease::{Leadership, Permit};
use crate::message::Notification;
use crate::metrics::Own;
use crate::plan::{Text, Time};
use backoff::Backoff;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Requests to a server that are under way at once.
const AT_ONCE: usize = 4;

/// What became of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrived.
    Delivered,
    /// It did not arrive, for certain; how long the receiver wants to be left alone, if it says so, and why.
    NotSent(Option<Duration>, String),
    /// It may have arrived.
    Unknown(String),
    /// It did not arrive and never will.
    Refused(String),
}

impl Verdict {
    /// The word for labels.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::NotSent(..) => "failed",
            Self::Unknown(_) => "unknown",
            Self::Refused(_) => "refused",
        }
    }
}

/// What a receiver says of an attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What became of it.
    pub verdict: Verdict,
    /// What the receiver calls the conversation from now on, if it says so.
    pub remote: Option<Text>,
}

impl From<Verdict> for Receipt {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, remote: None }
    }
}

/// What became of a notification.
#[derive(Debug)]
pub struct Done {
    /// To this receiver.
    pub receiver: Receiver,
    /// About this.
    pub topic: Topic,
    /// In which term of office it was decided.
    pub term: u64,
    /// Its title.
    pub title: String,
    /// That.
    pub verdict: Verdict,
    /// What the receiver calls the conversation from now on, if it says so.
    pub remote: Option<Text>,
    /// How long to wait before it is tried again.
    pub pause: Duration,
}

/// A kind of receiver, ready to send.
enum Sender {
    Alertmanager(alertmanager::Sender),
    Log,
    PagerDuty(pagerduty::Sender),
    Slack(slack::Sender),
    Webhook(webhook::Sender),
}

impl Sender {
    fn new(config: ReceiverConfig) -> Result<Self, String> {
        Ok(match config {
            ReceiverConfig::Alertmanager(config) => Self::Alertmanager(alertmanager::Sender::new(config)?),
            ReceiverConfig::Log => Self::Log,
            ReceiverConfig::PagerDuty(config) => Self::PagerDuty(pagerduty::Sender::new(config)?),
            ReceiverConfig::Slack(config) => Self::Slack(slack::Sender::new(config)?),
            ReceiverConfig::Webhook(config) => Self::Webhook(webhook::Sender::new(config)?),
        })
    }

    /// How many may be under way at once. What people read one below the other is in order.
    fn at_once(&self) -> usize {
        match self {
            Self::Log | Self::Slack(_) => 1,
            Self::Alertmanager(_) | Self::PagerDuty(_) | Self::Webhook(_) => AT_ONCE,
        }
    }

    /// Sends, with leave to, and within the time that is left of it.
    async fn act(&self, permit: Permit, notification: &Notification, now: Time) -> Receipt {
        let left = permit.left().max(Duration::from_millis(1));
        match tokio::time::timeout(left, self.send(notification, now)).await {
            Ok(receipt) => receipt,
            Err(_) => Verdict::Unknown(format!("no answer within {:?}", permit.deadline())).into(),
        }
    }

    async fn send(&self, notification: &Notification, now: Time) -> Receipt {
        let sent = match self {
            Self::Log => {
                log::send(notification);
                Ok(Verdict::Delivered.into())
            }
            Self::Alertmanager(alertmanager) => alertmanager.send(notification, now).await,
            Self::PagerDuty(pagerduty) => pagerduty.send(notification, now).await,
            Self::Slack(slack) => slack.send(notification, now).await,
            Self::Webhook(webhook) => webhook.send(notification, now).await,
        };
        sent.unwrap_or_else(Receipt::from)
    }
}

/// How long one of these may take to be sent something.
pub fn longest<'a>(receivers: impl IntoIterator<Item = &'a ReceiverConfig>) -> Duration {
    let timeouts = receivers.into_iter().filter_map(|receiver| Some(receiver.client()?.timeout));
    timeouts.max().unwrap_or_default()
}

/// What is wrong with a receiver before anything is sent: a secret or a file that cannot be read or holds something else. Each
/// names its key.
pub fn check(config: &ReceiverConfig) -> Vec<String> {
    let wrong = |(name, credential)| Some(format!("{name}_file: {}", secret::look(credential).err()?));
    let secrets = config.credentials().into_iter().filter_map(wrong);
    let client = config.client().and_then(|config| client::Client::new(config).err());
    secrets.chain(client).collect()
}

/// All receivers.
pub struct Notifier {
    senders: BTreeMap<Receiver, (Arc<Sender>, Duration)>,
    own: Arc<Own>,
    leadership: Leadership,
    now: fn() -> Time,
}

impl Notifier {
    /// Makes the receivers ready. `now` tells the time to those who want it in a message.
    ///
    /// # Errors
    /// If TLS cannot be set up, or the file of an authority cannot be read.
    pub fn new(
        receivers: Vec<(Receiver, ReceiverConfig)>,
        own: Arc<Own>,
        leadership: Leadership,
        now: fn() -> Time,
    ) -> anyhow::Result<Self> {
        let make = |(name, config): (Receiver, ReceiverConfig)| {
            let deadline = longest([&config]);
            let sender = Sender::new(config).map_err(|why| anyhow::anyhow!("notify.receivers.{name}: {why}"))?;
            Ok((name, (Arc::new(sender), deadline)))
        };
        Ok(Self { senders: receivers.into_iter().map(make).collect::<anyhow::Result<_>>()?, own, leadership, now })
    }

    /// Delivers notifications until the sender is gone, so that what is due when the program stops is still told. Each is
    /// answered with what became of it. A receiver that is slow or down delays only itself.
    pub async fn deliver(self, mut due: mpsc::UnboundedReceiver<Notification>, done: mpsc::UnboundedSender<Done>) {
        let mut queues = BTreeMap::new();
        let mut workers = JoinSet::new();
        for (name, (sender, deadline)) in self.senders {
            let (queue, own_due) = mpsc::unbounded_channel();
            queues.insert(name, queue);
            let office = (self.leadership.clone(), deadline);
            workers.spawn(work(sender, office, Arc::clone(&self.own), self.now, own_due, done.clone()));
        }
        while let Some(notification) = due.recv().await {
            match queues.get(&notification.receiver) {
                Some(queue) => drop(queue.send(notification)),
                None => tracing::error!(receiver = %notification.receiver, "there is no such receiver: this is a bug"),
            }
        }
        drop(queues);
        while workers.join_next().await.is_some() {}
    }
}

/// Sends what is due to one receiver, a few at once. While it wants to be left alone, what comes is answered without being
/// tried: it is decided anew when that is over, by what is true then.
async fn work(
    sender: Arc<Sender>,
    (leadership, deadline): (Leadership, Duration),
    own: Arc<Own>,
    now: fn() -> Time,
    mut due: mpsc::UnboundedReceiver<Notification>,
    done: mpsc::UnboundedSender<Done>,
) {
    let mut backoff = Backoff::default();
    let mut under_way: JoinSet<(Notification, Receipt, Duration)> = JoinSet::new();
    let mut alone_until: Option<Instant> = None;
    loop {
        tokio::select! {
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                if let Ok((notification, receipt, took)) = ended {
                    own.observe_delivery(&notification.receiver, took, notification.failures > 0);
                    let is_busy = matches!(receipt.verdict, Verdict::NotSent(..));
                    let pause = finish(notification, receipt, &mut backoff, &own, now(), &done);
                    alone_until = is_busy.then(|| Instant::now() + pause);
                }
            }
            next = due.recv(), if under_way.len() < sender.at_once() => {
                let Some(notification) = next else { break };
                let left = alone_until.map(|until| until.saturating_duration_since(Instant::now()));
                if let Some(pause) = left.filter(|left| !left.is_zero()) {
                    let Notification { receiver, topic, term, message, .. } = notification;
                    let verdict = Verdict::NotSent(None, "it is left alone".to_owned());
                    let _ = done.send(Done { receiver, topic, term, title: message.title, verdict, remote: None, pause });
                    continue;
                }
                // The fence: whoever is not in office any more begins nothing.
                let permit = leadership.permit(deadline).filter(|permit| permit.term() == notification.term);
                let Some(permit) = permit else {
                    let Notification { receiver, topic, term, message, .. } = notification;
                    let verdict = Verdict::NotSent(None, "this replica is not in office".to_owned());
                    let _ = done.send(Done { receiver, topic, term, title: message.title, verdict, remote: None, pause: Duration::ZERO });
                    continue;
                };
                let sender = Arc::clone(&sender);
                let now = now();
                under_way.spawn(async move {
                    let start = Instant::now();
                    let receipt = sender.act(permit, &notification, now).await;
                    (notification, receipt, start.elapsed())
                });
            }
        }
    }
    while let Some(ended) = under_way.join_next().await {
        if let Ok((notification, receipt, took)) = ended {
            own.observe_delivery(&notification.receiver, took, notification.failures > 0);
            let _ = finish(notification, receipt, &mut backoff, &own, now(), &done);
        }
    }
}

/// Counts and answers what became of a notification; how long the receiver is to be left alone.
fn finish(
    notification: Notification,
    receipt: Receipt,
    backoff: &mut Backoff,
    own: &Own,
    at: Time,
    done: &mpsc::UnboundedSender<Done>,
) -> Duration {
    let began = notification.alerts.iter().map(|alert| alert.fires).min().filter(|_| !notification.topic.is_told_once());
    let Notification { receiver, topic, term, message, .. } = notification;
    let Receipt { verdict, remote } = receipt;
    if let Some(why) = &message.fallback {
        tracing::warn!(%receiver, "{why}; the built-in text is sent");
        own.count_template_failure();
    }
    let pause = match &verdict {
        Verdict::Delivered | Verdict::Refused(_) => backoff.reset(),
        Verdict::NotSent(wait, _) => backoff.fail(*wait),
        Verdict::Unknown(_) => backoff.fail(None),
    };
    match &verdict {
        Verdict::Delivered => {
            own.count_notification(&receiver, message.rule, message.turn.as_str());
            if let (Turn::Firing, false, Some(fires)) = (message.turn, message.is_repeat, began) {
                own.observe_delay(&receiver, at.since(fires));
            }
        }
        Verdict::NotSent(_, why) => tracing::warn!(%receiver, title = message.title, ?pause, "not sent: {why}"),
        Verdict::Unknown(why) => {
            tracing::warn!(%receiver, title = message.title, ?pause, "it is not known whether it arrived, so it is told again: {why}");
        }
        Verdict::Refused(why) => tracing::error!(%receiver, title = message.title, "refused, and not tried again: {why}"),
    }
    own.count_delivery(&receiver, verdict.as_str());
    // The loop is gone only when the program stops.
    let _ = done.send(Done { receiver, topic, term, title: message.title, verdict, remote, pause });
    pause
}

/// The title; an own template may have made an empty one, which services do not take.
fn title(message: &crate::message::Message) -> &str {
    let mut names = [message.title.as_str(), message.rule, message.about.as_str()].into_iter();
    names.find(|name| !name.trim().is_empty()).unwrap_or_default()
}

/// At most so many characters of what a service takes no more of; what is cut off is marked.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
