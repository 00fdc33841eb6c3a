//! The rules, one row each.

use crate::plan::{PlanPhase, PlanState, Text, Time, VmPhase};

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
    }
}

/// A rule.
pub struct Rule {
    /// Its name, as labels and messages show it.
    pub name: &'static str,
    /// Its severity, unless the configuration says otherwise.
    pub severity: Severity,
    /// What it means, in one sentence.
    pub summary: &'static str,
    /// Where its beginning is read.
    pub since: Since,
    /// What ends it.
    pub resolved_by: &'static str,
    /// Whether it holds for a plan.
    pub check: fn(&PlanState) -> Option<Finding>,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Since when, by the object's own clock.
    pub since: Option<Time>,
    /// What is wrong, in Forklift's words where it has some.
    pub reason: Text,
}

/// Every rule, in the order of the documentation.
pub static RULES: &[Rule] = &[Rule {
    name: "PlanFailed",
    severity: Severity::Warning,
    summary: "A migration plan failed.",
    since: Since::Object,
    resolved_by: "a retry that starts, archiving or deleting the plan",
    check: plan_failed,
}];

fn plan_failed(state: &PlanState) -> Option<Finding> {
    if state.phase != PlanPhase::Failed {
        return None;
    }
    let plan = &*state.plan;
    let failed = plan.condition("Failed")?;
    let mut reason = String::new();
    let vms = plan.vms.iter().zip(&state.vms).filter(|(_, vm)| vm.phase == VmPhase::Failed);
    for (count, (vm, _)) in vms.clone().enumerate().take(10) {
        let separator = if count == 0 { "" } else { "; " };
        let why = vm.error.as_ref().map_or("", |error| error.reasons.as_str());
        let name = if vm.name.is_empty() { &vm.id } else { &vm.name };
        reason.push_str(&format!("{separator}{name}: {why}"));
    }
    let more = vms.count().saturating_sub(10);
    if more > 0 {
        reason.push_str(&format!("; and {more} more"));
    }
    Some(Finding {
        since: plan.completed.or(failed.since),
        reason: if reason.is_empty() { failed.message.clone() } else { reason.into() },
    })
}
