//! What a message holds: gathered from the notification and from what is known of its plan or provider now.
//!
//! Called by `Message::of`. The notification alone is enough: at the end of an alert its plan may be gone.

use super::plain::{duration, line, moment};
use super::{
    About, CommandLine, Count, Fact, Item, MOST_NAMED, Message, NAME_MAX, Progress, REASON_MAX, Settings, VALUE_MAX, VmLine,
    link,
};
use crate::alert::{Alert, Command, RULES, Rule, Scope};
use crate::dispatch::{Send, Topic, Turn};
use crate::plan::{Flag, Plan, PlanPhase, PlanState, Provider, Text, Time, Vm, VmPhase, VmState};

/// Characters of what is said of one VM or alert among ten.
const ITEM_MAX: usize = 150;
/// Characters of a command; one that is longer is not shown, because half a command does something else.
const COMMAND_MAX: usize = 1200;

/// The object of a thread, as it is now.
#[derive(Clone, Copy)]
enum Now<'a> {
    /// The plan, in the attempt that the thread is about.
    Plan(&'a PlanState),
    /// The plan, in a later attempt.
    Later(&'a PlanState),
    /// The provider.
    Provider(&'a Provider),
    /// Deleted, and made anew under the same name.
    Replaced(&'static str),
    /// Deleted.
    Gone(&'static str),
    /// There are many.
    Many,
}

impl<'a> Now<'a> {
    fn of(send: &Send, plan: Option<&'a PlanState>, provider: Option<&'a Provider>) -> Self {
        let Alert { id, scope, .. } = &send.alert;
        let is = |uid: &Text| if uid.is_empty() { id.uid == scope.key().to_string() } else { id.uid == *uid };
        match scope {
            _ if about(send) != About::Thread => Self::Many,
            Scope::Plan(_) => match plan {
                None => Self::Gone("plan"),
                Some(state) if !is(&state.plan.uid) => Self::Replaced("plan"),
                Some(state) if state.plan.attempts.len().saturating_sub(1) > id.attempt => Self::Later(state),
                Some(state) => Self::Plan(state),
            },
            Scope::Provider(_) => match provider {
                None => Self::Gone("provider"),
                Some(provider) if !is(&provider.uid) => Self::Replaced("provider"),
                Some(provider) => Self::Provider(provider),
            },
        }
    }

    /// How it stands, in words.
    fn words(self) -> String {
        match self {
            Self::Plan(state) => format!("the plan is {}", state.phase),
            Self::Later(state) => format!("the plan is {}, in attempt {}", state.phase, state.plan.attempts.len()),
            Self::Provider(provider) if provider.is_ready() => "the provider is ready".to_owned(),
            Self::Provider(provider) => format!("the provider is not ready, its phase is {}", provider.phase),
            Self::Replaced(kind) => format!("the {kind} was deleted; there is another one of its name"),
            Self::Gone(kind) => format!("the {kind} is gone"),
            Self::Many => String::new(),
        }
    }
}

/// One plan or provider, or many.
fn about(send: &Send) -> About {
    match send.topic {
        Topic::Baseline(_) => About::Baseline,
        Topic::Campaign(_) => About::Campaign,
        Topic::Over(_) if send.others.is_empty() => About::Thread,
        Topic::Thread(_) => About::Thread,
        Topic::Digest(_) | Topic::Over(_) => About::Digest,
    }
}

/// Everything but title and text.
pub(super) fn gather(
    send: &Send,
    plan: Option<&PlanState>,
    provider: Option<&Provider>,
    settings: &Settings,
    now: Time,
) -> Message {
    let Send { alert, turn, .. } = send;
    let about = about(send);
    let rule = RULES.iter().find(|rule| rule.name == alert.id.rule);
    let object = Now::of(send, plan, provider);
    let many = about != About::Thread;
    let (kind, key) = (kind(&alert.scope), alert.scope.key());
    let is_over = matches!(turn, Turn::Over | Turn::Resolved);
    let (vms, more_vms) = vms(send, object);
    let since = alerts(send).map(|alert| alert.since).min().unwrap_or(alert.since);
    let lasted = now.since(since);
    let mut message = Message {
        title: String::new(),
        text: String::new(),
        about,
        turn: *turn,
        is_repeat: send.is_repeat,
        rule: alert.id.rule,
        severity: alerts(send).map(|alert| alert.severity).min().unwrap_or(alert.severity),
        meaning: rule.map_or("", |rule| rule.summary),
        cluster: line(&settings.cluster, VALUE_MAX),
        kind: if many { "" } else { kind },
        namespace: if many { String::new() } else { line(&key.namespace, NAME_MAX) },
        name: if many { String::new() } else { line(&key.name, NAME_MAX) },
        attempt: if many || kind == "provider" { 0 } else { alert.id.attempt + 1 },
        reason: if many { String::new() } else { line(&send.reason(), REASON_MAX) },
        since: since.to_string(),
        lasted: duration(lasted),
        lasted_seconds: lasted.as_secs(),
        now: object.words(),
        facts: facts(object, now),
        vms,
        more_vms,
        progress: progress(object),
        next: rule.filter(|_| !many && !is_over).map_or("", |rule| rule.next),
        command: rule.filter(|_| !is_over).and_then(|rule| command(rule.command?, alert, object)),
        links: Vec::new(),
        counts: if many { counts(send) } else { Vec::new() },
        worst: if many { alerts(send).take(MOST_NAMED).map(item).collect() } else { Vec::new() },
        more: if many { alerts(send).count().saturating_sub(MOST_NAMED) } else { 0 },
        ended: if many { send.ended.len() } else { 0 },
        fallback: None,
    };
    message.links = link::links(&message, settings);
    message
}

/// Every alert of a notification, the one that says the most first.
fn alerts(send: &Send) -> impl Iterator<Item = &Alert> {
    std::iter::once(&send.alert).chain(&send.others)
}

fn kind(scope: &Scope) -> &'static str {
    match scope {
        Scope::Plan(_) => "plan",
        Scope::Provider(_) => "provider",
    }
}

fn item(alert: &Alert) -> Item {
    let key = alert.scope.key();
    Item {
        rule: alert.id.rule,
        severity: alert.severity,
        kind: kind(&alert.scope),
        namespace: line(&key.namespace, ITEM_MAX),
        name: line(&key.name, ITEM_MAX),
        reason: line(&alert.reason, ITEM_MAX),
    }
}

fn counts(send: &Send) -> Vec<Count> {
    let row = |rule: &str| RULES.iter().position(|row| row.name == rule).unwrap_or(RULES.len());
    let mut counts: Vec<Count> = Vec::new();
    for alert in alerts(send) {
        match counts.iter_mut().find(|count| (count.rule, count.severity) == (alert.id.rule, alert.severity)) {
            Some(count) => count.alerts += 1,
            None => counts.push(Count { rule: alert.id.rule, severity: alert.severity, alerts: 1 }),
        }
    }
    counts.sort_by_key(|count| (count.severity, row(count.rule)));
    counts
}

fn facts(object: Now<'_>, now: Time) -> Vec<Fact> {
    let fact = |name, value: &str| Fact { name, value: line(value, VALUE_MAX) };
    match object {
        Now::Plan(state) | Now::Later(state) => {
            let plan = &state.plan;
            let flags: Vec<&str> = state.flags.iter().map(Flag::as_str).collect();
            let started = |plan: &Plan| plan.started.map(|at| moment(at, now)).unwrap_or_default();
            let ended = |plan: &Plan| plan.completed.map(|at| moment(at, now)).unwrap_or_default();
            let all = [
                fact("phase", state.phase.as_str()),
                fact("flags", &flags.join(", ")),
                fact("VMs", &by_phase(state)),
                fact("cutover", &state.cutover().map(|at| moment(at, now)).unwrap_or_default()),
                fact("started", &started(plan)),
                fact("ended", &ended(plan)),
                fact("type", plan.migration_type().as_str()),
                fact("source", &provider_words(&plan.source.to_string(), state.source.as_deref())),
                fact("destination", &provider_words(&plan.destination.to_string(), state.destination.as_deref())),
                fact("target namespace", &plan.target_namespace),
            ];
            all.into_iter().filter(|fact| !fact.value.is_empty()).collect()
        }
        Now::Provider(provider) => vec![fact("phase", provider.phase.as_str()), fact("type", provider.kind.as_str())],
        Now::Replaced(_) | Now::Gone(_) | Now::Many => Vec::new(),
    }
}

fn provider_words(key: &str, provider: Option<&Provider>) -> String {
    match provider {
        Some(provider) => format!("{key} ({})", provider.kind),
        None => key.to_owned(),
    }
}

/// VMs by phase, as `2 Failed, 1 Succeeded`.
fn by_phase(state: &PlanState) -> String {
    let counts = VmPhase::ALL.iter().zip(state.vm_counts()).filter(|(_, count)| *count > 0);
    counts.map(|(phase, count)| format!("{count} {phase}")).collect::<Vec<_>>().join(", ")
}

fn progress(object: Now<'_>) -> Option<Progress> {
    // Of a later attempt it would be the progress of something else.
    let Now::Plan(state) = object else { return None };
    (!state.vms.is_empty()).then(|| Progress {
        ended: state.vms.iter().filter(|vm| vm.phase.is_over()).count(),
        total: state.vms.len(),
        ratio: state.ratio,
        transferred_bytes: state.transferred_bytes(),
        disk_bytes: state.disk_bytes(),
    })
}

/// The VMs that the alerts are about: their subjects, else those in the phases that the rule names.
fn vms(send: &Send, object: Now<'_>) -> (Vec<VmLine>, usize) {
    let (Now::Plan(state), Turn::Firing | Turn::Updated | Turn::Reminder) = (object, send.turn) else {
        return (Vec::new(), 0);
    };
    let rule = |name| RULES.iter().find(|rule| rule.name == name);
    let is_meant = |alert: &Alert, vm: &Vm, phase: VmPhase| {
        let subject = &alert.id.subject;
        let in_phase = |rule: &Rule| rule.vms.contains(&phase);
        if subject.is_empty() { rule(alert.id.rule).is_some_and(in_phase) } else { *subject == vm.id || *subject == vm.name }
    };
    let found = state.plan.vms.iter().zip(&state.vms);
    let mut found: Vec<(&Vm, &VmState)> =
        found.filter(|(vm, vm_state)| alerts(send).any(|alert| is_meant(alert, vm, vm_state.phase))).collect();
    found.sort_by_key(|(_, vm)| vm.phase != VmPhase::Failed);
    (found.iter().take(MOST_NAMED).map(|(vm, state)| vm_line(vm, state)).collect(), found.len().saturating_sub(MOST_NAMED))
}

fn vm_line(vm: &Vm, state: &VmState) -> VmLine {
    let error = vm.error.as_ref().map(|error| error.reasons.as_str()).unwrap_or_default();
    // The note of a step has the error of a copy while everything else still says that it runs.
    let note = || vm.steps.iter().map(|step| step.note.as_str()).find(|note| !note.is_empty()).unwrap_or_default();
    VmLine {
        name: line(if vm.name.is_empty() { &vm.id } else { &vm.name }, ITEM_MAX),
        phase: state.phase.as_str(),
        step: state.step.map_or("", |step| step.as_str()),
        error: line(if error.is_empty() && !state.phase.is_over() { note() } else { error }, ITEM_MAX),
    }
}

/// A rule's command with the names in their places; none if one of them is not known, or could mean something to a shell.
fn command(command: Command, alert: &Alert, object: Now<'_>) -> Option<CommandLine> {
    let (state, uid) = match object {
        Now::Plan(state) => (Some(state), &state.plan.uid),
        Now::Provider(provider) => (None, &provider.uid),
        Now::Later(_) | Now::Replaced(_) | Now::Gone(_) | Now::Many => return None,
    };
    // A plan that has succeeded is never run again, and a Migration that waits would start first.
    let can_start = |state: &PlanState| {
        matches!(state.phase, PlanPhase::Failed | PlanPhase::Canceled) && !state.flags.has(Flag::StartBlocked)
    };
    if command.starts && !state.is_some_and(can_start) {
        return None;
    }
    let key = alert.scope.key();
    let migration = state.and_then(|state| state.plan.attempt()).map(|attempt| &attempt.migration.key.name);
    let target = state.map(|state| &state.plan.target_namespace);
    let names = [
        ("{namespace}", Some(&key.namespace)),
        ("{name}", Some(&key.name)),
        ("{uid}", Some(uid)),
        ("{migration}", migration),
        ("{target}", target),
    ];
    let mut line = command.line.to_owned();
    for (place, name) in names.into_iter().filter(|(place, _)| command.line.contains(place)) {
        line = line.replace(place, name.filter(|name| is_name(name))?);
    }
    (line.len() <= COMMAND_MAX).then_some(CommandLine { to: command.to, line })
}

/// Whether it is a name as Kubernetes allows it (a DNS subdomain): nothing in it means anything to a shell, and it cannot be
/// taken for a flag.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253 && name.starts_with(plain) && name.chars().all(|c| plain(c) || c == '-' || c == '.')
}
