//! What each rule checks: objects in, findings out, no clock.
//!
//! Called by `evaluate` through the table in `rules`. A check says from when its condition holds by the object's own times, or
//! leaves that to the memory where Forklift keeps no time for it.

use super::rules::Finding;
use crate::plan::{Condition, Flag, Migration, PlanPhase, PlanState, Provider, Text, Time, Vm, VmPhase, VmState};
use std::time::Duration;

/// How long the controller bears a blocker before it fails the plan: `controller_blocker_grace_period_minutes`, 5 by default.
const GRACE: Duration = Duration::from_secs(5 * 60);
/// How long before a cutover it is said to approach.
const APPROACH: Duration = Duration::from_secs(60 * 60);
/// So many VMs are named in a reason; the rest is counted.
const MOST_NAMED: usize = 10;

fn one(from: Option<Time>, reason: impl Into<Text>) -> Vec<Finding> {
    vec![Finding { from, reason: reason.into(), ..Finding::default() }]
}

fn none() -> Vec<Finding> {
    Vec::new()
}

fn name(vm: &Vm) -> &Text {
    if vm.name.is_empty() { &vm.id } else { &vm.name }
}

fn subject(vm: &Vm) -> Text {
    if vm.id.is_empty() { vm.name.clone() } else { vm.id.clone() }
}

fn vms<'a>(state: &'a PlanState, wanted: impl Fn(VmPhase) -> bool + 'a) -> impl Iterator<Item = (&'a Vm, &'a VmState)> + 'a {
    state.plan.vms.iter().zip(&state.vms).filter(move |(_, vm)| wanted(vm.phase))
}

/// Lists a few things and counts the rest.
pub(crate) fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(MOST_NAMED);
    let mut text = items.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

fn names<'a>(found: impl Iterator<Item = (&'a Vm, &'a VmState)>) -> String {
    list(found.map(|(vm, _)| name(vm).to_string()))
}

/// Why a VM failed, in Forklift's words where it has some.
fn failure(vm: &Vm) -> String {
    match vm.error.as_ref().map(|error| error.reasons.as_str()) {
        Some(why) if !why.is_empty() => format!("{}: {why}", name(vm)),
        Some(_) | None => name(vm).to_string(),
    }
}

/// The blockers in Forklift's words.
fn blockers(conditions: &[Condition]) -> String {
    let blockers = conditions.iter().filter(|condition| condition.category.is_blocker());
    list(blockers.map(|condition| {
        if condition.message.is_empty() {
            condition.kind.to_string()
        } else {
            format!("{}: {}", condition.kind, condition.message)
        }
    }))
}

fn since(state: &PlanState, condition: &str) -> Option<Time> {
    state.plan.condition(condition).and_then(|condition| condition.since)
}

pub(super) fn plan_failed(state: &PlanState) -> Vec<Finding> {
    if state.phase != PlanPhase::Failed {
        return none();
    }
    let failed = vms(state, |phase| phase == VmPhase::Failed);
    let reason = list(failed.map(|(vm, _)| failure(vm)));
    let message = state.plan.condition("Failed").map(|failed| failed.message.clone()).unwrap_or_default();
    let reason = if reason.is_empty() { message } else { reason.into() };
    one(state.plan.completed.or(since(state, "Failed")), reason)
}

/// The attempts that failed and are over: those before the latest, and the latest of an archived plan. With index, time and
/// reason.
pub(super) fn failures_over(state: &PlanState) -> Vec<(usize, Time, Text)> {
    let attempts = &state.plan.attempts;
    let over = if state.phase == PlanPhase::Archived { attempts.len() } else { attempts.len().saturating_sub(1) };
    let failed = attempts.iter().take(over).enumerate().filter_map(|(index, attempt)| {
        let failed = attempt.conditions.iter().find(|condition| condition.kind == "Failed")?;
        Some((index, failed.since?, failed.message.clone()))
    });
    failed.collect()
}

pub(super) fn vm_failed(state: &PlanState) -> Vec<Finding> {
    if !state.phase.is_executing() {
        return none();
    }
    let failed = vms(state, |phase| phase == VmPhase::Failed);
    failed
        .map(|(vm, _)| {
            let at = vm.conditions.iter().find(|condition| condition.kind == "Failed").and_then(|condition| condition.since);
            Finding {
                subject: subject(vm),
                from: at.or(vm.completed),
                until: None,
                reason: failure(vm).into(),
                causes: Vec::new(),
            }
        })
        .collect()
}

