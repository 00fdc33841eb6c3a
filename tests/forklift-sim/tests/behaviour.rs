//! What the simulator writes in single situations: what the recordings show beside the order of things, and what was seen of a
//! real controller without a recording.

#![allow(clippy::unwrap_used)]

use forklift_sim::core::{Key, Kind, Settings, Sim, Span, Write, after};
use forklift_sim::memory::{self, Event, Player};
use forklift_sim::scenario::Scenario;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.yaml"));
    Scenario::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn start() -> Timestamp {
    "2026-11-23T15:00:00Z".parse().unwrap()
}

const LONG: Span = Span::seconds(7 * 24 * 3600);

fn play(name: &str) -> Vec<Event> {
    memory::play(scenario(name), 1.0, start(), LONG).unwrap()
}

/// All versions of an object.
fn versions(events: &[Event], kind: &str, name: &str) -> Vec<Value> {
    let mine = |event: &&Event| event.object["kind"] == kind && event.object["metadata"]["name"] == name;
    events.iter().filter(mine).map(|event| event.object.clone()).collect()
}

fn last(events: &[Event], kind: &str, name: &str) -> Value {
    versions(events, kind, name).pop().unwrap()
}

fn conditions(status: &Value) -> Vec<&str> {
    let list = status["conditions"].as_array().into_iter().flatten();
    list.map(|condition| condition["type"].as_str().unwrap()).collect()
}

fn vms(plan: &Value) -> &[Value] {
    plan["status"]["migration"]["vms"].as_array().map_or(&[], Vec::as_slice)
}

fn step<'a>(vm: &'a Value, name: &str) -> &'a Value {
    vm["pipeline"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap()
}

#[test]
fn every_scenario_ends_and_is_the_same_each_time() {
    for file in scenarios() {
        let text = std::fs::read_to_string(&file).unwrap();
        let play = |speed| memory::play(Scenario::parse(&text).unwrap(), speed, start(), LONG).unwrap();
        let first = play(1.0);
        assert!(first.len() > 10, "{file:?} tells nothing");
        assert_eq!(first, play(1.0), "{file:?} differs from one time to the next");
    }
}

#[test]
fn order_does_not_depend_on_the_speed() {
    let order = |speed: f64| -> Vec<String> {
        let events = memory::play(scenario("warm"), speed, start(), LONG).unwrap();
        let plans = versions(&events, "Plan", "ldap");
        let mut phases: Vec<String> =
            plans.iter().filter_map(|plan| vms(plan).first().map(|vm| vm["phase"].as_str().unwrap().to_owned())).collect();
        phases.dedup();
        phases
    };
    assert_eq!(order(1.0), order(7.0));
}

#[test]
fn statuses_have_no_phase_and_conditions_are_never_false() {
    for event in scenarios().iter().flat_map(|file| play(file.file_stem().unwrap().to_str().unwrap())) {
        let status = &event.object["status"];
        if matches!(event.object["kind"].as_str(), Some("Plan" | "Migration")) {
            assert!(status.get("phase").is_none());
        }
        for condition in status["conditions"].as_array().into_iter().flatten() {
            assert_eq!(condition["status"], "True");
            assert!(condition["lastTransitionTime"].as_str().unwrap().ends_with('Z'));
        }
    }
}

