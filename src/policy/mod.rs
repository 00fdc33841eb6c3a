//! Whether a plan may be archived, and if not, why.
//!
//! Called by the loop for each plan that changed and whenever a [`Decision`] says to look again. Pure: it decides, it does
//! not act. Archiving is destructive (Forklift deletes logs, and the disks of VMs that did not succeed), so every doubt is a
//! reason not to.

#![warn(clippy::wildcard_enum_match_arm)]

use crate::plan::{Flag, PlanPhase, PlanState, Time, VmPhase};
use std::time::Duration;

/// An archive policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A plan that succeeded is due this long after its end.
    pub succeeded_older_than: Duration,
}

closed_enum! {
    /// Why a plan is to be archived, waits, or is never touched. In the order in which they are tried.
    pub enum Reason {
        /// It is archived.
        Archived = "Archived",
        /// It was archived and a person took that back.
        Unarchived = "Unarchived",
        /// Somebody asked for it to be kept, by the annotation `mtv-sentinel.io/keep: "true"`.
        Kept = "Kept",
        /// An attempt is under way.
        Executing = "Executing",
        /// It has not been run to an end.
        NotFinished = "NotFinished",
        /// It failed or was canceled: its disks and logs may still be wanted.
        NotSucceeded = "NotSucceeded",
        /// A VM of it did not succeed: archiving would delete what was made of it.
        VmNotSucceeded = "VmNotSucceeded",
        /// It lists VMs that were never migrated.
        VmsNotCovered = "VmsNotCovered",
        /// Its spec was changed after its end, and the controller does not look at it any more.
        Edited = "Edited",
        /// Another object owns it and may write it back.
        Owned = "Owned",
        /// It does not say when it ended.
        NoEnd = "NoEnd",
        /// A Migration waits for it.
        MigrationWaits = "MigrationWaits",
        /// One of its providers is not ready: the controller would archive it without cleaning up, and never try again.
        ProviderNotReady = "ProviderNotReady",
        /// It ended in the future: the clocks differ.
        EndsInFuture = "EndsInFuture",
        /// It is not old enough.
        TooYoung = "TooYoung",
        /// It is old enough, and nothing speaks against it.
        Due = "Due",
    }
}

/// What is to be done about a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Archive it.
    Archive(Reason),
    /// Not now; look again at this time, or when it changes.
    Wait(Reason, Option<Time>),
    /// Not while it is as it is.
    Never(Reason),
}

impl Decision {
    /// The name of the decision, as a label shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archive(_) => "Archive",
            Self::Wait(..) => "Wait",
            Self::Never(_) => "Never",
        }
    }

    /// Why.
    pub fn reason(self) -> Reason {
        match self {
            Self::Archive(reason) | Self::Wait(reason, _) | Self::Never(reason) => reason,
        }
    }

    /// When to decide again though nothing changes.
    pub fn look_again(self) -> Option<Time> {
        match self {
            Self::Wait(_, at) => at,
            Self::Archive(_) | Self::Never(_) => None,
        }
    }
}

/// Decides about a plan.
pub fn decide(state: &PlanState, policy: &Policy, now: Time) -> Decision {
    let plan = &*state.plan;
    if state.flags.has(Flag::ArchivedByConditionOnly) {
        return Decision::Never(Reason::Unarchived);
    }
    if plan.archived {
        return Decision::Never(Reason::Archived);
    }
    if plan.annotation("keep") == Some("true") {
        return Decision::Never(Reason::Kept);
    }
    match state.phase {
        PlanPhase::Succeeded => {}
        PlanPhase::Failed | PlanPhase::Canceled => return Decision::Never(Reason::NotSucceeded),
        PlanPhase::Archived => return Decision::Never(Reason::Archived),
        PlanPhase::NotReady | PlanPhase::Ready | PlanPhase::Unknown => return Decision::Wait(Reason::NotFinished, None),
        PlanPhase::Pending
        | PlanPhase::Running
        | PlanPhase::WarmRunning
        | PlanPhase::CutoverScheduled
        | PlanPhase::CuttingOver => return Decision::Wait(Reason::Executing, None),
    }
    if state.vms.iter().any(|vm| vm.phase != VmPhase::Succeeded) {
        return Decision::Never(Reason::VmNotSucceeded);
    }
    let migrated = |wanted: &crate::plan::VmRef| plan.vms.iter().any(|vm| wanted.names(vm));
    if !plan.wanted.iter().all(migrated) {
        return Decision::Never(Reason::VmsNotCovered);
    }
    if state.flags.has(Flag::GenerationDrift) {
        return Decision::Never(Reason::Edited);
    }
    if plan.owned {
        return Decision::Never(Reason::Owned);
    }
    let Some(end) = plan.completed else { return Decision::Never(Reason::NoEnd) };
    if state.flags.has(Flag::StartBlocked) {
        return Decision::Wait(Reason::MigrationWaits, None);
    }
    let ready = |provider: &Option<std::sync::Arc<crate::plan::Provider>>| provider.as_ref().is_some_and(|p| p.is_ready());
    if !ready(&state.source) || !ready(&state.destination) {
        return Decision::Wait(Reason::ProviderNotReady, None);
    }
    let due = end.plus(policy.succeeded_older_than);
    if end > now {
        Decision::Wait(Reason::EndsInFuture, Some(due))
    } else if due > now {
        Decision::Wait(Reason::TooYoung, Some(due))
    } else {
        Decision::Archive(Reason::Due)
    }
}
