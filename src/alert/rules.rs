//! The table of all rules, one row each: what is checked, how urgent it is, how long it has to hold, and what ends it.
//!
//! docs/alerts.md, the configuration's names and the Prometheus expressions are made from it. What a row checks is in `checks`.

use super::checks;
use crate::plan::{Key, PlanState, Provider, Text, Time, VmPhase};
use std::time::Duration;

closed_enum! {
    /// How urgent an alert is, in OpenShift's sense of the words.
    pub enum Severity {
        /// Somebody has to act within minutes.
        Critical = "critical",
        /// Somebody has to act within the hour.
        Warning = "warning",
        /// Worth knowing.
        Info = "info",
    }
}

closed_enum! {
    /// Where the beginning of an alert is read.
    pub enum Since {
        /// A timestamp of the object itself, the same after a restart.
        Object = "object",
        /// When it was first seen: Forklift keeps no clock for it.
        Seen = "seen",
    }
}

/// A rule.
pub struct Rule {
    /// Its name, as labels and messages show it.
    pub name: &'static str,
    /// Its severity, unless the configuration says otherwise.
    pub severity: Severity,
    /// How long it has to hold before it fires.
    pub hold: Duration,
    /// Whether it is shown while it does not hold long enough. Not where that is the usual thing: every copy has moved a moment ago.
    pub pending_is_shown: bool,
    /// Whether it is on unless the configuration says otherwise.
    pub on: bool,
    /// Where its beginning is read.
    pub since: Since,
    /// What it means, in one sentence.
    pub summary: &'static str,
    /// What ends it.
    pub resolved_by: &'static str,
    /// The same in PromQL over our families, where it can be said there.
    pub promql: Option<&'static str>,
    /// The phases of the VMs that an alert without a subject is about: these are named in a message.
    pub vms: &'static [VmPhase],
    /// What happens next if nobody does anything, by what Forklift does.
    pub next: &'static str,
    /// A command for who wants to act.
    pub command: Option<Command>,
    /// What is checked.
    pub check: Check,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A command that a message shows, for who wants to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it is for, as "To see what blocks it".
    pub to: &'static str,
    /// The command, with the places `{namespace}`, `{name}`, `{uid}`, `{migration}` (the one of the attempt) and `{target}` (the
    /// target namespace). It reads, or what it changes can be taken back; deleting and archiving are for the runbooks.
    pub line: &'static str,
    /// Whether it creates a Migration: it is not shown while one waits already, which would start first.
    pub starts: bool,
}

const fn look(to: &'static str, line: &'static str) -> Command {
    Command { to, line, starts: false }
}

const RETRY: Command = Command {
    to: "To run it again, once the cause is mended; VMs that succeeded are kept",
    line: "echo '{\"apiVersion\":\"forklift.konveyor.io/v1beta1\",\"kind\":\"Migration\",\"metadata\":{\"generateName\":\"{name}-\",\"namespace\":\"{namespace}\"},\"spec\":{\"plan\":{\"name\":\"{name}\",\"namespace\":\"{namespace}\"}}}' | kubectl create -f -",
    starts: true,
};
const TAKE_BACK: Command = look(
    "To take the cutover back (times of single VMs in spec.vmCutover stay)",
    "kubectl patch migrations.forklift.konveyor.io -n {namespace} {migration} --type merge -p '{\"spec\":{\"cutover\":null}}'",
);
const LOG: Command = look(
    "To see what the controller says (upstream its namespace is konveyor-forklift)",
    "kubectl logs -n openshift-mtv deploy/forklift-controller --all-containers --since=15m",
);

const NONE: &[VmPhase] = &[];
const FAILED: &[VmPhase] = &[VmPhase::Failed];
const CANCELED: &[VmPhase] = &[VmPhase::Canceled];
const QUEUED: &[VmPhase] = &[VmPhase::Pending];
const ACTIVE: &[VmPhase] = &[VmPhase::Running, VmPhase::Precopying, VmPhase::CuttingOver];
const PRECOPIES: &[VmPhase] = &[VmPhase::Precopying, VmPhase::AwaitingCutover, VmPhase::CutoverScheduled];
const UNFINISHED: &[VmPhase] = &[
    VmPhase::Pending,
    VmPhase::Running,
    VmPhase::Precopying,
    VmPhase::AwaitingCutover,
    VmPhase::CutoverScheduled,
    VmPhase::CuttingOver,
    VmPhase::Unknown,
];

