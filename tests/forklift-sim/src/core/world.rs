//! What objects ask for, and what is true beyond them: what the source holds, what breaks, and when.
//!
//! Facts that a real controller learns from vCenter or from pods are in annotations, so that a test, a scenario or a person
//! with kubectl can change them: [`PLAN`] on a Plan, [`ANSWERS`] on a Provider. An annotation moves no generation. Durations in
//! them are those of speed 1.

use super::itinerary::Phase;
use super::time::Span;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// On a Plan: [`PlanWorld`] as JSON.
pub const PLAN: &str = "forklift-sim/plan";
/// On a Provider: `false` while it does not answer.
pub const ANSWERS: &str = "forklift-sim/answers";

/// Kinds of objects that the simulator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the words are Forklift's")]
pub enum Kind {
    Plan,
    Migration,
    Provider,
    NetworkMap,
    StorageMap,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Provider, Self::NetworkMap, Self::StorageMap, Self::Plan, Self::Migration];

    /// As in `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "Plan",
            Self::Migration => "Migration",
            Self::Provider => "Provider",
            Self::NetworkMap => "NetworkMap",
            Self::StorageMap => "StorageMap",
        }
    }

    /// As in the path of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Plan => "plans",
            Self::Migration => "migrations",
            Self::Provider => "providers",
            Self::NetworkMap => "networkmaps",
            Self::StorageMap => "storagemaps",
        }
    }

    /// From the text in `kind`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(default)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The part of `metadata` that matters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The name.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// The uid.
    pub uid: String,
    /// Moves when the spec changes.
    pub generation: i64,
    /// RFC 3339. Migrations start in this order.
    pub creation_timestamp: String,
    /// Where facts about the world are.
    pub annotations: BTreeMap<String, String>,
    /// A Migration belongs to its plan.
    pub owner_references: Vec<Value>,
}

impl Meta {
    /// Namespace and name.
    pub fn key(&self) -> Key {
        Key { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// The part of a plan's spec that matters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanSpec {
    /// cold, warm, live, conversion.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The deprecated way to say warm.
    pub warm: bool,
    /// Put away.
    pub archived: bool,
    /// Where VMs go.
    pub target_namespace: String,
    /// on, off, auto.
    pub target_power_state: Option<String>,
    /// `source` and `destination`.
    pub provider: BTreeMap<String, Key>,
    /// `network` and `storage`.
    pub map: BTreeMap<String, Key>,
    /// The VMs, as they are.
    pub vms: Vec<Map<String, Value>>,
    /// Copied by virt-v2v, if so.
    pub migrate_shared_disks: bool,
    /// Inspect before a warm migration.
    pub run_preflight_inspection: bool,
    /// Leave the guests alone.
    pub skip_guest_conversion: bool,
}

impl PlanSpec {
    /// Whether the controller takes it for warm.
    pub fn is_warm(&self) -> bool {
        self.warm || self.kind.as_deref() == Some("warm")
    }
}

/// The part of a Migration's spec that matters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationSpec {
    /// The plan.
    pub plan: Key,
    /// When to cut over.
    pub cutover: Option<String>,
    /// When to cut single VMs over: a map from id, or a list with `id` and `cutover`.
    pub vm_cutover: Value,
    /// VMs to stop.
    pub cancel: Vec<VmReference>,
    /// Only convert what an earlier attempt copied.
    pub resume_conversion: bool,
}

/// A VM in a list of a Migration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VmReference {
    /// By id.
    pub id: String,
    /// Or by name.
    pub name: String,
}

/// The part of a provider's spec that matters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderSpec {
    /// vsphere, openshift and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where.
    pub url: String,
    /// `vddkInitImage`.
    pub settings: BTreeMap<String, String>,
}

/// The part of a map's spec that matters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MapSpec {
    /// `source` and `destination`.
    pub provider: BTreeMap<String, Key>,
}

/// What is true about a plan beyond its objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanWorld {
    /// VMs by name. A VM that is not named has one disk of 20 GiB.
    pub vms: BTreeMap<String, VmWorld>,
    /// Conditions that validation finds.
    pub conditions: Vec<Finding>,
    /// The datastore in names of disks.
    pub datastore: Option<String>,
}

