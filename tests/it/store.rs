//! The store against a naive model: whatever the order of observations, it ends where the last states alone lead.

use crate::support::{migration, minute, plan, provider};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::plan::{Event, Fact, Flag, Key, Kind, Plan, PlanPhase, PlanState};
use mtv_sentinel::store::Store;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

fn key() -> Key {
    Key::new("ns", "plan")
}

fn executing() -> Object {
    plan(json!({"spec": {"type": "warm"}, "status": {"conditions": ["Executing"], "migration": {"started": 1,
        "history": [{"conditions": ["Executing"], "migration": {"uid": "run-1"}}],
        "vms": [{"id": "vm-1", "phase": "CopyingPaused", "started": 1}]}}}))
}

#[test]
fn a_migration_and_its_plan_meet_in_any_order() {
    let run = || migration(json!({"spec": {"cutover": 60}}));
    for order in [[executing(), run()], [run(), executing()]] {
        let mut store = Store::default();
        for object in order {
            store.apply(object, minute(0.0));
        }
        assert_eq!(store.plan(&key()).unwrap().phase, PlanPhase::CutoverScheduled);
    }
}

#[test]
fn a_migration_that_outlives_its_plan_waits_for_the_next_of_that_name() {
    let mut store = Store::default();
    store.apply(migration(json!({})), minute(0.0));
    store.apply(executing(), minute(0.0));
    store.delete(Kind::Plan, &key(), minute(1.0));
    assert!(store.plan(&key()).is_none());
    store.apply(plan(json!({"metadata": {"uid": "uid-2"}, "status": {"conditions": ["Ready"]}})), minute(2.0));
    assert!(store.plan(&key()).unwrap().flags.has(Flag::StartBlocked));
    let changes = store.delete(Kind::Migration, &Key::new("ns", "run"), minute(3.0));
    assert_eq!(changes.events, [Event { at: minute(3.0), plan: key(), fact: Fact::Lowered { flag: Flag::StartBlocked } }]);
}

#[test]
fn a_provider_that_changes_touches_its_plans_and_no_others() {
    let mut store = Store::default();
    store.apply(executing(), minute(0.0));
    store
        .apply(plan(json!({"metadata": {"name": "other"}, "spec": {"provider": {"source": {"name": "vc2"}}}})), minute(0.0));
    let changes = store.apply(provider("vc", "vsphere"), minute(0.0));
    assert_eq!(changes.plans.into_iter().collect::<Vec<_>>(), [key()]);
    assert_eq!(store.plan(&key()).unwrap().source.as_ref().unwrap().kind.as_str(), "vsphere");
    assert!(store.apply(provider("vc", "vsphere"), minute(0.0)).plans.is_empty(), "the same again changes nothing");
}

#[test]
fn during_a_relist_nothing_disappears_and_at_its_end_only_what_was_not_listed() {
    let mut store = Store::default();
    let named = |name: &str| plan(json!({"metadata": {"name": name}}));
    for name in ["plan", "gone"] {
        store.apply(named(name), minute(0.0));
    }
    store.relist_begins(Kind::Plan, "");
    store.apply(named("plan"), minute(1.0));
    assert_eq!(store.snapshot().plans.len(), 2);
    store.apply(named("new"), minute(1.0));
    let changes = store.relist_ends(Kind::Plan, "", minute(1.0));
    assert_eq!(changes.plans.into_iter().collect::<Vec<_>>(), [Key::new("ns", "gone")]);
    assert_eq!(store.snapshot().plans.keys().map(|key| key.name.to_string()).collect::<Vec<_>>(), ["new", "plan"]);
    assert!(store.relist_ends(Kind::Plan, "", minute(1.0)).plans.is_empty(), "an end without a beginning does nothing");
}

#[test]
fn an_object_that_cannot_be_decoded_keeps_what_was_known_of_it_until_it_is_deleted() {
    let mut store = Store::default();
    store.apply(executing(), minute(0.0));
    store.unreadable(Kind::Plan, key(), minute(1.0));
    assert_eq!(store.plan(&key()).unwrap().phase, PlanPhase::WarmRunning);
    store.unreadable(Kind::Plan, Key::new("ns", "never-seen"), minute(1.0));
    assert_eq!(store.plan(&Key::new("ns", "never-seen")).unwrap().phase, PlanPhase::Unknown);
    assert_eq!(store.snapshot().unreadable, 2);

    store.relist_begins(Kind::Plan, "");
    store.unreadable(Kind::Plan, key(), minute(2.0));
    store.relist_ends(Kind::Plan, "", minute(2.0));
    assert_eq!((store.snapshot().plans.len(), store.snapshot().unreadable), (1, 1), "it was listed, though not readable");
    store.delete(Kind::Plan, &key(), minute(3.0));
    assert_eq!((store.snapshot().plans.len(), store.snapshot().unreadable), (0, 0));
}

