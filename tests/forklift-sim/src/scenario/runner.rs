//! Carries a scenario out: what to do next, given the state of the controller and the time.
//!
//! Pure: the player and the driver do what it says and ask again.

use super::objects::{PROVIDERS, migration};
use super::{Action, Scenario, Until};
use crate::core::{ANSWERS, Key, Kind, PLAN, Sim, Span, Stamp, after};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What a person does to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Makes an object.
    Create(Value),
    /// Changes an object by a merge patch.
    Patch {
        /// Its kind.
        kind: Kind,
        /// The object.
        key: Key,
        /// The patch.
        patch: Value,
    },
    /// Deletes an object.
    Delete {
        /// Its kind.
        kind: Kind,
        /// The object.
        key: Key,
    },
}

/// How much of the objects at the start is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Not,
    Infrastructure,
    Plans,
}

/// A scenario under way.
#[derive(Debug)]
pub struct Runner {
    scenario: Scenario,
    speed: f64,
    place: usize,
    /// Since when the action at `place` is looked at.
    since: Option<Timestamp>,
    begun: Begun,
}

impl Runner {
    /// A scenario that has not begun.
    pub fn new(scenario: Scenario, speed: f64) -> Self {
        Self { scenario, speed, place: 0, since: None, begun: Begun::Not }
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Whether all actions are done and no plan of it executes.
    pub fn has_ended(&self, sim: &Sim) -> bool {
        let mut mine = sim.plans().filter(|plan| plan.meta.namespace == self.scenario.namespace());
        // A plan that was archived while it ran will execute for ever.
        self.begun == Begun::Plans
            && self.place >= self.scenario.actions.len()
            && mine.all(|plan| !plan.executes() || plan.spec.archived)
    }

    /// What the scenario waits for, for people.
    pub fn waits_for(&self) -> Option<String> {
        self.scenario.actions.get(self.place).map(|action| format!("{action:?}"))
    }

    /// When a pause ends that the scenario is in.
    pub fn due(&self) -> Option<Timestamp> {
        match (self.scenario.actions.get(self.place), self.since) {
            (Some(Action::Pause(span)), Some(since)) => Some(after(since, span.at_speed(self.speed))),
            _ => None,
        }
    }

    /// What to do now. Up to the first thing that has to be waited for.
    pub fn next(&mut self, sim: &Sim, now: Timestamp) -> Vec<Operation> {
        let mut operations = Vec::new();
        if self.begun == Begun::Not {
            self.begun = Begun::Infrastructure;
            return self.scenario.infrastructure().into_iter().map(Operation::Create).collect();
        }
        if self.begun == Begun::Infrastructure {
            // Plans come when their providers and maps are there, as people make them.
            if !self.is_ready(sim) {
                return operations;
            }
            self.begun = Begun::Plans;
            let now = self.scenario.plans.iter().filter(|plan| !plan.later);
            operations.extend(now.flat_map(|plan| self.plans(plan)));
        }
        while let Some(action) = self.scenario.actions.get(self.place) {
            let since = *self.since.get_or_insert(now);
            let waits = match action {
                Action::Pause(span) => now < after(since, span.at_speed(self.speed)),
                // What was just asked for is not in the controller's state yet.
                Action::Until(until) => !operations.is_empty() || !self.is_so(until, sim),
                _ => false,
            };
            if waits {
                break;
            }
            operations.extend(self.act(&action.clone(), sim, now));
            self.place += 1;
            self.since = None;
        }
        operations
    }

    fn is_ready(&self, sim: &Sim) -> bool {
        self.scenario.infrastructure().iter().all(|object| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let key = Key { namespace: text("namespace"), name: text("name") };
            object["kind"].as_str().and_then(Kind::from_name).is_some_and(|kind| sim.is_ready(kind, &key))
        })
    }

    fn plans(&self, plan: &super::Plan) -> Vec<Operation> {
        let make = |(index, name): (usize, String)| Operation::Create(self.scenario.plan(plan, index + 1, &name));
        plan.names().enumerate().map(make).collect()
    }

    fn key(&self, name: &str) -> Key {
        Key { namespace: self.scenario.namespace().to_owned(), name: name.to_owned() }
    }

    fn patch(&self, kind: Kind, name: &str, spec: Value) -> Vec<Operation> {
        vec![Operation::Patch { kind, key: self.key(name), patch: json!({ "spec": spec }) }]
    }

    fn in_(&self, span: Span, now: Timestamp) -> String {
        Stamp(after(now, span.at_speed(self.speed))).to_string()
    }

