//! `demo`: the daemon on recordings of real campaigns that are part of the program.
//!
//! The terminal tells what happens; the log is silent but for errors.

use super::{ConfigArgs, Failure, log, run};
use crate::app::{self, Input, Journal, Outcome, Reload};
use crate::http::Web;
use crate::message::Notification;
use crate::plan::{Event, Fact, Key, PlanPhase, Time, VmPhase};
use crate::policy::Decision;
use crate::watch::replay::{Pace, Recording};
use clap::Args;
use std::io::Write;
use std::time::Duration;
use tokio::signal::unix::Signal;

#[derive(Args, Clone)]
pub(super) struct DemoArgs {
    /// Address and port to listen on; port 0 takes any
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8497")]
    listen: String,
    /// How many times faster than it was recorded
    #[arg(long, value_name = "FACTOR", default_value = "20")]
    speed: String,
}

/// Nobody wants to watch a recording in which nothing happens.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A day in the life of a real campaign takes minutes here.
const ARCHIVE_AFTER: &str = "90s";

macro_rules! recordings {
    ($($name:literal: $what:literal),+ $(,)?) => {
        &[$(($name, $what, include_bytes!(concat!("../../tests/recordings/", $name, ".ndjson.gz")) as &[u8])),+]
    };
}

/// Name, what happens in it, and bytes of each recording.
static RECORDINGS: &[(&str, &str, &[u8])] = recordings![
    "a-cold": "two cold plans succeed",
    "b-fail-retry": "two plans fail and succeed when they are run again",
    "f-cancel-one": "a VM is canceled in each of two plans",
    "g-cancel-all": "every VM of a plan is canceled",
    "i-provider-lost-until-failed": "a vCenter goes away during a copy, and the plan fails",
    "c-warm": "two warm plans wait for their cutover and are cut over",
    "j-archive": "finished plans are archived by hand",
];

pub(super) fn run(args: DemoArgs) -> Result<(), Failure> {
    let flags = vec![
        ("cluster", Some("demo".to_owned())),
        ("log.level", Some("error".to_owned())),
        ("http.listen", Some(args.listen)),
        ("replay.speed", Some(args.speed)),
        // What took minutes in the lab takes days elsewhere: here nothing waits for more of it.
        ("notify.group_wait", Some("0s".to_owned())),
        ("notify.group_interval", Some("0s".to_owned())),
        ("archive.policies", Some(format!("[{{name: demo, after: {ARCHIVE_AFTER}}}]"))),
        ("metrics.plan_labels", Some("[app, wave]".to_owned())),
    ];
    let config = ConfigArgs::default().load(flags)?;
    log::init(&config.log);
    let recordings = RECORDINGS.iter().map(|(name, _, bytes)| Recording::unpack(name, bytes));
    let recording = Recording::together(recordings.collect::<Result<_, _>>().map_err(anyhow::Error::msg)?);
    let speed = config.replay.speed.0;
    let pace = Pace { speed, until: None, repeat: true, longest_pause: LONGEST_PAUSE };
    let greeting = greeting(&recording, speed);
    let story = Story { coloured: super::may_colour(&std::io::stdout()) };
    let scheme = if Web::open(&config.http)?.has_tls() { "https" } else { "http" };
    run::daemon(config, Input::Replay(recording, pace), Box::new(story), None::<fn(Signal) -> Reload>, move |address| {
        let url = format!("{scheme}://{address}");
        let _ = super::print(&format!(
            "{greeting}\n  metrics  {url}/metrics\n  plans    {url}/api/v1/plans\n  all      {url}/\n\nCtrl-C ends it.\n\n"
        ));
    })
}

fn greeting(recording: &Recording, speed: f64) -> String {
    let span = recording.span().map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
    let list: Vec<String> = RECORDINGS.iter().map(|(name, what, _)| format!("  {name:<30} {what}\n")).collect();
    format!(
        "mtv-sentinel {} demo: what a real forklift-controller wrote{span}, {speed} times faster, over and over.\n{}\
         Nothing is sent and nothing is archived: notifications and archiving are shown as they would be.\n",
        app::VERSION,
        list.concat()
    )
}

/// Tells on standard output what happens.
struct Story {
    coloured: bool,
}

impl Journal for Story {
    fn write(&mut self, outcome: &Outcome) {
        let mut lines = Vec::new();
        lines.extend(outcome.oddities.iter().map(|oddity| format!("          {oddity}")));
        lines.extend(outcome.events.iter().filter_map(|event| self.event(event)));
        for decided in &outcome.decisions {
            if let Decision::Archive(_) = *decided.decision {
                lines.push(self.line(
                    None,
                    &decided.plan,
                    "36",
                    "would archive: it succeeded long enough ago, and no guard stops it",
                ));
            }
        }
        print_lines(&lines);
    }

    fn tell(&mut self, notification: &Notification) {
        let message = &notification.message;
        let text = format!("would tell {}: {}", notification.receiver, message.summary());
        print_lines(&[self.line(None, &Key::new(&message.namespace, &message.name), "35", &text)]);
    }
}

fn print_lines(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        // A reader that has had enough is no error.
        let _ = writeln!(out, "{line}");
    }
}

impl Story {
    fn event(&self, event: &Event) -> Option<String> {
        let (colour, text) = match &event.fact {
            Fact::Phase { from, to } => (colour(*to), format!("{from} → {to}")),
            Fact::Attempt { number: 1 } => return None,
            Fact::Attempt { number } => ("33", format!("attempt {number} begins")),
            Fact::Raised { flag } if flag.passes() => return None,
            Fact::Raised { flag } => ("33", format!("flag {flag}")),
            Fact::Vm { vm, to: to @ (VmPhase::Failed | VmPhase::Canceled), reason, .. } => {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                ("31", format!("VM {vm} {to}{why}"))
            }
            Fact::Vm { vm, to: VmPhase::Succeeded, .. } => ("32", format!("VM {vm} Succeeded")),
            Fact::Cutover { at: Some(at) } => ("0", format!("cutover is set for {}", clock(*at))),
            Fact::Vm { .. }
            | Fact::Appeared { .. }
            | Fact::Gone { .. }
            | Fact::Lowered { .. }
            | Fact::Cutover { at: None } => {
                return None;
            }
        };
        Some(self.line(Some(event.at), &event.plan, colour, &text))
    }

    fn line(&self, at: Option<Time>, plan: &Key, colour: &str, text: &str) -> String {
        let at = at.map(clock).unwrap_or_default();
        if self.coloured {
            format!("{at:8}  {plan:<38} \x1b[{colour}m{text}\x1b[0m")
        } else {
            format!("{at:8}  {plan:<38} {text}")
        }
    }
}

fn colour(phase: PlanPhase) -> &'static str {
    match phase {
        PlanPhase::Succeeded => "32",
        PlanPhase::Failed => "31",
        PlanPhase::Canceled | PlanPhase::NotReady => "33",
        PlanPhase::Archived
        | PlanPhase::Pending
        | PlanPhase::Running
        | PlanPhase::WarmRunning
        | PlanPhase::CutoverScheduled
        | PlanPhase::CuttingOver
        | PlanPhase::Ready
        | PlanPhase::Unknown => "0",
    }
}

/// The time of day of an instant.
fn clock(at: Time) -> String {
    let seconds = at.unix() % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
