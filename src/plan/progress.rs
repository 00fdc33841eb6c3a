//! How far a VM and a plan have come, and when they last moved.
//!
//! Called by [`super::PlanState`] and by the store. Forklift's numbers need care: amounts are MiB, steps without disks
//! stay at 0 of 1 when they are complete, tasks may stay below their total for ever, the copy of a warm migration starts
//! again at each precopy, and some adapters report no total at all.
//!
//! The ratio of a VM: nine tenths for copying its disks, by bytes, and one tenth for all other steps, each the same. Where
//! nothing is copied, or no size is known, every step counts the same. A warm VM's copy is done when its first precopy is:
//! later ones move only what changed. The ratio of a plan is the mean over its VMs, weighed by their disks' bytes; VMs of
//! unknown size weigh as much as the mean of the others, and canceled ones do not count.

use super::Time;
use super::model::{Plan, Step, Vm, Warm};
use super::phase::{self, VmOutcome};
use super::words::{Stage, StepName, StepPhase};

const MIB: u64 = 1 << 20;
const COPY_SHARE: f64 = 0.9;

/// How far a VM has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VmProgress {
    /// 0 to 1; exactly 1 for a VM that succeeded.
    pub ratio: f64,
    /// Provisioned size in bytes of the disks that are copied; 0 if unknown or nothing is copied.
    pub disk_bytes: u64,
    /// Bytes of them that have been copied, in a warm migration by the first precopy.
    pub transferred_bytes: u64,
}

/// The progress of a VM.
pub fn vm_progress(vm: &Vm) -> VmProgress {
    let stopped = matches!(VmOutcome::of(vm), Some(VmOutcome::Failed | VmOutcome::Canceled));
    let copy = copy_step(vm);
    let copied = copy.map_or(0.0, |step| if first_precopy_is_done(vm) { 1.0 } else { fraction(step, stopped) });
    let disk_bytes = copy.map_or(0, |step| u64::from(step.total) * MIB);
    VmProgress {
        ratio: match VmOutcome::of(vm) {
            Some(VmOutcome::Succeeded) => 1.0,
            Some(VmOutcome::Failed | VmOutcome::Canceled | VmOutcome::Unknown) | None => ratio(vm, copy, copied, stopped),
        },
        disk_bytes,
        transferred_bytes: match copy {
            Some(_) if copied >= 1.0 => disk_bytes,
            Some(step) => u64::from(step.done.min(step.total)) * MIB,
            None => 0,
        },
    }
}

fn ratio(vm: &Vm, copy: Option<&Step>, copied: f64, stopped: bool) -> f64 {
    let copy = copy.filter(|step| step.total > 0);
    let others = vm.steps.iter().filter(|step| copy.is_none_or(|copy| copy.name != step.name));
    let (sum, count) = others.fold((0.0, 0.0), |(sum, count), step| (sum + other_fraction(step, stopped), count + 1.0));
    let others = if count > 0.0 { sum / count } else { 0.0 };
    match copy {
        Some(_) => COPY_SHARE * copied + (1.0 - COPY_SHARE) * others,
        None => others,
    }
    .clamp(0.0, 1.0)
}

/// The step that copies the disks. `DiskAllocation` is full before a byte is copied, unless it is the only one: then a
/// storage array copies in it (copy offload). `Cutover` has the full size once more and is not counted.
fn copy_step(vm: &Vm) -> Option<&Step> {
    [StepName::DiskTransfer, StepName::DiskTransferV2v, StepName::DiskAllocation].into_iter().find_map(|name| vm.step(name))
}

/// How much of a step beside the copy is done. `DiskAllocation` is `Completed` for a moment and `Pending` again while its
/// volumes are being bound, so it counts when it has an end.
fn other_fraction(step: &Step, stopped: bool) -> f64 {
    let binding = step.name == StepName::DiskAllocation && step.completed.is_none();
    if binding { 0.0 } else { fraction(step, stopped) }
}