#[test]
fn the_same_object_again_changes_nothing() {
    let mut store = Store::default();
    assert_eq!(store.apply(executing(), minute(0.0)).plans.len(), 1);
    let changes = store.apply(executing(), minute(1.0));
    assert!(changes.plans.is_empty() && changes.events.is_empty(), "{changes:?}");
}

#[test]
fn a_plan_that_was_made_anew_is_another_plan() {
    let mut store = Store::default();
    store.apply(executing(), minute(0.0));
    let changes = store.apply(plan(json!({"metadata": {"uid": "uid-2"}})), minute(1.0));
    let facts: Vec<Fact> = changes.events.into_iter().map(|event| event.fact).collect();
    assert_eq!(facts, [Fact::Gone { phase: PlanPhase::WarmRunning }, Fact::Appeared { phase: PlanPhase::Unknown }]);
}

#[test]
fn last_progress_is_the_observation_that_moved_a_vm_and_at_first_the_newest_time_in_it() {
    let at = |stage: &str, done: u32| {
        plan(
            json!({"status": {"conditions": ["Executing"], "migration": {"started": 1, "vms": [{"id": "vm-1", "phase": stage,
            "started": 1, "pipeline": [{"name": "DiskTransfer", "phase": "Running", "started": 2, "progress": {"completed": done, "total": 9}}]}]}}}),
        )
    };
    let mut store = Store::default();
    let mut last = |object, minutes| {
        store.apply(object, minute(minutes));
        store.plan(&key()).unwrap().last_progress()
    };
    assert_eq!(last(at("CopyDisks", 1), 10.0), Some(minute(2.0)));
    assert_eq!(last(at("CopyDisks", 1), 11.0), Some(minute(2.0)));
    assert_eq!(last(at("CopyDisks", 2), 12.0), Some(minute(12.0)));
    assert_eq!(last(at("CopyDisks", 2), 13.0), Some(minute(12.0)));
    assert_eq!(last(at("ConvertGuest", 2), 14.0), Some(minute(14.0)));
}

/// A thing that a watch can show.
#[derive(Clone, Debug)]
enum Step {
    Plan {
        name: usize,
        version: usize,
    },
    Migration {
        name: usize,
        plan: usize,
        version: usize,
    },
    Provider {
        name: usize,
        version: usize,
    },
    Delete {
        kind: Kind,
        name: usize,
    },
    Unreadable {
        kind: Kind,
        name: usize,
    },
    /// A relist of a kind that shows what the naive model has.
    Relist {
        kind: Kind,
        forget: Option<usize>,
    },
}

const NAMES: usize = 3;

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..NAMES, 0..6_usize).prop_map(|(name, version)| Step::Plan { name, version }),
        3 => (0..NAMES, 0..NAMES, 0..4_usize).prop_map(|(name, plan, version)| Step::Migration { name, plan, version }),
        2 => (0..NAMES, 0..3_usize).prop_map(|(name, version)| Step::Provider { name, version }),
        2 => (kind(), 0..NAMES).prop_map(|(kind, name)| Step::Delete { kind, name }),
        1 => (kind(), 0..NAMES).prop_map(|(kind, name)| Step::Unreadable { kind, name }),
        1 => (kind(), prop::option::of(0..NAMES)).prop_map(|(kind, forget)| Step::Relist { kind, forget }),
    ]
}

