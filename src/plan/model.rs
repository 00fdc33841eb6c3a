//! What Forklift's objects say, pruned to what is read and packed for thousands of plans in memory.
//!
//! Built by `forklift`, kept by `store`, read by everybody. It holds no conclusions: those are in `phase`, `flags`,
//! `progress` and `cutover`. Strings are shared where they repeat, times take four bytes, byte counts are MiB as Forklift
//! writes them.

use super::time::Time;
use super::words::{Category, MigrationType, ProviderPhase, ProviderType, Stage, StepName, StepPhase};

/// A short string: inline up to 15 bytes, shared by its clones beyond. Empty stands for absent.
pub type Text = ecow::EcoString;

/// Namespace and name of an object; with the kind, what identifies it in a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace of the object.
    pub namespace: Text,
    /// Name of the object.
    pub name: Text,
}

impl Key {
    /// The key of the object `name` in `namespace`.
    pub fn new(namespace: impl Into<Text>, name: impl Into<Text>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            return f.pad(&self.name);
        }
        f.pad(&format!("{}/{}", self.namespace, self.name))
    }
}

/// A reference to another object. The uid is filled by user interfaces only; the controller matches by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef {
    /// Namespace and name.
    pub key: Key,
    /// Uid, or empty.
    pub uid: Text,
}

/// A condition whose status is `True`. Forklift removes a condition instead of writing `False`, and moves its transition
/// time at any change of its text, so the time is no measure of how long it has held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Type, as written: an open set (`SharedDisks-<vm id>`), see [`Condition::label`].
    pub kind: Text,
    /// Category, closed.
    pub category: Category,
    /// Reason, often empty.
    pub reason: Text,
    /// Message for people.
    pub message: Text,
    /// `lastTransitionTime`.
    pub since: Option<Time>,
}

impl Condition {
    /// The type without the VM id that Forklift appends to two of them, fit for a label.
    pub fn label(&self) -> &str {
        match self.kind.split_once('-') {
            Some((base @ ("SharedDisks" | "SharedWarnDisks"), _)) => base,
            Some(_) | None => &self.kind,
        }
    }
}

/// Labels of a plan beyond this number are not kept.
pub const MOST_LABELS: usize = 64;

/// Annotations with this prefix are addressed to us.
pub const OURS: &str = "mtv-sentinel.io/";

/// A Plan: which VMs move where, and how the latest attempt stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Namespace and name.
    pub key: Key,
    /// Uid; a plan made anew under the same name has another.
    pub uid: Text,
    /// `metadata.generation`: moves when the spec changes.
    pub generation: u32,
    /// The generation that the controller has last seen; absent before its first reconcile.
    pub observed_generation: Option<u32>,
    /// Creation time.
    pub created: Option<Time>,
    /// Labels, in order of name, at most [`MOST_LABELS`].
    pub labels: Box<[(Text, Text)]>,
    /// Annotations, in order of name; those with long values only if they are addressed to us (`mtv-sentinel.io/…`).
    pub annotations: Box<[(Text, Text)]>,
    /// The object that owns it, as `Kind name`; empty if none does.
    pub owner: Text,
    /// The GitOps tool that manages it, as far as its metadata tells; empty if none does.
    pub manager: Text,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `spec.deleteVmOnFailMigration`: whether archiving deletes what was made of VMs that did not succeed. True if absent, which
    /// is the default of the CRD.
    pub delete_failed: bool,
    /// `spec.type`; `Cold` if absent.
    pub spec_type: MigrationType,
    /// `spec.warm`, the older way to say it.
    pub spec_warm: bool,
    /// `spec.archived`.
    pub archived: bool,
    /// Where the VMs come from.
    pub source: Key,
    /// Where the VMs go.
    pub destination: Key,
    /// Namespace of the new VMs.
    pub target_namespace: Text,
    /// The VMs to move.
    pub wanted: Box<[VmRef]>,
    /// The plan's own conditions.
    pub conditions: Box<[Condition]>,
    /// Start of the latest attempt.
    pub started: Option<Time>,
    /// End of the latest attempt.
    pub completed: Option<Time>,
    /// Every attempt, oldest first. An attempt is (plan uid, index here), never a Migration uid: Forklift restarts the same
    /// Migration by itself after a blocker has cleared.
    pub attempts: Box<[Attempt]>,
    /// The VMs of the latest attempt, those kept from earlier ones included.
    pub vms: Box<[Vm]>,
}

