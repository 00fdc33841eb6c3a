//! A small language for what people do: providers, plans with what is true about their VMs, and actions one after another.
//!
//! This file is the form of it, [`Runner`] carries it out.

mod objects;
mod runner;

pub use runner::{Operation, Runner};

use crate::core::{Finding, Phase, Settings, Span, VmWorld};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, and the namespace of its plans unless that is given.
    pub name: String,
    /// The namespace of its plans.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Durations and limits that differ from the usual ones, at speed 1.
    #[serde(default)]
    pub settings: Settings,
    /// Source providers. The destination `host` is always there.
    #[serde(default)]
    pub providers: Vec<Provider>,
    /// Maps that are not made: `network`, `storage`.
    #[serde(default)]
    pub without: Vec<String>,
    /// Plans.
    pub plans: Vec<Plan>,
    /// What happens, one after another.
    #[serde(default)]
    pub actions: Vec<Action>,
}

/// A source provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type", default = "vsphere")]
    pub kind: String,
    /// Whether it names a VDDK image, so that plans are validated with it.
    #[serde(default = "yes")]
    pub vddk: bool,
}

fn vsphere() -> String {
    "vsphere".into()
}

fn yes() -> bool {
    true
}

/// A plan, or many of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name. `{n}` is the number where there are many, 01 and on.
    pub name: String,
    /// How many. VMs' names and ids may have `{n}` too.
    #[serde(default)]
    pub count: Option<usize>,
    /// Its source. The first provider unless given.
    #[serde(default)]
    pub source: Option<String>,
    /// Whether it is made by an action instead of at the start.
    #[serde(default)]
    pub later: bool,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Fields of the spec, beside providers, maps and VMs. `targetNamespace` is the namespace's with `-target` unless given.
    #[serde(default)]
    pub spec: Map<String, Value>,
    /// Conditions that validation finds.
    #[serde(default)]
    pub conditions: Vec<Finding>,
    /// VMs.
    pub vms: Vec<Vm>,
}

/// A VM of a plan.
#[derive(Clone, Debug, Deserialize)]
pub struct Vm {
    /// Its name. `{i}` is the number where there are many, 01 and on.
    pub name: String,
    /// How many.
    #[serde(default)]
    pub count: Option<usize>,
    /// Its id. Not in the spec with `by_name`.
    #[serde(default)]
    pub id: Option<String>,
    /// Whether the plan names it by name only.
    #[serde(default)]
    pub by_name: bool,
    /// Hooks: step to name.
    #[serde(default)]
    pub hooks: BTreeMap<String, String>,
    /// Only the first so many of many plans: `fails` of the others is dropped.
    #[serde(default)]
    pub fails_in: Vec<usize>,
    /// Fields of its entry in the spec.
    #[serde(default)]
    pub spec: Map<String, Value>,
    /// What is true about it.
    #[serde(default)]
    pub world: VmWorld,
}

/// One action, or one thing to wait for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Waits so long.
    Pause(Span),
    /// Waits until something is so.
    Until(Until),
    /// Makes a plan that is to be made later.
    Create(String),
    /// Makes a Migration for a plan. Without a name it is the plan's with a number. Plans with `{n}` get one each.
    Start(Start),
    /// Sets a time to cut over.
    Cutover(Cutover),
    /// Stops VMs.
    Cancel(Cancel),
    /// A provider stops answering.
    Break(String),
    /// A provider answers again.
    Repair(String),
    /// Archives a plan.
    Archive(String),
    /// Un-archives a plan.
    Unarchive(String),
    /// Deletes a Migration.
    DeleteMigration(String),
    /// Deletes a plan.
    DeletePlan(String),
    /// Makes a map: `network` or `storage`.
    CreateMap(String),
    /// Deletes a map: `network` or `storage`.
    DeleteMap(String),
    /// Changes a plan's spec.
    Patch(Patch),
    /// Changes what is true about a VM: it appears, no longer fails and so on.
    World(World),
}

/// What to wait for. All that is given must be so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Until {
    /// The plan. With `{n}` all of them.
    pub plan: String,
    /// A condition that it has. `Ended` stands for any outcome.
    pub has: Option<String>,
    /// A condition that it does not have.
    pub lacks: Option<String>,
    /// A VM of it.
    pub vm: Option<String>,
    /// The phase that the VM is in.
    pub phase: Option<Phase>,
    /// How much of a copy the VM has done, in that phase.
    pub percent: i64,
    /// How many precopies the VM has finished.
    pub precopies: Option<i64>,
}

/// Makes a Migration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The plan.
    pub plan: String,
    /// The Migration's name.
    #[serde(default)]
    pub name: Option<String>,
    /// Converts what was copied, and nothing else.
    #[serde(default)]
    pub resume: bool,
    /// When to cut over, counted from now.
    #[serde(default)]
    pub cutover_in: Option<Span>,
}

/// Sets a time to cut over.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutover {
    /// The Migration.
    pub migration: String,
    /// Counted from now.
    #[serde(default = "now", rename = "in")]
    pub in_: Span,
    /// Ids of single VMs. Without it, all.
    #[serde(default)]
    pub vms: Vec<String>,
}

fn now() -> Span {
    Span::seconds(0)
}

/// Stops VMs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The Migration.
    pub migration: String,
    /// Ids of VMs.
    pub vms: Vec<String>,
}

/// Changes a plan's spec.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The plan.
    pub plan: String,
    /// The fields.
    pub spec: Map<String, Value>,
}

/// Changes what is true about a VM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The plan.
    pub plan: String,
    /// The VM.
    pub vm: String,
    /// All that is true about it now.
    pub world: Map<String, Value>,
}

impl Scenario {
    /// Reads a scenario and checks that its actions name what is there.
    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = serde_saphyr::from_str(text).context("this is no scenario")?;
        let plan = |name: &str| scenario.plans.iter().any(|plan| plan.name == name || plan.names().any(|one| one == name));
        let provider = |name: &str| name == "host" || scenario.providers.iter().any(|provider| provider.name == name);
        for action in &scenario.actions {
            let (known, name) = match action {
                Action::Until(Until { plan: name, .. }) | Action::Create(name) | Action::Archive(name) => (plan(name), name),
                Action::Start(Start { plan: name, .. }) | Action::Unarchive(name) => (plan(name), name),
                Action::DeletePlan(name) | Action::Patch(Patch { plan: name, .. }) => (plan(name), name),
                Action::World(World { plan: name, .. }) => (plan(name), name),
                Action::Break(name) | Action::Repair(name) => (provider(name), name),
                Action::CreateMap(name) | Action::DeleteMap(name) => (name == "network" || name == "storage", name),
                Action::Pause(_) | Action::Cutover(_) | Action::Cancel(_) | Action::DeleteMigration(_) => continue,
            };
            if !known {
                bail!("scenario {}: there is no {name} for {action:?}", scenario.name);
            }
        }
        Ok(scenario)
    }

    /// The namespace of its plans.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(&self.name)
    }

    /// The names of a plan that an action means.
    fn plan_names(&self, name: &str) -> Vec<String> {
        match self.plans.iter().find(|plan| plan.name == name) {
            Some(plan) => plan.names().collect(),
            None => vec![name.to_owned()],
        }
    }
}

impl Plan {
    /// Its name, or the names of all of them.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count.unwrap_or(1)).map(|number| self.name.replace("{n}", &format!("{number:02}")))
    }
}
