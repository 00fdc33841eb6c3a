//! The table of all rules, one row each: what is checked, how urgent it is, how long it has to hold, and what ends it.
//!
//! docs/alerts.md, the configuration's names and the Prometheus expressions are made from it. What a row checks is in `checks`.

use super::checks;
use crate::plan::{Key, PlanState, Provider, Text, Time};
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
    /// What is checked.
    pub check: Check,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

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
     $summary:literal, $resolved_by:literal, $promql:expr) => {
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
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"Failed\"}) > 0")),
    rule!("VmFailed", Warning, 0, shown, true, Object, Plan(checks::vm_failed),
        "A VM failed while its plan still runs.", "the end of the attempt",
        Some("max by (plan_namespace, plan, vm, vm_id) (migration_vm_status{phase=\"Failed\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=~\"Pending|Running|WarmRunning|CutoverScheduled|CuttingOver\"}")),
    rule!("VmsCanceledInSucceededPlan", Info, 0, shown, true, Object, Plan(checks::canceled_in_succeeded),
        "A plan succeeded, but VMs in it were canceled.", "archiving or deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_vms{phase=\"Canceled\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=\"Succeeded\"}")),
    rule!("PlanBlocked", Critical, MINUTE, shown, true, Seen, Plan(checks::plan_blocked),
        "A running plan is blocked, and will be failed by the controller.", "no blocker any more, or the end of the attempt",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"Blocked\"}) > 0")),
    rule!("StartBlocked", Warning, 5 * MINUTE, shown, true, Object, Plan(checks::start_blocked),
        "A Migration waits, and its plan does not start.", "a start, or the deletion of the Migration",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"StartBlocked\"}) > 0")),
    rule!("PlanStalled", Warning, 30 * MINUTE, quiet, true, Seen, Plan(checks::plan_stalled),
        "No byte, step or task of a running plan moves.", "anything that moves",
        None),
    rule!("CutoverApproaching", Info, 0, shown, true, Object, Plan(checks::cutover_approaching),
        "A cutover is less than an hour away.", "the cutover, or another time for it",
        Some("max by (plan_namespace, plan) (migration_plan_cutover_timestamp_seconds - time()) < 3600 > 0")),
    rule!("CutoverOverdue", Warning, 15 * MINUTE, shown, true, Object, Plan(checks::cutover_overdue),
        "The time of a cutover has passed, and VMs still precopy.", "VMs that leave their precopies",
        None),
    rule!("CutoverMissing", Warning, 24 * HOUR, quiet, true, Object, Plan(checks::cutover_missing),
        "Warm VMs wait for a cutover that nobody has set.", "a cutover that is set",
        None),
    rule!("PrecopyFailing", Warning, 2 * MINUTE, shown, true, Seen, Plan(checks::precopy_failing),
        "The importer of a precopy restarts again and again.", "a copy that goes on, or the end of the VM",
        Some("max by (plan_namespace, plan, vm, vm_id) (migration_vm_precopy_failures) >= 2 and on (plan_namespace, plan, vm, vm_id) migration_vm_status{phase=\"Precopying\"}")),
    rule!("PrecopyOverdue", Warning, 15 * MINUTE, shown, true, Object, Plan(checks::precopy_overdue),
        "A precopy was due and has not begun.", "a precopy that begins",
        Some("max by (plan_namespace, plan, vm, vm_id) (time() - migration_vm_next_precopy_timestamp_seconds) > 0 and on (plan_namespace, plan, vm, vm_id) migration_vm_status{phase=~\"AwaitingCutover|CutoverScheduled\"}")),
    rule!("QueueStuck", Warning, 6 * HOUR, quiet, true, Object, Plan(checks::queue_stuck),
        "VMs of a running plan wait for a slot.", "VMs that start",
        Some("max by (plan_namespace, plan) (migration_plan_vms{phase=\"Pending\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=~\"Pending|Running|WarmRunning|CutoverScheduled|CuttingOver\"}")),
    rule!("ProviderNotReady", Critical, MINUTE, shown, true, Seen, OfProvider(checks::provider_not_ready),
        "A provider is not ready.", "a provider that is ready",
        Some("max by (provider_namespace, provider) (migration_provider_ready) == 0")),
    rule!("CancelIgnored", Warning, 15 * MINUTE, shown, true, Seen, Plan(checks::cancel_ignored),
        "A VM was to be canceled, and still runs.", "a VM that is canceled or ends",
        None),
    rule!("PlanRestarted", Info, 0, shown, true, Object, Plan(checks::plan_restarted),
        "The controller started a plan again by itself after it had failed it.", "the end of the attempt",
        None),
    rule!("ZombiePlan", Critical, 5 * MINUTE, shown, true, Seen, Plan(checks::zombie),
        "A plan was archived while it ran: it will never end.", "deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"Zombie\"}) > 0")),
    rule!("ControllerStuck", Warning, 10 * MINUTE, shown, true, Object, Plan(checks::controller_stuck),
        "Every VM of a plan has ended, and the plan has not.", "the end of the plan",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"FinishedButExecuting\"}) > 0")),
    rule!("VmsNotCovered", Warning, 10 * MINUTE, shown, true, Seen, Plan(checks::vms_not_covered),
        "VMs were added to a running plan, which ignores them.", "the end of the attempt, or VMs that are taken out again",
        Some("max by (plan_namespace, plan) (migration_plan_flag{flag=\"VmsNotCovered\"}) > 0")),
    rule!("LeftoverAfterArchive", Warning, 0, shown, true, Object, Plan(checks::leftover),
        "A plan was archived, and nothing of it was cleaned up.", "deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_condition{category=\"Critical\",condition=~\"(Source|Destination)Provider.*|NetworkMap.*|StorageMap.*|StorageRefNotValid\"}) > 0 and on (plan_namespace, plan) migration_plan_status{phase=\"Archived\"}")),
    rule!("PlanSucceeded", Info, 0, shown, false, Object, Plan(checks::plan_succeeded),
        "A migration plan succeeded.", "archiving or deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"Succeeded\"}) > 0")),
    rule!("PlanCanceled", Info, 0, shown, false, Object, Plan(checks::plan_canceled),
        "A migration plan was canceled.", "a retry that starts, archiving or deleting the plan",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"Canceled\"}) > 0")),
    rule!("PlanStarted", Info, 0, shown, false, Object, Plan(checks::plan_started),
        "A migration plan started.", "the end of the attempt",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=~\"Pending|Running|WarmRunning|CutoverScheduled|CuttingOver\"}) > 0")),
    rule!("PlanNotReady", Warning, HOUR, shown, false, Seen, Plan(checks::plan_not_ready),
        "A migration plan is not ready.", "a plan that is ready, or gone",
        Some("max by (plan_namespace, plan) (migration_plan_status{phase=\"NotReady\"}) > 0")),
];
