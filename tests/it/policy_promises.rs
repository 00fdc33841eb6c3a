//! Nothing is archived that must not be: over random plans and over everything in the recordings, each decision to archive is held
//! against what the raw objects say. The predicates here know the JSON and nothing of the program's model.

use crate::policy::{SEEN, policies};
use crate::support::{minute, raw_events, recordings};
use mtv_sentinel::app::Engine;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::forklift::{self, Decoded};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::plan::{Key, Time};
use mtv_sentinel::policy::{Decision, decide};
use mtv_sentinel::store::Store;
use mtv_sentinel::watch::{Observation, Seen};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const OUTCOMES: [&str; 3] = ["Succeeded", "Failed", "Canceled"];

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn holds(conditions: &[Value], kind: &str) -> bool {
    conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn has(object: &Value, kind: &str) -> bool {
    holds(list(object, "/status/conditions"), kind)
}

fn entries<'a>(plan: &'a Value, field: &str) -> Vec<(&'a String, &'a Value)> {
    plan.pointer(&format!("/metadata/{field}"))
        .and_then(Value::as_object)
        .map(|map| map.iter().collect())
        .unwrap_or_default()
}

/// What speaks against archiving a plan that ended like this, so long ago, in the raw objects.
fn against(
    plan: &Value,
    migrations: &[&Value],
    providers: &[&Value],
    outcome: &str,
    after: Duration,
    now: Time,
) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut claim = |is_right: bool, says: &'static str| {
        if !is_right {
            found.push(says);
        }
    };
    claim(plan.pointer("/spec/archived") != Some(&json!(true)) && !has(plan, "Archived"), "archived, or un-archived");
    let last = list(plan, "/status/migration/history").last();
    let last_has = |kind: &str| last.is_some_and(|attempt| holds(list(attempt, "/conditions"), kind));
    claim(!has(plan, "Executing") && !last_has("Executing"), "executing");
    let others = OUTCOMES.iter().filter(|other| **other != outcome);
    claim(has(plan, outcome) || last_has(outcome), "another outcome");
    claim(others.into_iter().all(|other| !has(plan, other) && !last_has(other)), "several outcomes");
    claim(!has(plan, "ConversionResumable"), "resumable");
    for map in ["NetworkMapNotReady", "NetworkMapRefNotValid", "StorageMapNotReady", "StorageRefNotValid"] {
        claim(!has(plan, map), "a map is not ready");
    }
    let keep = entries(plan, "annotations").into_iter().find(|(name, _)| *name == "mtv-sentinel.io/keep");
    claim(keep.is_none_or(|(_, value)| value == "no" || value == "false"), "kept");
    claim(list(plan, "/metadata/ownerReferences").is_empty(), "owned");
    let names = [entries(plan, "labels"), entries(plan, "annotations")].concat();
    let gitops = |name: &str| name.starts_with("argocd.argoproj.io/") || name.contains(".toolkit.fluxcd.io/");
    claim(!names.iter().any(|(name, _)| gitops(name)), "marked by a GitOps tool");
    let writers = list(plan, "/metadata/managedFields").iter().filter_map(|writer| writer["manager"].as_str());
    claim(
        !writers.into_iter().any(|writer| writer.contains("argocd") || writer == "kustomize-controller"),
        "written by a GitOps tool",
    );
    claim(plan.pointer("/metadata/deletionTimestamp").is_none(), "being deleted");
    claim(plan.pointer("/metadata/uid").is_some_and(|uid| uid != ""), "no uid");
    claim(plan.pointer("/metadata/generation") == plan.pointer("/status/observedGeneration"), "drift");
    let vms = list(plan, "/status/migration/vms");
    claim(!vms.is_empty(), "no VM");
    for vm in vms {
        let is = |kind: &str| holds(list(vm, "/conditions"), kind);
        claim(is("Succeeded") || is("Failed") || is("Canceled") || vm.get("error").is_some(), "a VM has no outcome");
        claim(outcome == "Failed" || (!is("Failed") && vm.get("error").is_none()), "a VM failed");
        claim(outcome != "Succeeded" || (is("Succeeded") && !is("Canceled")), "a VM did not succeed");
    }
    let is_covered = |wanted: &&Value| {
        let by = if wanted.get("id").is_some() { "id" } else { "name" };
        vms.iter().any(|vm| vm[by] == wanted[by])
    };
    claim(list(plan, "/spec/vms").iter().all(|wanted| is_covered(&wanted)), "VMs are not covered");
    let end = plan.pointer("/status/migration/completed").and_then(Value::as_str).and_then(Time::parse);
    claim(end.is_some_and(|end| end <= now && end.plus(after) <= now), "too young, or no end");
    claim(
        migrations.iter().all(|migration| OUTCOMES.iter().any(|outcome| has(migration, outcome))),
        "a Migration is not finished",
    );
    for role in ["source", "destination"] {
        let wanted = plan.pointer(&format!("/spec/provider/{role}"));
        let is_it = |provider: &&&Value| {
            wanted.is_some_and(|wanted| ["namespace", "name"].iter().all(|key| provider["metadata"][key] == wanted[key]))
        };
        claim(providers.iter().find(is_it).is_some_and(|provider| has(provider, "Ready")), "a provider is not ready");
    }
    found
}

