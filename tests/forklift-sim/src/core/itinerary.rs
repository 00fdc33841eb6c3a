//! Which phases a VM goes through, which step each belongs to, and the pipeline that it starts with.
//!
//! Tables only: what happens in a phase is in `vm`.

use super::model::{Progress, Step, Task};
use super::world::{Disk, PlanSpec, VmWorld};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A phase of an itinerary, with Forklift's word for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the words are Forklift's")]
pub enum Phase {
    #[default]
    Started,
    PreHook,
    StorePowerState,
    PowerOffSource,
    WaitForPowerOff,
    CreateDataVolumes,
    AllocateDisks,
    CopyDisks,
    CreateGuestConversionPod,
    ConvertGuest,
    CopyDisksVirtV2V,
    CreateVM,
    WaitForGuestReboots,
    PostHook,
    CreateInitialSnapshot,
    WaitForInitialSnapshot,
    StoreInitialSnapshotDeltas,
    PreflightInspection,
    CopyingPaused,
    RemovePreviousSnapshot,
    WaitForPreviousSnapshotRemoval,
    CreateSnapshot,
    WaitForSnapshot,
    StoreSnapshotDeltas,
    AddCheckpoint,
    RemovePenultimateSnapshot,
    WaitForPenultimateSnapshotRemoval,
    CreateFinalSnapshot,
    WaitForFinalSnapshot,
    AddFinalCheckpoint,
    Finalize,
    RemoveFinalSnapshot,
    WaitForFinalSnapshotRemoval,
    CreateSecrets,
    CreateConfigMaps,
    EnsurePreference,
    EnsureInstanceType,
    EnsureDataVolumes,
    EnsurePersistentVolumeClaims,
    CreateTarget,
    SetOwnerReferences,
    WaitForTargetVMI,
    CreateVirtualMachineInstanceMigrations,
    WaitForStateTransfer,
    Completed,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// The ways of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Powered off, then copied.
    Cold,
    /// Copied while it runs, then cut over.
    Warm,
    /// Moved from cluster to cluster while it runs.
    Live,
    /// Its disks are there already.
    Conversion,
    /// Its disks are there from an earlier attempt.
    Resume,
}

/// What decides about phases and steps of one VM.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Which way it goes.
    pub way: Way,
    /// Copied by virt-v2v, together with the conversion. Otherwise by CDI.
    pub v2v_copy: bool,
    /// Whether the guest is converted.
    pub convert: bool,
    /// Whether snapshots have changes to store, as on vSphere.
    pub deltas: bool,
    /// Whether the VM is inspected first.
    pub inspect: bool,
    /// Whether a hook runs before.
    pub pre_hook: bool,
    /// Whether a hook runs after.
    pub post_hook: bool,
    /// Whether a Windows guest's reboots are waited for.
    pub reboots: bool,
}

impl Shape {
    /// What follows from the plan, its source and the VM. `hooks` are the steps that have one.
    pub fn new(plan: &PlanSpec, source_type: &str, vm: &VmWorld, hooks: &[String], resume: bool) -> Self {
        let vsphere = source_type == "vsphere";
        let way = match plan.kind.as_deref() {
            _ if resume => Way::Resume,
            Some("conversion") => Way::Conversion,
            Some("live") if source_type == "openshift" => Way::Live,
            _ if plan.is_warm() => Way::Warm,
            _ => Way::Cold,
        };
        let converted = matches!(source_type, "vsphere" | "ova" | "hyperv" | "ec2") && !plan.skip_guest_conversion;
        let v2v = matches!(source_type, "ova" | "hyperv") || (vsphere && plan.migrate_shared_disks);
        Self {
            way,
            v2v_copy: way == Way::Cold && v2v && converted,
            convert: converted,
            deltas: vsphere,
            inspect: vsphere && plan.run_preflight_inspection,
            pre_hook: hooks.iter().any(|step| step == "PreHook"),
            post_hook: hooks.iter().any(|step| step == "PostHook"),
            reboots: vm.windows && converted && plan.target_power_state.as_deref() != Some("off"),
        }
    }

