//! Progress where Forklift's numbers are treacherous: one case for each trap.

use crate::support::{minute, plan, state};
use mtv_sentinel::plan::{PlanState, Stage, StepName, VmProgress};
use proptest::prelude::*;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

fn step(name: &str, phase: &str, done: u32, total: u32) -> Value {
    json!({"name": name, "phase": phase, "progress": {"completed": done, "total": total}})
}

fn with(mut step: Value, field: &str, value: Value) -> Value {
    step[field] = value;
    step
}

fn state_of(kind: &str, vms: Value) -> std::sync::Arc<PlanState> {
    state(vec![plan(
        json!({"spec": {"type": kind}, "status": {"conditions": ["Executing"], "migration": {"started": 1, "vms": vms}}}),
    )])
}

/// The progress of a started VM with this pipeline.
fn progress(kind: &str, pipeline: Value, more: Value) -> VmProgress {
    let mut vm = json!({"id": "vm-1", "name": "one", "phase": "CopyDisks", "started": 1, "pipeline": pipeline});
    for (name, value) in more.as_object().unwrap() {
        vm[name] = value.clone();
    }
    state_of(kind, json!([vm])).vms[0].progress
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn mb_means_mib_and_the_copy_counts_nine_tenths() {
    let pipeline = json!([
        step("Initialize", "Completed", 0, 1),
        step("DiskTransfer", "Running", 512, 1024),
        step("ImageConversion", "Pending", 0, 1),
        step("VirtualMachineCreation", "Pending", 0, 1)
    ]);
    let progress = progress("cold", pipeline, json!({}));
    assert_eq!((progress.disk_bytes, progress.transferred_bytes), (1024 * MIB, 512 * MIB));
    assert!(close(progress.ratio, 0.9 * 0.5 + 0.1 / 3.0), "{}", progress.ratio);
}

#[test]
fn allocated_disks_are_not_copied_disks() {
    let pipeline = json!([
        with(step("DiskAllocation", "Completed", 1024, 1024), "completed", json!(1)),
        step("DiskTransferV2v", "Pending", 0, 1024)
    ]);
    let progress = progress("cold", pipeline, json!({}));
    assert_eq!((progress.disk_bytes, progress.transferred_bytes), (1024 * MIB, 0));
}

#[test]
fn a_disk_allocation_that_is_completed_for_a_moment_does_not_count() {
    let at = |phase: &str| {
        progress("cold", json!([step("DiskAllocation", phase, 0, 9), step("DiskTransferV2v", "Pending", 0, 9)]), json!({}))
    };
    assert_eq!(at("Completed").ratio, at("Pending").ratio);
}

#[test]
fn where_nothing_else_copies_the_allocation_is_the_copy() {
    let progress = progress(
        "cold",
        json!([step("DiskAllocation", "Running", 256, 1024), step("ImageConversion", "Pending", 0, 1)]),
        json!({}),
    );
    assert_eq!(progress.transferred_bytes, 256 * MIB);
}

#[test]
fn the_cutover_does_not_count_the_disks_a_second_time() {
    let pipeline = json!([step("DiskTransfer", "Completed", 1024, 1024), step("Cutover", "Running", 100, 1024)]);
    assert_eq!(progress("warm", pipeline, json!({})).disk_bytes, 1024 * MIB);
}

#[test]
fn tasks_below_their_total_in_a_completed_step_do_not_count() {
    let tasks = json!([{"name": "disk", "progress": {"completed": 1011, "total": 1024}}]);
    let progress = progress("cold", json!([with(step("DiskTransfer", "Completed", 1011, 1024), "tasks", tasks)]), json!({}));
    assert_eq!(progress.transferred_bytes, 1024 * MIB);
}

#[test]
fn a_total_of_zero_is_an_unknown_size_and_no_division() {
    let pipeline = json!([step("Initialize", "Completed", 0, 1), step("DiskTransfer", "Running", 0, 0)]);
    let progress = progress("cold", pipeline, json!({}));
    assert_eq!((progress.disk_bytes, progress.transferred_bytes), (0, 0));
    assert!(close(progress.ratio, 0.5), "every step counts the same: {}", progress.ratio);
}

#[test]
fn more_done_than_there_is_is_cut() {
    let progress = progress("cold", json!([step("DiskTransfer", "Running", 2000, 1000)]), json!({}));
    assert_eq!(progress.transferred_bytes, 1000 * MIB);
    assert!(progress.ratio <= 1.0);
}

#[test]
fn a_later_precopy_takes_nothing_back() {
    let copying = json!([step("DiskTransfer", "Running", 10, 1024), step("Cutover", "", 0, 1024)]);
    let first = progress("warm", copying.clone(), json!({"warm": {"precopies": [{"start": 1}], "successes": 0}}));
    assert_eq!(first.transferred_bytes, 10 * MIB);
    for warm in [
        json!({"precopies": [{"start": 1, "end": 2}, {"start": 3}], "successes": 1}),
        json!({"precopies": [{"start": 1}, {"start": 3}], "successes": 0}),
        json!({"precopies": [{"start": 1, "end": 2}], "successes": 0}),
    ] {
        let later = progress("warm", copying.clone(), json!({"warm": warm}));
        assert_eq!(later.transferred_bytes, 1024 * MIB, "{warm}");
    }
}

#[test]
fn a_vm_that_succeeded_is_exactly_one_whatever_its_steps_say() {
    let more = json!({"phase": "Completed", "completed": 2, "conditions": ["Succeeded"]});
    let pipeline = json!([step("Initialize", "Completed", 0, 1), step("ImageConversion", "Running", 0, 1)]);
    assert_eq!(progress("cold", pipeline, more).ratio, 1.0);
}

#[test]
fn a_step_that_was_stopped_keeps_its_numbers_though_it_has_an_end() {
    let pipeline = json!([with(step("DiskTransfer", "Running", 256, 1024), "completed", json!(2))]);
    let stopped = progress("cold", pipeline.clone(), json!({"completed": 2, "conditions": ["Canceled"]}));
    assert_eq!(stopped.transferred_bytes, 256 * MIB);
    let going_on = progress("cold", pipeline, json!({}));
    assert_eq!(going_on.transferred_bytes, 1024 * MIB);
}

#[test]
fn a_step_that_runs_again_with_an_end_stays_done() {
    let again =
        json!([with(step("Initialize", "Running", 0, 1), "completed", json!(1)), step("DiskTransfer", "Pending", 0, 8)]);
    let done =
        json!([with(step("Initialize", "Completed", 0, 1), "completed", json!(1)), step("DiskTransfer", "Pending", 0, 8)]);
    assert_eq!(progress("cold", again, json!({})).ratio, progress("cold", done, json!({})).ratio);
}

#[test]
fn live_and_conversion_count_their_steps() {
    let live = progress(
        "live",
        json!([
            step("Initialize", "Completed", 1, 1),
            step("PrepareTarget", "Completed", 1, 1),
            step("Synchronization", "Running", 0, 1)
        ]),
        json!({}),
    );
    assert!(close(live.ratio, 2.0 / 3.0) && live.disk_bytes == 0);
    let conversion = progress(
        "conversion",
        json!([
            step("Initialize", "Completed", 0, 1),
            step("ImageConversion", "Running", 0, 1),
            step("VirtualMachineCreation", "Pending", 0, 1)
        ]),
        json!({}),
    );
    assert!(close(conversion.ratio, 1.0 / 3.0));
}

#[test]
fn ec2_steps_count_and_its_copy_is_by_bytes() {
    let pipeline = json!([
        step("Initialize", "Completed", 0, 1),
        step("PrepareSource", "Completed", 2, 2),
        step("CreateSnapshots", "Running", 1, 2),
        step("DiskTransfer", "Pending", 0, 10240),
        step("CreateVM", "Pending", 0, 2),
        step("Cleanup", "Pending", 0, 1)
    ]);
    let progress = progress("cold", pipeline, json!({"phase": "WaitForSnapshots"}));
    assert!(close(progress.ratio, 0.1 * (2.5 / 5.0)), "{}", progress.ratio);
    assert_eq!(progress.disk_bytes, 10240 * MIB);
}

#[test]
fn a_vm_without_a_pipeline_has_come_nowhere() {
    assert_eq!(progress("cold", json!([]), json!({})), VmProgress::default());
}

fn vm(id: &str, done: u32, total: u32, conditions: Value) -> Value {
    let completed = if conditions == json!([]) { Value::Null } else { json!(2) };
    json!({"id": id, "phase": "CopyDisks", "started": 1, "completed": completed, "conditions": conditions,
        "pipeline": [step("DiskTransfer", "Running", done, total)]})
}

#[test]
fn a_plan_is_weighed_by_bytes() {
    let state = state_of("cold", json!([vm("a", 100, 100, json!(["Succeeded"])), vm("b", 0, 300, json!([]))]));
    assert!(close(state.ratio.unwrap(), 0.25), "{:?}", state.ratio);
    assert_eq!((state.disk_bytes(), state.transferred_bytes()), (400 * MIB, 100 * MIB));
}

#[test]
fn a_vm_of_unknown_size_weighs_the_mean_of_the_others() {
    let state = state_of(
        "cold",
        json!([vm("a", 0, 100, json!(["Succeeded"])), vm("b", 0, 300, json!([])), vm("c", 0, 0, json!([]))]),
    );
    assert!(close(state.ratio.unwrap(), 100.0 / 600.0), "{:?}", state.ratio);
}

#[test]
fn canceled_vms_do_not_keep_a_plan_from_its_end() {
    let state = state_of("cold", json!([vm("a", 0, 100, json!(["Succeeded"])), vm("b", 10, 300, json!(["Canceled"]))]));
    assert_eq!(state.ratio, Some(1.0));
    let all = state_of("cold", json!([vm("b", 150, 300, json!(["Canceled"]))]));
    assert!(all.ratio.unwrap() < 0.5, "unless all are: {:?}", all.ratio);
}

#[test]
fn a_plan_that_was_never_run_has_no_progress() {
    assert_eq!(state(vec![plan(json!({"status": {"conditions": ["Ready"], "migration": {}}}))]).ratio, None);
}

#[test]
fn a_cutover_that_ends_before_it_begins_has_no_downtime() {
    let at = |started: u32| {
        let pipeline = json!([with(step("Cutover", "Completed", 1, 1), "started", json!(started))]);
        let vm = json!({"id": "a", "phase": "Completed", "started": 1, "completed": 10, "conditions": ["Succeeded"], "pipeline": pipeline});
        state_of("warm", json!([vm])).vms[0].downtime.map(|downtime| downtime.as_secs())
    };
    assert_eq!((at(4), at(11)), (Some(360), None));
}

#[test]
fn the_current_step_is_told_by_the_stage_even_when_no_step_runs() {
    let pipeline = json!([
        step("Initialize", "Completed", 0, 1),
        step("DiskTransfer", "Completed", 9, 9),
        step("Cutover", "", 0, 9),
        step("ImageConversion", "Pending", 0, 1),
        step("VirtualMachineCreation", "Pending", 0, 1)
    ]);
    let at = |stage: &str, kind: &str| {
        let vm = json!([{"id": "a", "phase": stage, "started": 1, "pipeline": pipeline}]);
        state_of(kind, vm).vms[0].step
    };
    assert_eq!(at("CopyingPaused", "warm"), Some(StepName::DiskTransfer));
    assert_eq!(at("PowerOffSource", "warm"), Some(StepName::Cutover));
    assert_eq!(at("PowerOffSource", "cold"), Some(StepName::Initialize));
    assert_eq!(at("CreateVM", "warm"), Some(StepName::VirtualMachineCreation));
    assert_eq!(at("FlyToTheMoon", "warm"), Some(StepName::Cutover), "the first that is open");
}

#[test]
fn a_vm_that_failed_is_in_the_step_that_failed_and_others_that_ended_are_in_none() {
    let failed = json!([
        step("Initialize", "Completed", 0, 1),
        with(step("ImageConversion", "Running", 0, 1), "error", json!({"phase": "Running", "reasons": ["broken"]}))
    ]);
    let at = |outcome: &str| {
        let vm = json!([{"id": "a", "phase": "Completed", "started": 1, "completed": 2, "conditions": [outcome], "pipeline": failed}]);
        state_of("cold", vm).vms[0].step
    };
    assert_eq!((at("Failed"), at("Succeeded"), at("Canceled")), (Some(StepName::ImageConversion), None, None));
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Itinerary {
    itinerary: String,
    r#type: String,
    pipeline: Vec<String>,
    /// Each stage with the step and the phase of the VM in it.
    stages: Vec<(String, String, String)>,
}

#[test]
fn every_itinerary_of_forklift_is_known_from_its_first_stage_to_its_last() {
    let text = std::fs::read_to_string(crate::support::repository("tests/synthetic/itineraries.yaml")).unwrap();
    let itineraries: Vec<Itinerary> = serde_saphyr::from_multiple(&text).unwrap();
    assert!(itineraries.len() >= 10);
    let mut stages = std::collections::BTreeSet::new();
    let mut steps = std::collections::BTreeSet::new();
    for Itinerary { itinerary, r#type, pipeline, stages: each } in itineraries {
        let pipeline: Vec<Value> =
            pipeline.iter().map(|name| json!({"name": name, "progress": {"completed": 0, "total": 1}})).collect();
        for (stage, wanted_step, wanted_phase) in each {
            let vm = json!([{"id": "a", "phase": stage, "started": 1, "pipeline": pipeline}]);
            let state = state_of(&r#type, vm);
            let step = state.vms[0].step.map_or("", StepName::as_str);
            assert_eq!(
                (step, state.vms[0].phase.as_str()),
                (wanted_step.as_str(), wanted_phase.as_str()),
                "{itinerary}: {stage}"
            );
            assert_ne!(state.plan.vms[0].stage, Stage::Unknown, "{itinerary}: {stage}");
            stages.insert(state.plan.vms[0].stage);
            steps.extend(state.plan.vms[0].steps.iter().map(|step| step.name));
        }
    }
    let missing = |known: Vec<&'static str>| assert_eq!(known, Vec::<&str>::new(), "in no itinerary");
    missing(
        Stage::ALL
            .iter()
            .filter(|stage| **stage != Stage::Unknown && !stages.contains(stage))
            .map(|stage| stage.as_str())
            .collect(),
    );
    missing(
        StepName::ALL
            .iter()
            .filter(|step| **step != StepName::Unknown && !steps.contains(step))
            .map(|step| step.as_str())
            .collect(),
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ratios_stay_between_zero_and_one(
        steps in prop::collection::vec((0..20_usize, 0..4_usize, any::<u32>(), any::<u32>(), any::<bool>()), 0..8),
        outcome in 0..4_usize,
        warm in any::<bool>(),
    ) {
        let names = ["Initialize", "DiskTransfer", "DiskTransferV2v", "DiskAllocation", "Cutover", "ImageConversion", "Nonsense"];
        let phases = ["", "Pending", "Running", "Completed"];
        let pipeline: Vec<Value> = steps.into_iter().map(|(name, phase, done, total, ended)| {
            with(step(names[name % names.len()], phases[phase], done, total), "completed", if ended { json!(1) } else { Value::Null })
        }).collect();
        let conditions = [json!([]), json!(["Succeeded"]), json!(["Failed"]), json!(["Canceled"])][outcome].clone();
        let vm = json!({"id": "a", "phase": "CopyDisks", "started": 1, "conditions": conditions, "pipeline": pipeline});
        let state = state_of(if warm { "warm" } else { "cold" }, json!([vm]));
        let progress = state.vms[0].progress;
        prop_assert!((0.0..=1.0).contains(&progress.ratio));
        prop_assert!(progress.transferred_bytes <= progress.disk_bytes);
        prop_assert!(state.ratio.is_none_or(|ratio| (0.0..=1.0).contains(&ratio)));
    }
}

#[test]
fn times_are_whole_seconds_and_out_of_range_ones_are_none() {
    use mtv_sentinel::plan::Time;
    assert_eq!(Time::parse("2026-11-23T15:37:44.999Z").unwrap().to_string(), "2026-11-23T15:37:44Z");
    assert_eq!(Time::parse("2026-11-23T16:37:44+01:00"), Time::parse("2026-11-23T15:37:44Z"));
    assert_eq!(
        (Time::parse("1969-12-31T23:59:59Z"), Time::parse("2200-01-01T00:00:00Z"), Time::parse("soon")),
        (None, None, None)
    );
    assert_eq!(minute(1.0).since(minute(2.0)).as_secs(), 0, "clocks that differ give no negative age");
}
