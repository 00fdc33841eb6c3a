//! What a plan runs: which Migration, how it starts, goes on and ends.
//!
//! Called by `plan` when a reconcile has validated the plan.

use super::conditions::{Condition, category};
use super::itinerary::{Phase, Shape};
use super::migration::Migration;
use super::model::{Failure, Reference, Snapshot, VmStatus, Warm};
use super::plan::Plan;
use super::queue;
use super::time::{Stamp, after};
use super::vm::{self, Context, Run};
use super::world::{Key, is_subdomain, target_name};
use super::{Object, Sim};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Goes on with the attempt, or starts one that waits.
pub(super) fn execute(sim: &Sim, plan: &mut Plan, now: Timestamp) {
    if plan.status.conditions.blocker().is_some() {
        if plan.executes() {
            blocked(sim, plan, now);
        }
        return;
    }
    if plan.status.conditions.has("ValidatingVDDK") {
        return;
    }
    if plan.executes() {
        let active = plan.status.migration.history.last().map(|snapshot| snapshot.migration.uid.clone());
        let migration = active.and_then(|uid| sim.migrations.values().find(|migration| migration.meta.uid == uid));
        match migration {
            Some(_) if is_exchanged(sim, plan) => return exchanged(plan, now),
            Some(migration) => return run(sim, plan, migration, now),
            None => abandon(plan, now),
        }
    }
    if let Some(migration) = pending(sim, plan) {
        start(sim, plan, migration, now);
        run(sim, plan, migration, now);
    }
}

/// Nothing moves while there is a blocker. After the grace all fails in one write, and the Migration is not told.
fn blocked(sim: &Sim, plan: &mut Plan, now: Timestamp) {
    let grace = sim.settings(&plan.meta.namespace).blocker_grace;
    let expired = |condition: &&Condition| after(condition.last_transition_time.0, grace) <= now;
    let Some(blocker) = plan.status.conditions.blockers().find(expired) else { return };
    let message = format!("The migration has FAILED due to a validation blocker: {}", blocker.message);
    let failed = Condition::new("Failed", category::ADVISORY, &message, now).durable();
    for vm in plan.status.migration.vms.iter_mut().filter(|vm| vm.completed.is_none()) {
        vm.error.get_or_insert_with(|| Failure { phase: vm.phase.to_string(), reasons: vec![message.clone()] });
        vm.conditions.set(failed.clone());
        vm::close(vm, now);
        vm.phase = Phase::Completed;
    }
    finish(plan, failed, now);
}

/// Whether a provider or a map is another one than at the start, be it of the same name.
fn is_exchanged(sim: &Sim, plan: &Plan) -> bool {
    let Some(snapshot) = plan.status.migration.history.last() else { return false };
    let current = references(sim, plan);
    let other = |(old, new): (&BTreeMap<String, Reference>, &BTreeMap<String, Reference>)| {
        old.iter().any(|(which, old)| new.get(which).is_some_and(|new| new.uid != old.uid))
    };
    [(&snapshot.map, &current.map), (&snapshot.provider, &current.provider)].into_iter().any(other)
}

/// What the attempt began with was exchanged: it is canceled, and this time the plan says so.
fn exchanged(plan: &mut Plan, now: Timestamp) {
    cancel_vms(plan, now);
    let condition = Condition::new("Canceled", category::ADVISORY, "The migration has been canceled.", now);
    finish(plan, condition.reason("Modified").durable(), now);
}

/// The Migration is gone. The plan is left with no outcome: only the history tells.
fn abandon(plan: &mut Plan, now: Timestamp) {
    cancel_vms(plan, now);
    plan.status.conditions.remove(&["Executing"]);
    if let Some(snapshot) = plan.status.migration.history.last_mut() {
        snapshot.conditions.remove(&["Executing"]);
        let condition = Condition::new("Canceled", category::ADVISORY, "The migration has been deleted.", now);
        snapshot.conditions.set(condition.reason("Deleted").durable());
    }
}

/// VMs that are not over are canceled, and over at once.
fn cancel_vms(plan: &mut Plan, now: Timestamp) {
    for vm in &mut plan.status.migration.vms {
        if vm.completed.is_none() && !vm.succeeded() && !vm.failed() {
            let condition = Condition::new("Canceled", category::ADVISORY, "The migration has been canceled.", now);
            vm.conditions.set(condition.reason("Modified").durable());
        }
        if vm.completed.is_none() {
            // The phase stays where it was.
            vm::close(vm, now);
        }
    }
}

