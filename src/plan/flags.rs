//! What is wrong or odd about a plan beside its phase. A flag is never folded into the phase.

use super::model::{Attempt, Migration, Plan, VmRef};
use super::phase::{self, VmOutcome};
use std::sync::Arc;

closed_enum! {
    /// A fact about a plan that its phase does not tell.
    pub enum Flag {
        /// Executing while a Critical or Error condition holds: nothing moves, and after its grace the controller fails the plan.
        Blocked = "Blocked",
        /// Archived while executing: its resources are gone and it will never end.
        Zombie = "Zombie",
        /// The controller has not reconciled the latest spec.
        GenerationDrift = "GenerationDrift",
        /// The copied disks of a failed VM wait for a run that only converts them.
        ConversionResumable = "ConversionResumable",
        /// `spec.archived`, and the controller has not followed.
        ArchivedBySpecOnly = "ArchivedBySpecOnly",
        /// Archived, but `spec.archived` is not set: somebody un-archived it.
        ArchivedByConditionOnly = "ArchivedByConditionOnly",
        /// A Migration waits, and the plan does not run.
        StartBlocked = "StartBlocked",
        /// The plan lists VMs that the running attempt will never start.
        VmsNotCovered = "VmsNotCovered",
        /// Every VM has completed, the plan has not: seconds at the end of a run, else the controller is stuck.
        FinishedButExecuting = "FinishedButExecuting",
    }
}

impl Flag {
    /// Whether it comes and goes within seconds at every start or end of an attempt, so that only its staying is news.
    pub fn passes(self) -> bool {
        matches!(self, Self::StartBlocked | Self::FinishedButExecuting | Self::GenerationDrift | Self::ArchivedBySpecOnly)
    }
}

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Whether the flag is in the set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u16) != 0
    }

    /// The flags in the set, in order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.iter().copied().filter(move |flag| self.has(*flag))
    }

    fn set(&mut self, flag: Flag, on: bool) {
        if on {
            self.0 |= 1 << flag as u16;
        }
    }

    /// The flags of a plan, given every Migration that names it.
    pub(super) fn of(plan: &Plan, migrations: &[Arc<Migration>]) -> Self {
        let executing = phase::is_executing(plan);
        let archived = plan.has("Archived");
        let zombie = executing && (plan.archived || archived);
        let waits = migrations.iter().any(|m| will_start(plan, m));
        let all_over = !plan.vms.is_empty() && plan.vms.iter().all(|vm| VmOutcome::of(vm).is_some());

        let mut flags = Self::default();
        flags.set(Flag::Blocked, executing && !zombie && plan.is_blocked());
        flags.set(Flag::Zombie, zombie);
        flags.set(Flag::GenerationDrift, plan.observed_generation.is_some_and(|seen| seen != plan.generation));
        flags.set(Flag::ConversionResumable, plan.has("ConversionResumable"));
        flags.set(Flag::ArchivedBySpecOnly, plan.archived && !archived);
        flags.set(Flag::ArchivedByConditionOnly, archived && !plan.archived);
        flags.set(Flag::StartBlocked, !executing && waits);
        flags.set(Flag::VmsNotCovered, executing && has_uncovered_vms(plan));
        flags.set(Flag::FinishedButExecuting, executing && all_over);
        flags
    }
}

/// Whether the controller counts this Migration among those that wait: it has no outcome of its own and its attempt was not
/// canceled (Forklift `pendingMigrations`). Between the end of an attempt and the Migration's own outcome lie milliseconds,
/// so an ended attempt does not wait, but for one that a blocker failed: Forklift restarts that one when the blocker clears.
fn will_start(plan: &Plan, migration: &Migration) -> bool {
    if ["Succeeded", "Failed", "Canceled"].iter().any(|outcome| migration.has(outcome)) {
        return false;
    }
    let latest = plan.attempts.iter().rev().find(|a| !a.migration.uid.is_empty() && a.migration.uid == migration.uid);
    match latest {
        None => true,
        Some(attempt) if attempt.has("Failed") => plan.is_blocked(),
        Some(attempt) => !has_ended(attempt),
    }
}

fn has_ended(attempt: &Attempt) -> bool {
    attempt.has("Canceled") || attempt.has("Succeeded") || attempt.has("Failed")
}

/// Whether `spec.vms` names a VM that the attempt has not: the controller takes no VM into a running attempt.
fn has_uncovered_vms(plan: &Plan) -> bool {
    // Both lists are in the same order until somebody edits the plan, so the first look nearly always finds it.
    let covered = |(at, wanted): (usize, &VmRef)| {
        plan.vms.get(at).is_some_and(|vm| wanted.names(vm)) || plan.vms.iter().any(|vm| wanted.names(vm))
    };
    !plan.vms.is_empty() && !plan.wanted.iter().enumerate().all(covered)
}