/// A rule's function, by what it looks at. It takes no time: it tells from when to when something holds.
#[derive(Clone, Copy)]
pub enum Check {
    /// One plan.
    Plan(fn(&PlanState) -> Vec<Finding>),
    /// One provider, with the number of plans that use it.
    Provider(fn(&Provider, usize) -> Vec<Finding>),
}

/// What a rule found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, if there can be several: a VM.
    pub subject: Text,
    /// From when it holds, by the object's own clock; `None` for when it was first seen. May be in the future.
    pub from: Option<Time>,
    /// Until when it holds though nothing changes.
    pub until: Option<Time>,
    /// What is wrong, in Forklift's words where it has some.
    pub reason: Text,
    /// Providers that cause it, if nothing else does.
    pub causes: Vec<Key>,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

macro_rules! rule {
    (@ shown) => { true };
    (@ quiet) => { false };
    ($name:literal, $severity:ident, $hold:expr, $pending:ident, $on:literal, $since:ident, $check:expr,
     $summary:literal, $resolved_by:literal, $promql:expr, $vms:expr, $next:literal, $command:expr) => {
        Rule {
            name: $name,
            severity: Severity::$severity,
            hold: Duration::from_secs($hold),
            pending_is_shown: rule!(@ $pending),
            on: $on,
            since: Since::$since,
            summary: $summary,
            resolved_by: $resolved_by,
            promql: $promql,
            vms: $vms,
            next: $next,
            command: $command,
            check: $check,
        }
    };
}

use Check::{Plan, Provider as OfProvider};

