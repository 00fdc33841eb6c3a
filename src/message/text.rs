//! The built-in title and text: what a person needs at night, the most important first.
//!
//! Called by `Message::of`. Made here and not by a template, so that it cannot fail.

use super::plain::{bytes, cut, line, lines};
use super::{About, Item, Message, NAME_MAX, TEXT_MAX, TITLE_MAX};
use crate::dispatch::Turn;

/// What a message that may be a second one says of itself.
const REPEAT: &str = "Possible repeat: it is not known whether the last one arrived.";
const REPEAT_TITLE: &str = "(possible repeat) ";
/// Characters of each name in a title that would be too long with all of them: so many fit beside the longest rest.
const TITLE_NAME_MAX: usize = 38;

/// Rules that the title of a digest names.
const TITLE_RULES_MAX: usize = 4;
/// Facts that do not change while a plan runs: they share a line.
const FIXED: [&str; 4] = ["type", "source", "destination", "target namespace"];

/// The built-in title, as `[prod] WARNING PlanFailed: plan migrations/crm, attempt 2`.
pub(super) fn title(message: &Message) -> String {
    let whole = title_with(message, NAME_MAX);
    if whole.chars().count() + REPEAT_TITLE.len() <= TITLE_MAX { whole } else { title_with(message, TITLE_NAME_MAX) }
}

/// The title with names of at most `most` characters.
fn title_with(message: &Message, most: usize) -> String {
    let cluster = if message.cluster.is_empty() { String::new() } else { format!("[{}] ", cut(&message.cluster, most)) };
    let severity = message.severity.as_str().to_uppercase();
    let lead = match (message.about, message.turn) {
        (About::Baseline, _) => "BASELINE".to_owned(),
        (About::Thread | About::Digest | About::Campaign, Turn::Firing) => severity,
        (About::Thread | About::Digest | About::Campaign, Turn::Updated) => format!("{severity} (updated)"),
        (About::Thread | About::Digest | About::Campaign, Turn::Reminder) => format!("{severity} (still)"),
        (About::Thread | About::Digest | About::Campaign, Turn::Over) => "OVER".to_owned(),
        (About::Thread | About::Digest | About::Campaign, Turn::Resolved) => "RESOLVED".to_owned(),
    };
    let what = match message.about {
        About::Thread => {
            let (namespace, name) = (cut(&message.namespace, most), cut(&message.name, most));
            format!("{}: {} {namespace}/{name}{}", message.rule, message.kind, attempt(message))
        }
        About::Digest | About::Baseline | About::Campaign => format!("{}: {}", alerts(message), counts(message)),
    };
    format!("{cluster}{lead} {what}")
}

fn attempt(message: &Message) -> String {
    if message.attempt > 1 { format!(", attempt {}", message.attempt) } else { String::new() }
}

fn alerts(message: &Message) -> String {
    match message.counts.iter().map(|count| count.alerts).sum() {
        1 => "1 alert".to_owned(),
        many => format!("{many} alerts"),
    }
}

fn counts(message: &Message) -> String {
    let count = |count: &super::Count| format!("{} {}", count.alerts, count.rule);
    let named = message.counts.iter().take(TITLE_RULES_MAX).map(count);
    let others = (message.counts.len() > TITLE_RULES_MAX).then(|| "and others".to_owned());
    named.chain(others).collect::<Vec<_>>().join(", ")
}

/// The message in one line.
pub(super) fn summary(message: &Message) -> String {
    match message.about {
        About::Thread if message.turn == Turn::Resolved => format!("{} after {}", message.title, message.lasted),
        About::Thread => line(&format!("{} - {}", message.title, message.reason), TITLE_MAX * 2),
        About::Digest | About::Baseline | About::Campaign => message.title.clone(),
    }
}

/// The built-in text.
pub(super) fn text(message: &Message) -> String {
    let (head, vms, tail) = match (message.about, message.turn) {
        (About::Thread, Turn::Firing | Turn::Updated | Turn::Reminder) => (open(message), vms(message), tail(message)),
        (About::Thread, Turn::Over | Turn::Resolved) => (over(message), Vec::new(), tail(message)),
        (About::Digest | About::Baseline | About::Campaign, _) => (digest(message), items(message), tail(message)),
    };
    assemble(&head, &vms, &tail)
}

fn open(message: &Message) -> Vec<String> {
    let mut head = vec![message.meaning.to_owned()];
    if !message.reason.is_empty() {
        head.push(format!("Details: {}", message.reason));
    }
    head.push(place(message));
    head.push(format!("Since: {}, for {}", message.since, message.lasted));
    let (fixed, changing): (Vec<_>, Vec<_>) = message.facts.iter().partition(|fact| FIXED.contains(&fact.name));
    head.extend(changing.iter().map(|fact| format!("{}: {}", capital(fact.name), fact.value)));
    let fixed: Vec<String> = fixed.iter().map(|fact| format!("{}: {}", fact.name, fact.value)).collect();
    if !fixed.is_empty() {
        head.push(capital(&fixed.join("; ")));
    }
    if message.facts.is_empty() {
        head.push(format!("Now: {}", message.now));
    }
    if let Some(progress) = &message.progress {
        let ratio = progress.ratio.map_or_else(String::new, |ratio| format!(", {:.0} %", (ratio * 100.0).floor()));
        let copied = match progress.disk_bytes {
            0 => String::new(),
            total => format!(", {} of {} copied", bytes(progress.transferred_bytes), bytes(total)),
        };
        head.push(format!("Progress: {} of {} VMs ended{ratio}{copied}", progress.ended, progress.total));
    }
    head
}

