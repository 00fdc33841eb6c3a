//! Every recording of a real controller: when which plan and VM was in which phase, how far it was, and what must hold all
//! along.
//!
//! The snapshots in tests/it/snapshots were checked against what is known to have happened in each recording; the facts worth
//! a test of their own are below them.

use crate::support::{raw_events, recording, recordings};
use mtv_sentinel::plan::{Flag, Key, PlanPhase, PlanState, VmPhase, current_step};
use mtv_sentinel::store::{Changes, Store};
use mtv_sentinel::watch::{Observation, Seen};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

fn apply(store: &mut Store, observation: Observation) -> Changes {
    match observation.what {
        Seen::Applied(decoded) => {
            assert_eq!(decoded.issues, [], "a real object is odd to us: {}", decoded.object.key());
            store.apply(decoded.object, observation.at)
        }
        Seen::Deleted(kind, key) => store.delete(kind, &key, observation.at),
        Seen::Synced | Seen::Ended => Changes::default(),
        other => panic!("a recording shows {other:?}"),
    }
}

/// Calls `see` with the time of day, the state before and the state after, for each change of a plan.
fn follow(name: &str, mut see: impl FnMut(&str, Option<&PlanState>, &Arc<PlanState>)) {
    let mut store = Store::default();
    let times: Vec<String> =
        raw_events(name).iter().map(|event| event["time"].as_str().unwrap()[11..23].to_owned()).collect();
    let mut times = times.iter();
    for observation in recording(name).observations(None) {
        let is_event = !matches!(observation.what, Seen::Synced | Seen::Ended);
        let before = store.snapshot();
        let changes = apply(&mut store, observation);
        let time = if is_event { times.next().unwrap().as_str() } else { "" };
        for key in &changes.plans {
            let after = store.plan(key).unwrap();
            see(time, before.plans.get(key).map(|state| &**state), after);
        }
    }
    assert_eq!(times.next(), None, "an event was not seen");
}

/// The VMs of a plan by phase, few of them by name.
fn vms(state: &PlanState) -> String {
    if state.vms.len() <= 5 {
        let each = state.plan.vms.iter().zip(&state.vms).map(|(vm, state)| format!("{} {}", vm.name, state.phase));
        return each.collect::<Vec<_>>().join(", ");
    }
    let counts = VmPhase::ALL.iter().zip(state.vm_counts()).filter(|(_, count)| *count > 0);
    counts.map(|(phase, count)| format!("{count} {phase}")).collect::<Vec<_>>().join(", ")
}

fn timeline(name: &str) -> String {
    let mut text = String::new();
    let mut last: BTreeMap<Key, String> = BTreeMap::new();
    follow(name, |time, _, state| {
        let flags: Vec<&str> = state.flags.iter().map(Flag::as_str).collect();
        let flags = if flags.is_empty() { String::new() } else { format!(" [{}]", flags.join(" ")) };
        let line = format!("{}{flags} | {}", state.phase, vms(state));
        if last.get(&state.plan.key) != Some(&line) {
            let ratio = state.ratio.map_or("    ".to_owned(), |ratio| format!("{:3.0}%", ratio * 100.0));
            writeln!(text, "{time} {ratio} {:<10} {line}", state.plan.key.name).unwrap();
            last.insert(state.plan.key.clone(), line);
        }
    });
    text
}

#[test]
fn the_timeline_of_each_recording_is_what_happened() {
    for name in recordings() {
        insta::assert_snapshot!(name.clone(), timeline(&name));
    }
}

/// How far a VM phase is along; a VM never goes back within an attempt, but for the loop of precopies.
fn rank(phase: VmPhase) -> u8 {
    match phase {
        VmPhase::Pending => 0,
        VmPhase::Running => 1,
        VmPhase::Precopying | VmPhase::AwaitingCutover | VmPhase::CutoverScheduled => 2,
        VmPhase::CuttingOver => 3,
        VmPhase::Succeeded | VmPhase::Failed | VmPhase::Canceled => 4,
        VmPhase::Unknown => panic!("a real VM in phase Unknown"),
    }
}

fn plan_rank(phase: PlanPhase) -> u8 {
    match phase {
        PlanPhase::Pending => 0,
        PlanPhase::Running => 1,
        PlanPhase::WarmRunning | PlanPhase::CutoverScheduled => 2,
        PlanPhase::CuttingOver => 3,
        PlanPhase::Succeeded | PlanPhase::Failed | PlanPhase::Canceled => 4,
        PlanPhase::Archived => 5,
        PlanPhase::NotReady | PlanPhase::Ready | PlanPhase::Unknown => panic!("{phase} after an attempt has begun"),
    }
}

#[test]
fn within_an_attempt_no_phase_goes_back_and_no_cold_progress_falls() {
    for name in recordings() {
        follow(&name, |time, before, after| {
            let at = format!("{name} {time} {}", after.plan.key);
            if let Some(ratio) = after.ratio {
                assert!((0.0..=1.0).contains(&ratio), "{at}: {ratio}");
            }
            for (vm, state) in after.plan.vms.iter().zip(&after.vms) {
                let progress = state.progress;
                assert!((0.0..=1.0).contains(&progress.ratio), "{at} {}: {}", vm.name, progress.ratio);
                assert!(progress.transferred_bytes <= progress.disk_bytes, "{at} {}", vm.name);
                if state.phase == VmPhase::Succeeded {
                    assert_eq!(progress.ratio, 1.0, "{at} {}", vm.name);
                    assert_eq!(progress.transferred_bytes, progress.disk_bytes, "{at} {}", vm.name);
                }
            }
            let Some(before) = before.filter(|before| before.plan.attempts.len() == after.plan.attempts.len()) else {
                return;
            };
            if after.plan.attempts.is_empty() {
                return;
            }
            assert!(plan_rank(after.phase) >= plan_rank(before.phase), "{at}: {} after {}", after.phase, before.phase);
            for (vm, (old, new)) in after.plan.vms.iter().zip(before.vms.iter().zip(&after.vms)) {
                assert!(rank(new.phase) >= rank(old.phase), "{at} {}: {} after {}", vm.name, new.phase, old.phase);
                assert!(
                    new.progress.ratio >= old.progress.ratio,
                    "{at} {}: {} after {}",
                    vm.name,
                    new.progress.ratio,
                    old.progress.ratio
                );
            }
        });
    }
}

