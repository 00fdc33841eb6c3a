//! One reconcile of a Migration: it mirrors what its plan does.

use super::Sim;
use super::conditions::{Condition, category};
use super::model::{MigrationStatus, VmStatus};
use super::time::Stamp;
use super::world::{Meta, MigrationSpec};
use jiff::Timestamp;
use serde_json::Value;

/// A Migration and its status.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its metadata.
    pub meta: Meta,
    /// Its spec.
    pub spec: MigrationSpec,
    /// What is written.
    pub status: MigrationStatus,
}

impl Migration {
    /// Whether it asks for a VM to be stopped.
    pub fn cancels(&self, vm: &VmStatus) -> bool {
        self.spec.cancel.iter().any(|cancel| if cancel.id.is_empty() { cancel.name == vm.name } else { cancel.id == vm.id })
    }

    /// When a VM is to be cut over: its own time, else that of all.
    pub fn cutover(&self, vm: &VmStatus) -> Option<Timestamp> {
        let own = match &self.spec.vm_cutover {
            Value::Object(by_id) => by_id.get(&vm.id),
            Value::Array(list) => list.iter().find(|entry| entry["id"] == vm.id.as_str()).map(|entry| &entry["cutover"]),
            _ => None,
        };
        let text = own.and_then(Value::as_str).or(self.spec.cutover.as_deref())?;
        text.parse().ok()
    }
}

/// Reconciles a Migration. One that has ended is left alone; one that was canceled never ends.
pub(super) fn reconcile(sim: &Sim, migration: &mut Migration, now: Timestamp) {
    let status = &mut migration.status;
    if status.completed.is_some() {
        return;
    }
    status.observed_generation = migration.meta.generation;
    status.conditions.stage();
    let plan = sim.plans.get(&migration.spec.plan);
    match plan {
        None => {
            let text = "The `plan` is not valid.";
            status.conditions.set(Condition::new("PlanNotValid", category::CRITICAL, text, now).reason("NotFound"));
        }
        Some(plan) if !plan.status.conditions.has("Ready") => {
            let text = "The `plan` does not have Ready condition.";
            status.conditions.set(Condition::new("PlanNotReady", category::CRITICAL, text, now).reason("NotFound"));
        }
        Some(plan) => {
            let own = plan.status.migration.history.last();
            if let Some(snapshot) = own.filter(|snapshot| snapshot.migration.uid == migration.meta.uid) {
                let word = ["Canceled", "Executing", "Succeeded", "Failed"];
                match word.into_iter().find(|kind| snapshot.conditions.has(kind)) {
                    Some("Canceled") => {
                        if let Some(canceled) = snapshot.conditions.get("Canceled") {
                            status.conditions.set(canceled.clone());
                        }
                    }
                    Some("Executing") => {
                        let text = "The migration is RUNNING.";
                        status.conditions.set(Condition::new("Running", category::ADVISORY, text, now));
                        status.started.get_or_insert(Stamp(now));
                        status.vms.clone_from(&plan.status.migration.vms);
                    }
                    Some(outcome) => {
                        let text = format!("The migration has {}.", outcome.to_uppercase());
                        status.conditions.set(Condition::new(outcome, category::ADVISORY, &text, now).durable());
                        status.completed = Some(Stamp(now));
                        status.vms.clone_from(&plan.status.migration.vms);
                    }
                    None => {}
                }
            }
        }
    }
    if status.conditions.blocker().is_none() {
        status.conditions.set(Condition::new("Ready", category::REQUIRED, "The migration is ready.", now));
    }
    status.conditions.unstage();
}