impl Plan {
    /// The condition of this type, if it is True.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.kind == kind)
    }

    /// Whether the condition of this type is True.
    pub fn has(&self, kind: &str) -> bool {
        self.condition(kind).is_some()
    }

    /// Whether a Critical or Error condition is True.
    pub fn is_blocked(&self) -> bool {
        self.conditions.iter().any(|c| c.category.is_blocker())
    }

    /// Warm in the controller's eyes: `spec.warm` counts even beside `type: cold` (Forklift `api/plan.go`, `IsWarm`).
    pub fn is_warm(&self) -> bool {
        self.spec_warm || self.spec_type == MigrationType::Warm
    }

    /// What the controller will do, whatever the older fields say.
    pub fn migration_type(&self) -> MigrationType {
        match self.spec_type {
            MigrationType::Conversion => MigrationType::Conversion,
            MigrationType::Live => MigrationType::Live,
            MigrationType::Cold | MigrationType::Warm | MigrationType::Unknown if self.is_warm() => MigrationType::Warm,
            other @ (MigrationType::Cold | MigrationType::Warm | MigrationType::Unknown) => other,
        }
    }

    /// The newest time in it: what the controller did last, as far as it says.
    pub fn newest_time(&self) -> Option<Time> {
        let conditions = self.conditions.iter().filter_map(|c| c.since);
        let vms = self.vms.iter().filter_map(super::progress::newest_time);
        conditions.chain(vms).chain(self.started).chain(self.completed).max()
    }

    /// The latest attempt.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The value of the annotation `mtv-sentinel.io/<name>`.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        let mut annotations = self.annotations.iter();
        annotations.find(|(key, _)| key.strip_prefix(OURS) == Some(name)).map(|(_, value)| value.as_str())
    }

    /// Whether it has this annotation, or this label, with this value.
    pub fn is_marked(&self, name: &str, value: &str) -> bool {
        self.annotations.iter().chain(&self.labels).any(|(key, is)| key == name && is == value)
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A VM by id, name, or both: a plan may give only one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmRef {
    /// Id in the source provider's inventory, or empty.
    pub id: Text,
    /// Name, or empty.
    pub name: Text,
}

impl VmRef {
    /// Whether this reference means the VM with that id and name: by id where it has one, else by name (Forklift
    /// `api/plan/migration.go`).
    pub fn names(&self, vm: &Vm) -> bool {
        if self.id.is_empty() { self.name == vm.name } else { self.id == vm.id }
    }
}

/// An element of `status.migration.history`: one run of the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    /// The Migration that asked for it.
    pub migration: ObjectRef,
    /// Its conditions: `Executing` while it runs, then the outcome.
    pub conditions: Box<[Condition]>,
}

impl Attempt {
    /// Whether the condition of this type is True.
    pub fn has(&self, kind: &str) -> bool {
        self.conditions.iter().any(|c| c.kind == kind)
    }
}

/// A VM of the latest attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vm {
    /// Name in the source.
    pub name: Text,
    /// Id in the source provider's inventory.
    pub id: Text,
    /// Name in the target where it had to change, else empty.
    pub new_name: Text,
    /// `deleteVmOnFailMigration` of the VM itself, in the spec or the status.
    pub delete_failed: bool,
    /// Where it stands in its itinerary. Never its outcome.
    pub stage: Stage,
    /// When it started; absent while it waits for a slot. Older than the attempt for a VM kept from an earlier one.
    pub started: Option<Time>,
    /// When it ended, whatever the outcome; comes up to seconds after the outcome condition.
    pub completed: Option<Time>,
    /// Its conditions: the outcome, and what is worth a word.
    pub conditions: Box<[Condition]>,
    /// Its pipeline.
    pub steps: Box<[Step]>,
    /// What went wrong.
    pub error: Option<Box<VmError>>,
    /// The precopies of a warm migration.
    pub warm: Option<Box<Warm>>,
    /// When a byte, step or task of it last moved. Not in the object: the store keeps it while it watches, and starts from
    /// the newest time in the object.
    pub last_progress: Option<Time>,
}