/// How much of a step is done. A step of a VM that was stopped keeps its numbers, though it may carry an end; one that goes
/// back to `Running` with an end (`Initialize` after a hook) stays done.
fn fraction(step: &Step, stopped: bool) -> f64 {
    if step.phase == StepPhase::Completed || (step.completed.is_some() && !stopped) {
        1.0
    } else if step.total == 0 {
        0.0
    } else {
        (f64::from(step.done) / f64::from(step.total)).min(1.0)
    }
}

fn first_precopy_is_done(vm: &Vm) -> bool {
    vm.warm.as_ref().is_some_and(|warm| {
        warm.successes > 0
            || warm.precopies.len() > 1
            || warm.precopies.iter().any(|p| p.end.is_some())
            || (!warm.precopies.is_empty() && (phase::is_between_precopies(vm) || phase::is_past_precopies(vm)))
    })
}

/// The ratio of a plan, 0 to 1, from its VMs' progress in the same order. `None` for a plan without VMs.
pub fn plan_ratio(plan: &Plan, vms: &[VmProgress]) -> Option<f64> {
    let canceled = |vm: &Vm| VmOutcome::of(vm) == Some(VmOutcome::Canceled);
    let only_canceled = plan.vms.iter().all(canceled);
    let counted = || plan.vms.iter().zip(vms).filter(|(vm, _)| only_canceled || !canceled(vm)).map(|(_, progress)| progress);

    let sized = counted().filter(|p| p.disk_bytes > 0);
    let (sum, count) = sized.fold((0.0, 0.0), |(sum, count), p| (sum + as_f64(p.disk_bytes), count + 1.0));
    let unknown_size = if count > 0.0 { sum / count } else { 1.0 };
    let weight = |p: &VmProgress| if p.disk_bytes > 0 { as_f64(p.disk_bytes) } else { unknown_size };

    let total: f64 = counted().map(weight).sum();
    if total <= 0.0 {
        return None;
    }
    if counted().all(|p| p.ratio >= 1.0) {
        return Some(1.0);
    }
    Some((counted().map(|p| p.ratio * weight(p)).sum::<f64>() / total).clamp(0.0, 1.0))
}

/// Bytes as a weight: beyond 8 PiB the last digits are lost, which a weight can bear.
#[allow(clippy::cast_precision_loss)]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// The step that a VM is in, or was in when it failed; `None` for one that ended otherwise or has no pipeline.
///
/// By its stage: the step's own phase is no guide, for in a cutover no step is `Running` for a while, and after a hook
/// `Initialize` is `Running` again. Where the stage has no step of its own, the first that is under way.
pub fn current_step(vm: &Vm, warm: bool) -> Option<StepName> {
    match VmOutcome::of(vm) {
        Some(VmOutcome::Succeeded | VmOutcome::Canceled | VmOutcome::Unknown) => None,
        Some(VmOutcome::Failed) => vm.steps.iter().find(|step| step.failed).map(|step| step.name),
        None => {
            let by_stage = step_of(vm.stage, warm).filter(|name| vm.step(*name).is_some());
            let running = || vm.steps.iter().find(|step| step.phase == StepPhase::Running);
            let first_open = || vm.steps.iter().find(|step| step.phase != StepPhase::Completed);
            by_stage.or_else(|| running().or_else(first_open).map(|step| step.name))
        }
    }
}