fn object_of(step: &Step) -> Option<Object> {
    Some(match step {
        Step::Plan { name, version } => {
            let source = format!("p{}", version % NAMES);
            let vm = |phase: &str| json!([{"id": "vm-1", "name": "one", "phase": phase, "started": 1}]);
            let status = match version {
                0 => json!(null),
                1 => json!({"conditions": ["Ready"]}),
                2 => json!({"conditions": ["Critical/VMNotFound"]}),
                3 => {
                    json!({"conditions": ["Executing"], "migration": {"started": 1, "history": [{"conditions": ["Executing"], "migration": {"uid": "m0"}}], "vms": vm("CopyingPaused")}})
                }
                4 => {
                    json!({"conditions": ["Failed", "Critical/X"], "migration": {"started": 1, "completed": 2, "history": [{"conditions": ["Failed"], "migration": {"uid": "m1"}}]}})
                }
                _ => {
                    json!({"conditions": ["Succeeded"], "migration": {"started": 1, "completed": 2, "vms": vm("Completed")}})
                }
            };
            let kind = if version % 2 == 1 { "warm" } else { "cold" };
            plan(json!({"metadata": {"name": format!("p{name}"), "uid": format!("p{name}")}, "status": status,
                "spec": {"type": kind, "provider": {"source": {"namespace": "ns", "name": source}}, "vms": [{"id": "vm-1"}, {"id": "vm-2"}]}}))
        }
        Step::Migration { name, plan, version } => {
            let status = if *version == 1 { json!({"conditions": ["Succeeded"]}) } else { json!({}) };
            let cutover = if *version == 2 { json!(60) } else { json!(null) };
            migration(
                json!({"metadata": {"name": format!("p{name}"), "uid": format!("m{name}"), "creationTimestamp": *name},
                "spec": {"plan": {"name": format!("p{plan}")}, "cutover": cutover}, "status": status}),
            )
        }
        Step::Provider { name, version } => {
            let Object::Provider(mut made) = provider("x", ["vsphere", "ovirt", "ova"][*version]) else { return None };
            made.key = Key::new("ns", format!("p{name}"));
            Object::Provider(made)
        }
        Step::Delete { .. } | Step::Unreadable { .. } | Step::Relist { .. } => return None,
    })
}

/// All that has to be the same in the end: everything but when things moved.
fn shown(store: &Store) -> Vec<String> {
    let snapshot = store.snapshot();
    let plans = snapshot.plans.values().map(|state| {
        let PlanState { plan, migrations, source, destination, phase, flags, vms, ratio } = &**state;
        let mut plan: Plan = (**plan).clone();
        plan.vms.iter_mut().for_each(|vm| vm.last_progress = None);
        format!("{plan:?} {migrations:?} {source:?} {destination:?} {phase} {flags:?} {vms:?} {ratio:?}")
    });
    let providers = snapshot.providers.values().map(|provider| format!("{provider:?}"));
    let counts = format!("{} migrations, {} unreadable", snapshot.migrations, snapshot.unreadable);
    plans.chain(providers).chain([counts]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_ends_where_its_last_states_lead(steps in prop::collection::vec(step(), 0..60)) {
        // The naive model: for each key the last object, and whether it is unreadable.
        let mut last: BTreeMap<(Kind, usize), (Option<Object>, bool)> = BTreeMap::new();
        let mut store = Store::default();
        let at = minute(0.0);
        let key = |name: usize| Key::new("ns", format!("p{name}"));
        for step in &steps {
            match step {
                Step::Plan { name, .. } | Step::Migration { name, .. } | Step::Provider { name, .. } => {
                    let object = object_of(step).unwrap();
                    last.insert((object.kind(), *name), (Some(object.clone()), false));
                    store.apply(object, at);
                }
                Step::Delete { kind, name } => {
                    last.remove(&(*kind, *name));
                    store.delete(*kind, &key(*name), at);
                }
                Step::Unreadable { kind, name } => {
                    last.entry((*kind, *name)).or_insert((None, true)).1 = true;
                    store.unreadable(*kind, key(*name), at);
                }
                Step::Relist { kind, forget } => {
                    if let Some(name) = forget { last.remove(&(*kind, *name)); }
                    store.relist_begins(*kind, "");
                    for ((_, name), (object, unreadable)) in last.iter().filter(|((of, _), _)| of == kind) {
                        match object {
                            Some(object) if !unreadable => drop(store.apply(object.clone(), at)),
                            _ => drop(store.unreadable(*kind, key(*name), at)),
                        }
                    }
                    store.relist_ends(*kind, "", at);
                }
            }
        }
        let mut fresh = Store::default();
        for ((kind, name), (object, unreadable)) in last {
            if let Some(object) = object { fresh.apply(object, at); }
            if unreadable { fresh.unreadable(kind, key(name), at); }
        }
        prop_assert_eq!(shown(&store), shown(&fresh));
    }
}