impl Vm {
    /// Whether the condition of this type is True.
    pub fn has(&self, kind: &str) -> bool {
        self.conditions.iter().any(|c| c.kind == kind)
    }

    /// The step of this name.
    pub fn step(&self, name: StepName) -> Option<&Step> {
        self.steps.iter().find(|s| s.name == name)
    }
}

/// A VM's error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmError {
    /// An itinerary phase for errors of the VM, a step phase for errors of a step: only for people.
    pub phase: Text,
    /// The reasons, joined by "; ".
    pub reasons: Text,
}

/// A step of a VM's pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Which one.
    pub name: StepName,
    /// How it stands. There is no failed phase: a failed step stays `Running` and has an error.
    pub phase: StepPhase,
    /// Whether the amounts are MiB (annotation `unit: "MB"`) or plain counts.
    pub in_mib: bool,
    /// Whether it has an error.
    pub failed: bool,
    /// Amount done, of `total`. Stays 0 of 1 in many steps that are complete.
    pub done: u32,
    /// Amount to do; 0 where the source's adapter reports none.
    pub total: u32,
    /// First start; a warm copy keeps that of its first precopy.
    pub started: Option<Time>,
    /// End; the copy of a warm migration loses it again at the next precopy.
    pub completed: Option<Time>,
    /// One a disk, in the order of the disks.
    pub tasks: Box<[Task]>,
    /// The reasons of its error, else what its first unfinished task says: the earliest sign of trouble.
    pub note: Text,
}

/// A task of a step: one disk. Its amounts may stay below the total in a completed step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// The disk, in the source's words.
    pub name: Text,
    /// How it stands; `Unknown` until it is touched, and always in `DiskTransferV2v`.
    pub phase: StepPhase,
    /// MiB done, of `total`.
    pub done: u32,
    /// MiB to do.
    pub total: u32,
    /// Number of the precopy; 0 in the first one, which carries none.
    pub precopy: u16,
}

/// The precopies of a warm VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warm {
    /// Finished copies.
    pub successes: u32,
    /// Restarts of the importer last looked at: a gauge that falls back to 0. `consecutiveFailures` is never written.
    pub failures: u32,
    /// When the next one is due; stays set after the end.
    pub next_precopy: Option<Time>,
    /// Each precopy, the final one of the cutover included.
    pub precopies: Box<[Precopy]>,
}

/// One precopy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Precopy {
    /// Its start.
    pub start: Option<Time>,
    /// Its end; the final one never gets it.
    pub end: Option<Time>,
}

/// A Migration: the request to run a plan. How the run goes is in the plan; the copy in the Migration can be stale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Migration {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: Text,
    /// The plan that it runs.
    pub plan: Key,
    /// Creation time; of several that wait the oldest goes first.
    pub created: Option<Time>,
    /// When warm VMs are to leave their precopy loop.
    pub cutover: Option<Time>,
    /// The same for single VMs, by id; goes before `cutover`.
    pub vm_cutovers: Box<[(Text, Time)]>,
    /// VMs that somebody wants stopped.
    pub cancels: Box<[VmRef]>,
    /// Its conditions.
    pub conditions: Box<[Condition]>,
    /// End; never set for one that was canceled.
    pub completed: Option<Time>,
}

impl Migration {
    /// Whether the condition of this type is True.
    pub fn has(&self, kind: &str) -> bool {
        self.conditions.iter().any(|c| c.kind == kind)
    }
}

/// A Provider: a place where VMs come from or go to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provider {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: Text,
    /// What it is.
    pub kind: ProviderType,
    /// `status.phase`.
    pub phase: ProviderPhase,
    /// Its conditions.
    pub conditions: Box<[Condition]>,
}

impl Provider {
    /// Whether its Ready condition is True.
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().any(|c| c.kind == "Ready")
    }
}