fn conditions(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind, "status": "True", "category": "Advisory"})).collect()
}

fn provider(name: &str, is_ready: bool) -> Value {
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "metadata": {"namespace": "forklift", "name": name, "uid": name},
        "spec": {"type": "vsphere"}, "status": {"conditions": conditions(if is_ready { &["Ready"] } else { &["ConnectionTestFailed"] })}})
}

fn a_migration(name: &str, kinds: &[&str]) -> Value {
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Migration", "metadata": {"namespace": "ns", "name": name, "uid": name},
        "spec": {"plan": {"namespace": "ns", "name": "plan"}}, "status": {"conditions": conditions(kinds)}})
}

/// The objects around one plan, which any policy may archive.
#[derive(Clone, Debug)]
struct World {
    plan: Value,
    migrations: Vec<Value>,
    providers: Vec<Value>,
}

fn a_world(outcome: &str, age: f64) -> World {
    let completed = minute(-age * 1440.0).to_string();
    let vm = |id: &str| json!({"id": id, "name": id, "started": completed, "completed": completed, "phase": "Completed", "conditions": conditions(&[outcome])});
    let plan = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
        "metadata": {"namespace": "ns", "name": "plan", "uid": "u", "generation": 3, "labels": {}, "annotations": {}},
        "spec": {"type": "cold", "vms": [{"id": "a"}, {"id": "b"}], "provider": {
            "source": {"namespace": "forklift", "name": "vc"}, "destination": {"namespace": "forklift", "name": "host"}}},
        "status": {"observedGeneration": 3, "conditions": conditions(&[outcome]), "migration": {"started": completed, "completed": completed,
            "history": [{"conditions": conditions(&[outcome]), "migration": {"uid": "run"}}], "vms": [vm("a"), vm("b")]}}});
    World {
        plan,
        migrations: vec![a_migration("run", &[outcome])],
        providers: vec![provider("vc", true), provider("host", true)],
    }
}