pub(super) fn canceled_in_succeeded(state: &PlanState) -> Vec<Finding> {
    let canceled = || vms(state, |phase| phase == VmPhase::Canceled);
    if state.phase != PlanPhase::Succeeded || canceled().next().is_none() {
        return none();
    }
    one(state.plan.completed, names(canceled()))
}

pub(super) fn plan_blocked(state: &PlanState) -> Vec<Finding> {
    if !state.flags.has(Flag::Blocked) {
        return none();
    }
    let blocking = state.plan.conditions.iter().filter(|condition| condition.category.is_blocker());
    // Each condition has a clock of its own, and the first to run out fails the plan.
    let fails = blocking.filter_map(|condition| condition.since).min().map(|since| since.plus(GRACE));
    let fails =
        fails.map_or_else(String::new, |at| format!("; the controller fails the plan about {at} by its default grace"));
    caused(state, one(None, format!("{}{fails}", blockers(&state.plan.conditions))))
}

/// Blockers that a provider causes when it is not ready: its own, and those of the maps that need it.
const OF_PROVIDERS: [&str; 4] =
    ["SourceProviderNotReady", "DestinationProviderNotReady", "NetworkMapNotReady", "StorageMapNotReady"];

/// Names the providers that cause what was found if they are not well, unless there are other blockers beside. One that is well
/// again is named too: the plan may not have noticed yet.
fn caused(state: &PlanState, mut findings: Vec<Finding>) -> Vec<Finding> {
    let mut blocking = state.plan.conditions.iter().filter(|condition| condition.category.is_blocker());
    if blocking.all(|condition| OF_PROVIDERS.contains(&condition.kind.as_str())) {
        let providers = [&state.source, &state.destination].into_iter().flatten();
        let keys = || providers.clone().map(|provider| provider.key.clone()).collect();
        findings.iter_mut().for_each(|finding| finding.causes = keys());
    }
    findings
}

/// The oldest Migration without an outcome: the one that would be started next.
fn waiting(state: &PlanState) -> Option<&Migration> {
    let open = |migration: &&std::sync::Arc<Migration>| {
        !["Succeeded", "Failed", "Canceled"].iter().any(|outcome| migration.has(outcome))
    };
    state.migrations.iter().find(open).map(|migration| &**migration)
}

pub(super) fn start_blocked(state: &PlanState) -> Vec<Finding> {
    if !state.flags.has(Flag::StartBlocked) || state.phase == PlanPhase::Archived {
        return none();
    }
    let Some(migration) = waiting(state) else { return none() };
    let why = if state.phase == PlanPhase::Succeeded {
        "a plan that has succeeded cannot be run again".to_owned()
    } else if state.plan.is_blocked() {
        blockers(&state.plan.conditions)
    } else if state.plan.has("ValidatingVDDK") {
        "the VDDK image is being validated".to_owned()
    } else {
        "Forklift gives no reason".to_owned()
    };
    // After an attempt that a blocker failed, the same Migration waits again.
    let from = migration.created.max(state.plan.completed);
    caused(state, one(from, format!("Migration {} waits: {why}", migration.key.name)))
}

pub(super) fn plan_stalled(state: &PlanState) -> Vec<Finding> {
    if !state.phase.is_executing() || state.flags.has(Flag::Blocked) || state.flags.has(Flag::Zombie) {
        return none();
    }
    let active = |phase| matches!(phase, VmPhase::Running | VmPhase::Precopying | VmPhase::CuttingOver);
    let moved = vms(state, active).filter_map(|(vm, _)| vm.last_progress).max();
    match moved {
        None => none(),
        Some(moved) => {
            let steps = vms(state, active).map(|(vm, vm_state)| match vm_state.step {
                Some(step) => format!("{} in {step}", name(vm)),
                None => name(vm).to_string(),
            });
            one(Some(moved), format!("nothing has moved since {moved}: {}", list(steps)))
        }
    }
}

fn in_precopies(phase: VmPhase) -> bool {
    matches!(phase, VmPhase::Precopying | VmPhase::AwaitingCutover | VmPhase::CutoverScheduled)
}

