//! One task for each receiver: sends what is due to it, a few at once, with leave to, and answers what became of each.
//!
//! Run by `app`, fed by the loop, which never waits for it.

use super::backoff::Backoff;
use super::dead_letters::DeadLetters;
use super::senders::{Sender, Senders};
use super::{Done, Reason, Receipt, Verdict, Why};
use crate::dispatch::{Receiver, Turn};
use crate::lease::Leadership;
use crate::message::Notification;
use crate::metrics::Own;
use crate::plan::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// All receivers.
pub struct Notifier {
    senders: Senders,
    own: Arc<Own>,
    leadership: Leadership,
    now: fn() -> Time,
    /// Until when each receiver wants to be left alone, whoever sends to it.
    patience: BTreeMap<Receiver, Patience>,
    /// Whether the program stops: then nothing is begun any more.
    stopping: watch::Receiver<bool>,
}

impl Notifier {
    /// `now` tells the time to those who want it in a message.
    pub fn new(senders: Senders, own: Arc<Own>, leadership: Leadership, now: fn() -> Time) -> Self {
        let patience = BTreeMap::new();
        Self { senders, own, leadership, now, patience, stopping: watch::channel(false).1 }
    }

    /// Begins nothing any more when this says so; what is under way then comes to its end.
    pub fn until(self, stopping: watch::Receiver<bool>) -> Self {
        Self { stopping, ..self }
    }

    /// Delivers notifications until the sender is gone, so that what is due when the program stops is still told. Each is
    /// answered with what became of it. A receiver that is slow or down delays only itself.
    /// Other senders may take the place of these; what is under way still comes to its end.
    pub async fn deliver(
        mut self,
        mut due: mpsc::UnboundedReceiver<Notification>,
        mut changes: mpsc::UnboundedReceiver<Senders>,
        done: mpsc::UnboundedSender<Done>,
    ) {
        let mut workers = JoinSet::new();
        let mut queues = self.start(&mut workers, &done);
        loop {
            tokio::select! {
                // What is due may be for somebody who comes with the change.
                biased;
                Some(senders) = changes.recv() => {
                    self.senders = senders;
                    queues = self.start(&mut workers, &done);
                }
                next = due.recv() => {
                    let Some(notification) = next else { break };
                    let Some(queue) = queues.get(&notification.receiver) else {
                        // It was decided before the configuration changed.
                        answer(&done, notification, Reason::Denied, "there is no such receiver any more", Duration::ZERO);
                        continue;
                    };
                    let _ = queue.send(notification);
                }
            }
        }
        drop(queues);
        while workers.join_next().await.is_some() {}
    }

    /// One task for each receiver; those that there were end when they have sent what they have.
    fn start(
        &mut self,
        workers: &mut JoinSet<()>,
        done: &mpsc::UnboundedSender<Done>,
    ) -> BTreeMap<Receiver, mpsc::UnboundedSender<Notification>> {
        let dead_letters = self.senders.dead_letters(&self.leadership).map(|(letters, task)| {
            workers.spawn(task);
            letters
        });
        let mut queues = BTreeMap::new();
        for (name, (sender, deadline)) in &self.senders.by_name {
            let (queue, due) = mpsc::unbounded_channel();
            queues.insert(name.clone(), queue);
            let office = (self.leadership.clone(), *deadline, self.stopping.clone());
            let patience = self.patience.entry(name.clone()).or_default().clone();
            workers.spawn(work(
                Arc::clone(sender),
                patience,
                office,
                Arc::clone(&self.own),
                self.now,
                due,
                (done.clone(), dead_letters.clone()),
            ));
        }
        queues
    }
}

/// Until when a receiver wants to be left alone. It outlives another configuration.
#[derive(Clone, Debug, Default)]
struct Patience(Arc<Mutex<Option<Instant>>>);

impl Patience {
    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        // An instant is whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At least until then: what ends beside it does not make it shorter.
    fn lasts(&self, until: Instant) {
        let mut known = self.until();
        *known = known.max(Some(until));
    }

    /// How long still, if at all.
    fn left(&self) -> Option<Duration> {
        let left = self.until().map(|until| until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero())
    }
}

/// Sends what is due to one receiver, a few at once. While it wants to be left alone, what comes is answered without being
/// tried: it is decided anew when that is over, by what is true then.
async fn work(
    sender: Arc<Sender>,
    patience: Patience,
    (leadership, deadline, stopping): (Leadership, Duration, watch::Receiver<bool>),
    own: Arc<Own>,
    now: fn() -> Time,
    mut due: mpsc::UnboundedReceiver<Notification>,
    (done, dead_letters): (mpsc::UnboundedSender<Done>, Option<DeadLetters>),
) {
    let mut backoff = Backoff::default();
    let mut under_way: JoinSet<(Notification, Receipt, Duration)> = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                if let Ok((notification, receipt, took)) = ended {
                    own.observe_delivery(&notification.receiver, took, notification.failures > 0);
                    let is_busy = matches!(receipt.verdict, Verdict::NotSent(..)) && !receipt.is_of_this_alone;
                    let pause = finish(notification, receipt, &mut backoff, &own, now(), (&done, dead_letters.as_ref()));
                    if is_busy {
                        patience.lasts(Instant::now() + pause);
                    }
                }
            }
            next = due.recv(), if under_way.len() < sender.at_once() => {
                let Some(notification) = next else { break };
                if let Some(pause) = patience.left() {
                    answer(&done, notification, Reason::Busy, "it is left alone", pause);
                    continue;
                }
                // What has not been tried is not in doubt at the next start.
                if *stopping.borrow() {
                    answer(&done, notification, Reason::Denied, "this program stops", Duration::ZERO);
                    continue;
                }
                // The fence: whoever is not in office any more begins nothing.
                let permit = leadership.permit(deadline).filter(|permit| permit.term() == notification.term);
                let Some(permit) = permit else {
                    answer(&done, notification, Reason::Denied, "this replica is not in office", Duration::ZERO);
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
            let _ = finish(notification, receipt, &mut backoff, &own, now(), (&done, dead_letters.as_ref()));
        }
    }
}

/// Answers for a notification that was not tried.
fn answer(done: &mpsc::UnboundedSender<Done>, of: Notification, reason: Reason, why: &str, pause: Duration) {
    let Notification { receiver, topic, term, message, .. } = of;
    let verdict = Verdict::NotSent(None, Why::new(reason, why));
    // The loop is gone only when the program stops.
    let _ = done.send(Done { receiver, topic, term, title: message.title, verdict, remote: None, pause });
}

/// Counts and answers what became of a notification; how long the receiver is to be left alone.
fn finish(
    notification: Notification,
    receipt: Receipt,
    backoff: &mut Backoff,
    own: &Own,
    at: Time,
    (done, dead_letters): (&mpsc::UnboundedSender<Done>, Option<&DeadLetters>),
) -> Duration {
    let began = notification.alerts.iter().map(|alert| alert.fires).min().filter(|_| !notification.topic.is_told_once());
    let Notification { receiver, topic, term, message, alerts, .. } = notification;
    let Receipt { verdict, remote, .. } = receipt;
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
        Verdict::Refused(why) => {
            tracing::error!(%receiver, title = message.title, "refused, and not tried again: {why}");
            if let Some(dead_letters) = dead_letters {
                dead_letters.tell(&alerts, &receiver, &why.text);
            }
        }
    }
    own.count_delivery(&receiver, verdict.as_str(), verdict.reason());
    // The loop is gone only when the program stops.
    let _ = done.send(Done { receiver, topic, term, title: message.title, verdict, remote, pause });
    pause
}