/// One thing that may be odd about a world.
fn spoil(world: &mut World, which: u8, how: u8) {
    let how = usize::from(how);
    let pick = |from: &[Value]| from[how % from.len()].clone();
    let kinds = [
        "Succeeded",
        "Failed",
        "Canceled",
        "Executing",
        "Archived",
        "ConversionResumable",
        "NetworkMapNotReady",
        "Ready",
        "VMNotFound",
        "Unheard",
    ];
    let mut add = |pointer: &str, status: &str| {
        let list = world.plan.pointer_mut(pointer).and_then(Value::as_array_mut);
        let Some(list) = list else { return };
        list.push(json!({"type": kinds[how % kinds.len()], "status": status, "category": if how % 3 == 0 { "Critical" } else { "" }}));
    };
    let (vms, spec_vms) = ("/status/migration/vms", "/spec/vms");
    match which {
        0 => add("/status/conditions", "True"),
        1 => add("/status/conditions", "False"),
        2 => add("/status/migration/history/0/conditions", "True"),
        3 => add("/status/migration/vms/1/conditions", "True"),
        4 => {
            world.plan["status"]["conditions"] =
                pick(&[json!([]), json!("x"), conditions(&["Ready"]), conditions(&["Failed"])])
        }
        5 => {
            world.plan["status"]["migration"]["history"] =
                pick(&[json!([]), json!([{}]), json!([{"conditions": conditions(&["Executing"])}])])
        }
        6 => world.plan["spec"]["archived"] = pick(&[json!(true), json!(false), Value::Null]),
        7 => world.plan["status"]["observedGeneration"] = pick(&[json!(2), json!(3), json!("3"), Value::Null, json!(4)]),
        8 => {
            world.plan["status"]["migration"]["completed"] = pick(&[
                Value::Null,
                json!(""),
                json!("soon"),
                json!(minute(5.0).to_string()),
                json!(minute(-60.0).to_string()),
                json!(minute(-43_200.0).to_string()),
            ])
        }
        9 => {
            world.plan["metadata"]["annotations"] = pick(&[
                json!({"mtv-sentinel.io/keep": "true"}),
                json!({"mtv-sentinel.io/keep": "no"}),
                json!({"mtv-sentinel.io/keep": ""}),
                json!({"argocd.argoproj.io/tracking-id": "x"}),
                json!({"keep": "true"}),
            ])
        }
        10 => {
            world.plan["metadata"]["labels"] = pick(&[
                json!({"kustomize.toolkit.fluxcd.io/name": "x"}),
                json!({"app": "x"}),
                json!({"argocd.argoproj.io/instance": "x"}),
            ])
        }
        11 => {
            world.plan["metadata"]["ownerReferences"] = pick(&[json!([]), json!([{}]), json!([{"kind": "A", "name": "a"}])])
        }
        12 => {
            world.plan["metadata"]["managedFields"] = pick(&[
                json!([{"manager": "kubectl"}]),
                json!([{"manager": "argocd-controller"}, {}]),
                json!([{"manager": "kustomize-controller"}]),
            ])
        }
        13 => world.plan["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        14 => world.plan["metadata"]["uid"] = pick(&[json!(""), json!("other")]),
        15 => drop(
            world
                .plan
                .pointer_mut(spec_vms)
                .and_then(Value::as_array_mut)
                .map(|list| list.push(pick(&[json!({"id": "a"}), json!({"id": "c"})]))),
        ),
        16 => {
            world.plan["status"]["migration"]["vms"] =
                pick(&[json!([]), json!("x"), world.plan.pointer(vms).cloned().unwrap_or_default()])
        }
        17 => {
            if let Some(vm) = world.plan.pointer_mut("/status/migration/vms/0") {
                vm["conditions"] = pick(&[
                    json!([]),
                    json!("x"),
                    conditions(&["Failed"]),
                    conditions(&["Canceled", "Succeeded"]),
                    conditions(&["Succeeded"]),
                ]);
                vm["phase"] = pick(&[json!("CopyingPaused"), json!("Completed"), json!("CopyDisks")]);
            }
        }
        18 => {
            if let Some(vm) = world.plan.pointer_mut("/status/migration/vms/1") {
                vm["completed"] = pick(&[Value::Null, json!("x"), vm["completed"].clone()]);
                vm["warm"] = json!({"precopies": []});
            }
        }
        19 => {
            if let Some(vm) = world.plan.pointer_mut("/status/migration/vms/0") {
                vm["error"] = json!({"phase": "Running", "reasons": ["x"]});
                vm["conditions"] = pick(&[json!([]), conditions(&["Failed"]), conditions(&["Ready"])]);
            }
        }
        20 => world.migrations.push(a_migration(&format!("again-{}", world.migrations.len()), &[kinds[how % kinds.len()]])),
        21 => world.migrations.clear(),
        22 => world.providers[how % 2] = provider(["vc", "host"][how % 2], false),
        23 => drop(world.providers.remove(how % 2)),
        24 => {
            world.plan["spec"]["provider"] =
                pick(&[json!({}), json!({"source": {"name": "vc"}}), world.plan["spec"]["provider"].clone()])
        }
        _ => {
            world.plan["spec"]["type"] =
                pick(&[json!("warm"), json!("cold"), json!("conversion"), json!("live"), json!("x")])
        }
    }
}

fn decode(object: &Value) -> Box<Decoded> {
    Box::new(forklift::decode(&serde_json::to_vec(object).unwrap()).unwrap())
}

/// Every outcome has a policy.
const ALL: &str = "{name: Succeeded, after: 7d}, {name: Failed, outcome: Failed, after: 7d, without_acknowledgement: \
                   i-accept-that-targets-are-deleted}, {name: Canceled, outcome: Canceled, after: 7d}";

#[test]
fn no_random_plan_is_archived_that_must_not_be() {
    let policies = policies(ALL);
    let counts = std::cell::Cell::new((0, 0));
    let world = (prop::sample::select(&OUTCOMES[..]), 6.9f64..30.0, prop::collection::vec((0u8..26, any::<u8>()), 0..5));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 12_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&world, |(outcome, age, spoils)| {
        let mut world = a_world(outcome, age);
        for (which, how) in spoils {
            // Without one of the providers there is none to spoil.
            if world.providers.len() == 2 || !(22..=23).contains(&which) {
                spoil(&mut world, which, how);
            }
        }
        let mut store = Store::default();
        let World { plan, migrations, providers } = &world;
        for object in migrations.iter().chain(providers).chain([plan]) {
            store.apply(decode(object).object, minute(0.0));
        }
        let state = store.plan(&Key::new("ns", "plan")).unwrap();
        let decision = decide(state, &SEEN, &policies, minute(0.0));
        let (archived, others) = counts.get();
        if let Decision::Archive(evidence) = &decision {
            let migrations: Vec<&Value> = migrations.iter().collect();
            let providers: Vec<&Value> = providers.iter().collect();
            let against = against(
                plan,
                &migrations,
                &providers,
                evidence.outcome.as_str(),
                Duration::from_secs(7 * 86_400),
                minute(0.0),
            );
            prop_assert!(against.is_empty(), "archived though: {against:?}\n{plan:#}");
            prop_assert_eq!(evidence.policy.as_str(), evidence.outcome.as_str());
            counts.set((archived + 1, others));
        } else {
            prop_assert!(decision.policy().is_some() || decision.reason().as_str() == "OtherOutcome", "{:?}", decision);
            prop_assert!(!decision.says().is_empty());
            counts.set((archived, others + 1));
        }
        prop_assert!(decision.until().is_none_or(|until| until > minute(0.0)));
        Ok(())
    });
    result.unwrap();
    let (archived, others) = counts.get();
    assert!(archived > 1000 && others > 1000, "{archived} and {others}: one side is hardly tried");
}

