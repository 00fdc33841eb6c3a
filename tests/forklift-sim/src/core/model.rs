//! The statuses that the simulator writes, with the names of the fields in Forklift's objects.

use super::conditions::Conditions;
use super::itinerary::Phase;
use super::time::Stamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `status` of a Plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanStatus {
    /// Conditions of the plan.
    pub conditions: Conditions,
    /// What runs, or ran last.
    pub migration: PlanMigration,
    /// The generation that the last reconcile saw.
    pub observed_generation: i64,
}

/// `status.migration` of a Plan: the latest attempt and the history of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanMigration {
    /// When the latest attempt ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Stamp>,
    /// One snapshot for each attempt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Snapshot>,
    /// When the latest attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
    /// The VMs, in the order of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vms: Vec<VmStatus>,
}

/// What an attempt began with, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Executing, or the outcome.
    pub conditions: Conditions,
    /// `network` and `storage`.
    pub map: BTreeMap<String, Reference>,
    /// The Migration.
    pub migration: Reference,
    /// The plan.
    pub plan: Reference,
    /// `source` and `destination`.
    pub provider: BTreeMap<String, Reference>,
}

/// An object as it was when an attempt began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// Its generation.
    pub generation: i64,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
}

/// How one VM goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VmStatus {
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Stamp>,
    /// Pending, or the outcome.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// The disk that boots, known after the conversion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected_boot_disk: Option<i64>,
    /// Whether the disks are there and only the conversion is left to do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disks_copied: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Its id at the source.
    pub id: String,
    /// Its name at the source.
    pub name: String,
    /// The name it gets, where its own is no name for Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
    /// The guest, known after the conversion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<String>,
    /// Where it is in its itinerary.
    pub phase: Phase,
    /// Its steps.
    pub pipeline: Vec<Step>,
    /// Whether the source was on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_power_state: Option<String>,
    /// When it left the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
    /// Its precopies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm: Option<Warm>,
    /// What the plan's spec says about it.
    #[serde(flatten)]
    pub spec: Map<String, Value>,
}

impl VmStatus {
    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        self.conditions.has("Succeeded")
    }

    /// Whether it ended badly or is about to.
    pub fn failed(&self) -> bool {
        self.conditions.has("Failed")
    }

    /// Whether it was stopped or is about to.
    pub fn canceled(&self) -> bool {
        self.conditions.has("Canceled")
    }

    /// A step by name.
    pub fn step(&mut self, name: &str) -> Option<&mut Step> {
        self.pipeline.iter_mut().find(|step| step.name == name)
    }
}

/// Why a VM or a step failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// Of a VM: the phase of its itinerary. Of a step: the step's own phase.
    pub phase: String,
    /// Texts.
    pub reasons: Vec<String>,
}

/// A step of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// `unit`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Stamp>,
    /// Text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Why it failed. Its phase stays Running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Its name.
    pub name: String,
    /// Pending, Running or Completed, or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// What it waits for, or what went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
    /// One for each disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
}

/// One disk of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// `unit`, and from the second precopy on `Precopy`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Stamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The disk.
    pub name: String,
    /// Pending, Running or Completed, or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// How far it is, in MiB.
    pub progress: Progress,
    /// What it waits for, or what went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
}

/// Done of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Done.
    pub completed: i64,
    /// All.
    pub total: i64,
}

/// The precopies of a VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Warm {
    /// Never written by Forklift.
    pub consecutive_failures: i64,
    /// Restarts of the importer that was looked at last.
    pub failures: i64,
    /// When the next one is due. Stays when there will be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_precopy_at: Option<Stamp>,
    /// All of them. The last one never ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub precopies: Vec<Precopy>,
    /// How many ended.
    pub successes: i64,
}

/// One precopy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Precopy {
    /// The source's task that made the snapshot.
    pub create_task_id: String,
    /// A change id for each disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<Delta>,
    /// When its copy ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Stamp>,
    /// The source's task that removed the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_task_id: Option<String>,
    /// The snapshot.
    pub snapshot: String,
    /// When the snapshot was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Stamp>,
}

/// Where a disk's changes begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delta {
    /// The change id.
    pub delta_id: String,
    /// The disk.
    pub disk: String,
}

/// `status` of a Migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationStatus {
    /// When it ended. Not written if it was canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Stamp>,
    /// Conditions of the Migration.
    pub conditions: Conditions,
    /// The generation that the last reconcile saw.
    pub observed_generation: i64,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
    /// A copy of the plan's VMs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vms: Vec<VmStatus>,
}

/// `status` of a Provider or a map, which have no phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlainStatus {
    /// Conditions.
    pub conditions: Conditions,
    /// The generation that the last reconcile saw.
    pub observed_generation: i64,
    /// Providers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}
