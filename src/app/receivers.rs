//! From the configuration to receivers, and from what they answer to what `dispatch` takes.
//!
//! Called by `app` when it builds the daemon, by the loop, and by `cli` to try a receiver.

use super::{Answer, COMMIT, Engine, VERSION};
use crate::config::{Config, ReceiverConfig, check_url};
use crate::dispatch::{DeadLetter, Outcome, Receiver};
use crate::lease::Leadership;
use crate::message::Notification;
use crate::metrics::Own;
use crate::notify::{Done, Notifier, Target, Verdict, Webhook};
use crate::plan::Time;
use crate::watch::Clock;
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
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

/// Where each receiver's notifications go; files with secrets are read.
///
/// # Errors
/// If a file cannot be read, or does not hold a URL.
pub(super) fn targets(config: &Config) -> anyhow::Result<Vec<(Receiver, Target)>> {
    let read = |path: &Path| -> anyhow::Result<SecretString> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(text.trim().into())
    };
    let target = |receiver: &ReceiverConfig| -> anyhow::Result<Target> {
        let ReceiverConfig::Webhook(webhook) = receiver else { return Ok(Target::Log) };
        let url = match (&webhook.url_file, webhook.url.expose()) {
            (Some(path), _) => read(path).and_then(|url| {
                check_url(url.expose_secret()).map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))?;
                Ok(url)
            })?,
            (None, url) => url.unwrap_or_default().into(),
        };
        let bearer_token = webhook.bearer_token_file.as_deref().map(read).transpose()?;
        Ok(Target::Webhook(Webhook { url, bearer_token, timeout: webhook.timeout.0 }))
    };
    let named = |(name, receiver): (&String, &ReceiverConfig)| {
        Ok((name.into(), target(receiver).with_context(|| format!("notify.receivers.{name}"))?))
    };
    config.notify.receivers.0.iter().map(named).collect()
}

/// Sends one notification to a receiver, outside the daemon.
///
/// # Errors
/// If the receiver cannot be made ready.
pub fn try_receiver(config: &Config, name: &str, notification: Notification) -> anyhow::Result<Verdict> {
    let target = targets(config)?.into_iter().filter(|(receiver, _)| receiver == name).collect();
    let notifier = Notifier::new(target, Arc::new(Own::new(VERSION, COMMIT)), Leadership::always(), Clock::wall)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(async {
        let (send, due) = mpsc::unbounded_channel();
        let (finish, mut done) = mpsc::unbounded_channel();
        // The other end is there until it has been delivered.
        let _ = send.send(notification);
        drop(send);
        notifier.deliver(due, finish).await;
        done.recv().await.map(|done| done.verdict).with_context(|| format!("notify.receivers.{name} did not answer"))
    })
}
