//! The phase of a plan and of a VM. Forklift stores neither: both follow from conditions, times and the stage.
//!
//! Called by [`super::PlanState`]. Takes no clock: an overdue cutover is an alert, not a phase.

use super::model::{Migration, Plan, Vm};
use super::words::Stage;
use super::{Time, effective_cutover};

closed_enum! {
    /// The phase of a plan: the first that matches, from `Archived` down, but an executing plan is never `Archived`.
    pub enum PlanPhase {
        /// Put away, by its spec or its condition, and not executing.
        Archived = "Archived",
        /// Executing, and no VM has started.
        Pending = "Pending",
        /// Executing.
        Running = "Running",
        /// Executing warm: VMs precopy, and at least one of them has no cutover time.
        WarmRunning = "WarmRunning",
        /// Executing warm: every VM that precopies has a cutover time, in the future or the past.
        CutoverScheduled = "CutoverScheduled",
        /// Executing warm: a VM has left its precopy loop, or only the end is missing.
        CuttingOver = "CuttingOver",
        /// No VM failed and at least one succeeded: canceled VMs are possible.
        Succeeded = "Succeeded",
        /// At least one VM failed, or a blocker outlived the controller's grace.
        Failed = "Failed",
        /// Nothing failed and nothing succeeded, or the Migration was deleted.
        Canceled = "Canceled",
        /// A blocker keeps it from being ready, or its VDDK image is being validated.
        NotReady = "NotReady",
        /// Ready to be started.
        Ready = "Ready",
        /// None of these, as before the first reconcile.
        Unknown = "Unknown",
    }
}

impl PlanPhase {
    /// Whether an attempt is under way.
    pub fn is_executing(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::WarmRunning | Self::CutoverScheduled | Self::CuttingOver)
    }
}

closed_enum! {
    /// The phase of a VM.
    pub enum VmPhase {
        /// Not started: it waits for a slot.
        Pending = "Pending",
        /// Started, in a migration that has no precopies, or before them.
        Running = "Running",
        /// Warm: a copy or its snapshot is under way.
        Precopying = "Precopying",
        /// Warm: paused between copies, and nobody has set a cutover.
        AwaitingCutover = "AwaitingCutover",
        /// Warm: paused between copies until a cutover that is set, in the future or the past.
        CutoverScheduled = "CutoverScheduled",
        /// Warm: out of the precopy loop.
        CuttingOver = "CuttingOver",
        /// Ended well.
        Succeeded = "Succeeded",
        /// Ended badly.
        Failed = "Failed",
        /// Stopped by a person, by a change, or gone from the source.
        Canceled = "Canceled",
        /// Ended without a word how, or at a stage that this version does not know and that would decide.
        Unknown = "Unknown",
    }
}

impl VmPhase {
    /// Whether the VM has ended.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// How a VM ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmOutcome {
    /// Condition Succeeded.
    Succeeded,
    /// Condition Failed, or completed with an error.
    Failed,
    /// Condition Canceled.
    Canceled,
    /// Completed, and nothing says how.
    Unknown,
}

impl VmOutcome {
    /// The outcome of a VM that has ended: its conditions, then `completed`, never its stage (a canceled VM may keep the
    /// stage it was in). The condition comes up to seconds before `completed`. `None` while it has not ended.
    pub fn of(vm: &Vm) -> Option<Self> {
        if vm.has("Failed") {
            Some(Self::Failed)
        } else if vm.has("Canceled") {
            Some(Self::Canceled)
        } else if vm.has("Succeeded") {
            Some(Self::Succeeded)
        } else if vm.completed.is_none() {
            None
        } else if vm.error.is_some() {
            Some(Self::Failed)
        } else {
            Some(Self::Unknown)
        }
    }
}

/// Where a stage lies relative to the precopy loop of a warm migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loop {
    Before,
    Copying,
    Paused,
    Past,
    Unknown,
}

impl Loop {
    fn of(stage: Stage) -> Self {
        match stage {
            Stage::Started
            | Stage::PreHook
            | Stage::CreateInitialSnapshot
            | Stage::WaitForInitialSnapshot
            | Stage::StoreInitialSnapshotDeltas
            | Stage::PreflightInspection
            | Stage::CreateDataVolumes => Self::Before,
            Stage::CopyDisks
            | Stage::WaitForDataVolumesStatus
            | Stage::RemovePreviousSnapshot
            | Stage::WaitForPreviousSnapshotRemoval
            | Stage::CreateSnapshot
            | Stage::WaitForSnapshot
            | Stage::StoreSnapshotDeltas
            | Stage::AddCheckpoint => Self::Copying,
            Stage::CopyingPaused => Self::Paused,
            Stage::StorePowerState
            | Stage::PowerOffSource
            | Stage::WaitForPowerOff
            | Stage::RemovePenultimateSnapshot
            | Stage::WaitForPenultimateSnapshotRemoval
            | Stage::CreateFinalSnapshot
            | Stage::WaitForFinalSnapshot
            | Stage::AddFinalCheckpoint
            | Stage::WaitForFinalDataVolumesStatus
            | Stage::Finalize
            | Stage::RemoveFinalSnapshot
            | Stage::CreateGuestConversionPod
            | Stage::ConvertGuest
            | Stage::CreateVm
            | Stage::WaitForGuestReboots
            | Stage::PostHook
            | Stage::WaitForFinalSnapshotRemoval
            | Stage::Completed => Self::Past,
            // Not in the warm itinerary: those of cold copies, of live migrations and of EC2.
            Stage::AllocateDisks
            | Stage::ConvertOpenstackSnapshot
            | Stage::CopyDisksVirtV2V
            | Stage::CreateServiceExports
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
            | Stage::Unknown => Self::Unknown,
        }
    }