/// The oldest Migration that has no outcome of its own and whose attempt was not canceled. One that a blocker failed still
/// has none, so it starts again by itself.
fn pending<'a>(sim: &'a Sim, plan: &Plan) -> Option<&'a Migration> {
    let canceled = |migration: &Migration| {
        let mut attempts = plan.status.migration.history.iter();
        attempts.any(|snapshot| snapshot.migration.uid == migration.meta.uid && snapshot.conditions.has("Canceled"))
    };
    let ended =
        |migration: &Migration| ["Succeeded", "Failed", "Canceled"].iter().any(|kind| migration.status.conditions.has(kind));
    let mine = |migration: &&Migration| migration.spec.plan == plan.meta.key();
    let waiting = sim.migrations.values().filter(mine).filter(|migration| !ended(migration) && !canceled(migration));
    waiting.min_by_key(|migration| (migration.meta.creation_timestamp.clone(), migration.meta.name.clone()))
}

fn reference(meta: &super::world::Meta) -> Reference {
    let super::world::Meta { name, namespace, uid, generation, .. } = meta.clone();
    Reference { generation, name, namespace, uid }
}

/// Providers and maps of a plan as they are now.
fn references(sim: &Sim, plan: &Plan) -> Snapshot {
    let of = |objects: &BTreeMap<Key, Object>, key: Option<&Key>| {
        key.and_then(|key| objects.get(key)).map(|object| reference(&object.meta)).unwrap_or_default()
    };
    let side = |side: &str| (side.to_owned(), of(&sim.providers, plan.spec.provider.get(side)));
    let network = of(&sim.network_maps, plan.spec.map.get("network"));
    let storage = of(&sim.storage_maps, plan.spec.map.get("storage"));
    Snapshot {
        map: BTreeMap::from([("network".to_owned(), network), ("storage".to_owned(), storage)]),
        plan: reference(&plan.meta),
        provider: BTreeMap::from([side("source"), side("destination")]),
        ..Snapshot::default()
    }
}

fn start(sim: &Sim, plan: &mut Plan, migration: &Migration, now: Timestamp) {
    let executing = Condition::new("Executing", category::ADVISORY, "The plan is EXECUTING.", now).durable();
    let mut snapshot = references(sim, plan);
    snapshot.conditions.set(executing.clone());
    snapshot.migration = reference(&migration.meta);
    plan.status.migration.history.push(snapshot);
    plan.status.conditions.remove(&["Failed", "Canceled"]);
    if migration.spec.resume_conversion {
        plan.status.conditions.remove(&["ConversionResumable"]);
    }
    plan.status.conditions.set(executing);
    plan.status.migration.started = Some(Stamp(now));
    plan.status.migration.completed = None;
    plan.wrecked = false;
    let source = sim.providers.get(&plan.provider("source")).map(|provider| provider.kind.clone()).unwrap_or_default();
    let mut vms = Vec::new();
    for spec in plan.spec.vms.clone() {
        let text = |field: &str| spec.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (id, name) = (text("id"), text("name"));
        let known = |vm: &&VmStatus| if id.is_empty() { vm.name == name } else { vm.id == id };
        let earlier = plan.status.migration.vms.iter().find(known).cloned();
        if let Some(done) = earlier.as_ref().filter(|vm| vm.completed.is_some() && vm.succeeded()) {
            vms.push(done.clone());
            continue;
        }
        let earlier = earlier.unwrap_or_default();
        let resume = migration.spec.resume_conversion && earlier.disks_copied;
        let world = plan.vm_world(&name);
        let shape = Shape::new(&plan.spec, &source, world, &Plan::hooks(&spec), resume);
        let disks = world.all_disks(&name, plan.world.datastore.as_deref().unwrap_or("LocalDS_0"));
        let target = text("targetName");
        let new_name = match target.is_empty() {
            true => (!is_subdomain(&name)).then(|| target_name(&name)),
            false => Some(target),
        };
        let mut conditions = earlier.conditions;
        conditions.remove(&["Failed", "Canceled"]);
        let mut rest = spec.clone();
        rest.retain(|field, _| field != "id" && field != "name");
        rest.entry("luks").or_insert_with(|| json!({}));
        let id = if id.is_empty() { world.id.clone().unwrap_or_else(|| format!("vm-{name}")) } else { id };
        vms.push(VmStatus {
            conditions,
            disks_copied: resume,
            id,
            new_name,
            pipeline: shape.pipeline(&disks),
            warm: plan.spec.is_warm().then(Warm::default),
            spec: rest,
            name: name.clone(),
            ..VmStatus::default()
        });
        plan.runs.insert(name, Run { shape, disks, since: now, failing_since: None });
    }
    plan.status.migration.vms = vms;
}

