//! One reconcile of a plan: validation, archiving, Ready. What it runs is in `attempt`.

use super::conditions::{Condition, category};
use super::model::PlanStatus;
use super::time::after;
use super::world::{Finding, Key, Meta, PlanSpec, PlanWorld, VmWorld, is_label, is_subdomain};
use super::{Object, Sim, attempt, vm};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A plan, its status and what the controller keeps beside them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its metadata.
    pub meta: Meta,
    /// Its spec.
    pub spec: PlanSpec,
    /// What is true beyond it.
    pub world: PlanWorld,
    /// What is written.
    pub status: PlanStatus,
    /// When the simulator first saw it.
    pub appeared: Timestamp,
    /// Until when its VDDK image is validated. Without it, that has not begun.
    pub vddk: Option<Timestamp>,
    /// What is kept about VMs, by name.
    pub runs: BTreeMap<String, vm::Run>,
    /// It was archived while it ran, and what it ran was deleted: nothing of it goes on, even if it is un-archived.
    pub wrecked: bool,
    /// The controller breaks down whenever it gets to this plan: a VM was gone from the source while it was under way.
    pub stuck: bool,
}

static NO_WORLD: VmWorld = VmWorld {
    disks: Vec::new(),
    id: None,
    host: String::new(),
    appears: None,
    missing: false,
    no_change_tracking: false,
    powered_off: false,
    windows: false,
    copy_mib_per_second: None,
    conversion: None,
    bind: None,
    conversion_warning: None,
    fails: Vec::new(),
};

impl Plan {
    /// Whether an attempt is under way.
    pub fn executes(&self) -> bool {
        self.status.conditions.has("Executing")
    }

    /// What is true about a VM.
    pub fn vm_world(&self, name: &str) -> &VmWorld {
        self.world.vms.get(name).unwrap_or(&NO_WORLD)
    }

    /// Where a VM's hooks are.
    pub fn hooks(vm: &Map<String, Value>) -> Vec<String> {
        let hooks = vm.get("hooks").and_then(Value::as_array).into_iter().flatten();
        hooks.filter_map(|hook| hook["step"].as_str()).map(str::to_owned).collect()
    }

    /// The provider that a plan names.
    pub fn provider(&self, side: &str) -> Key {
        self.spec.provider.get(side).cloned().unwrap_or_default()
    }

    fn critical(&mut self, kind: &str, reason: &str, message: &str, now: Timestamp) {
        self.status.conditions.set(Condition::new(kind, category::CRITICAL, message, now).reason(reason));
    }
}

/// Reconciles a plan. The answer is when it wants to be looked at again.
pub(super) fn reconcile(sim: &Sim, plan: &mut Plan, now: Timestamp) -> Option<Timestamp> {
    let has = |plan: &Plan, kind: &str| plan.status.conditions.has(kind);
    // These two are never looked at again.
    if plan.spec.archived && has(plan, "Archived") || has(plan, "Succeeded") && !plan.spec.archived {
        return None;
    }
    if plan.stuck && !plan.spec.archived {
        return None;
    }
    plan.status.conditions.stage();
    let again = validate(sim, plan, now);
    if plan.spec.archived {
        archive(plan, now);
    }
    let conditions = &mut plan.status.conditions;
    let waits = conditions.is_staged("ValidatingVDDK") || conditions.is_staged("Archived");
    if conditions.blocker().is_none() && !waits {
        conditions.set(Condition::new("Ready", category::REQUIRED, "The migration plan is ready.", now));
    }
    conditions.unstage();
    plan.status.observed_generation = plan.meta.generation;
    if plan.spec.archived {
        return None;
    }
    attempt::execute(sim, plan, now);
    let rests = !plan.executes() && (has(plan, "Ready") || has(plan, "Succeeded"));
    let next = after(now, sim.settings(&plan.meta.namespace).reconcile);
    if rests { again.map(|at| at.max(next)) } else { Some(next) }
}

/// Says what is wrong with a plan. The answer is when something may change by itself.
fn validate(sim: &Sim, plan: &mut Plan, now: Timestamp) -> Option<Timestamp> {
    for (side, prefix, word) in [("source", "Source", "source"), ("destination", "Destination", "destination")] {
        match sim.providers.get(&plan.provider(side)) {
            None => {
                let message = format!("The {word} provider is not valid.");
                plan.critical(&format!("{prefix}ProviderNotValid"), "NotFound", &message, now);
            }
            Some(provider) if !provider.is_ready() => {
                let message = format!("The {word} provider does not have the Ready condition.");
                plan.critical(&format!("{prefix}ProviderNotReady"), "", &message, now);
            }
            Some(_) => {}
        }
    }
    let conditions = &plan.status.conditions;
    if conditions.is_staged("SourceProviderNotReady") || conditions.is_staged("SourceProviderNotValid") {
        return None;
    }
    if !is_label(&plan.spec.target_namespace) {
        plan.critical("NamespaceNotValid", "NotValid", "Target namespace is not valid.", now);
    }
    map(plan, "network", &sim.network_maps, ["NetworkMapRefNotValid", "NetworkMapNotReady", "Map.Network"], now);
    if plan.spec.kind.as_deref() != Some("conversion") {
        map(plan, "storage", &sim.storage_maps, ["StorageRefNotValid", "StorageMapNotReady", "Map.Storage"], now);
    }
    if plan.status.conditions.blocker().is_some() {
        return None;
    }
    let executes = plan.executes();
    let again = findings(plan, executes, now);
    if !executes {
        vms(plan, now);
    }
    vddk(sim, plan, now);
    again
}