    fn act(&self, action: &Action, sim: &Sim, now: Timestamp) -> Vec<Operation> {
        let answers = |name: &str, answers: Option<&str>| {
            let key = Key { namespace: PROVIDERS.to_owned(), name: name.to_owned() };
            let patch = json!({ "metadata": { "annotations": { ANSWERS: answers } } });
            vec![Operation::Patch { kind: Kind::Provider, key, patch }]
        };
        match action {
            Action::Pause(_) | Action::Until(_) => Vec::new(),
            Action::Create(name) => {
                let plan = self.scenario.plans.iter().find(|plan| plan.name == *name);
                plan.map(|plan| self.plans(plan)).unwrap_or_default()
            }
            Action::Start(start) => {
                let make = |plan: String| {
                    let number = |plan: &str| {
                        let attempts = sim.plan(&self.key(plan)).map_or(0, |plan| plan.status.migration.history.len());
                        format!("{plan}-{}", attempts + 1)
                    };
                    let name = start.name.clone().unwrap_or_else(|| number(&plan));
                    let mut made = migration(self.scenario.namespace(), &plan, &name);
                    if start.resume {
                        made["spec"]["resumeConversion"] = json!(true);
                    }
                    if let Some(cutover) = start.cutover_in {
                        made["spec"]["cutover"] = json!(self.in_(cutover, now));
                    }
                    Operation::Create(made)
                };
                self.scenario.plan_names(&start.plan).into_iter().map(make).collect()
            }
            Action::Cutover(cutover) => {
                let at = json!(self.in_(cutover.in_, now));
                let spec = if cutover.vms.is_empty() {
                    json!({ "cutover": at })
                } else {
                    let each = cutover.vms.iter().map(|vm| (vm.clone(), at.clone()));
                    json!({ "vmCutover": each.collect::<Map<_, _>>() })
                };
                self.patch(Kind::Migration, &cutover.migration, spec)
            }
            Action::Cancel(cancel) => {
                let list: Vec<Value> = cancel.vms.iter().map(|id| json!({ "id": id })).collect();
                self.patch(Kind::Migration, &cancel.migration, json!({ "cancel": list }))
            }
            Action::Break(name) => answers(name, Some("false")),
            Action::Repair(name) => answers(name, None),
            Action::Archive(name) => self.patch(Kind::Plan, name, json!({ "archived": true })),
            Action::Unarchive(name) => self.patch(Kind::Plan, name, json!({ "archived": false })),
            Action::DeleteMigration(name) => vec![Operation::Delete { kind: Kind::Migration, key: self.key(name) }],
            Action::DeletePlan(name) => vec![Operation::Delete { kind: Kind::Plan, key: self.key(name) }],
            Action::CreateMap(which) => self.scenario.maps(which).into_iter().map(Operation::Create).collect(),
            Action::DeleteMap(which) => {
                let delete = |map: Value| {
                    let kind = map["kind"].as_str().and_then(Kind::from_name)?;
                    Some(Operation::Delete { kind, key: self.key(map["metadata"]["name"].as_str()?) })
                };
                self.scenario.maps(which).into_iter().filter_map(delete).collect()
            }
            Action::Patch(patch) => self.patch(Kind::Plan, &patch.plan, json!(patch.spec)),
            Action::World(world) => {
                let Some(plan) = sim.plan(&self.key(&world.plan)) else { return Vec::new() };
                let text = plan.meta.annotations.get(PLAN).map_or("{}", String::as_str);
                let mut all: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
                all["vms"][&world.vm] = json!(world.world);
                let patch = json!({ "metadata": { "annotations": { PLAN: all.to_string() } } });
                vec![Operation::Patch { kind: Kind::Plan, key: self.key(&world.plan), patch }]
            }
        }
    }

    fn is_so(&self, until: &Until, sim: &Sim) -> bool {
        self.scenario.plan_names(&until.plan).iter().all(|name| {
            let Some(plan) = sim.plan(&self.key(name)) else { return false };
            let conditions = &plan.status.conditions;
            let has = |kind: &String| match kind.as_str() {
                "Ended" => ["Succeeded", "Failed", "Canceled"].iter().any(|kind| conditions.has(kind)),
                kind => conditions.has(kind),
            };
            let plan_is = until.has.as_ref().is_none_or(has) && until.lacks.as_ref().is_none_or(|kind| !has(kind));
            let vm_is = until.vm.as_ref().is_none_or(|name| {
                let vm = plan.status.migration.vms.iter().find(|vm| vm.name == *name);
                vm.is_some_and(|vm| {
                    let in_phase = until.phase.is_none_or(|phase| vm.phase == phase);
                    let copied = |name: &str| {
                        let step = vm.pipeline.iter().find(|step| step.name == name)?;
                        Some(step.progress.completed * 100 >= step.progress.total * until.percent)
                    };
                    let far = ["DiskTransfer", "DiskTransferV2v"].into_iter().find_map(copied).unwrap_or(true);
                    let precopies = vm.warm.as_ref().map_or(0, |warm| warm.successes);
                    in_phase && far && until.precopies.is_none_or(|wanted| precopies >= wanted)
                })
            });
            plan_is && vm_is
        })
    }
}
