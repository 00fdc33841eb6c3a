//! `test-notify`: sends a real message to a receiver, marked as a test, and the end of it.

use super::{ConfigArgs, Failure, print};
use crate::alert::RULES;
use crate::app;
use crate::config::suggest;
use crate::dispatch::Turn;
use crate::message::{Notification, sample};
use crate::notify::{Receipt, Verdict};
use crate::plan::Text;
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
    let settings = config.message.settings(&config.general.cluster);
    let rule = RULES.iter().find(|rule| rule.name == "PlanFailed").unwrap_or(&RULES[0]);
    let made_up = [Turn::Firing, Turn::Resolved].map(|turn| {
        let sample = sample(rule, turn);
        let mut notification = Notification::of(sample.send.clone(), sample.message(&settings));
        let message = &mut notification.message;
        message.title = format!("(test) {}", message.title);
        message.text = format!("This is a test: the plan is made up.\n{}", message.text);
        notification.receiver = name.into();
        notification
    });
    // What the receiver calls the conversation, so that its end is told there.
    let mut remote = Text::new();
    for (mut notification, said) in made_up.into_iter().zip(["the beginning", "the end"]) {
        notification.remote = remote;
        let Receipt { verdict, remote: named } = app::try_receiver(&config, name, notification)?;
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
