//! The table of all families about plans, VMs, providers and the fleet: one row each.
//!
//! The exposition, the reference page and every check of dashboards and rules are made from it. A row's function gives the
//! label values in the order of `labels`; it has to give each combination at most once. Timestamps, bytes and ratios only, no
//! ages and no rates: a plan that does not change costs nothing, and PromQL does the rest.

use super::write::{Out, Value};
use crate::alert::{Alert, AlertState};
use crate::plan::{PlanPhase, PlanState, Provider, Time, Vm, VmPhase, VmState, Warm};
use crate::policy::Decision;
use std::collections::BTreeSet;

/// A family.
pub struct Family {
    /// Its full name.
    pub name: &'static str,
    /// What it tells, one sentence.
    pub help: &'static str,
    /// The unit that its name ends with.
    pub unit: Option<Unit>,
    /// Its label names.
    pub labels: &'static [&'static str],
    /// Whether it may change.
    pub stability: Stability,
    /// What its samples are made of.
    pub render: Render,
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

closed_enum! {
    /// A unit, as the last part of a name.
    pub enum Unit {
        /// Seconds since 1970, or a duration.
        Seconds = "seconds",
        /// Bytes.
        Bytes = "bytes",
        /// 0 to 1.
        Ratio = "ratio",
    }
}

closed_enum! {
    /// What a user may rely on.
    pub enum Stability {
        /// Changes only with a major version, and stands in the changelog.
        Stable = "stable",
        /// May change with any version.
        Alpha = "alpha",
    }
}