fn run(sim: &Sim, plan: &mut Plan, migration: &Migration, now: Timestamp) {
    let mut load = queue::others(sim, &plan.meta.key(), &plan.provider("source"));
    let mut vms = std::mem::take(&mut plan.status.migration.vms);
    for vm in &vms {
        load.add(plan, vm);
    }
    let settings = sim.settings(&plan.meta.namespace);
    let limit = settings.max_in_flight;
    let mut waiting = 0;
    for (index, vm) in vms.iter_mut().enumerate() {
        if vm.completed.is_some() {
            continue;
        }
        if vm.phase == Phase::Completed {
            // It failed or was canceled in the reconcile before.
            vm::close(vm, now);
            plan.stuck |= vm.started.is_some() && plan.vm_world(&vm.name).missing;
            continue;
        }
        if plan.wrecked {
            continue;
        }
        if vm.started.is_none() {
            if !load.has_room(plan, vm, limit) {
                let message = format!("Waiting to start migration: in-flight limit reached (max {limit}).");
                vm.conditions.set(Condition::new("Pending", category::ADVISORY, &message, now).durable());
                waiting += 1;
                continue;
            }
            vm.conditions.remove(&["Pending"]);
        }
        if migration.cancels(vm) {
            let condition = Condition::new("Canceled", category::ADVISORY, "The migration has been canceled.", now);
            vm.conditions.set(condition.reason("UserRequested").durable());
            vm.phase = Phase::Completed;
            continue;
        }
        let mut run = plan.runs.get(&vm.name).cloned().unwrap_or_else(|| resumed(sim, plan, vm, now));
        if vm.started.is_none() {
            vm.started = Some(Stamp(now));
            run.since = now;
            if let Some(step) = vm.step("Initialize") {
                step.started = Some(Stamp(now));
                step.phase = Some("Running".into());
            }
            load.add(plan, vm);
        }
        if plan.vm_world(&vm.name).missing {
            vm::vanish(vm, now);
            continue;
        }
        let context = Context {
            settings,
            now,
            world: plan.vm_world(&vm.name),
            attempt: plan.status.migration.history.len(),
            cutover: migration.cutover(vm),
            plan: &plan.meta.name,
            index,
        };
        vm::advance(vm, &mut run, &context);
        plan.runs.insert(vm.name.clone(), run);
    }
    let over = vms.iter().all(|vm| vm.completed.is_some());
    plan.status.migration.vms = vms;
    if plan.stuck {
        // From now on the controller breaks down before it writes anything.
    } else if over {
        end(plan, now);
    } else if waiting > 0 && plan.status.conditions.has("Ready") {
        // The reconcile has just set Ready with its usual message, so its time moves twice in each.
        let message = format!("{waiting} VM(s) waiting to start migration (in-flight limit: {limit}).");
        plan.status.conditions.set(Condition::new("Ready", category::REQUIRED, &message, now));
    }
}

/// What would be kept about a VM whose plan was running before the simulator was.
fn resumed(sim: &Sim, plan: &Plan, vm: &VmStatus, now: Timestamp) -> Run {
    let world = plan.vm_world(&vm.name);
    let source = sim.providers.get(&plan.provider("source")).map(|provider| provider.kind.clone()).unwrap_or_default();
    let resume = vm.disks_copied && vm.pipeline.iter().all(|step| step.name != "DiskTransfer");
    let shape = Shape::new(&plan.spec, &source, world, &Plan::hooks(&vm.spec), resume);
    let disks = world.all_disks(&vm.name, plan.world.datastore.as_deref().unwrap_or("LocalDS_0"));
    Run { shape, disks, since: now, failing_since: None }
}

/// All VMs are over.
fn end(plan: &mut Plan, now: Timestamp) {
    let vms = &plan.status.migration.vms;
    let (kind, word) = if vms.iter().any(VmStatus::failed) {
        ("Failed", "FAILED")
    } else if vms.iter().any(VmStatus::succeeded) {
        ("Succeeded", "SUCCEEDED")
    } else {
        ("Canceled", "been CANCELED")
    };
    let resumable: Vec<&str> = vms.iter().filter(|vm| vm.failed() && vm.disks_copied).map(|vm| vm.name.as_str()).collect();
    let message = (!resumable.is_empty()).then(|| {
        let names = resumable.join(", ");
        format!("{} VM(s) have migrated disks available for conversion resume: {names}", resumable.len())
    });
    let text = format!("The plan execution has {word}.");
    finish(plan, Condition::new(kind, category::ADVISORY, &text, now).durable(), now);
    if let Some(message) = message {
        let condition = Condition::new("ConversionResumable", category::ADVISORY, &message, now);
        plan.status.conditions.set(condition.durable());
    }
}

fn finish(plan: &mut Plan, outcome: Condition, now: Timestamp) {
    plan.status.migration.completed = Some(Stamp(now));
    plan.status.conditions.remove(&["Executing"]);
    plan.status.conditions.set(outcome.clone());
    if let Some(snapshot) = plan.status.migration.history.last_mut() {
        snapshot.conditions.remove(&["Executing"]);
        snapshot.conditions.set(outcome);
    }
}