#[test]
fn the_last_progress_of_a_plan_moves_only_when_something_moved() {
    let mut changes = BTreeMap::new();
    for name in recordings() {
        follow(&name, |time, before, after| {
            let (Some(before), Some(progress)) = (before, after.last_progress()) else { return };
            assert!(before.last_progress().is_none_or(|old| old <= progress), "{name} {time}: it fell");
            if before.last_progress() != Some(progress) {
                *changes.entry(name.clone()).or_insert(0) += 1;
                assert_ne!(before.plan.vms, after.plan.vms, "{name} {time}: nothing is different");
            }
        });
    }
    assert_eq!(changes.len(), recordings().len(), "it never moved in some recording: {changes:?}");
}

#[test]
fn the_step_by_stage_is_the_step_that_runs() {
    let (mut agreed, mut others) = (0, Vec::new());
    for name in recordings() {
        follow(&name, |time, _, state| {
            for (vm, vm_state) in state.plan.vms.iter().zip(&state.vms) {
                let running: Vec<_> = vm.steps.iter().filter(|step| step.phase.as_str() == "Running").collect();
                let [running] = running[..] else { continue };
                if vm_state.phase.is_over() {
                    continue;
                }
                assert_eq!(vm_state.step, current_step(vm, state.plan.is_warm()));
                if vm_state.step == Some(running.name) {
                    agreed += 1;
                } else {
                    others
                        .push(format!("{name} {time} {} {}: {:?}, runs {}", vm.name, vm.stage, vm_state.step, running.name));
                }
            }
        });
    }
    assert!(agreed > 1000, "{agreed}");
    assert_eq!(others, Vec::<String>::new());
}

fn state_at<'a>(states: &'a [(String, Arc<PlanState>)], time: &str) -> &'a PlanState {
    &states.iter().rev().find(|(at, _)| at.as_str() <= time).unwrap().1
}

fn states(name: &str, plan: &str) -> Vec<(String, Arc<PlanState>)> {
    let mut states = Vec::new();
    follow(name, |time, _, state| {
        if state.plan.key.name == plan {
            states.push((time.to_owned(), Arc::clone(state)));
        }
    });
    states
}

#[test]
fn a_provider_blip_is_blocked_from_its_first_to_its_last_condition_and_no_failure() {
    let states = states("i2-provider-blip", "blip");
    for time in ["15:39:04.999", "15:39:20.130", "15:39:20.131", "15:39:20.300"] {
        let state = state_at(&states, time);
        assert!(state.flags.has(Flag::Blocked), "{time}: {:?}", state.plan.conditions);
        assert_eq!(state.phase, PlanPhase::Running, "{time}");
    }
    assert!(!state_at(&states, "15:39:20.412").flags.has(Flag::Blocked));
    assert!(states.iter().all(|(_, state)| state.phase != PlanPhase::Failed));
}

#[test]
fn vms_kept_from_an_earlier_attempt_stay_succeeded_and_keep_their_times() {
    let states = states("b-fail-retry", "erp");
    let second = state_at(&states, "15:38:18.260");
    assert_eq!((second.phase, second.plan.attempts.len()), (PlanPhase::Running, 2));
    let kept = second.plan.vms.iter().position(|vm| vm.name == "erp-01").unwrap();
    assert_eq!(second.vms[kept].phase, VmPhase::Succeeded);
    assert!(second.plan.vms[kept].started < second.plan.started);
}

#[test]
fn an_error_is_in_the_note_of_the_step_before_the_vm_fails() {
    let states = states("b-fail-retry", "erp");
    let before = state_at(&states, "15:37:40");
    let vm = before.plan.vms.iter().position(|vm| vm.name == "erp-02").unwrap();
    assert_eq!(before.vms[vm].phase, VmPhase::Running);
    let notes: Vec<&str> = before.plan.vms[vm].steps.iter().map(|step| step.note.as_str()).collect();
    assert!(notes.iter().any(|note| note.contains("VixDiskLib_Read")), "{notes:?}");
}

#[test]
fn the_downtime_of_a_cutover_is_known_when_the_vm_has_succeeded() {
    let states = states("c-warm", "mail");
    let last = &states.last().unwrap().1;
    for (vm, state) in last.plan.vms.iter().zip(&last.vms) {
        let downtime = state.downtime.unwrap().as_secs();
        assert!((30..=90).contains(&downtime), "{}: {downtime} s", vm.name);
        assert_eq!(vm.warm.as_ref().map(|warm| (warm.precopies.len(), warm.successes)), Some((4, 3)));
    }
}

#[test]
fn a_queued_vm_is_pending_and_a_plan_of_queued_vms_too() {
    let states = states("p-queue", "late-wave");
    let queued = state_at(&states, "15:45:30");
    assert_eq!(queued.phase, PlanPhase::Pending);
    assert!(queued.vms.iter().all(|vm| vm.phase == VmPhase::Pending));
}