/// The earliest cutover of the VMs that are in their precopies.
fn due(state: &PlanState) -> Option<Time> {
    if !state.phase.is_executing() || state.flags.has(Flag::Zombie) {
        return None;
    }
    vms(state, in_precopies).filter_map(|(_, vm)| vm.cutover).min()
}

pub(super) fn cutover_approaching(state: &PlanState) -> Vec<Finding> {
    let Some(at) = due(state) else { return none() };
    let reason = format!("cutover at {at}").into();
    vec![Finding { from: Some(at.minus(APPROACH)), until: Some(at), reason, ..Finding::default() }]
}

/// The end of a VM's first precopy: before it, neither a cutover nor waiting for one can be late.
fn first_precopy(vm: &Vm) -> Option<Time> {
    vm.warm.as_ref()?.precopies.first()?.end
}

pub(super) fn cutover_overdue(state: &PlanState) -> Vec<Finding> {
    if due(state).is_none() {
        return none();
    }
    let late = || vms(state, in_precopies).filter_map(|(vm, vm_state)| Some((vm, vm_state.cutover?, first_precopy(vm)?)));
    match late().map(|(_, cutover, copied)| cutover.max(copied)).min() {
        None => none(),
        Some(from) => one(Some(from), list(late().map(|(vm, cutover, _)| format!("{} was due at {cutover}", name(vm))))),
    }
}

pub(super) fn cutover_missing(state: &PlanState) -> Vec<Finding> {
    if !state.phase.is_executing() || state.flags.has(Flag::Zombie) {
        return none();
    }
    let waiting = || vms(state, in_precopies).filter(|(_, vm)| vm.cutover.is_none());
    let since = waiting().filter_map(|(vm, _)| first_precopy(vm)).min();
    match since {
        None => none(),
        Some(since) => one(Some(since), format!("no cutover is set: {}", names(waiting()))),
    }
}

pub(super) fn precopy_failing(state: &PlanState) -> Vec<Finding> {
    let failing = vms(state, |phase| phase == VmPhase::Precopying)
        .filter_map(|(vm, _)| Some((vm, vm.warm.as_ref()?)))
        .filter(|(_, warm)| warm.failures >= 2);
    failing
        .map(|(vm, warm)| {
            let note = vm.steps.iter().map(|step| &step.note).find(|note| !note.is_empty()).cloned().unwrap_or_default();
            let said = format!("the importer has restarted {} times", warm.failures);
            let reason = [name(vm).as_str(), &said, &note]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(": ")
                .into();
            Finding { subject: subject(vm), reason, ..Finding::default() }
        })
        .collect()
}

pub(super) fn precopy_overdue(state: &PlanState) -> Vec<Finding> {
    if !state.phase.is_executing() || state.flags.has(Flag::Blocked) || state.flags.has(Flag::Zombie) {
        return none();
    }
    let paused = vms(state, |phase| matches!(phase, VmPhase::AwaitingCutover | VmPhase::CutoverScheduled));
    paused
        .filter_map(|(vm, _)| {
            let next = vm.warm.as_ref()?.next_precopy?;
            let reason = format!("{}: its next precopy was due at {next}", name(vm)).into();
            Some(Finding { subject: subject(vm), from: Some(next), reason, ..Finding::default() })
        })
        .collect()
}

pub(super) fn queue_stuck(state: &PlanState) -> Vec<Finding> {
    let queued = || vms(state, |phase| phase == VmPhase::Pending);
    if !state.phase.is_executing() || state.flags.has(Flag::Zombie) || queued().next().is_none() {
        return none();
    }
    let says =
        state.plan.condition("Ready").map(|ready| ready.message.clone()).filter(|message| message.contains("waiting"));
    let says = says.map_or_else(String::new, |message| format!(" ({message})"));
    one(state.plan.started, format!("waiting for a slot: {}{says}", names(queued())))
}

pub(super) fn provider_not_ready(provider: &Provider, plans: usize) -> Vec<Finding> {
    if provider.is_ready() {
        return none();
    }
    let plans = if plans == 1 { "1 plan uses it".to_owned() } else { format!("{plans} plans use it") };
    let why = blockers(&provider.conditions);
    let why = if why.is_empty() { format!("its phase is {}", provider.phase) } else { why };
    one(None, format!("{why}; {plans}"))
}

