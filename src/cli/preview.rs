//! `preview`: a message as a person would get it.
//!
//! Without `--plan` it shows a made-up plan and opens no source. With one it shows the plan as the source shows it: by the
//! alert that fires for it, or by a made-up one, and then says so.

use super::{ConfigArgs, Failure, print, warn};
use crate::alert::{Alert, AlertState, Check, RULES, Rule, Scope};
use crate::app::{self, Once};
use crate::config::{Config, Source, suggest};
use crate::dispatch::{Send, ThreadId, Topic, Turn};
use crate::message::{Message, Sample, sample, sample_on};
use crate::plan::{Key, Time};
use crate::watch::Clock;
use clap::{Args, ValueEnum};
use serde::Serialize;

#[derive(Args, Clone)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The rule that the message is about, such as PlanFailed
    #[arg(long, value_name = "RULE")]
    rule: String,
    /// A plan of the source; without it the message is about a made-up one, and no source is opened
    #[arg(long, value_name = "NAMESPACE/NAME")]
    plan: Option<String>,
    /// The instant of a recording (RFC 3339); its end if not given
    #[arg(long, value_name = "TIME", requires = "plan")]
    at: Option<String>,
    /// The receiver that the message is for; the first of the configuration if not given
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    /// What the message says: firing, updated, reminder, over or resolved
    #[arg(long, value_name = "TURN", default_value = "firing")]
    turn: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// Title and text
    Text,
    /// All that the message holds: the variables of templates
    Json,
}

/// What is shown.
#[derive(Serialize)]
struct Preview {
    receiver: String,
    /// Whether the alert is made up.
    sample: bool,
    message: Message,
}

pub(super) fn run(args: PreviewArgs) -> Result<(), Failure> {
    let rule = rule(&args.rule)?;
    let turn = turn(&args.turn)?;
    let config = args.config.load(vec![("replay.at", args.at.clone())])?;
    if args.at.is_some() && !matches!(config.general.source, Source::Replay(_)) {
        return Err(Failure::Usage("--at needs --source replay:PATH: only a recording has a past".to_owned()));
    }
    let receiver = receiver(args.receiver.as_deref(), &config)?;
    let (shown, is_sample, whole) = match &args.plan {
        None => (sample(rule, turn), true, true),
        Some(plan) => on_plan(rule, turn, &key(plan)?, &config)?,
    };
    let settings = config.message.settings(&config.general.cluster);
    let message = shown.message(&settings);
    if let Some(why) = &message.fallback {
        warn(&format!("{why}; the built-in one is used"));
    }
    if is_sample && let Some(plan) = &args.plan {
        warn(&format!("{} does not fire for {plan}: the alert is made up, and so is its reason", rule.name));
    }
    let preview = Preview { receiver, sample: is_sample, message };
    print(&match args.output {
        Output::Text => format!("To: {}\nTitle: {}\n\n{}\n", preview.receiver, preview.message.title, preview.message.text),
        Output::Json => serde_json::to_string_pretty(&preview).map_err(anyhow::Error::from)? + "\n",
    })?;
    if whole { Ok(()) } else { Err(Failure::Partial) }
}

/// A message about a plan of the source, whether its alert is made up, and whether all of the source could be read.
fn on_plan(rule: &'static Rule, turn: Turn, key: &Key, config: &Config) -> Result<(Sample, bool, bool), Failure> {
    if matches!(rule.check, Check::Provider(_)) {
        return Err(Failure::Usage(format!("{} is about a provider: leave out --plan", rule.name)));
    }
    let Once { mut engine, oddities, whole } = app::once(config)?;
    oddities.iter().for_each(|oddity| warn(oddity));
    let view = engine.view();
    let Some(state) = view.snapshot.plans.get(key) else {
        let names: Vec<String> = view.snapshot.plans.keys().map(Key::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let there = if names.is_empty() { "there are none".to_owned() } else { suggest(&key.to_string(), &names) };
        return Err(Failure::Failed(anyhow::anyhow!("the source shows no plan {key}; {there}")));
    };
    let now = now(config, view.at);
    let scope = Scope::Plan(key.clone());
    let of_rule = |alert: &&Alert| alert.id.rule == rule.name && alert.state == AlertState::Firing;
    let mut alerts = view.alerts.get(&scope).into_iter().flat_map(|alerts| alerts.iter()).filter(of_rule).cloned();
    let Some(alert) = alerts.next() else { return Ok((sample_on(rule, turn, state, now), true, whole)) };
    let topic = Topic::Thread(ThreadId::of(&alert.id));
    // VMs of one thread belong into one message, others have one each.
    let others = alerts.filter(|other| Topic::Thread(ThreadId::of(&other.id)) == topic).collect();
    let made = sample(rule, turn).send;
    let send = Send { topic, alert, others, ..made };
    Ok((Sample { send, plan: Some((**state).clone()), provider: None, now }, false, whole))
}

/// A recording has its own time.
fn now(config: &Config, seen: Option<Time>) -> Time {
    match (&config.general.source, seen) {
        (Source::Replay(_), Some(at)) => at,
        (Source::Replay(_) | Source::Cluster | Source::Files(_), _) => Clock::wall(),
    }
}

fn rule(name: &str) -> Result<&'static Rule, Failure> {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    let found = RULES.iter().find(|rule| rule.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| Failure::Usage(format!("--rule: there is no rule {name:?}; {}", suggest(name, &names))))
}

fn turn(name: &str) -> Result<Turn, Failure> {
    let names: Vec<&str> = Turn::ALL.iter().map(|turn| turn.as_str()).collect();
    let found = Turn::ALL.iter().copied().find(|turn| turn.as_str() == name);
    found.ok_or_else(|| Failure::Usage(format!("--turn: there is no turn {name:?}; {}", suggest(name, &names))))
}

/// The receiver of this name, or the first that there is.
fn receiver(name: Option<&str>, config: &Config) -> Result<String, Failure> {
    let names: Vec<&str> = config.notify.receivers.names().collect();
    match name {
        Some(name) if names.contains(&name) => Ok(name.to_owned()),
        Some(name) => Err(Failure::Usage(format!("--receiver: there is no receiver {name:?}; {}", suggest(name, &names)))),
        None => Ok(names.first().map_or_else(|| "nobody".to_owned(), |name| (*name).to_owned())),
    }
}

fn key(plan: &str) -> Result<Key, Failure> {
    match plan.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Key::new(namespace, name)),
        Some(_) | None => Err(Failure::Usage(format!("--plan: {plan:?} is no plan; it takes NAMESPACE/NAME"))),
    }
}