impl PlanWorld {
    /// The same with time running so many times as fast.
    pub fn at_speed(mut self, speed: f64) -> Self {
        let faster = |span: &mut Option<Span>| *span = span.map(|span| span.at_speed(speed));
        for finding in &mut self.conditions {
            faster(&mut finding.from);
            faster(&mut finding.until);
        }
        for vm in self.vms.values_mut() {
            faster(&mut vm.appears);
            faster(&mut vm.conversion);
            faster(&mut vm.bind);
            vm.copy_mib_per_second = vm.copy_mib_per_second.map(|copied| copied * speed);
        }
        self
    }
}

/// A condition that validation finds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Finding {
    /// What.
    #[serde(rename = "type")]
    pub kind: String,
    /// How much it matters. May be empty.
    pub category: String,
    /// Why.
    pub reason: String,
    /// Text for people.
    pub message: String,
    /// VMs it is about.
    pub vms: Vec<String>,
    /// Found from so long after the plan appeared.
    pub from: Option<Span>,
    /// Found until so long after the plan appeared. Without it, for ever.
    pub until: Option<Span>,
    /// Whether it is still found while the plan executes: so for maps and providers, not for VMs.
    pub while_executing: bool,
}

/// What is true about a VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VmWorld {
    /// Disks in GiB.
    pub disks: Vec<i64>,
    /// Its id at the source, where the plan names it by name only.
    pub id: Option<String>,
    /// The ESXi host it is on.
    pub host: String,
    /// When the inventory has it, counted from when the plan appeared.
    pub appears: Option<Span>,
    /// Not in the inventory at all.
    pub missing: bool,
    /// Changed block tracking is off.
    pub no_change_tracking: bool,
    /// It is off.
    pub powered_off: bool,
    /// A Windows guest.
    pub windows: bool,
    /// How fast its disks are copied, in place of the setting.
    pub copy_mib_per_second: Option<f64>,
    /// How long its conversion takes, in place of the setting.
    pub conversion: Option<Span>,
    /// How long its volumes take to be bound, in place of the setting.
    pub bind: Option<Span>,
    /// What the conversion warns about.
    pub conversion_warning: Option<String>,
    /// Where it fails.
    pub fails: Vec<Fails>,
}

/// Where a VM fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fails {
    /// In this phase.
    pub phase: Phase,
    /// When so much is done, where the phase takes its time.
    #[serde(default)]
    pub percent: i64,
    /// The disk that fails.
    #[serde(default)]
    pub disk: usize,
    /// Only in the first so many attempts. Without it, in all.
    pub attempts: Option<usize>,
    /// Text for people, in place of the usual one.
    pub reason: Option<String>,
}

/// A disk of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// `[datastore] folder/file`.
    pub name: String,
    /// Its size.
    pub mib: i64,
}

impl VmWorld {
    /// Its disks. A VM of which nothing is known has one of 20 GiB.
    pub fn all_disks(&self, name: &str, datastore: &str) -> Vec<Disk> {
        let sizes: &[i64] = if self.disks.is_empty() { &[20] } else { &self.disks };
        let disk = |(index, gib): (usize, &i64)| {
            let suffix = if index == 0 { String::new() } else { format!("_{index}") };
            Disk { name: format!("[{datastore}] {name}/{name}{suffix}.vmdk"), mib: gib * 1024 }
        };
        sizes.iter().enumerate().map(disk).collect()
    }
}

/// A name that Kubernetes takes, made as Forklift makes it.
pub(super) fn target_name(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let text: String = name.chars().map(kept).collect();
    text.trim_matches(|c| c == '-' || c == '.').to_owned()
}

/// Whether a name is a DNS-1123 label.
pub(super) fn is_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Whether a name is a DNS-1123 subdomain.
pub(super) fn is_subdomain(name: &str) -> bool {
    !name.is_empty() && name.split('.').all(is_label)
}