fn map(plan: &mut Plan, which: &str, maps: &BTreeMap<Key, Object>, words: [&str; 3], now: Timestamp) {
    let [not_valid, not_ready, subject] = words;
    match plan.spec.map.get(which).and_then(|key| maps.get(key)) {
        None => plan.critical(not_valid, "NotFound", &format!("{subject} is not valid."), now),
        Some(map) if !map.is_ready() => {
            plan.critical(not_ready, "", &format!("{subject} does not have Ready condition."), now);
        }
        Some(_) => {}
    }
}

/// Conditions that the world says validation finds.
fn findings(plan: &mut Plan, executes: bool, now: Timestamp) -> Option<Timestamp> {
    let mut again: Option<Timestamp> = None;
    for finding in plan.world.conditions.clone() {
        let from = finding.from.map_or(plan.appeared, |from| after(plan.appeared, from));
        let until = finding.until.map(|until| after(plan.appeared, until));
        let turns = [Some(from), until].into_iter().flatten().filter(|at| *at > now);
        again = again.into_iter().chain(turns).min();
        let found = from <= now && until.is_none_or(|until| now < until);
        if found && (finding.while_executing || !executes) {
            let items = finding.vms.iter().map(|vm| item(&id_of(plan, vm), vm)).collect();
            let Finding { kind, category, reason, message, .. } = &finding;
            plan.status.conditions.set(Condition::new(kind, category, message, now).reason(reason).items(items));
        }
    }
    again
}

fn id_of(plan: &Plan, name: &str) -> String {
    let named = |vm: &&Map<String, Value>| vm.get("name").and_then(Value::as_str) == Some(name);
    let given = plan.spec.vms.iter().find(named).and_then(|vm| vm.get("id")).and_then(Value::as_str);
    given.map(str::to_owned).or_else(|| plan.vm_world(name).id.clone()).unwrap_or_default()
}

fn item(id: &str, name: &str) -> String {
    format!(" id:{id} name:'{name}' ")
}

/// The VMs of a plan that does not execute.
fn vms(plan: &mut Plan, now: Timestamp) {
    let (mut absent, mut renamed, mut untracked) = (Vec::new(), Vec::new(), Vec::new());
    for vm in &plan.spec.vms {
        let text = |field: &str| vm.get(field).and_then(Value::as_str).unwrap_or_default();
        let name = text("name");
        let done = plan.status.migration.vms.iter().any(|status| status.name == name && status.succeeded());
        if done {
            continue;
        }
        let world = plan.vm_world(name);
        let shown = item(&id_of(plan, name), name);
        let there = world.appears.is_none_or(|appears| after(plan.appeared, appears) <= now);
        if world.missing || !there {
            absent.push(shown);
            continue;
        }
        if !is_subdomain(name) && text("targetName").is_empty() {
            renamed.push(shown.clone());
        }
        if plan.spec.is_warm() && world.no_change_tracking {
            untracked.push(shown);
        }
    }
    let tracking = "Changed Block Tracking (CBT) has not been enabled on some VM. This feature is a prerequisite for VM warm \
                    migration.";
    let invalid = "Target VM name does not comply with DNS1123 RFC, will be automatically changed.";
    let all = [
        ("VMNotFound", category::CRITICAL, "NotFound", "VM not found.", absent),
        ("TargetNameNotValid", category::WARN, "NotValid", invalid, renamed),
        ("VMMissingChangedBlockTracking", category::CRITICAL, "MissingChangedBlockTracking", tracking, untracked),
    ];
    for (kind, category, reason, message, items) in all.into_iter().filter(|(.., items)| !items.is_empty()) {
        plan.status.conditions.set(Condition::new(kind, category, message, now).reason(reason).items(items));
    }
}

/// The image that reads vSphere's disks is tried once for each plan.
fn vddk(sim: &Sim, plan: &mut Plan, now: Timestamp) {
    let Some(source) = sim.providers.get(&plan.provider("source")) else { return };
    if source.kind != "vsphere" || !source.vddk {
        return;
    }
    let lasts = sim.settings(&plan.meta.namespace).vddk;
    let until = *plan.vddk.get_or_insert_with(|| after(now, lasts));
    if now < until && !plan.executes() {
        let condition = Condition::new("ValidatingVDDK", category::ADVISORY, "Validating VDDK init image", now);
        plan.status.conditions.set(condition.reason("Started"));
    }
}

/// Puts a plan away, whatever it does. Without providers and maps nothing is cleaned up, and nobody says so.
fn archive(plan: &mut Plan, now: Timestamp) {
    if plan.status.conditions.blocker().is_none() {
        plan.wrecked = plan.executes();
        // The job that validated the image is gone, so un-archiving validates anew.
        plan.vddk = None;
    }
    plan.status.conditions.remove(&["ValidatingVDDK"]);
    let condition = Condition::new("Archived", category::ADVISORY, "The migration plan has been archived.", now);
    plan.status.conditions.set(condition.reason("UserRequested"));
}