/// What it is about, in full.
fn place(message: &Message) -> String {
    let on = if message.cluster.is_empty() { String::new() } else { format!(" on {}", message.cluster) };
    format!("{}: {}/{}{on}{}", capital(message.kind), message.namespace, message.name, attempt(message))
}

fn over(message: &Message) -> Vec<String> {
    let first = match message.turn {
        Turn::Over => format!("This was over before it could be told: {}", message.meaning),
        Turn::Resolved => format!("This is over after {}: {}", message.lasted, message.meaning),
        Turn::Firing | Turn::Updated | Turn::Reminder => message.meaning.to_owned(),
    };
    let mut head = vec![first];
    if !message.reason.is_empty() {
        head.push(format!("Details: {}", message.reason));
    }
    head.extend([place(message), format!("Since: {}", message.since), format!("Now: {}", message.now)]);
    head.extend(message.facts.iter().filter(|fact| fact.name == "VMs").map(|fact| format!("VMs: {}", fact.value)));
    head
}

fn digest(message: &Message) -> Vec<String> {
    let alerts = alerts(message);
    let first = match (message.about, message.turn) {
        (About::Baseline, _) => format!(
            "{alerts} fired before this receiver, rule or route was in force. They are told this once, and their ends are not told."
        ),
        (_, Turn::Resolved) => format!("All of it is over: {alerts}."),
        (_, Turn::Over) => format!("This was over before it could be told: {alerts}."),
        (_, Turn::Firing) => format!("{alerts} began at about the same time."),
        (_, Turn::Updated | Turn::Reminder) => format!("{alerts} fire."),
    };
    let mut head = vec![first];
    if !message.cluster.is_empty() {
        head.push(format!("Cluster: {}", message.cluster));
    }
    let count = |count: &super::Count| format!("{} {} ({})", count.alerts, count.rule, count.severity);
    head.push(format!("By rule: {}", message.counts.iter().map(count).collect::<Vec<_>>().join(", ")));
    if message.ended > 0 {
        head.push(format!("Ended since the last message: {}", message.ended));
    }
    head
}

fn items(message: &Message) -> Vec<String> {
    let item = |item: &Item| {
        let Item { severity, rule, kind, namespace, name, reason } = item;
        format!("- {severity} {rule}, {kind} {namespace}/{name}: {reason}")
    };
    message.worst.iter().map(item).chain(rest(message.more)).collect()
}

fn vms(message: &Message) -> Vec<String> {
    let vm = |vm: &super::VmLine| {
        let step = if vm.step.is_empty() { String::new() } else { format!(" in {}", vm.step) };
        // The reason may have said it.
        let error = if vm.error.is_empty() || message.reason.contains(vm.error.trim_end_matches('…')) {
            String::new()
        } else {
            format!(": {}", vm.error)
        };
        format!("- {} {}{step}{error}", vm.name, vm.phase)
    };
    message.vms.iter().map(vm).chain(rest(message.more_vms)).collect()
}

fn rest(more: usize) -> Option<String> {
    (more > 0).then(|| format!("- and {more} more"))
}

fn tail(message: &Message) -> Vec<String> {
    let mut tail = Vec::new();
    if !message.next.is_empty() {
        tail.push(format!("By itself: {}", message.next));
    }
    if let Some(command) = &message.command {
        tail.push(format!("{}:\n  {}", command.to, command.line));
    }
    tail.extend(message.links.iter().map(|link| format!("{}: {}", link.text, link.href)));
    tail
}

/// Puts the lines together. What is named one by one gives way first, and no line is cut: half a command or half an address
/// leads somewhere else.
fn assemble(head: &[String], listed: &[String], tail: &[String]) -> String {
    let size = |line: &String| line.chars().count() + 1;
    let sum = |lines: &[String]| lines.iter().map(size).sum::<usize>();
    // The mark of a repeat, and that of what is left out.
    let mut left = TEXT_MAX - REPEAT.len() - 4;
    let mut for_listed = left.saturating_sub(sum(head) + sum(tail));
    let all = listed.len();
    let listed = listed.iter().filter(|line| {
        let fits = size(line) <= for_listed;
        for_listed = if fits { for_listed - size(line) } else { 0 };
        fits
    });
    let listed: Vec<&String> = listed.collect();
    let more = "- …".to_owned();
    let more = (listed.len() < all).then_some(&more);
    let mut text = String::new();
    for line in head.iter().chain(listed).chain(more).chain(tail).filter(|line| {
        let fits = size(line) <= left;
        left -= if fits { size(line) } else { 0 };
        fits
    }) {
        text.push_str(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// Keeps title and text within their bounds and marks what may be a repeat, whoever wrote them.
pub(super) fn finish(message: &mut Message) {
    if message.is_repeat {
        message.title = format!("{REPEAT_TITLE}{}", message.title);
        message.text = format!("{REPEAT}\n{}", message.text);
    }
    message.title = line(&message.title, TITLE_MAX);
    message.text = lines(&message.text, TEXT_MAX);
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}