/// Every rule, in the order of the documentation.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule!("PlanFailed", Warning, 0, shown, true, Object, Plan(checks::plan_failed),
        "A migration plan failed.", "a retry that starts, archiving or deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"Failed\"}) > 0"),
        FAILED, "Nothing, unless a blocker failed it: then Forklift restarts the same Migration when the blocker clears. Sources that the migration powered off stay off.",
        Some(RETRY)),
    rule!("VmFailed", Warning, 0, shown, true, Object, Plan(checks::vm_failed),
        "A VM failed while its plan still runs.", "the end of the attempt",
        Some("max by (plan_namespace, plan, vm, vm_id) (migration_vm_status{phase=\"Failed\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=~\"Pending|Running|WarmRunning|CutoverScheduled|CuttingOver\"}"),
        FAILED, "The other VMs go on, then the plan is Failed. The VM is not tried again in this attempt, and its source stays off if the migration powered it off.",
        Some(look("To find the VM's pods, whose logs a retry or an archive removes",
            "kubectl get pods -A -l plan={uid}"))),
    rule!("VmsCanceledInSucceededPlan", Info, 0, shown, true, Object, Plan(checks::canceled_in_succeeded),
        "A plan succeeded, but VMs in it were canceled.", "archiving or deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_vms{phase=\"Canceled\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=\"Succeeded\"}"),
        CANCELED, "Nothing: a plan that has succeeded never runs again. Archiving deletes what was copied of the canceled VMs, by default.",
        Some(look("To see what a person canceled",
            "kubectl get migrations.forklift.konveyor.io -n {namespace} {migration} -o jsonpath='{.spec.cancel}'"))),
    rule!("PlanBlocked", Critical, MINUTE, shown, true, Seen, Plan(checks::plan_blocked),
        "A running plan is blocked, and will be failed by the controller.", "no blocker any more, or the end of the attempt",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"Blocked\"}) > 0"),
        UNFINISHED, "Nothing moves while it lasts. If the blocker clears within the controller's grace (5 minutes by default), the plan goes on where it was. Else it fails, and the same Migration is restarted when the blocker clears.",
        Some(look("To see what blocks it",
            "kubectl describe plans.forklift.konveyor.io -n {namespace} {name}"))),
    rule!("StartBlocked", Warning, 5 * MINUTE, shown, true, Object, Plan(checks::start_blocked),
        "A Migration waits, and its plan does not start.", "a start, or the deletion of the Migration",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"StartBlocked\"}) > 0"),
        NONE, "The Migration starts as soon as the plan is ready, whenever that is. For a plan that has succeeded it waits for ever.",
        Some(look("To see what blocks it",
            "kubectl describe plans.forklift.konveyor.io -n {namespace} {name}"))),
    rule!("PlanStalled", Warning, 30 * MINUTE, quiet, true, Seen, Plan(checks::plan_stalled),
        "No byte, step or task of a running plan moves.", "anything that moves",
        None,
        ACTIVE, "An importer that restarts more than three times fails its VM, and so does a conversion pod that is Pending for 5 minutes (defaults). What hangs inside a pod is ended by nobody.",
        Some(look("To see its pods and volumes",
            "kubectl get pods,pvc -A -l plan={uid} -o wide"))),
    rule!("CutoverApproaching", Info, 0, shown, true, Object, Plan(checks::cutover_approaching),
        "A cutover is less than an hour away.", "the cutover, or another time for it",
        Some("max by (plan_namespace, plan) (migration_plan_cutover_timestamp_seconds - time()) < 3600 > 0"),
        PRECOPIES, "At the cutover a VM that is paused is powered off within seconds; one that is copying follows when its copy ends.",
        Some(TAKE_BACK)),
    rule!("CutoverOverdue", Warning, 15 * MINUTE, shown, true, Object, Plan(checks::cutover_overdue),
        "The time of a cutover has passed, and VMs still precopy.", "VMs that leave their precopies",
        None,
        PRECOPIES, "The cutover begins at the next pause of each VM, however late that is. It does not expire.",
        Some(TAKE_BACK)),
    rule!("CutoverMissing", Warning, 24 * HOUR, quiet, true, Object, Plan(checks::cutover_missing),
        "Warm VMs wait for a cutover that nobody has set.", "a cutover that is set",
        None,
        PRECOPIES, "The precopies go on, each with a snapshot in the source, until somebody sets a cutover. Forklift sets none.",
        Some(look("To set the cutover (a time that has passed means at the next pause)",
            "kubectl patch migrations.forklift.konveyor.io -n {namespace} {migration} --type merge -p '{\"spec\":{\"cutover\":\"YYYY-MM-DDTHH:MM:SSZ\"}}'"))),
    rule!("PrecopyFailing", Warning, 2 * MINUTE, shown, true, Seen, Plan(checks::precopy_failing),
        "The importer of a precopy restarts again and again.", "a copy that goes on, or the end of the VM",
        Some("max by (plan_namespace, plan, vm, vm_id) (migration_vm_precopy_failures) >= 2 and on (plan_namespace, plan, vm, vm_id) migration_vm_status{phase=\"Precopying\"}"),
        PRECOPIES, "The importer is restarted with growing pauses. After more than three restarts (by default) its VM fails, and a retry copies it from the beginning.",
        Some(look("To find the importers and their logs",
            "kubectl get pods -n {target} -l app=containerized-data-importer"))),
    rule!("PrecopyOverdue", Warning, 15 * MINUTE, shown, true, Object, Plan(checks::precopy_overdue),
        "A precopy was due and has not begun.", "a precopy that begins",
        Some("max by (plan_namespace, plan, vm, vm_id) (time() - migration_vm_next_precopy_timestamp_seconds) > 0 and on (plan_namespace, plan, vm, vm_id) migration_vm_status{phase=~\"AwaitingCutover|CutoverScheduled\"}"),
        PRECOPIES, "The precopy begins when the controller comes to it again. Until then no cutover of this VM begins either.",
        Some(LOG)),
    rule!("QueueStuck", Warning, 6 * HOUR, quiet, true, Object, Plan(checks::queue_stuck),
        "VMs of a running plan wait for a slot.", "VMs that start",
        Some("max by (plan_namespace, plan) (migration_plan_vms{phase=\"Pending\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=~\"Pending|Running|WarmRunning|CutoverScheduled|CuttingOver\"}"),
        QUEUED, "Each VM starts when a slot opens. One that is canceled ends only then, too.",
        Some(look("To see the limit (nothing means 20)",
            "kubectl get forkliftcontrollers.forklift.konveyor.io -A -o jsonpath='{.items[*].spec.controller_max_vm_inflight}'"))),
    rule!("ProviderNotReady", Critical, MINUTE, shown, true, Seen, OfProvider(checks::provider_not_ready),
        "A provider is not ready.", "a provider that is ready",
        Some("max by (provider_namespace, provider) (migration_provider_ready) == 0"),
        NONE, "Plans that run with it stand still, and fail after the controller's grace (5 minutes by default); they restart when it is back. Forklift tries again every few seconds, but after ConnectionAuthFailed not before the secret or the provider changes.",
        Some(look("To see what is wrong with it",
            "kubectl describe providers.forklift.konveyor.io -n {namespace} {name}"))),
    rule!("CancelIgnored", Warning, 15 * MINUTE, shown, true, Seen, Plan(checks::cancel_ignored),
        "A VM was to be canceled, and still runs.", "a VM that is canceled or ends",
        None,
        UNFINISHED, "A queued VM is canceled when a slot opens, any VM of a blocked plan when the blocker clears. An entry that names no VM of the plan does nothing.",
        Some(look("To see what is to be canceled",
            "kubectl get migrations.forklift.konveyor.io -n {namespace} {migration} -o jsonpath='{.spec.cancel}'"))),
    rule!("PlanRestarted", Info, 0, shown, true, Object, Plan(checks::plan_restarted),
        "The controller started a plan again by itself after it had failed it.", "the end of the attempt",
        None,
        NONE, "The plan runs to its end. VMs that had succeeded are kept, the others start over, and cold ones are powered off again. A cutover that is set still counts.",
        Some(look("To see why the attempts before ended",
            "kubectl get plans.forklift.konveyor.io -n {namespace} {name} -o jsonpath='{.status.migration.history[*].conditions[*].message}'"))),
    rule!("ZombiePlan", Critical, 5 * MINUTE, shown, true, Seen, Plan(checks::zombie),
        "A plan was archived while it ran: it will never end.", "deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"Zombie\"}) > 0"),
        UNFINISHED, "Nothing: the plan executes for ever. What its unfinished VMs had is deleted, and sources that are off stay off.",
        Some(look("To keep what it says before you delete it",
            "kubectl get plans.forklift.konveyor.io -n {namespace} {name} -o yaml > {name}.yaml"))),
    rule!("ControllerStuck", Warning, 10 * MINUTE, shown, true, Object, Plan(checks::controller_stuck),
        "Every VM of a plan has ended, and the plan has not.", "the end of the plan",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"FinishedButExecuting\"}) > 0"),
        NONE, "Nothing, while a VM is missing in the inventory of the source. Else the plan ends when the controller comes to it again.",
        Some(LOG)),
    rule!("VmsNotCovered", Warning, 10 * MINUTE, shown, true, Seen, Plan(checks::vms_not_covered),
        "VMs were added to a running plan, which ignores them.", "the end of the attempt, or VMs that are taken out again",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"VmsNotCovered\"}) > 0"),
        NONE, "The attempt goes on without them. If it fails or is canceled, the next one takes them in; if it succeeds, nothing does.",
        Some(look("To see the VMs of the plan, in order",
            "kubectl get plans.forklift.konveyor.io -n {namespace} {name} -o jsonpath='{.spec.vms[*].id}'"))),
    rule!("LeftoverAfterArchive", Warning, 0, shown, true, Object, Plan(checks::leftover),
        "A plan was archived, and nothing of it was cleaned up.", "deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_condition{category=\"Critical\",condition=~\"(Source|Destination)Provider.*|NetworkMap.*|StorageMap.*|StorageRefNotValid\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=\"Archived\"}"),
        NONE, "Nothing: the cleaning is not tried again when the provider is back.",
        Some(look("To see what was left in the cluster",
            "kubectl get pods,jobs,pvc,secrets,configmaps -A -l plan={uid}"))),
    rule!("PlanSucceeded", Info, 0, shown, false, Object, Plan(checks::plan_succeeded),
        "A migration plan succeeded.", "archiving or deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"Succeeded\"}) > 0"),
        NONE, "Nothing: Forklift does not look at the plan again unless it is archived.",
        None),
    rule!("PlanCanceled", Info, 0, shown, false, Object, Plan(checks::plan_canceled),
        "A migration plan was canceled.", "a retry that starts, archiving or deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"Canceled\"}) > 0"),
        CANCELED, "Nothing, unless another Migration waits for the plan: that one starts. Sources that were on before are powered on again.",
        Some(RETRY)),
    rule!("PlanStarted", Info, 0, shown, false, Object, Plan(checks::plan_started),
        "A migration plan started.", "the end of the attempt",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=~\"Pending|Running|WarmRunning|CutoverScheduled|CuttingOver\"}) > 0"),
        NONE, "The plan runs to its end. Cold VMs are powered off when their turn comes, warm ones run until their cutover.",
        None),
    rule!("PlanNotReady", Warning, HOUR, shown, false, Seen, Plan(checks::plan_not_ready),
        "A migration plan is not ready.", "a plan that is ready, or gone",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"NotReady\"}) > 0"),
        NONE, "When what blocks it is mended the plan becomes ready, and a Migration that waits for it starts at once.",
        Some(look("To see what blocks it",
            "kubectl describe plans.forklift.konveyor.io -n {namespace} {name}"))),
];
