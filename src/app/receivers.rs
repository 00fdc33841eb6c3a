//! From the configuration to receivers, and from what they answer to what `dispatch` takes.
//!
//! Called by `app` when it builds the daemon, by the loop, and by `cli` to try a receiver.

use super::{Answer, COMMIT, Engine, Input, VERSION, cluster_settings};
use crate::config::{Config, Errors, Problem, ReceiverConfig, Source};
use crate::dispatch::{DeadLetter, Outcome, Receiver};
use crate::kube_events::Events;
use crate::lease::{self, Leadership};
use crate::message::Notification;
use crate::metrics::Own;
use crate::notify::{self, Done, Mirrors, Notifier, Receipt, Senders, Verdict};
use crate::plan::Time;
use crate::watch::Clock;
use crate::watch::cluster::connect;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Tells the engine what became of a notification.
pub(super) fn record(engine: &mut Engine, done: Done, now: Time) {
    let Done { receiver, topic, term, title, verdict, remote, pause } = done;
    if let Verdict::Refused(why) = &verdict {
        engine.keep_dead_letter(DeadLetter { receiver: receiver.clone(), at: now, title, why: why.text.clone() });
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

/// Those who are told, and those who are shown what fires.
///
/// # Errors
/// All that is wrong with the files that they name; if TLS cannot be set up.
pub(super) fn ready(config: &Config, events: Option<Events>, own: &Arc<Own>) -> anyhow::Result<(Senders, Mirrors)> {
    let (mirrors, receivers): (Vec<_>, Vec<_>) = receivers(config)?.into_iter().partition(|(_, config)| config.is_mirror());
    let senders = Senders::new(receivers, events, config.notify.dead_letter_events)?;
    Ok((senders, Mirrors::new(&mirrors, own, Clock::wall)?))
}

/// What makes Events of the source cluster, where that is the source.
///
/// # Errors
/// If there is no way to it.
pub(super) async fn events(config: &Config, input: &Input) -> anyhow::Result<Option<Events>> {
    // A demonstration has another input than the source.
    let is_live = matches!(input, Input::Cluster(_)) && config.general.source == Source::Cluster;
    Ok(if is_live { Some(connect_events(config).await?) } else { None })
}

async fn connect_events(config: &Config) -> anyhow::Result<Events> {
    Ok(Events::new(connect(&cluster_settings(config)).await?, &lease::identity()))
}

/// Sends one notification to a receiver, outside the daemon.
///
/// # Errors
/// If the receiver cannot be made ready.
pub fn try_receiver(config: &Config, name: &str, notification: Notification) -> anyhow::Result<Receipt> {
    let only: Vec<_> =
        config.notify.receivers.0.get(name).map(|receiver| (name.into(), receiver.clone())).into_iter().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(async {
        let makes_events = only.iter().any(|(_, only)| matches!(only, ReceiverConfig::KubernetesEvents(_)));
        let events = if makes_events { Some(connect_events(config).await?) } else { None };
        let senders = Senders::new(only, events, false)?;
        // Nothing changes meanwhile.
        let (_, changes) = mpsc::unbounded_channel();
        let own = Arc::new(Own::new(VERSION, COMMIT));
        let notifier = Notifier::new(senders, own, Leadership::always(), Clock::wall);
        let (send, due) = mpsc::unbounded_channel();
        let (finish, mut done) = mpsc::unbounded_channel();
        // The other end is there until it has been delivered.
        let _ = send.send(notification);
        drop(send);
        notifier.deliver(due, changes, finish).await;
        let done = done.recv().await;
        done.map(|Done { verdict, remote, .. }| Receipt { verdict, remote, is_of_this_alone: false })
            .with_context(|| format!("notify.receivers.{name} did not answer"))
    })
}