    fn is_inside(self) -> bool {
        matches!(self, Self::Copying | Self::Paused)
    }
}

/// Whether a warm VM has left its precopy loop: its source is, or is about to be, powered off.
pub(super) fn is_past_precopies(vm: &Vm) -> bool {
    Loop::of(vm.stage) == Loop::Past
}

/// Whether a warm VM is between two copies, so that its first one is done.
pub(super) fn is_between_precopies(vm: &Vm) -> bool {
    Loop::of(vm.stage).is_inside() && !matches!(vm.stage, Stage::CopyDisks | Stage::WaitForDataVolumesStatus)
}

/// Whether the plan executes: by its own condition or by the last attempt's, since a controller that restarts a plan can
/// leave it for seconds with nothing but Ready.
pub(super) fn is_executing(plan: &Plan) -> bool {
    let attempt_runs = || plan.attempt().is_some_and(|a| a.has("Executing"));
    plan.has("Executing") || (plan.started.is_some() && plan.completed.is_none() && attempt_runs())
}

/// Whether the last attempt ended as canceled and as nothing else: all that is left of a plan whose Migration was deleted.
fn last_attempt_was_canceled(plan: &Plan) -> bool {
    plan.attempt().is_some_and(|a| a.has("Canceled") && !a.has("Succeeded") && !a.has("Failed"))
}

/// The phase of a plan, given the Migration that it executes.
pub fn plan_phase(plan: &Plan, run: Option<&Migration>) -> PlanPhase {
    if is_executing(plan) {
        return executing_phase(plan, run);
    }
    if plan.archived || plan.has("Archived") {
        PlanPhase::Archived
    } else if plan.has("Succeeded") {
        PlanPhase::Succeeded
    } else if plan.has("Failed") {
        PlanPhase::Failed
    } else if plan.has("Canceled") || last_attempt_was_canceled(plan) {
        PlanPhase::Canceled
    } else if plan.is_blocked() || plan.has("ValidatingVDDK") {
        PlanPhase::NotReady
    } else if plan.has("Ready") {
        PlanPhase::Ready
    } else {
        PlanPhase::Unknown
    }
}

fn executing_phase(plan: &Plan, run: Option<&Migration>) -> PlanPhase {
    let unfinished = || plan.vms.iter().filter(|vm| VmOutcome::of(vm).is_none());
    let started = || unfinished().filter(|vm| vm.started.is_some());
    if plan.vms.is_empty() {
        return PlanPhase::Pending;
    }
    if unfinished().next().is_none() {
        return if plan.is_warm() { PlanPhase::CuttingOver } else { PlanPhase::Running };
    }
    if started().next().is_none() {
        return PlanPhase::Pending;
    }
    if plan.is_warm() {
        if started().any(is_past_precopies) {
            return PlanPhase::CuttingOver;
        }
        let mut inside = started().filter(|vm| Loop::of(vm.stage).is_inside()).peekable();
        if inside.peek().is_some() {
            let scheduled = inside.all(|vm| effective_cutover(vm, run).is_some());
            return if scheduled { PlanPhase::CutoverScheduled } else { PlanPhase::WarmRunning };
        }
    }
    PlanPhase::Running
}

/// The phase of a VM of a plan that is warm or not, with its effective cutover.
pub fn vm_phase(vm: &Vm, warm: bool, cutover: Option<Time>) -> VmPhase {
    match VmOutcome::of(vm) {
        Some(VmOutcome::Succeeded) => return VmPhase::Succeeded,
        Some(VmOutcome::Failed) => return VmPhase::Failed,
        Some(VmOutcome::Canceled) => return VmPhase::Canceled,
        Some(VmOutcome::Unknown) => return VmPhase::Unknown,
        None => {}
    }
    if vm.started.is_none() {
        return VmPhase::Pending;
    }
    if !warm {
        return VmPhase::Running;
    }
    match Loop::of(vm.stage) {
        Loop::Before => VmPhase::Running,
        Loop::Copying => VmPhase::Precopying,
        Loop::Paused if cutover.is_some() => VmPhase::CutoverScheduled,
        Loop::Paused => VmPhase::AwaitingCutover,
        Loop::Past => VmPhase::CuttingOver,
        Loop::Unknown if vm.stage == Stage::Unknown => VmPhase::Unknown,
        Loop::Unknown => VmPhase::Running,
    }
}
