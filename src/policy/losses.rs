//! What Forklift deletes when a plan is archived, as far as its objects tell. For people: the command, the API and the log.
//!
//! Sources: Forklift `plan/controller.go` (`archive`) and `plan/migration.go` (`Archive`, `cleanup`), and a real controller that
//! archived plans of each outcome. Errors of this cleaning are logged by the controller and nothing more.

use crate::plan::{MigrationType, PlanState, ProviderType, StepName, Text, VmPhase};
use std::fmt;

closed_enum! {
    /// A kind of thing that is deleted.
    pub enum Lost {
        /// Target VMs, PVCs and DataVolumes of VMs that did not succeed.
        Targets = "Targets",
        /// The copies from which a failed VM could be resumed.
        ResumableCopies = "ResumableCopies",
        /// Pods of the conversion, with their logs.
        ConversionLogs = "ConversionLogs",
        /// Jobs of the hooks, with their logs.
        HookLogs = "HookLogs",
        /// The last snapshot of a warm VM, on the source.
        SourceSnapshots = "SourceSnapshots",
        /// PVCs and PVs by which an OVA or Hyper-V source is read.
        ProviderStorage = "ProviderStorage",
        /// What the migration needed besides: importer pods, secrets, config maps, jobs.
        Helpers = "Helpers",
    }
}

impl Lost {
    /// Whether data are lost that nobody can make again.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Targets | Self::ResumableCopies)
    }

    /// What it is, for people.
    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Targets => "target VM, PVCs and DataVolumes, as far as they were made",
            Self::ResumableCopies => "copied disks from which it could be resumed",
            Self::ConversionLogs => "pods and logs of the conversion",
            Self::HookLogs => "jobs and logs of the hooks",
            Self::SourceSnapshots => "last snapshot on the source",
            Self::ProviderStorage => "PVCs and PVs of the source's storage",
            Self::Helpers => "importer pods, secrets, config maps and jobs that are left of the migration",
        }
    }
}

/// Something that would be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What.
    pub what: Lost,
    /// Of which VMs, by name; empty where it is the plan's.
    pub vms: Vec<Text>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More names than this are counted.
        const MOST: usize = 5;
        f.write_str(self.what.says())?;
        for (at, vm) in self.vms.iter().take(MOST).enumerate() {
            write!(f, "{}{vm}", if at == 0 { " of " } else { ", " })?;
        }
        match self.vms.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What archiving this plan now would delete, the worst first. Nothing for one that was never run.
pub fn losses(state: &PlanState) -> Vec<Loss> {
    let plan = &state.plan;
    if plan.vms.is_empty() {
        return Vec::new();
    }
    let kind = plan.migration_type();
    let of = |test: &dyn Fn(&crate::plan::Vm, VmPhase) -> bool| -> Vec<Text> {
        let vms = plan.vms.iter().zip(&state.vms).filter(|(vm, of)| test(vm, of.phase));
        vms.map(|(vm, _)| if vm.name.is_empty() { vm.id.clone() } else { vm.name.clone() }).collect()
    };
    // A live migration cleans up whatever the plan says, one that only converts never does.
    let deletes = |vm: &crate::plan::Vm| match kind {
        MigrationType::Conversion => false,
        MigrationType::Live => true,
        MigrationType::Cold | MigrationType::Warm | MigrationType::Unknown => plan.delete_failed || vm.delete_failed,
    };
    let targets = of(&|vm, phase| phase != VmPhase::Succeeded && deletes(vm));
    let resumable = plan.has("ConversionResumable");
    let copies = if resumable { of(&|vm, phase| phase == VmPhase::Failed && deletes(vm)) } else { Vec::new() };
    let converted =
        of(&|vm, _| [StepName::ImageConversion, StepName::DiskTransferV2v].iter().any(|step| vm.step(*step).is_some()));
    let hooked = of(&|vm, _| [StepName::PreHook, StepName::PostHook].iter().any(|step| vm.step(*step).is_some()));
    let snapshots = of(&|vm, phase| plan.is_warm() && vm.warm.is_some() && phase != VmPhase::Succeeded);
    let stored = state.source.as_ref().is_some_and(|source| matches!(source.kind, ProviderType::Ova | ProviderType::HyperV));
    let found = [
        (Lost::Targets, targets),
        (Lost::ResumableCopies, copies),
        (Lost::ConversionLogs, converted),
        (Lost::HookLogs, hooked),
        (Lost::SourceSnapshots, snapshots),
    ];
    let of_vms = found.into_iter().filter(|(_, vms)| !vms.is_empty()).map(|(what, vms)| Loss { what, vms });
    let of_plan = |what| Loss { what, vms: Vec::new() };
    let stored = stored.then(|| of_plan(Lost::ProviderStorage));
    of_vms.chain(stored).chain([of_plan(Lost::Helpers)]).collect()
}
