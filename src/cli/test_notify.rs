//! `test-notify`: sends a real message to a receiver, marked as a test, and the end of it.

use super::{ConfigArgs, Failure, print};
use crate::alert::{RULES, Scope};
use crate::app;
use crate::config::{Config, ReceiverConfig, suggest};
use crate::dispatch::Turn;
use crate::lease;
use crate::message::{Notification, sample};
use crate::notify::{Receipt, Verdict};
use crate::plan::{Key, Text};
use clap::Args;

#[derive(Args, Clone)]
pub(super) struct TestNotifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The receiver, by its name in notify.receivers
    #[arg(long, value_name = "NAME")]
    receiver: String,
}

pub(super) fn run(args: TestNotifyArgs) -> Result<(), Failure> {
    let config = args.config.load(Vec::new())?;
    let names: Vec<&str> = config.notify.receivers.names().collect();
    let name = args.receiver.as_str();
    if !names.contains(&name) {
        let meant = suggest(name, &names);
        return Err(Failure::Usage(format!("--receiver: there is no receiver {name:?}; {meant}")));
    }
    let events_in = match config.notify.receivers.0.get(name) {
        Some(ReceiverConfig::KubernetesEvents(_)) => Some(namespace(&config)?),
        Some(_) | None => None,
    };
    if let Some(namespace) = &events_in {
        print(&format!("{name}: the Events are about a plan that is made up, in the namespace {namespace}\n"))?;
    }
    let settings = config.message.settings(&config.general.cluster);
    let rule = RULES.iter().find(|rule| rule.name == "PlanFailed").unwrap_or(&RULES[0]);
    let made_up = [Turn::Firing, Turn::Resolved].map(|turn| {
        let sample = sample(rule, turn);
        let mut notification = Notification::of(sample.send.clone(), sample.message(&settings));
        let message = &mut notification.message;
        message.title = format!("(test) {}", message.title);
        message.text = format!("This is a test: the plan is made up.\n{}", message.text);
        notification.receiver = name.into();
        for alert in notification.alerts.iter_mut().filter(|_| events_in.is_some()) {
            let key = Key::new(events_in.as_deref().unwrap_or_default(), alert.scope.key().name.clone());
            alert.id.uid = key.to_string().into();
            alert.scope = Scope::Plan(key);
            alert.reason = format!("(test) The plan is made up. {}", alert.reason).into();
        }
        notification
    });
    // What the receiver calls the conversation, so that its end is told there.
    let mut remote = Text::new();
    for (mut notification, said) in made_up.into_iter().zip(["the beginning", "the end"]) {
        notification.remote = remote;
        let Receipt { verdict, remote: named, .. } = app::try_receiver(&config, name, notification)?;
        remote = named.unwrap_or_default();
        let why = match &verdict {
            Verdict::Delivered => {
                print(&format!("{name}: {said} was delivered\n"))?;
                continue;
            }
            Verdict::NotSent(_, why) => format!("was not delivered: {why}"),
            Verdict::Unknown(why) => format!("may have been delivered: {why}"),
            Verdict::Refused(why) => format!("was refused: {why}"),
        };
        return Err(Failure::Failed(anyhow::anyhow!("{name}: {said} {why}")));
    }
    Ok(())
}

/// Where Events can be made: an Event is in the namespace of what it is about, and the made-up plan is in none.
fn namespace(config: &Config) -> Result<String, Failure> {
    let named = Some(config.lease.namespace.clone()).filter(|namespace| !namespace.is_empty());
    named.or_else(lease::own_namespace).ok_or_else(|| {
        let why = "a test Event needs a namespace: lease.namespace is empty, and this is no pod that has one";
        Failure::Failed(anyhow::anyhow!(why))
    })
}
