//! From the configuration to receivers, and from what they answer to what `dispatch` takes.
//!
//! Called by `app` when it builds the daemon, by the loop, and by `cli` to try a receiver.

use super::{Answer, COMMIT, Engine, VERSION};
use crate::config::{Config, Errors, Problem, ReceiverConfig};
use crate::dispatch::{DeadLetter, Outcome, Receiver};
use crate::lease::Leadership;
use crate::message::Notification;
use crate::metrics::Own;
use crate::notify::{self, Done, Notifier, Receipt, Senders, Verdict};
use crate::plan::Time;
use crate::watch::Clock;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Tells the engine what became of a notification.
pub(super) fn record(engine: &mut Engine, done: Done, now: Time) {
    let Done { receiver, topic, term, title, verdict, remote, pause } = done;
    if let Verdict::Refused(why) = &verdict {
        engine.keep_dead_letter(DeadLetter { receiver: receiver.clone(), at: now, title, why: why.clone() });
    }
    let outcome = outcome(verdict, pause, now);
    engine.record(Answer { term, receiver: &receiver, topic: &topic, remote, outcome }, now);
}

/// What became of a notification, in the terms and by the clock of the loop.
fn outcome(verdict: Verdict, pause: Duration, now: Time) -> Outcome {
    // Whole seconds: a pause of less than one is none.
    let again = now.plus(pause.max(Duration::from_secs(1)));
    match verdict {
        Verdict::Delivered => Outcome::Delivered,
        Verdict::NotSent(..) => Outcome::Failed(again),
        Verdict::Unknown(_) => Outcome::Unknown(again),
        Verdict::Refused(_) => Outcome::Refused,
    }
}

/// All receivers, each looked at before anything is sent.
///
/// # Errors
/// All that is wrong with the files that they name: secrets, authorities.
pub fn receivers(config: &Config) -> Result<Vec<(Receiver, ReceiverConfig)>, Errors> {
    let all = &config.notify.receivers.0;
    let wrong = all.iter().flat_map(|(name, receiver)| {
        notify::check(receiver).into_iter().map(move |message| Problem { path: format!("notify.receivers.{name}"), message })
    });
    let errors = Errors(wrong.collect());
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(all.iter().map(|(name, receiver)| (name.into(), receiver.clone())).collect())
}

/// Sends one notification to a receiver, outside the daemon.
///
/// # Errors
/// If the receiver cannot be made ready.
pub fn try_receiver(config: &Config, name: &str, notification: Notification) -> anyhow::Result<Receipt> {
    let only = config.notify.receivers.0.get(name).map(|receiver| (name.into(), receiver.clone()));
    let senders = Senders::new(only.into_iter().collect())?;
    // Nothing changes meanwhile.
    let (_, changes) = mpsc::unbounded_channel();
    let notifier = Notifier::new(senders, Arc::new(Own::new(VERSION, COMMIT)), Leadership::always(), Clock::wall);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(async {
        let (send, due) = mpsc::unbounded_channel();
        let (finish, mut done) = mpsc::unbounded_channel();
        // The other end is there until it has been delivered.
        let _ = send.send(notification);
        drop(send);
        notifier.deliver(due, changes, finish).await;
        let done = done.recv().await;
        done.map(|Done { verdict, remote, .. }| Receipt { verdict, remote })
            .with_context(|| format!("notify.receivers.{name} did not answer"))
    })
}