#[test]
fn ready_moves_at_every_write_while_vms_queue() {
    let events = play("queue");
    let waiting = |plan: &&Value| {
        let ready = plan["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == "Ready");
        ready.is_some_and(|ready| ready["message"] == "3 VM(s) waiting to start migration (in-flight limit: 20).")
    };
    let plans = versions(&events, "Plan", "wave");
    let times: Vec<String> = plans
        .iter()
        .filter(waiting)
        .map(|plan| plan["status"]["conditions"].as_array().unwrap()[0]["lastTransitionTime"].to_string())
        .collect();
    assert!(times.len() > 10);
    assert_eq!(times.iter().collect::<BTreeSet<_>>().len(), times.len(), "each write has its own time");
    let queued = plans.iter().flat_map(vms).find(|vm| vm["name"] == "q-23").unwrap();
    assert_eq!((&queued["phase"], queued.get("started")), (&json!("Started"), None));
    assert_eq!(queued["conditions"][0]["message"], "Waiting to start migration: in-flight limit reached (max 20).");
    // Stopped while it waits: only when a slot opens.
    let slot = |plan: &Value| vms(plan).iter().any(|vm| vm["name"] == "q-22" && vm.get("started").is_some());
    let canceled = |plan: &Value| vms(plan).iter().any(|vm| vm["name"] == "q-23" && conditions(vm) == ["Canceled"]);
    let first = plans.iter().position(canceled).unwrap();
    assert!(slot(&plans[first]));
    let never_started = vms(&plans[plans.len() - 1]).iter().find(|vm| vm["name"] == "q-23").unwrap();
    assert!(never_started.get("started").is_none() && never_started.get("completed").is_some());
}

#[test]
fn warm_progress_falls_at_each_precopy_and_its_marks_stay() {
    let events = play("warm");
    let plans = versions(&events, "Plan", "ldap");
    let transfers: Vec<(i64, Value, bool)> = plans
        .iter()
        .filter_map(|plan| vms(plan).first().cloned())
        .map(|vm| {
            let step = step(&vm, "DiskTransfer");
            let completed = step["progress"]["completed"].as_i64().unwrap();
            (completed, step["phase"].clone(), step.get("completed").is_some())
        })
        .collect();
    let falls = transfers.windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
    let vm = vms(&plans[plans.len() - 1])[0].clone();
    let successes = vm["warm"]["successes"].as_i64().unwrap();
    assert_eq!(falls as i64, successes - 1);
    // A new snapshot takes the time from the step, but neither its phase nor its amount.
    assert!(transfers.iter().any(|state| *state == (12288, json!("Completed"), false)));
    let precopies = vm["warm"]["precopies"].as_array().unwrap();
    assert_eq!(precopies.len() as i64, successes + 1);
    let (last, earlier) = precopies.split_last().unwrap();
    assert!(last.get("end").is_none() && last.get("deltas").is_none());
    assert!(earlier.iter().all(|precopy| precopy.get("end").is_some() && precopy.get("deltas").is_some()));
    assert!(vm["warm"].get("nextPrecopyAt").is_some(), "it stays when there will be no next one");
    assert_eq!(vm["warm"]["consecutiveFailures"], 0);
    let cutover = step(&vm, "Cutover");
    assert_eq!(cutover["progress"], json!({ "completed": 12288, "total": 12288 }));
    assert_eq!(cutover["tasks"][0]["annotations"]["Precopy"], precopies.len().to_string());
    let started = |plan: &Value| {
        vms(plan).iter().any(|vm| vm["phase"] == "AddFinalCheckpoint" && step(vm, "Cutover").get("phase").is_none())
    };
    assert!(plans.iter().any(started), "Cutover has no phase until its copy runs");
}

#[test]
fn steps_that_are_no_copies_end_at_nothing() {
    let events = play("cold");
    let plan = last(&events, "Plan", "web-tier");
    for vm in vms(&plan) {
        for name in ["Initialize", "VirtualMachineCreation"] {
            assert_eq!(step(vm, name)["progress"], json!({ "completed": 0, "total": 1 }));
        }
        let copy = step(vm, "DiskTransferV2v");
        assert_eq!(copy["annotations"]["unit"], "MB");
        assert!(copy["tasks"].as_array().unwrap().iter().all(|task| task.get("phase").is_none()));
    }
    let ends: BTreeSet<i64> =
        vms(&plan).iter().map(|vm| step(vm, "ImageConversion")["progress"]["completed"].as_i64().unwrap()).collect();
    assert_eq!(ends, BTreeSet::from([0, 1]), "both ends of a conversion were seen");
    assert_eq!(vms(&plan)[3]["newName"], "legacy-app-01");
}

#[test]
fn a_failed_import_says_so_in_its_task_first() {
    let events = play("fail-retry");
    let plans = versions(&events, "Plan", "erp");
    let vm = |plan: &Value| vms(plan).iter().find(|vm| vm["name"] == "erp-02").cloned();
    let task = |vm: &Value| step(vm, "DiskTransfer")["tasks"][0]["reason"].as_str().unwrap_or_default().to_owned();
    let first = plans.iter().filter_map(vm).find(|vm| task(vm).starts_with("Error; ")).unwrap();
    assert_eq!((&first["phase"], &step(&first, "DiskTransfer")["phase"]), (&json!("CopyDisks"), &json!("Running")));
    assert!(first.get("error").is_none());
    let failed = plans.iter().filter_map(vm).find(|vm| conditions(vm) == ["Failed"]).unwrap();
    assert_eq!((&failed["phase"], failed.get("completed")), (&json!("Completed"), None));
    assert_eq!(failed["error"]["phase"], "CopyDisks");
    assert_eq!(step(&failed, "DiskTransfer")["phase"], "Running");
    // The second attempt keeps what succeeded in the first.
    let end = last(&events, "Plan", "erp");
    let began = |name: &str| vms(&end).iter().find(|vm| vm["name"] == name).unwrap()["started"].clone();
    assert!(began("erp-01").as_str() < end["status"]["migration"]["started"].as_str());
    assert_eq!(conditions(&end["status"]["migration"]["history"][0]), ["Failed"]);
}

#[test]
fn a_blocker_fails_all_at_once_and_the_same_migration_runs_again() {
    let events = play("provider-lost");
    let plans = versions(&events, "Plan", "core");
    let failed = plans.iter().find(|plan| conditions(&plan["status"]).contains(&"Failed")).unwrap();
    assert_eq!(conditions(&failed["status"]), ["SourceProviderNotReady", "Failed"]);
    assert!(failed["status"]["migration"].get("completed").is_some());
    for vm in vms(failed) {
        assert_eq!((&vm["phase"], conditions(vm)), (&json!("Completed"), vec!["Failed"]));
        assert_eq!(vm["error"]["phase"], "CopyDisksVirtV2V");
        let copy = step(vm, "DiskTransferV2v");
        assert!(copy["phase"] == "Running" && copy.get("completed").is_some() && copy.get("error").is_none());
    }
    let end = last(&events, "Plan", "core");
    let history = end["status"]["migration"]["history"].as_array().unwrap();
    assert_eq!(history.iter().map(conditions).collect::<Vec<_>>(), [["Failed"], ["Succeeded"]]);
    assert_eq!(history[0]["migration"]["uid"], history[1]["migration"]["uid"]);
}

#[test]
fn a_deleted_migration_leaves_its_plan_without_an_outcome() {
    let events = play("deleted-migration");
    let gone = last(&events, "Plan", "gone");
    assert_eq!(conditions(&gone["status"]), ["Ready"]);
    assert!(gone["status"]["migration"].get("completed").is_none());
    let canceled = &gone["status"]["migration"]["history"][0]["conditions"][0];
    assert_eq!((&canceled["type"], &canceled["reason"]), (&json!("Canceled"), &json!("Deleted")));
    let vm = &vms(&gone)[0];
    assert_eq!((&vm["phase"], &vm["conditions"][0]["reason"]), (&json!("CopyDisksVirtV2V"), &json!("Modified")));
    assert!(vm.get("completed").is_some());
    // Made anew at once: the plan never stops.
    let anew = versions(&events, "Plan", "anew");
    let since = anew.iter().position(|plan| conditions(&plan["status"]).contains(&"Executing")).unwrap();
    let until = anew.iter().position(|plan| conditions(&plan["status"]).contains(&"Succeeded")).unwrap();
    assert!(anew[since..until].iter().all(|plan| conditions(&plan["status"]).contains(&"Executing")));
    assert_eq!(anew[until]["status"]["migration"]["history"].as_array().unwrap().len(), 2);
}

#[test]
fn archiving_makes_wrecks() {
    let mut player = Player::new(scenario("archive-wrecks"), 1.0, start());
    player.play(LONG, Span::seconds(600)).unwrap();
    let events = &player.memory.events;
    let zombie = last(events, "Plan", "zombie");
    assert_eq!(conditions(&zombie["status"]), ["Executing", "Archived"]);
    assert!(vms(&zombie)[0].get("completed").is_none());
    assert_eq!(conditions(&last(events, "Migration", "zombie-1")["status"]), ["PlanNotReady"]);
    let back = last(events, "Plan", "back");
    assert_eq!(conditions(&back["status"]), ["Succeeded", "Archived"]);
    assert_eq!((&back["metadata"]["generation"], &back["status"]["observedGeneration"]), (&json!(3), &json!(2)));
    let leaked = last(events, "Plan", "leaked");
    assert_eq!(conditions(&leaked["status"]), ["Succeeded", "SourceProviderNotReady", "Archived"]);
    let again = versions(events, "Plan", "again");
    let unarchived = again.iter().find(|plan| plan["status"]["observedGeneration"] == 3).unwrap();
    assert_eq!(conditions(&unarchived["status"]), ["ValidatingVDDK"], "its job was deleted, so it is validated anew");
}

#[test]
fn an_unarchived_wreck_stands_still_in_silence() {
    let text = "
name: wreck
providers: [{ name: vc-wreck }]
settings: { conversion: 8s }
plans: [{ name: p, spec: { type: cold }, vms: [{ name: v }] }]
actions:
  - until: { plan: p, has: Ready }
  - start: { plan: p }
  - until: { plan: p, vm: v, phase: CopyDisksVirtV2V }
  - archive: p
  - until: { plan: p, has: Archived }
  - unarchive: p
  - until: { plan: p, has: Ready }
  - pause: 1h
  - archive: p
";
    let events = memory::play(Scenario::parse(text).unwrap(), 1.0, start(), LONG).unwrap();
    let plans = versions(&events, "Plan", "p");
    let silent = plans.iter().rfind(|plan| plan["metadata"]["generation"] == 3).unwrap();
    assert_eq!(conditions(&silent["status"]), ["Executing", "Ready"]);
    assert_eq!(vms(silent)[0]["phase"], "CopyDisksVirtV2V");
    let running = versions(&events, "Migration", "p-1");
    assert!(running.iter().rev().any(|migration| conditions(&migration["status"]).contains(&"Running")));
}

#[test]
fn a_canceled_migration_never_completes() {
    let events = play("cancel-all");
    let migration = last(&events, "Migration", "old-1");
    assert_eq!(conditions(&migration["status"]), ["Ready", "Canceled"]);
    assert!(migration["status"].get("completed").is_none());
    let copies = migration["status"]["vms"].as_array().unwrap();
    assert!(copies.iter().all(|vm| vm.get("completed").is_none()), "its copy of the VMs is an old one");
    assert_eq!(migration["metadata"]["ownerReferences"][0]["name"], "old");
}

#[test]
fn other_ways_of_a_vm() {
    let text = "
name: ways
providers: [{ name: vc-ways }, { name: ocp, type: openshift, vddk: false }, { name: ovirt, type: ovirt, vddk: false }]
settings: { copy_mib_per_second: 2000, conversion: 8s, precopy_interval: 60s }
plans:
  - { name: conversion, spec: { type: conversion }, vms: [{ name: c }] }
  - { name: live, source: ocp, spec: { type: live }, vms: [{ name: l }] }
  - { name: from-ovirt, source: ovirt, spec: { type: cold }, vms: [{ name: o }] }
  - name: resumed
    spec: { type: cold, migrateSharedDisks: false }
    vms: [{ name: r, world: { fails: [{ phase: ConvertGuest, percent: 50, attempts: 1 }] } }]
  - name: each-its-own
    spec: { type: warm }
    vms: [{ name: w1, id: vm-1 }, { name: w2, id: vm-2 }]
actions:
  - until: { plan: conversion, has: Ready }
  - until: { plan: live, has: Ready }
  - until: { plan: resumed, has: Ready }
  - until: { plan: each-its-own, has: Ready }
  - start: { plan: conversion }
  - start: { plan: live }
  - start: { plan: from-ovirt }
  - start: { plan: resumed }
  - start: { plan: each-its-own, name: own-1 }
  - until: { plan: conversion, has: Succeeded }
  - until: { plan: live, has: Succeeded }
  - until: { plan: from-ovirt, has: Succeeded }
  - until: { plan: resumed, has: ConversionResumable }
  - start: { plan: resumed, resume: true }
  - until: { plan: resumed, has: Succeeded }
  - until: { plan: each-its-own, vm: w1, phase: CopyingPaused }
  - cutover: { migration: own-1, vms: [vm-1] }
  - until: { plan: each-its-own, vm: w1, phase: Completed }
  - cutover: { migration: own-1 }
  - until: { plan: each-its-own, has: Succeeded }
";
    let events = memory::play(Scenario::parse(text).unwrap(), 1.0, start(), LONG).unwrap();
    let steps = |plan: &str| -> Vec<String> {
        let plan = last(&events, "Plan", plan);
        let steps = vms(&plan)[0]["pipeline"].as_array().unwrap();
        steps.iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(steps("conversion"), ["Initialize", "ImageConversion", "VirtualMachineCreation"]);
    assert_eq!(steps("live"), ["Initialize", "PrepareTarget", "Synchronization"]);
    assert_eq!(steps("from-ovirt"), ["Initialize", "DiskTransfer", "VirtualMachineCreation"]);
    assert_eq!(steps("resumed"), ["Initialize", "ImageConversion", "VirtualMachineCreation"]);
    let resumed = last(&events, "Plan", "resumed");
    assert_eq!(conditions(&resumed["status"]), ["Ready", "Succeeded"]);
    assert_eq!(resumed["status"]["migration"]["history"].as_array().unwrap().len(), 2);
    let own = last(&events, "Plan", "each-its-own");
    assert!(vms(&own)[0]["completed"].as_str() < vms(&own)[1]["completed"].as_str());
}

#[test]
fn another_simulator_goes_on_where_one_stopped() {
    let text = "
name: handover
providers: [{ name: vc-handover }]
settings: { copy_mib_per_second: 500, conversion: 8s }
plans: [{ name: p, spec: { type: cold }, vms: [{ name: a, world: { disks: [20] } }, { name: b, world: { disks: [10] } }] }]
actions:
  - until: { plan: p, has: Ready }
  - start: { plan: p }
  - until: { plan: p, has: Succeeded }
";
    let events = memory::play(Scenario::parse(text).unwrap(), 1.0, start(), LONG).unwrap();
    let copying = |event: &Event| vms(&event.object).iter().any(|vm| vm["phase"] == "CopyDisksVirtV2V");
    let place = events.iter().position(copying).unwrap();
    let mut now = events[place].time;
    let mut sim = Sim::new(Settings::default());
    let mut latest = std::collections::BTreeMap::new();
    for event in &events[..=place] {
        let id = (event.object["kind"].to_string(), event.object["metadata"]["name"].to_string());
        latest.insert(id, &event.object);
    }
    for object in latest.values() {
        sim.applied(object, now);
    }
    let key = Key { namespace: "handover".into(), name: "p".into() };
    let first = sim.tick(now);
    let lost = |write: &Write| matches!(write, Write::Status { kind: Kind::Plan, lost, .. } if !lost.is_empty());
    assert!(!first.iter().any(lost), "a plan that runs keeps running");
    for _ in 0..200 {
        now = after(now, Span::seconds(3));
        sim.tick(now);
    }
    let status = &sim.plan(&key).unwrap().status;
    assert_eq!(status.conditions.kinds().collect::<Vec<_>>(), ["Ready", "Succeeded"]);
    assert_eq!(status.migration.history.len(), 1);
}

#[test]
fn a_plan_whose_vm_vanishes_never_ends() {
    let text = "
name: vanished
providers: [{ name: vc-vanished }]
settings: { conversion: 8s }
plans: [{ name: p, spec: { type: cold }, vms: [{ name: a }] }]
actions:
  - until: { plan: p, has: Ready }
  - start: { plan: p }
  - until: { plan: p, vm: a, phase: CopyDisksVirtV2V }
  - world: { plan: p, vm: a, world: { missing: true } }
  - until: { plan: p, vm: a, phase: Completed }
  - pause: 1h
  - archive: p
";
    let events = memory::play(Scenario::parse(text).unwrap(), 1.0, start(), LONG).unwrap();
    let plans = versions(&events, "Plan", "p");
    let stuck = plans.iter().rfind(|plan| plan["metadata"]["generation"] == 1).unwrap();
    assert_eq!(conditions(&stuck["status"]), ["Ready", "Executing"]);
    assert!(stuck["status"]["migration"].get("completed").is_none());
    assert!(conditions(&vms(stuck)[0]) == ["Failed"] && vms(stuck)[0].get("completed").is_some());
}

#[test]
fn a_map_that_is_made_anew_cancels_or_restarts() {
    let text = "
name: anew
providers: [{ name: vc-anew }]
settings: { conversion: 8s, blocker_grace: 60s, copy_mib_per_second: 100 }
plans: [{ name: p, spec: { type: cold }, vms: [{ name: a }] }]
actions:
  - until: { plan: p, has: Ready }
  - start: { plan: p }
  - until: { plan: p, vm: a, phase: CopyDisksVirtV2V }
  - delete_map: storage
  - until: { plan: p, has: StorageRefNotValid }
";
    let play = |rest: &str| {
        let scenario = Scenario::parse(&format!("{text}{rest}")).unwrap();
        last(&memory::play(scenario, 1.0, start(), LONG).unwrap(), "Plan", "p")["status"].clone()
    };
    let within = play("  - create_map: storage\n  - until: { plan: p, has: Canceled }\n");
    assert_eq!(conditions(&within), ["Ready", "Canceled"]);
    assert_eq!(within["conditions"][1]["reason"], "Modified");
    let late =
        play("  - until: { plan: p, has: Failed }\n  - create_map: storage\n  - until: { plan: p, has: Succeeded }\n");
    let history = late["migration"]["history"].as_array().unwrap();
    assert_eq!(history.iter().map(conditions).collect::<Vec<_>>(), [["Failed"], ["Succeeded"]]);
    assert_eq!(history[0]["migration"]["uid"], history[1]["migration"]["uid"]);
}

#[test]
fn a_plan_that_is_deleted_takes_its_migrations_along() {
    let text = "
name: deleted
providers: [{ name: vc-deleted-plan }]
plans: [{ name: p, spec: { type: cold }, vms: [{ name: a }] }]
actions:
  - until: { plan: p, has: Ready }
  - start: { plan: p }
  - until: { plan: p, has: Executing }
  - delete_plan: p
";
    let events = memory::play(Scenario::parse(text).unwrap(), 1.0, start(), LONG).unwrap();
    let deleted: Vec<_> = events.iter().filter(|event| event.kind == "DELETED").collect();
    assert_eq!(
        deleted.iter().map(|event| event.object["kind"].as_str().unwrap()).collect::<Vec<_>>(),
        ["Plan", "Migration"]
    );
    assert!(conditions(&deleted[0].object["status"]).contains(&"Executing"));
}

#[test]
fn definitions_are_what_an_api_server_takes() {
    let all = forklift_sim::crds::objects().unwrap();
    assert_eq!(all.len(), 7);
    for crd in all {
        let typed: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
            serde_json::from_value(crd.clone()).unwrap();
        assert_eq!(typed.spec.versions[0].name, "v1beta1");
        assert_eq!(
            crd["metadata"]["name"],
            format!("{}.forklift.konveyor.io", crd["spec"]["names"]["plural"].as_str().unwrap())
        );
        assert_eq!(crd["spec"]["versions"][0]["subresources"]["status"], json!({}));
    }
}
