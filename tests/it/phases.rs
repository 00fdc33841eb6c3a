//! The phase of plans and VMs and every flag, as one table of objects: tests/synthetic/phases.yaml.

use crate::support::{migration, plan, state};
use mtv_sentinel::plan::{Flag, PlanPhase, VmPhase};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    plan: Value,
    #[serde(default)]
    migrations: Vec<Value>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    phase: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    vms: Vec<String>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(crate::support::repository("tests/synthetic/phases.yaml")).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

#[test]
fn each_object_of_the_table_has_the_phase_flags_and_vm_phases_that_the_table_says() {
    let mut wrong = Vec::new();
    for Case { case, plan: short, migrations, expect } in cases() {
        let mut objects = vec![plan(short)];
        objects.extend(migrations.into_iter().map(migration));
        let state = state(objects);
        let flags: Vec<&str> = state.flags.iter().map(Flag::as_str).collect();
        let vms: Vec<&str> = state.vms.iter().map(|vm| vm.phase.as_str()).collect();
        if state.phase.as_str() != expect.phase || flags != expect.flags || vms != expect.vms {
            wrong.push(format!("{case}: {} {flags:?} {vms:?}", state.phase));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_every_phase_and_every_flag() {
    let cases = cases();
    let phases: BTreeSet<&str> = cases.iter().map(|case| case.expect.phase.as_str()).collect();
    let flags: BTreeSet<&str> = cases.iter().flat_map(|case| &case.expect.flags).map(String::as_str).collect();
    let vms: BTreeSet<&str> = cases.iter().flat_map(|case| &case.expect.vms).map(String::as_str).collect();
    assert_eq!(phases, PlanPhase::ALL.iter().map(|phase| phase.as_str()).collect());
    assert_eq!(flags, Flag::ALL.iter().map(|flag| flag.as_str()).collect());
    assert_eq!(vms, VmPhase::ALL.iter().map(|phase| phase.as_str()).collect());
    let names: BTreeSet<&str> = cases.iter().map(|case| case.case.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
}