/// The step that Forklift drives in a stage (`Step()` in `migrator/base/migrator.go`).
fn step_of(stage: Stage, warm: bool) -> Option<StepName> {
    Some(match stage {
        Stage::Started
        | Stage::CreateInitialSnapshot
        | Stage::WaitForInitialSnapshot
        | Stage::StoreInitialSnapshotDeltas => StepName::Initialize,
        Stage::CreateDataVolumes => {
            if warm {
                StepName::DiskTransfer
            } else {
                StepName::Initialize
            }
        }
        Stage::PreHook => StepName::PreHook,
        Stage::PostHook => StepName::PostHook,
        Stage::PreflightInspection => StepName::PreflightInspection,
        Stage::AllocateDisks => StepName::DiskAllocation,
        Stage::CopyDisks
        | Stage::CopyingPaused
        | Stage::RemovePreviousSnapshot
        | Stage::WaitForPreviousSnapshotRemoval
        | Stage::CreateSnapshot
        | Stage::WaitForSnapshot
        | Stage::StoreSnapshotDeltas
        | Stage::AddCheckpoint
        | Stage::WaitForDataVolumesStatus
        | Stage::ConvertOpenstackSnapshot => StepName::DiskTransfer,
        Stage::StorePowerState | Stage::PowerOffSource | Stage::WaitForPowerOff => {
            if warm {
                StepName::Cutover
            } else {
                StepName::Initialize
            }
        }
        Stage::RemovePenultimateSnapshot
        | Stage::WaitForPenultimateSnapshotRemoval
        | Stage::CreateFinalSnapshot
        | Stage::WaitForFinalSnapshot
        | Stage::AddFinalCheckpoint
        | Stage::WaitForFinalDataVolumesStatus
        | Stage::Finalize
        | Stage::RemoveFinalSnapshot => StepName::Cutover,
        Stage::CreateGuestConversionPod | Stage::ConvertGuest => StepName::ImageConversion,
        Stage::CopyDisksVirtV2V => StepName::DiskTransferV2v,
        Stage::CreateVm => StepName::VirtualMachineCreation,
        Stage::WaitForGuestReboots => StepName::WaitForGuestReboots,
        Stage::WaitForFinalSnapshotRemoval => StepName::WaitForFinalSnapshotConsolidation,
        Stage::CreateServiceExports
        | Stage::CreateSecrets
        | Stage::CreateConfigMaps
        | Stage::EnsurePreference
        | Stage::EnsureInstanceType
        | Stage::EnsureDataVolumes
        | Stage::EnsurePersistentVolumeClaims
        | Stage::CreateTarget
        | Stage::SetOwnerReferences
        | Stage::WaitForTargetVmi
        | Stage::CreateVirtualMachineInstanceMigrations
        | Stage::WaitForStateTransfer
        | Stage::CreateSnapshots
        | Stage::WaitForSnapshots
        | Stage::ShareSnapshots
        | Stage::CreateVolumes
        | Stage::WaitForVolumes
        | Stage::CreatePvsAndPvcs
        | Stage::RemoveSnapshots
        | Stage::Completed
        | Stage::Unknown => return None,
    })
}

/// Fills in when each VM of `new` last moved: `at` if a byte, step or task of it differs from `old`, else what was known. A
/// VM seen for the first time last moved at the newest time in it.
pub(super) fn note_progress(old: Option<&Plan>, new: &mut Plan, at: Time) {
    let before = |position: usize, vm: &Vm| {
        let same = |other: &&Vm| other.id == vm.id && other.name == vm.name;
        let vms = &old?.vms;
        vms.get(position).filter(same).or_else(|| vms.iter().find(same))
    };
    for (position, vm) in new.vms.iter_mut().enumerate() {
        vm.last_progress = match before(position, vm) {
            None => newest_time(vm),
            Some(before) if has_moved(before, vm) => Some(at),
            Some(before) => before.last_progress,
        };
    }
}

fn has_moved(before: &Vm, now: &Vm) -> bool {
    let step = |s: &Step| (s.name, s.phase, s.done, s.started, s.completed);
    before.stage != now.stage
        || before.started != now.started
        || before.completed != now.completed
        || !before.steps.iter().map(step).eq(now.steps.iter().map(step))
        || !before.steps.iter().flat_map(|s| &s.tasks).eq(now.steps.iter().flat_map(|s| &s.tasks))
        || before.warm.as_deref().map(precopies) != now.warm.as_deref().map(precopies)
}

fn precopies(warm: &Warm) -> (u32, usize) {
    (warm.successes, warm.precopies.len())
}

/// The newest time in a VM.
pub(super) fn newest_time(vm: &Vm) -> Option<Time> {
    let steps = vm.steps.iter().flat_map(|step| [step.started, step.completed]);
    let precopies = vm.warm.iter().flat_map(|warm| warm.precopies.iter()).flat_map(|p| [p.start, p.end]);
    [vm.started, vm.completed].into_iter().chain(steps).chain(precopies).flatten().max()
}
