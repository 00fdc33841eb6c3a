//! How much heap a plan takes in memory. `make bench` prints it; as a test it fails above the budget.
//!
//! The plan: 50 warm VMs of 3 disks each after 3 precopies, in the middle of their cutover, as the decoder and the store keep it.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod heap;

use mtv_sentinel::forklift::{self, Object};
use mtv_sentinel::plan::{Key, Time};
use mtv_sentinel::store::Store;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Bytes of heap for a plan of 50 VMs.
const BUDGET: usize = 60_000;
const VMS: usize = 50;
const DISKS: usize = 3;

fn step(name: &str, phase: &str, vm: usize, mib: bool) -> Value {
    let tasks = |disk: usize| {
        json!({"name": format!("[datastore-{:02}] server-{vm:03}/server-{vm:03}_{disk}.vmdk", vm % 7), "phase": "Running",
            "annotations": {"unit": "MB", "Precopy": "3"}, "progress": {"completed": 5120, "total": 40960}, "reason": "Pod is running; ",
            "started": "2026-11-01T10:00:00Z"})
    };
    json!({"name": name, "description": "What the step does.", "phase": phase, "started": "2026-11-01T10:00:00Z",
        "progress": {"completed": 15360, "total": 122_880}, "annotations": if mib { json!({"unit": "MB"}) } else { json!({}) },
        "tasks": if mib { (0..DISKS).map(tasks).collect() } else { Vec::new() }})
}

fn plan() -> Vec<u8> {
    let vm = |vm: usize| {
        json!({"id": format!("vm-{}", 1000 + vm), "name": format!("server-{vm:03}.example.com"), "phase": "Finalize",
            "started": "2026-11-01T10:00:00Z", "luks": {}, "restorePowerState": "On", "operatingSystem": "rhel9_64Guest",
            "warm": {"successes": 2, "failures": 0, "nextPrecopyAt": "2026-11-01T13:00:00Z", "precopies":
                (0..3).map(|_| json!({"start": "2026-11-01T10:00:00Z", "end": "2026-11-01T11:00:00Z", "snapshot": "snapshot-123"})).collect::<Vec<_>>()},
            "pipeline": [step("Initialize", "Completed", vm, false), step("PreflightInspection", "Completed", vm, false),
                step("DiskTransfer", "Completed", vm, true), step("Cutover", "Running", vm, true), step("ImageConversion", "Pending", vm, false),
                step("VirtualMachineCreation", "Pending", vm, false), step("WaitForFinalSnapshotConsolidation", "Pending", vm, false)]})
    };
    let wanted = |vm: usize| json!({"id": format!("vm-{}", 1000 + vm), "name": format!("server-{vm:03}.example.com")});
    let plan = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
        "metadata": {"namespace": "migrations", "name": "a-warm-plan", "uid": "00000000-0000-4000-8000-000000000003", "labels": {"wave": "1"}},
        "spec": {"type": "warm", "provider": {"source": {"namespace": "openshift-mtv", "name": "vcenter"}}, "vms": (0..VMS).map(wanted).collect::<Vec<_>>()},
        "status": {"conditions": [{"type": "Executing", "status": "True", "category": "Advisory", "message": "The plan is EXECUTING."}],
            "migration": {"started": "2026-11-01T10:00:00Z", "vms": (0..VMS).map(vm).collect::<Vec<_>>(),
                "history": [{"conditions": [{"type": "Executing", "status": "True", "category": "Advisory"}], "migration": {"name": "run", "uid": "u"}}]}}});
    serde_json::to_vec(&plan).unwrap_or_default()
}

fn main() -> ExitCode {
    let json = plan();
    let at = Time::MIN;
    let mut store = Store::default();
    let before = heap::live();
    match forklift::decode(&json) {
        Ok(decoded) => drop(store.apply(decoded.object, at)),
        Err(error) => {
            eprintln!("plan_memory: {error}");
            return ExitCode::FAILURE;
        }
    }
    let bytes = heap::live() - before;
    let vms = store.plan(&Key::new("migrations", "a-warm-plan")).map_or(0, |state| state.vms.len());
    println!(
        "plan_memory: {vms} warm VMs of {DISKS} disks: {} bytes of JSON, {bytes} bytes of heap (budget {BUDGET})",
        json.len()
    );
    if vms == VMS && bytes <= BUDGET && matches!(forklift::decode(&json).map(|d| d.object), Ok(Object::Plan(_))) {
        ExitCode::SUCCESS
    } else {
        eprintln!("plan_memory: over the budget, or not the plan that was meant");
        ExitCode::FAILURE
    }
}