    /// All phases in order. In a warm itinerary the loop is there once; what leaves it is in `vm`.
    pub fn itinerary(&self) -> Vec<Phase> {
        use Phase::*;
        let off = [StorePowerState, PowerOffSource, WaitForPowerOff].map(|phase| (phase, true));
        let pod = [CreateGuestConversionPod, ConvertGuest].map(|phase| (phase, self.convert));
        let mut all = vec![(Started, true), (PreHook, self.pre_hook)];
        match self.way {
            Way::Cold => {
                all.extend(off);
                all.extend([(CreateDataVolumes, true), (CopyDisks, !self.v2v_copy), (AllocateDisks, self.v2v_copy)]);
                all.extend(pod);
                all.extend([(CopyDisksVirtV2V, self.v2v_copy), (CreateVM, true)]);
            }
            Way::Warm => {
                all.extend([(CreateInitialSnapshot, true), (WaitForInitialSnapshot, true)]);
                all.extend([(StoreInitialSnapshotDeltas, self.deltas), (PreflightInspection, self.inspect)]);
                all.extend([(CreateDataVolumes, true), (CopyDisks, true), (CopyingPaused, true)]);
                all.extend([(RemovePreviousSnapshot, self.deltas), (WaitForPreviousSnapshotRemoval, self.deltas)]);
                all.extend([(CreateSnapshot, true), (WaitForSnapshot, true), (StoreSnapshotDeltas, self.deltas)]);
                all.push((AddCheckpoint, true));
                all.extend(off);
                all.extend([(RemovePenultimateSnapshot, self.deltas), (WaitForPenultimateSnapshotRemoval, self.deltas)]);
                all.extend([(CreateFinalSnapshot, true), (WaitForFinalSnapshot, true), (AddFinalCheckpoint, true)]);
                all.extend([(Finalize, true), (RemoveFinalSnapshot, self.deltas)]);
                all.extend(pod);
                all.push((CreateVM, true));
            }
            Way::Conversion => {
                all.extend(off);
                all.extend(pod);
                all.push((CreateVM, true));
            }
            Way::Resume => {
                all.extend(pod);
                all.push((CreateVM, true));
            }
            Way::Live => {
                let prepare = [CreateSecrets, CreateConfigMaps, EnsurePreference, EnsureInstanceType, EnsureDataVolumes];
                all.extend(prepare.map(|phase| (phase, true)));
                let target = [EnsurePersistentVolumeClaims, CreateTarget, SetOwnerReferences, WaitForTargetVMI];
                all.extend(target.map(|phase| (phase, true)));
                all.extend([(CreateVirtualMachineInstanceMigrations, true), (WaitForStateTransfer, true)]);
            }
        }
        let live = self.way == Way::Live;
        all.extend([(WaitForGuestReboots, self.reboots && !live), (PostHook, self.post_hook)]);
        all.extend([(WaitForFinalSnapshotRemoval, self.consolidates()), (Completed, true)]);
        all.into_iter().filter(|(_, there)| *there).map(|(phase, _)| phase).collect()
    }

    fn consolidates(&self) -> bool {
        self.way == Way::Warm && self.deltas
    }

    /// The phase after another, not minding the loop.
    pub fn next(&self, phase: Phase) -> Phase {
        let all = self.itinerary();
        let place = all.iter().position(|known| *known == phase);
        place.and_then(|place| all.get(place + 1)).copied().unwrap_or(Phase::Completed)
    }