fn engine(policies: &str) -> Engine {
    let file = format!("{{archive: {{policies: [{policies}]}}}}");
    let config = Config::load(Layers { file: Some(("test".to_owned(), file)), ..Layers::default() }).unwrap();
    Engine::new(&config, Arc::new(Own::new("test", "test")))
}

#[test]
fn nothing_in_the_recordings_is_archived_that_must_not_be() {
    let (mut looks, mut told) = (0, String::new());
    for name in recordings() {
        let mut engine = engine(&ALL.replace("after: 7d", "after: 0s"));
        let mut raw: BTreeMap<(String, String, String), Value> = BTreeMap::new();
        engine.observe(Observation { at: minute(0.0), what: Seen::Synced });
        let mut candidates = BTreeMap::new();
        for event in raw_events(&name) {
            let object = event["object"].clone();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let place = (text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
            let decoded = decode(&object);
            let at = Time::parse(event["time"].as_str().unwrap()).unwrap();
            let what = if event["type"] == "DELETED" {
                raw.remove(&place);
                Seen::Deleted(decoded.object.kind(), decoded.object.key().clone())
            } else {
                raw.insert(place, object);
                Seen::Applied(decoded)
            };
            engine.observe(Observation { at, what });
            engine.tick(at);
            let of_kind =
                |kind: &str| raw.iter().filter(|((of, ..), _)| of == kind).map(|(_, object)| object).collect::<Vec<_>>();
            let (migrations, providers) = (of_kind("Migration"), of_kind("Provider"));
            let view = engine.view();
            assert_eq!(view.decisions.len(), view.snapshot.plans.len(), "every plan has a decision");
            for (key, decision) in &view.decisions {
                let Decision::Archive(evidence) = &**decision else { continue };
                let plan = &raw[&("Plan".to_owned(), key.namespace.to_string(), key.name.to_string())];
                let own: Vec<&Value> =
                    migrations.iter().copied().filter(|m| m["spec"]["plan"]["name"] == key.name.as_str()).collect();
                let against = against(plan, &own, &providers, evidence.outcome.as_str(), Duration::ZERO, at);
                assert_eq!(against, Vec::<&str>::new(), "{name}: {key} at {at}");
                looks += 1;
            }
            candidates = view.decisions.iter().map(|(key, decision)| (key.clone(), Arc::clone(decision))).collect();
        }
        for (key, decision) in candidates.iter().filter(|(key, _)| name != "r-many-plans" || key.name.ends_with('1')) {
            told += &format!("{key} {} {}: {}\n", decision.as_str(), decision.reason(), decision.says());
        }
    }
    assert!(looks > 1000, "{looks}");
    insta::assert_snapshot!("recordings", told);
}

/// A finished plan with this end, in minutes.
fn finished(namespace: &str, name: &str, end: f64) -> Vec<Value> {
    let mut world = a_world("Succeeded", 0.0);
    world.plan["metadata"]["namespace"] = json!(namespace);
    world.plan["metadata"]["name"] = json!(name);
    world.plan["metadata"]["uid"] = json!(name);
    world.plan["status"]["migration"]["completed"] = json!(minute(end).to_string());
    world.providers.into_iter().chain([world.plan]).collect()
}

#[test]
fn the_engine_decides_anew_about_the_group_of_a_plan_that_changes_and_about_no_other() {
    let mut engine = engine("{name: done, after: 1h, keep_last: 1, windows: [06:00-12:00]}");
    let apply = |engine: &mut Engine, objects: Vec<Value>, at: f64| -> Vec<String> {
        let mut told = Vec::new();
        for object in objects {
            let outcome = engine.observe(Observation { at: minute(at), what: Seen::Applied(decode(&object)) });
            told.extend(outcome.decisions.iter().map(|decided| format!("{} {}", decided.plan, decided.decision.reason())));
        }
        told
    };
    // Minute 0 is 08:00.
    assert_eq!(apply(&mut engine, finished("a", "old", -120.0), 0.0), ["a/old NotSynced"]);
    assert_eq!(apply(&mut engine, finished("b", "other", -120.0), 0.0), ["b/other NotSynced"]);
    let synced = engine.observe(Observation { at: minute(1.0), what: Seen::Synced });
    assert_eq!(synced.decisions.len(), 2);
    let reasons = |engine: &mut Engine| -> Vec<String> {
        engine.view().decisions.iter().map(|(key, decision)| format!("{key} {}", decision.reason())).collect()
    };
    assert_eq!(reasons(&mut engine), ["a/old AmongLast", "b/other AmongLast"]);
    // A younger one ends: the old one is free.
    assert_eq!(apply(&mut engine, finished("a", "new", 2.0), 2.0), ["a/new TooYoung", "a/old Due"]);
    // An age and a window pass without any observation.
    let passes = |engine: &mut Engine, at: f64| -> Vec<String> {
        engine
            .tick(minute(at))
            .decisions
            .iter()
            .map(|decided| format!("{} {}", decided.plan, decided.decision.reason()))
            .collect()
    };
    assert_eq!(engine.next_deadline(), Some(minute(62.0)));
    assert_eq!(passes(&mut engine, 61.9), Vec::<String>::new());
    assert_eq!(passes(&mut engine, 62.0), ["a/new AmongLast"]);
    assert_eq!(passes(&mut engine, 240.0), ["a/old OutsideWindow"]);
    assert_eq!(passes(&mut engine, 1320.0), ["a/old Due"]);
    // The younger one goes: the old one is the last again, and free when its Plan cannot be read, for another reason.
    let gone = engine.observe(Observation {
        at: minute(1330.0),
        what: Seen::Deleted(mtv_sentinel::plan::Kind::Plan, Key::new("a", "new")),
    });
    let told: Vec<String> =
        gone.decisions.iter().map(|decided| format!("{} {}", decided.plan, decided.decision.reason())).collect();
    assert_eq!(told, ["a/old AmongLast"]);
    let broken = Seen::Unreadable(mtv_sentinel::plan::Kind::Plan, Key::new("a", "old"), "x".to_owned());
    let broken = engine.observe(Observation { at: minute(1331.0), what: broken });
    assert_eq!(broken.decisions[0].decision.reason().as_str(), "NotReadable");
    assert_eq!(apply(&mut engine, finished("a", "old", -120.0), 1332.0), ["a/old AmongLast"]);
}

#[test]
fn the_metrics_count_what_is_decided_and_follow_it() {
    let file = "{archive: {policies: [{name: done, after: 0s}, {name: none, matchers: [plan=x], outcome: Canceled}]}}";
    let config =
        |file: &str| Config::load(Layers { file: Some(("test".to_owned(), file.to_owned())), ..Layers::default() }).unwrap();
    let own = Arc::new(Own::new("test", "test"));
    let mut engine = Engine::new(&config(file), Arc::clone(&own));
    let lines = |own: &Own| -> Vec<String> {
        own.encode().lines().filter(|line| line.starts_with("mtv_sentinel_archive_")).map(str::to_owned).collect()
    };
    assert_eq!(
        lines(&own),
        ["mtv_sentinel_archive_candidates{policy=\"done\"} 0", "mtv_sentinel_archive_candidates{policy=\"none\"} 0"]
    );
    engine.observe(Observation { at: minute(0.0), what: Seen::Synced });
    for object in finished("a", "one", -9.0).into_iter().chain(finished("a", "two", -5.0)) {
        engine.observe(Observation { at: minute(0.0), what: Seen::Applied(decode(&object)) });
    }
    let counted = lines(&own).join("\n");
    let (oldest, next) = (minute(-9.0).unix(), minute(-5.0).unix());
    for line in [
        "mtv_sentinel_archive_candidates{policy=\"done\"} 2",
        &format!("mtv_sentinel_archive_oldest_candidate_timestamp_seconds{{policy=\"done\"}} {oldest}"),
        "mtv_sentinel_archive_decisions{policy=\"done\",decision=\"Archive\",reason=\"Due\"} 2",
    ] {
        assert!(counted.contains(line), "{counted}");
    }
    let kind = mtv_sentinel::plan::Kind::Plan;
    engine.observe(Observation { at: minute(1.0), what: Seen::Deleted(kind, Key::new("a", "one")) });
    assert!(
        lines(&own).contains(&format!("mtv_sentinel_archive_oldest_candidate_timestamp_seconds{{policy=\"done\"}} {next}"))
    );
    engine.observe(Observation { at: minute(1.0), what: Seen::Deleted(kind, Key::new("a", "two")) });
    assert!(!lines(&own).join("\n").contains("_oldest_"), "{:?}", lines(&own));
    // Without policies there is nothing left of them.
    engine.configure(&config("{}"), Some(minute(2.0)));
    assert_eq!((lines(&own), engine.view().decisions.len()), (vec![], 0));
}