/// A family's function, by what it looks at.
#[derive(Clone, Copy)]
pub enum Render {
    /// One plan.
    Plan(fn(&PlanContext<'_>, &mut Out<'_>)),
    /// One provider.
    Provider(fn(&Provider, &mut Out<'_>)),
    /// All plans together.
    Fleet(fn(&Fleet, &mut Out<'_>)),
}

/// What a plan's families may look at.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    /// The plan.
    pub state: &'a PlanState,
    /// Its alerts.
    pub alerts: &'a [Alert],
    /// What the archive policy says of it; `None` where archiving is off.
    pub decision: Option<&'a Decision>,
    /// Plan labels that are shown, as (name in Kubernetes, name in Prometheus).
    pub shown_labels: &'a [(String, String)],
}

/// Counts over all plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Plans by phase, in the order of [`PlanPhase::ALL`].
    pub plans: [u64; PlanPhase::ALL.len()],
    /// VMs by phase, in the order of [`VmPhase::ALL`].
    pub vms: [u64; VmPhase::ALL.len()],
}

/// Conditions of a plan beyond this number are not exported.
const MOST_CONDITIONS: usize = 32;
/// Condition types are cut at this many bytes.
const LONGEST_CONDITION: usize = 128;

macro_rules! family {
    ($name:literal, $unit:expr, $labels:expr, $kind:ident($render:expr), $help:literal) => {
        Family {
            name: $name,
            help: $help,
            unit: $unit,
            labels: $labels,
            stability: Stability::Stable,
            render: Render::$kind($render),
        }
    };
}

const SECONDS: Option<Unit> = Some(Unit::Seconds);
const BYTES: Option<Unit> = Some(Unit::Bytes);
const RATIO: Option<Unit> = Some(Unit::Ratio);
/// Every family about a plan has these.
const P: &[&str] = &["plan_namespace", "plan"];
/// Every family about a VM has these.
const V: &[&str] = &["plan_namespace", "plan", "vm", "vm_id"];

/// Every family, in the order of the exposition.
#[rustfmt::skip]
pub static FAMILIES: &[Family] = &[
    family!("migration_plan_status", None, &["namespace", "name", "plan_namespace", "plan", "phase"], Plan(plan_status),
        "The current phase of a plan, always 1."),
    family!("migration_plan_info", None,
        &["plan_namespace", "plan", "uid", "type", "source", "source_type", "destination", "target_namespace"], Plan(plan_info),
        "What a plan does, always 1; providers are named namespace/name."),
    family!("migration_plan_labels", None, P, Plan(plan_labels),
        "The labels of a plan that the configuration allows, each as label_NAME, always 1."),
    family!("migration_plan_ready", None, P, Plan(|p, out| p.put(out, Value::Int(p.state.plan.has("Ready").into()))),
        "Whether a plan has the Ready condition, 1 or 0."),
    family!("migration_plan_flag", None, &["plan_namespace", "plan", "flag"], Plan(plan_flag),
        "What is odd about a plan beside its phase, 1 while it holds."),
    family!("migration_plan_condition", None, &["plan_namespace", "plan", "condition", "category"], Plan(plan_condition),
        "The conditions of a plan that are True, always 1."),
    family!("migration_plan_vms", None, &["plan_namespace", "plan", "phase"], Plan(plan_vms),
        "How many VMs of a plan are in a phase; phases without VMs are left out."),
    family!("migration_plan_progress_ratio", RATIO, P, Plan(|p, out| if let Some(ratio) = p.state.ratio { p.put(out, Value::Float(ratio)) }),
        "How far the latest attempt of a plan has come, 0 to 1, weighed by bytes where they are known."),
    family!("migration_plan_disk_bytes", BYTES, P, Plan(|p, out| p.bytes(out, p.state.disk_bytes())),
        "The provisioned size of all disks that a plan copies; absent where none is known."),
    family!("migration_plan_transferred_bytes", BYTES, P, Plan(|p, out| p.bytes(out, p.state.transferred_bytes())),
        "How much of a plan's disks has been copied; falls when a retry starts over."),
    family!("migration_plan_created_timestamp_seconds", SECONDS, P, Plan(|p, out| p.time(out, p.state.plan.created)),
        "When a plan was created."),
    family!("migration_plan_start_timestamp_seconds", SECONDS, P, Plan(|p, out| p.time(out, p.state.plan.started)),
        "When the latest attempt of a plan started."),
    family!("migration_plan_completion_timestamp_seconds", SECONDS, P, Plan(|p, out| p.time(out, p.state.plan.completed)),
        "When the latest attempt of a plan ended."),
    family!("migration_plan_cutover_timestamp_seconds", SECONDS, P, Plan(|p, out| p.time(out, p.state.cutover())),
        "The earliest cutover of a plan's VMs that are not over."),
    family!("migration_plan_last_progress_timestamp_seconds", SECONDS, P, Plan(|p, out| p.time(out, p.state.last_progress())),
        "When a byte, step or task of a plan last moved."),
    family!("migration_plan_attempts", None, P, Plan(|p, out| p.put(out, Value::Int(p.state.plan.attempts.len() as u64))),
        "How often a plan has been run."),
    family!("migration_plan_alert", None, &["plan_namespace", "plan", "alert", "severity"], Plan(plan_alert),
        "The rules that fire for a plan, always 1."),
    family!("migration_plan_archive_decision", None, &["plan_namespace", "plan", "decision", "reason"], Plan(archive_decision),
        "What the archive policy says of a plan and why, always 1; absent while there is no policy."),

    family!("migration_vm_status", None, &["plan_namespace", "plan", "vm", "vm_id", "phase"],
        Plan(|p, out| p.each_vm(|l, _, vm| out.one(&[l[0], l[1], l[2], l[3], vm.phase.as_str()]))),
        "The current phase of a VM, always 1."),
    family!("migration_vm_progress_ratio", RATIO, V,
        Plan(|p, out| p.each_vm(|labels, _, vm| out.put(&labels, Value::Float(vm.progress.ratio)))),
        "How far a VM has come, 0 to 1; exactly 1 for one that succeeded."),
    family!("migration_vm_step", None, &["plan_namespace", "plan", "vm", "vm_id", "step"],
        Plan(|p, out| p.each_vm(|l, _, vm| if let Some(step) = vm.step { out.one(&[l[0], l[1], l[2], l[3], step.as_str()]) })),
        "The step that a VM is in, or failed in, always 1."),
    family!("migration_vm_disk_bytes", BYTES, V,
        Plan(|p, out| p.each_vm(|labels, _, vm| if vm.progress.disk_bytes > 0 { out.put(&labels, Value::Int(vm.progress.disk_bytes)) })),
        "The provisioned size of a VM's disks; absent where it is not known or nothing is copied."),
    family!("migration_vm_transferred_bytes", BYTES, V,
        Plan(|p, out| p.each_vm(|labels, _, vm| if vm.progress.disk_bytes > 0 { out.put(&labels, Value::Int(vm.progress.transferred_bytes)) })),
        "How much of a VM's disks has been copied, in a warm migration by the first precopy."),
    family!("migration_vm_start_timestamp_seconds", SECONDS, V, Plan(|p, out| p.each_vm(|labels, vm, _| out.maybe(&labels, vm.started.map(Time::unix)))),
        "When a VM started; older than the attempt for one that an earlier attempt had finished."),
    family!("migration_vm_completion_timestamp_seconds", SECONDS, V, Plan(|p, out| p.each_vm(|labels, vm, _| out.maybe(&labels, vm.completed.map(Time::unix)))),
        "When a VM ended."),
    family!("migration_vm_last_progress_timestamp_seconds", SECONDS, V,
        Plan(|p, out| p.each_vm(|labels, vm, _| out.maybe(&labels, vm.last_progress.map(Time::unix)))),
        "When a byte, step or task of a VM last moved."),
    family!("migration_vm_precopies", None, V, Plan(|p, out| p.each_warm_vm(|labels, warm, _| out.put(&labels, Value::Int(warm.precopies.len() as u64)))),
        "How many precopies of a warm VM have begun, that of the cutover included."),
    family!("migration_vm_precopy_failures", None, V, Plan(|p, out| p.each_warm_vm(|labels, warm, _| out.maybe(&labels, Some(warm.failures)))),
        "Restarts of the importer that Forklift last looked at in a warm copy; falls back to 0."),
    family!("migration_vm_next_precopy_timestamp_seconds", SECONDS, V, Plan(next_precopy),
        "When the next precopy of a warm VM is due."),
    family!("migration_vm_cutover_downtime_seconds", SECONDS, V,
        Plan(|p, out| p.each_vm(|labels, _, vm| out.maybe(&labels, vm.downtime.map(|downtime| downtime.as_secs())))),
        "How long a warm VM was down in its cutover, once it has succeeded."),

    family!("migration_provider_status", None, &["namespace", "name", "provider_namespace", "provider", "type", "phase"], Provider(provider_status),
        "The current phase of a provider, always 1."),
    family!("migration_provider_ready", None, &["provider_namespace", "provider"],
        Provider(|p, out| out.put(&[&p.key.namespace, &p.key.name], Value::Int(p.is_ready().into()))),
        "Whether a provider has the Ready condition, 1 or 0."),

    family!("migration_plans", None, &["phase"], Fleet(|fleet, out| for phase in PlanPhase::ALL { out.put(&[phase.as_str()], Value::Int(fleet.plans[*phase as usize])) }),
        "How many plans are in a phase; every phase is present."),
    family!("migration_vms", None, &["phase"], Fleet(|fleet, out| for phase in VmPhase::ALL { out.put(&[phase.as_str()], Value::Int(fleet.vms[*phase as usize])) }),
        "How many VMs are in a phase, those of plans that were never run being Pending; every phase is present."),
];

impl PlanContext<'_> {
    fn labels(&self) -> [&str; 2] {
        [&self.state.plan.key.namespace, &self.state.plan.key.name]
    }

    fn put(&self, out: &mut Out<'_>, value: Value) {
        out.put(&self.labels(), value);
    }

    fn time(&self, out: &mut Out<'_>, time: Option<Time>) {
        out.maybe(&self.labels(), time.map(Time::unix));
    }

    /// Absent where no size is known, as for a VM.
    fn bytes(&self, out: &mut Out<'_>, bytes: u64) {
        if self.state.disk_bytes() > 0 {
            self.put(out, Value::Int(bytes));
        }
    }

    /// Calls `give` with the labels of each VM; the VMs of an archived plan are history and not exported.
    fn each_vm(&self, mut give: impl FnMut([&str; 4], &Vm, &VmState)) {
        if self.state.phase == PlanPhase::Archived {
            return;
        }
        let [namespace, plan] = self.labels();
        for (vm, state) in self.state.plan.vms.iter().zip(&self.state.vms) {
            give([namespace, plan, &vm.name, &vm.id], vm, state);
        }
    }

    fn each_warm_vm(&self, mut give: impl FnMut([&str; 4], &Warm, &VmState)) {
        if self.state.plan.is_warm() {
            self.each_vm(|labels, vm, state| {
                if let Some(warm) = &vm.warm {
                    give(labels, warm, state);
                }
            });
        }
    }
}

fn plan_status(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let [namespace, name] = p.labels();
    out.one(&[namespace, name, namespace, name, p.state.phase.as_str()]);
}

fn plan_info(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let plan = &*p.state.plan;
    let [namespace, name] = p.labels();
    let source_type = p.state.source.as_ref().map_or("Unknown", |source| source.kind.as_str());
    let (source, destination) = (plan.source.to_string(), plan.destination.to_string());
    let kind = plan.migration_type().as_str();
    out.one(&[namespace, name, &plan.uid, kind, &source, source_type, &destination, &plan.target_namespace]);
}

fn plan_labels(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let mut names = vec!["plan_namespace", "plan"];
    let mut values = p.labels().to_vec();
    for (name, label) in p.shown_labels {
        if let Some(value) = p.state.plan.label(name) {
            names.push(label);
            values.push(value);
        }
    }
    if names.len() > 2 {
        out.put_named(&names, &values, Value::Int(1));
    }
}

fn plan_flag(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let [namespace, name] = p.labels();
    for flag in p.state.flags.iter() {
        out.one(&[namespace, name, flag.as_str()]);
    }
}

fn plan_condition(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let [namespace, name] = p.labels();
    // Two conditions can become one when the VM id is taken off.
    let conditions = p.state.plan.conditions.iter().map(|c| (cut(c.label(), LONGEST_CONDITION), c.category));
    for (kind, category) in conditions.collect::<BTreeSet<_>>().into_iter().take(MOST_CONDITIONS) {
        out.one(&[namespace, name, kind, category.as_str()]);
    }
}

fn plan_vms(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let [namespace, name] = p.labels();
    for (phase, count) in VmPhase::ALL.iter().zip(p.state.vm_counts()).filter(|(_, count)| *count > 0) {
        out.put(&[namespace, name, phase.as_str()], Value::Int(count.into()));
    }
}

fn plan_alert(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let [namespace, name] = p.labels();
    // Several VMs of a plan can fire the same rule.
    let firing = p.alerts.iter().filter(|alert| alert.state == AlertState::Firing);
    for (rule, severity) in firing.map(|alert| (alert.id.rule, alert.severity)).collect::<BTreeSet<_>>() {
        out.one(&[namespace, name, rule, severity.as_str()]);
    }
}

fn archive_decision(p: &PlanContext<'_>, out: &mut Out<'_>) {
    let [namespace, name] = p.labels();
    if let Some(decision) = p.decision {
        out.one(&[namespace, name, decision.as_str(), decision.reason().as_str()]);
    }
}

/// Only while the VM is in its precopies: the field keeps its last value for ever.
fn next_precopy(p: &PlanContext<'_>, out: &mut Out<'_>) {
    p.each_warm_vm(|labels, warm, state| {
        if matches!(state.phase, VmPhase::Precopying | VmPhase::AwaitingCutover | VmPhase::CutoverScheduled) {
            out.maybe(&labels, warm.next_precopy.map(Time::unix));
        }
    });
}

fn provider_status(p: &Provider, out: &mut Out<'_>) {
    let (namespace, name) = (p.key.namespace.as_str(), p.key.name.as_str());
    out.one(&[namespace, name, namespace, name, p.kind.as_str(), p.phase.as_str()]);
}

/// The beginning of a text, at most `most` bytes of it.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