pub(super) fn cancel_ignored(state: &PlanState) -> Vec<Finding> {
    let Some(run) = state.run() else { return none() };
    let ignored = run.cancels.iter().filter_map(|wanted| {
        let shown = if wanted.name.is_empty() { &wanted.id } else { &wanted.name };
        let found = state.plan.vms.iter().zip(&state.vms).find(|(vm, _)| wanted.names(vm));
        let reason = match found {
            None => format!("{shown} is to be canceled, and is not in the plan"),
            Some((_, vm)) if vm.phase.is_over() => return None,
            Some((vm, vm_state)) => format!("{} is to be canceled, and is {}", name(vm), vm_state.phase),
        };
        let subject = if wanted.id.is_empty() { wanted.name.clone() } else { wanted.id.clone() };
        Some(Finding { subject, reason: reason.into(), ..Finding::default() })
    });
    ignored.collect()
}

pub(super) fn plan_restarted(state: &PlanState) -> Vec<Finding> {
    let same = match &*state.plan.attempts {
        [.., before, latest] => !latest.migration.uid.is_empty() && before.migration.uid == latest.migration.uid,
        [] | [_] => false,
    };
    if !state.phase.is_executing() || !same {
        return none();
    }
    let run = state.plan.attempt().map(|attempt| attempt.migration.key.name.to_string()).unwrap_or_default();
    one(state.plan.started, format!("Migration {run} runs again"))
}

pub(super) fn zombie(state: &PlanState) -> Vec<Finding> {
    if state.flags.has(Flag::Zombie) { one(None, "archived while it was executing") } else { none() }
}

pub(super) fn controller_stuck(state: &PlanState) -> Vec<Finding> {
    if !state.flags.has(Flag::FinishedButExecuting) || state.flags.has(Flag::Zombie) {
        return none();
    }
    let last = state.plan.vms.iter().filter_map(|vm| vm.completed).max();
    one(last, format!("every VM has ended: {}", names(vms(state, |_| true))))
}

pub(super) fn vms_not_covered(state: &PlanState) -> Vec<Finding> {
    if !state.flags.has(Flag::VmsNotCovered) {
        return none();
    }
    let missing = state.plan.wanted.iter().filter(|wanted| !state.plan.vms.iter().any(|vm| wanted.names(vm)));
    let shown = missing.map(|wanted| if wanted.name.is_empty() { wanted.id.to_string() } else { wanted.name.to_string() });
    one(None, format!("the attempt leaves out {}", list(shown)))
}

/// Conditions without which the controller cannot clean up: it marks the plan as archived all the same.
fn keeps_from_cleaning(condition: &Condition) -> bool {
    let starts = ["SourceProvider", "DestinationProvider", "NetworkMap", "StorageMap", "StorageRefNotValid"];
    condition.category.is_blocker() && starts.iter().any(|start| condition.kind.starts_with(start))
}

pub(super) fn leftover(state: &PlanState) -> Vec<Finding> {
    let kept: Vec<Condition> = state.plan.conditions.iter().filter(|c| keeps_from_cleaning(c)).cloned().collect();
    if state.phase != PlanPhase::Archived || !state.plan.has("Archived") || kept.is_empty() {
        return none();
    }
    one(since(state, "Archived"), blockers(&kept))
}

pub(super) fn plan_succeeded(state: &PlanState) -> Vec<Finding> {
    if state.phase != PlanPhase::Succeeded {
        return none();
    }
    one(state.plan.completed.or(since(state, "Succeeded")), format!("VMs: {}", state.plan.vms.len()))
}

pub(super) fn plan_canceled(state: &PlanState) -> Vec<Finding> {
    if state.phase != PlanPhase::Canceled {
        return none();
    }
    one(state.plan.completed.or(since(state, "Canceled")), names(vms(state, |phase| phase == VmPhase::Canceled)))
}

pub(super) fn plan_started(state: &PlanState) -> Vec<Finding> {
    if !state.phase.is_executing() {
        return none();
    }
    let attempts = state.plan.attempts.len();
    one(state.plan.started, format!("attempt {attempts}, VMs: {}", state.plan.vms.len()))
}

pub(super) fn plan_not_ready(state: &PlanState) -> Vec<Finding> {
    if state.phase != PlanPhase::NotReady {
        return none();
    }
    caused(state, one(None, blockers(&state.plan.conditions)))
}