    /// The step that a phase belongs to.
    pub fn step(&self, phase: Phase) -> Option<&'static str> {
        use Phase::*;
        let warm = self.way == Way::Warm;
        let name = match phase {
            Started | CreateInitialSnapshot | WaitForInitialSnapshot | StoreInitialSnapshotDeltas => "Initialize",
            StorePowerState | PowerOffSource | WaitForPowerOff if !warm => "Initialize",
            CreateDataVolumes if !warm => "Initialize",
            PreHook => "PreHook",
            PostHook => "PostHook",
            PreflightInspection => "PreflightInspection",
            AllocateDisks => "DiskAllocation",
            CreateDataVolumes | CopyDisks | CopyingPaused | RemovePreviousSnapshot | WaitForPreviousSnapshotRemoval => {
                "DiskTransfer"
            }
            CreateSnapshot | WaitForSnapshot | StoreSnapshotDeltas | AddCheckpoint => "DiskTransfer",
            StorePowerState | PowerOffSource | WaitForPowerOff | RemovePenultimateSnapshot => "Cutover",
            WaitForPenultimateSnapshotRemoval | CreateFinalSnapshot | WaitForFinalSnapshot | AddFinalCheckpoint => "Cutover",
            Finalize | RemoveFinalSnapshot => "Cutover",
            CreateGuestConversionPod | ConvertGuest => "ImageConversion",
            CopyDisksVirtV2V => "DiskTransferV2v",
            CreateVM => "VirtualMachineCreation",
            WaitForGuestReboots => "WaitForGuestReboots",
            WaitForFinalSnapshotRemoval => "WaitForFinalSnapshotConsolidation",
            CreateSecrets | CreateConfigMaps | EnsurePreference | EnsureInstanceType | EnsureDataVolumes => "PrepareTarget",
            EnsurePersistentVolumeClaims | CreateTarget | SetOwnerReferences | WaitForTargetVMI => "PrepareTarget",
            CreateVirtualMachineInstanceMigrations | WaitForStateTransfer => "Synchronization",
            Completed => return None,
        };
        Some(name)
    }

    /// The steps that the VM starts with. All are Pending, but Cutover has no phase.
    pub fn pipeline(&self, disks: &[Disk]) -> Vec<Step> {
        let copies = matches!(self.way, Way::Cold | Way::Warm);
        let (warm, live) = (self.way == Way::Warm, self.way == Way::Live);
        let all: [(bool, &str, &str, bool); 14] = [
            (true, "Initialize", "Initialize migration.", false),
            (self.pre_hook, "PreHook", "Run pre-migration hook.", false),
            (warm && self.inspect, "PreflightInspection", "Inspect VM before migration.", false),
            (copies && self.v2v_copy, "DiskAllocation", "Allocate disks.", true),
            (copies && !self.v2v_copy, "DiskTransfer", "Transfer disks.", true),
            (warm, "Cutover", "Finalize disk transfer.", true),
            (self.convert && !live, "ImageConversion", "Convert image to kubevirt.", false),
            (copies && self.v2v_copy, "DiskTransferV2v", "Copy disks.", true),
            (!live, "VirtualMachineCreation", "Create VM.", false),
            (live, "PrepareTarget", "Prepare target namespace.", false),
            (live, "Synchronization", "Synchronize source and target VMs.", false),
            (self.reboots && !live, "WaitForGuestReboots", "Wait for Windows guest reboot after conversion.", false),
            (self.post_hook, "PostHook", "Run post-migration hook.", false),
            (
                self.consolidates(),
                "WaitForFinalSnapshotConsolidation",
                "Waiting for final snapshot removal and consolidation",
                false,
            ),
        ];
        let there = all.into_iter().filter(|(there, ..)| *there);
        there.map(|(_, name, description, bytes)| step(name, description, if bytes { disks } else { &[] }, bytes)).collect()
    }
}

fn step(name: &str, description: &str, disks: &[Disk], bytes: bool) -> Step {
    // Forklift writes MB and means MiB.
    let unit = || BTreeMap::from([("unit".to_owned(), "MB".to_owned())]);
    let task = |disk: &Disk| Task {
        annotations: unit(),
        name: disk.name.clone(),
        progress: Progress { completed: 0, total: disk.mib },
        ..Task::default()
    };
    let tasks: Vec<Task> = disks.iter().map(task).collect();
    let total = if bytes { tasks.iter().map(|task| task.progress.total).sum() } else { 1 };
    Step {
        annotations: if bytes { unit() } else { BTreeMap::new() },
        description: description.into(),
        name: name.into(),
        phase: (name != "Cutover").then(|| "Pending".into()),
        progress: Progress { completed: 0, total },
        tasks,
        ..Step::default()
    }
}
