//! The archive policies: a table in which each guard has a plan that it alone stops, windows, the last plans of a group, and what
//! would be deleted. That nothing else is ever archived is in `policy_promises`.

use crate::support::{migration, minute, plan, provider, state};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::plan::{Key, PlanState, Time};
use mtv_sentinel::policy::{Context, Decision, GUARDS, Groups, Policy, Reason, Window, Windows, decide, losses, objections};
use mtv_sentinel::store::Store;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const DAY: f64 = 24.0 * 60.0;

/// Everything has been seen, and nothing else is known.
pub const SEEN: Context = Context { synced: true, unreadable: false, among_last: false, archived_before: false };

pub fn policies(yaml: &str) -> Vec<Policy> {
    let file = format!("{{archive: {{policies: [{yaml}]}}}}");
    Config::load(Layers { file: Some(("test".to_owned(), file)), ..Layers::default() }).unwrap().archive.policies.0
}

/// A plan that is due 30 days after minute 10.
fn due() -> Value {
    json!({"spec": {"vms": [{"id": "vm-1"}]}, "status": {"observedGeneration": 1, "conditions": ["Ready", "Succeeded"], "migration": {
        "started": 1, "completed": 10, "history": [{"conditions": ["Succeeded"], "migration": {"uid": "run-1"}}],
        "vms": [{"id": "vm-1", "phase": "Completed", "started": 1, "completed": 10, "conditions": ["Succeeded"]}]}}})
}

/// The same plan after another ending.
fn ended(outcome: &str) -> Value {
    let mut plan = due();
    plan["status"]["conditions"] = json!([outcome]);
    plan["status"]["migration"]["history"][0]["conditions"] = json!([outcome]);
    plan["status"]["migration"]["vms"][0]["conditions"] = json!([outcome]);
    plan
}

fn changed(mut plan: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    if plan.pointer(parent).is_none() {
        plan[parent.trim_start_matches('/')] = json!({});
    }
    plan.pointer_mut(parent).unwrap()[field] = value;
    plan
}

fn with(pointer: &str, value: Value) -> Value {
    changed(due(), pointer, value)
}

fn whole(short: Value, extra: Vec<Object>) -> std::sync::Arc<PlanState> {
    let mut objects = vec![plan(short), provider("vc", "vsphere"), provider("host", "openshift")];
    objects.extend(extra);
    state(objects)
}

fn late() -> Time {
    minute(40.0 * DAY)
}

fn decide_at(short: Value, now: Time) -> Decision {
    decide(&whole(short, vec![]), &SEEN, &policies("{name: done}"), now)
}

#[test]
fn a_plan_that_succeeded_long_ago_is_due_and_not_a_second_earlier() {
    let end = minute(10.0);
    let due_at = end.plus(Duration::from_secs(30 * 86_400));
    let Decision::Archive(evidence) = decide_at(due(), due_at) else { panic!("{:?}", decide_at(due(), due_at)) };
    assert_eq!((evidence.policy.as_str(), evidence.uid.as_str()), ("done", "uid-1"));
    assert_eq!((evidence.ended, evidence.due, evidence.until), (end, due_at, None));
    assert_eq!((evidence.generation, evidence.attempts, evidence.vms), (1, 1, 1));
    let before = due_at.minus(Duration::from_secs(1));
    let Decision::Wait(objection) = decide_at(due(), before) else { panic!() };
    assert_eq!(
        (objection.reason, objection.until, objection.policy.as_deref()),
        (Reason::TooYoung, Some(due_at), Some("done"))
    );
    let Decision::Wait(objection) = decide_at(due(), minute(5.0)) else { panic!() };
    assert_eq!((objection.reason, objection.until), (Reason::EndsInFuture, Some(end)));
}

/// What a case has beside a plan.
#[derive(Clone)]
struct Beside {
    objects: Vec<Object>,
    policies: &'static str,
    context: Context,
    now: Time,
}

fn beside() -> Beside {
    Beside { objects: vec![], policies: "{name: done}", context: SEEN, now: late() }
}

/// Guards that hold only where another one holds too: which, and why they are there all the same.
const IMPLIED: &[(Reason, &[Reason], &str)] = &[
    (Reason::Zombie, &[Reason::Archived, Reason::Executing], "what is worst is told first"),
    (Reason::WarmLoop, &[Reason::VmUnfinished], "a plan that looks idle deserves its own word"),
];

fn cases() -> Vec<(Reason, Value, Beside)> {
    let vms = "/status/migration/vms";
    let conditions = "/status/conditions";
    let history = "/status/migration/history";
    let failed = "{name: failed, outcome: Failed, acknowledge: ops.io/analysed=yes}";
    let marked = || changed(ended("Failed"), "/metadata/annotations", json!({"ops.io/analysed": "yes"}));
    let with_policy = |policies| Beside { policies, ..beside() };
    let seen = |context| Beside { context, ..beside() };
    let provider = |name: &str, kind: &str| {
        crate::support::decode(&json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider",
            "metadata": {"namespace": "forklift", "name": name}, "spec": {"type": kind}}))
    };
    let objects = |objects| Beside { objects, ..beside() };
    let run = |conditions: Value| {
        migration(json!({"metadata": {"name": "again", "uid": "run-2"}, "status": {"conditions": conditions}}))
    };
    let many: serde_json::Map<String, Value> = (0..64).map(|n| (format!("label-{n}"), json!("x"))).collect();
    let warm = changed(
        with("/spec/warm", json!(true)),
        vms,
        json!([{"id": "vm-1", "phase": "CopyingPaused", "started": 1, "warm": {}}]),
    );
    vec![
        (
            Reason::Zombie,
            changed(with("/spec/archived", json!(true)), conditions, json!(["Succeeded", "Executing"])),
            beside(),
        ),
        (Reason::Archived, with("/spec/archived", json!(true)), beside()),
        (
            Reason::Archived,
            changed(with("/spec/archived", json!(true)), conditions, json!(["Succeeded", "Archived"])),
            beside(),
        ),
        (Reason::Unarchived, with(conditions, json!(["Succeeded", "Archived"])), beside()),
        (Reason::Reverted, due(), seen(Context { archived_before: true, ..SEEN })),
        (Reason::Kept, with("/metadata/annotations", json!({"mtv-sentinel.io/keep": "true"})), beside()),
        (Reason::Kept, with("/metadata/annotations", json!({"mtv-sentinel.io/keep": "until June"})), beside()),
        (Reason::Kept, with("/metadata/annotations", json!({"mtv-sentinel.io/keep": "x".repeat(1000)})), beside()),
        (Reason::Owned, with("/metadata/ownerReferences", json!([{"kind": "Application", "name": "wave"}])), beside()),
        (Reason::Owned, with("/metadata/ownerReferences", json!("unreadable")), beside()),
        (
            Reason::Managed,
            with("/metadata/annotations", json!({"argocd.argoproj.io/tracking-id": "waves:forklift/Plan:ns/plan"})),
            beside(),
        ),
        (Reason::Managed, with("/metadata/labels", json!({"argocd.argoproj.io/instance": "waves"})), beside()),
        (Reason::Managed, with("/metadata/labels", json!({"kustomize.toolkit.fluxcd.io/name": "waves"})), beside()),
        (Reason::Managed, with("/metadata/labels", json!({"helm.toolkit.fluxcd.io/name": "waves"})), beside()),
        (
            Reason::Managed,
            with("/metadata/managedFields", json!([{"manager": "kubectl"}, {"manager": "argocd-controller"}])),
            beside(),
        ),
        (
            Reason::Managed,
            with("/metadata/managedFields", json!([{"manager": "kustomize-controller", "operation": "Apply"}])),
            beside(),
        ),
        (Reason::BeingDeleted, with("/metadata/deletionTimestamp", json!("2027-01-01T00:00:00Z")), beside()),
        (Reason::NoPolicy, due(), with_policy("{name: prod, matchers: ['namespace=~\"prod-.*\"']}")),
        (Reason::NoPolicy, due(), with_policy("{name: wave, matchers: [label_wave=1]}")),
        (Reason::NoPolicy, due(), with_policy("")),
        (Reason::NotSynced, due(), seen(Context { synced: false, ..SEEN })),
        (Reason::NotReadable, due(), seen(Context { unreadable: true, ..SEEN })),
        (Reason::NotReadable, with("/metadata/uid", json!("")), beside()),
        (Reason::NotReadable, with("/metadata/labels", Value::Object(many)), beside()),
        (Reason::WarmLoop, warm, beside()),
        (Reason::Executing, with(conditions, json!(["Succeeded", "Executing"])), beside()),
        // The plan has an end and an outcome, its last attempt has not.
        (Reason::Executing, with(history, json!([{"conditions": ["Executing"], "migration": {"uid": "run-1"}}])), beside()),
        (Reason::NotFinished, changed(with(conditions, json!(["Ready"])), history, json!([])), beside()),
        (Reason::OutcomeUnclear, with(conditions, json!(["Succeeded", "Failed"])), beside()),
        (
            Reason::OutcomeUnclear,
            with(history, json!([{"conditions": ["Failed"], "migration": {"uid": "run-1"}}])),
            beside(),
        ),
        (Reason::OtherOutcome, ended("Failed"), beside()),
        (Reason::OtherOutcome, ended("Canceled"), with_policy(failed)),
        (Reason::OtherOutcome, due(), with_policy("{name: canceled, outcome: Canceled}")),
        (Reason::MigrationUnfinished, due(), objects(vec![run(json!(["Ready"]))])),
        (Reason::MigrationUnfinished, due(), objects(vec![run(json!(["Running"]))])),
        (Reason::MigrationUnfinished, due(), objects(vec![run(json!(["PlanNotReady"]))])),
        (Reason::MigrationUnfinished, due(), objects(vec![run(json!([]))])),
        (Reason::VmUnfinished, with(vms, json!([{"id": "vm-1", "started": 1}])), beside()),
        (Reason::VmNotSucceeded, with(vms, json!([{"id": "vm-1", "completed": 10, "conditions": ["Canceled"]}])), beside()),
        (
            Reason::VmNotSucceeded,
            with(vms, json!([{"id": "vm-1", "completed": 10, "conditions": ["Succeeded", "Failed"]}])),
            beside(),
        ),
        (Reason::VmNotSucceeded, with(vms, json!([{"id": "vm-1", "completed": 10}])), beside()),
        (
            Reason::VmNotSucceeded,
            with(vms, json!([{"id": "vm-1", "completed": 10, "conditions": ["Succeeded"], "error": {"phase": "Running"}}])),
            beside(),
        ),
        // A canceled plan whose Migration was deleted can have a VM that had failed before.
        (
            Reason::VmNotSucceeded,
            changed(ended("Canceled"), vms, json!([{"id": "vm-1", "completed": 10, "conditions": ["Failed"]}])),
            with_policy("{name: canceled, outcome: Canceled}"),
        ),
        (Reason::VmNotSucceeded, changed(marked(), vms, json!([{"id": "vm-1", "completed": 10}])), with_policy(failed)),
        (Reason::VmsNotCovered, with("/spec/vms", json!([{"id": "vm-1"}, {"id": "vm-2"}])), beside()),
        (Reason::VmsNotCovered, with(vms, json!([])), beside()),
        (Reason::Edited, with("/status/observedGeneration", json!(0)), beside()),
        (Reason::Edited, with("/metadata/generation", json!(2)), beside()),
        (Reason::Edited, with("/status/observedGeneration", Value::Null), beside()),
        (Reason::ConversionResumable, with(conditions, json!(["Succeeded", "ConversionResumable"])), beside()),
        (
            Reason::ConversionResumable,
            changed(marked(), conditions, json!(["Failed", "ConversionResumable"])),
            with_policy(failed),
        ),
        (Reason::NotAcknowledged, ended("Failed"), with_policy(failed)),
        (
            Reason::NotAcknowledged,
            changed(ended("Failed"), "/metadata/annotations", json!({"ops.io/analysed": "no"})),
            with_policy(failed),
        ),
        (Reason::NotAcknowledged, due(), with_policy("{name: asks, acknowledge: ops.io/analysed=yes}")),
        (Reason::NoEnd, with("/status/migration/completed", Value::Null), beside()),
        (
            Reason::ProviderUnknown,
            with(
                "/spec/provider",
                json!({"source": {"namespace": "forklift", "name": "vc"}, "destination": {"namespace": "forklift", "name": "gone"}}),
            ),
            beside(),
        ),
        (Reason::ProviderNotReady, due(), objects(vec![provider("vc", "vsphere")])),
        (Reason::ProviderNotReady, due(), objects(vec![provider("host", "openshift")])),
        (Reason::MapNotReady, with(conditions, json!(["Succeeded", "Critical/NetworkMapNotReady"])), beside()),
        (Reason::MapNotReady, with(conditions, json!(["Succeeded", "Critical/StorageRefNotValid"])), beside()),
        (Reason::EndsInFuture, due(), Beside { now: minute(9.0), ..beside() }),
        (Reason::TooYoung, due(), Beside { now: minute(29.0 * DAY), ..beside() }),
        (
            Reason::AmongLast,
            due(),
            Beside { policies: "{name: done, keep_last: 2}", context: Context { among_last: true, ..SEEN }, ..beside() },
        ),
        // Minute 0 is Friday, 2027-01-15, 08:00, and so it is 40 days later, but for the day.
        (Reason::OutsideWindow, due(), with_policy("{name: night, windows: [22:00-06:00]}")),
    ]
}

#[test]
fn each_guard_stops_a_plan_that_is_otherwise_due() {
    let mut seen = BTreeSet::from([Reason::Due]);
    for (reason, short, beside) in cases() {
        let state = whole(short.clone(), beside.objects);
        let policies = policies(beside.policies);
        let decision = decide(&state, &beside.context, &policies, beside.now);
        let guard = GUARDS.iter().find(|guard| guard.reason == reason).unwrap();
        assert_eq!((decision.reason(), decision.as_str()), (reason, guard.stops.as_str()), "{short}");
        let stopped: Vec<Reason> =
            objections(&state, &beside.context, &policies, beside.now).map(|(guard, _)| guard.reason).collect();
        match IMPLIED.iter().find(|(implied, ..)| *implied == reason) {
            Some((_, others, _)) => assert!(others.iter().all(|other| stopped.contains(other)), "{reason}: {stopped:?}"),
            None => assert_eq!(stopped, [reason], "another guard stops the same plan: {short}"),
        }
        assert!(!decision.says().is_empty() && decision.until().is_none_or(|until| until > beside.now), "{decision:?}");
        seen.insert(reason);
    }
    let missing: Vec<&Reason> = Reason::ALL.iter().filter(|reason| !seen.contains(reason)).collect();
    assert!(missing.is_empty(), "reasons that no case has: {missing:?}");
}

#[test]
fn every_reason_is_one_row_of_the_table_in_the_same_order() {
    let rows: Vec<Reason> = GUARDS.iter().map(|guard| guard.reason).collect();
    assert_eq!([&[Reason::Due], &rows[..]].concat(), Reason::ALL);
    for guard in GUARDS {
        assert!(guard.says.ends_with('.') && !guard.source.is_empty(), "{guard:?}");
        assert!(!(guard.says.to_owned() + guard.source).contains('|'), "{guard:?}: a bar would end the cell");
    }
}

#[test]
fn plans_of_every_outcome_are_archived_by_the_policy_that_is_about_it() {
    let all = "{name: f, outcome: Failed, acknowledge: ops.io/analysed=yes}, {name: s}, {name: c, outcome: Canceled}";
    let consent = "{name: f, outcome: Failed, without_acknowledgement: i-accept-that-targets-are-deleted}";
    let marked = |place: &str| changed(ended("Failed"), place, json!({"ops.io/analysed": "yes"}));
    let kept =
        changed(due(), "/metadata/annotations", json!({"mtv-sentinel.io/keep": "No", "keep": "true", "x.io/keep": "true"}));
    for (short, yaml, expected) in [
        (due(), all, "s"),
        (ended("Canceled"), all, "c"),
        (marked("/metadata/annotations"), all, "f"),
        (marked("/metadata/labels"), all, "f"),
        (ended("Failed"), consent, "f"),
        (kept, all, "s"),
        (
            due(),
            "{name: other, matchers: [namespace=x]}, {name: vsphere, matchers: [source_type=vsphere, type=cold]}, {name: s}",
            "vsphere",
        ),
        (
            changed(due(), "/metadata/labels", json!({"app.io/wave": "7"})),
            "{name: wave, matchers: [label_app_io_wave=7]}",
            "wave",
        ),
        // What Helm and people set says nothing about who writes it back.
        (changed(due(), "/metadata/labels", json!({"app.kubernetes.io/instance": "x"})), all, "s"),
        (due(), "{name: s, windows: [Wed 00:00-24:00, 'Mon,Tue 07:00-08:30', 'Wed 08:00-09:00']}", "s"),
    ] {
        let decision = decide(&whole(short.clone(), vec![]), &SEEN, &policies(yaml), late());
        assert_eq!(
            (decision.as_str(), decision.policy().map(|name| name.as_str())),
            ("Archive", Some(expected)),
            "{short} {decision:?}"
        );
    }
}

#[test]
fn windows_open_and_close_in_utc_over_midnight_and_the_end_of_the_week() {
    for (windows, now, open, turns) in [
        ("Mon-Fri 20:00-06:00", "2026-11-20T19:59:59Z Fri", false, "2026-11-20T20:00:00Z"),
        ("Mon-Fri 20:00-06:00", "2026-11-20T20:00:00Z Fri", true, "2026-11-21T06:00:00Z"),
        ("Mon-Fri 20:00-06:00", "2026-11-21T05:59:59Z Sat", true, "2026-11-21T06:00:00Z"),
        ("Mon-Fri 20:00-06:00", "2026-11-21T06:00:00Z Sat", false, "2026-11-23T20:00:00Z"),
        // The night from Sunday to Monday begins on Sunday.
        ("Mon-Fri 20:00-06:00", "2026-11-23T03:00:00Z Mon", false, "2026-11-23T20:00:00Z"),
        ("Sun 22:00-02:00", "2026-11-23T01:00:00Z Mon", true, "2026-11-23T02:00:00Z"),
        ("Fri-Mon 00:00-24:00", "2026-11-21T12:00:00Z Sat", true, "2026-11-24T00:00:00Z"),
        ("Fri-Mon 00:00-24:00", "2026-11-24T00:00:00Z Tue", false, "2026-11-27T00:00:00Z"),
        ("22:00-04:00", "2026-11-24T04:00:00Z Tue", false, "2026-11-24T22:00:00Z"),
        ("sat,sun 09:30-10:00", "2026-11-22T09:30:00Z Sun", true, "2026-11-22T10:00:00Z"),
        ("Mon 08:00-12:00 Mon 11:00-13:00", "2026-11-23T09:00:00Z Mon", true, "2026-11-23T13:00:00Z"),
        ("00:00-24:00", "2026-11-23T09:00:00Z Mon", true, "never"),
        ("", "2026-11-23T09:00:00Z Mon", true, "never"),
    ] {
        let words: Vec<&str> = windows.split(' ').filter(|word| !word.is_empty()).collect();
        let parts =
            if words.len() == 1 { vec![words[0].to_owned()] } else { words.chunks(2).map(|pair| pair.join(" ")).collect() };
        let read = Windows(parts.iter().map(|text| Window::parse(text).unwrap()).collect());
        let again = Windows(read.0.iter().map(|window| Window::parse(&window.to_string()).unwrap()).collect());
        assert_eq!(again, read);
        let (now, day) = now.split_once(' ').unwrap();
        // The table says the day itself: it is the right one.
        let weekday = now.parse::<jiff::Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC).strftime("%a").to_string();
        assert_eq!(weekday, day);
        let now = Time::parse(now).unwrap();
        assert_eq!(read.opens(now).is_none(), open, "{windows} at {now}");
        let turn = if open { read.closes(now) } else { read.opens(now) };
        assert_eq!(turn.map_or_else(|| "never".to_owned(), |turn| turn.to_string()), turns, "{windows} at {now}");
    }
}

/// A finished plan of a group test: `ns/name end`, with a mark for what is odd about it.
fn finished(text: &str) -> Object {
    let words: Vec<&str> = text.split(' ').collect();
    let (namespace, name) = words[0].split_once('/').unwrap();
    let mut short = changed(due(), "/status/migration/completed", json!(words[1].parse::<f64>().unwrap()));
    short["metadata"] =
        json!({"namespace": namespace, "name": name, "uid": words[0], "labels": {"wave": words.get(3).unwrap_or(&"")}});
    match words.get(2).copied() {
        Some("archived") => short["spec"]["archived"] = json!(true),
        Some("failed") => short["status"]["conditions"] = json!(["Failed"]),
        Some("running") => short["status"] = json!({"conditions": ["Executing"]}),
        _ => {}
    }
    plan(short)
}

#[test]
fn the_last_plans_of_a_group_are_kept_whatever_comes_and_goes() {
    let per_namespace = "{name: done, keep_last: 2}";
    let per_wave = "{name: done, keep_last: 1, keep_last_per: label_wave}";
    // Each step is a plan as it is now, or one that is gone; then which others are told, and who is among the last.
    for (yaml, steps) in [
        (
            per_namespace,
            vec![
                ("a/one 1", "", "a/one"),
                ("a/two 2", "", "a/one a/two"),
                ("b/one 1", "", "a/one a/two b/one"),
                ("a/three 3", "a/one", "a/three a/two b/one"),
                // An older one changes nothing for the others.
                ("a/zero 0", "", "a/three a/two b/one"),
                ("-a/two", "a/one", "a/one a/three b/one"),
                ("a/three 3 archived", "a/zero", "a/one a/zero b/one"),
                ("a/three 3", "a/zero", "a/one a/three b/one"),
                // It runs again, and ends anew.
                ("a/one 1 running", "a/zero", "a/three a/zero b/one"),
                ("a/one 9", "a/zero", "a/one a/three b/one"),
                // No policy is about what failed.
                ("a/four 10 failed", "", "a/one a/three b/one"),
                ("-a/three", "a/zero", "a/one a/zero b/one"),
                ("-a/one", "", "a/zero b/one"),
            ],
        ),
        (
            per_wave,
            vec![
                ("a/one 1 - x", "", "a/one"),
                ("b/two 2 - x", "a/one", "b/two"),
                ("b/three 3 - y", "", "b/three b/two"),
                // It moves from one group to another.
                ("b/three 3 - x", "b/two", "b/three"),
                ("b/three 3 - y", "b/two", "b/three b/two"),
                // Of two that ended at once the name decides.
                ("c/two 2 - x", "b/two", "b/three c/two"),
            ],
        ),
    ] {
        let policies = policies(yaml);
        let (mut store, mut groups) = (Store::default(), Groups::default());
        for (step, told, last) in steps {
            let key = |text: &str| text.split_once('/').map(|(namespace, name)| Key::new(namespace, name)).unwrap();
            let key = match step.strip_prefix('-') {
                Some(gone) => {
                    store.delete(mtv_sentinel::plan::Kind::Plan, &key(gone), minute(0.0));
                    key(gone)
                }
                None => {
                    store.apply(finished(step), minute(0.0));
                    key(step.split(' ').next().unwrap())
                }
            };
            let others = groups.put(&key, store.plan(&key).map(|state| &**state), &policies);
            let list = |keys: Vec<String>| keys.join(" ");
            assert_eq!(list(others.iter().map(Key::to_string).collect()), told, "{step}");
            let plans = store.snapshot().plans;
            let kept = plans.keys().filter(|key| groups.is_among_last(key)).map(Key::to_string).collect();
            assert_eq!(list(kept), last, "{step}");
        }
    }
}

#[test]
fn the_losses_are_what_forklift_deletes() {
    let vm = |name: &str, outcome: &str, more: Value| {
        let mut vm = json!({"id": name, "name": name, "started": 1, "completed": 10, "conditions": [outcome]});
        more.as_object().unwrap().iter().for_each(|(key, value)| vm[key] = value.clone());
        vm
    };
    let with_vms = |vms: Vec<Value>, spec: Value| {
        let mut plan = ended("Failed");
        plan["status"]["migration"]["vms"] = json!(vms);
        spec.as_object().unwrap().iter().for_each(|(key, value)| plan["spec"][key] = value.clone());
        plan
    };
    let two = || vec![vm("ok", "Succeeded", json!({})), vm("bad", "Failed", json!({}))];
    let keeps = json!({"deleteVmOnFailMigration": false});
    let converts = json!({"pipeline": [{"name": "DiskTransferV2v"}, {"name": "PostHook"}]});
    let resumable = changed(with_vms(two(), json!({})), "/status/conditions", json!(["Failed", "ConversionResumable"]));
    let helpers = "importer pods, secrets, config maps and jobs that are left of the migration";
    let targets = "target VM, PVCs and DataVolumes, as far as they were made of ";
    for (short, source, expected) in [
        (due(), "vsphere", vec![helpers.to_owned()]),
        (json!({"status": {"conditions": ["Ready"]}}), "vsphere", vec![]),
        // Absent stands for true, the default of the CRD.
        (with_vms(two(), json!({})), "vsphere", vec![format!("{targets}bad"), helpers.to_owned()]),
        (
            with_vms(two(), json!({"deleteVmOnFailMigration": true})),
            "vsphere",
            vec![format!("{targets}bad"), helpers.to_owned()],
        ),
        (with_vms(two(), keeps.clone()), "vsphere", vec![helpers.to_owned()]),
        // A VM of its own says otherwise: in the status, or in the spec.
        (
            with_vms(
                vec![vm("bad", "Canceled", json!({"deleteVmOnFailMigration": true})), vm("b", "Failed", json!({}))],
                keeps.clone(),
            ),
            "vsphere",
            vec![format!("{targets}bad"), helpers.to_owned()],
        ),
        (
            with_vms(
                two(),
                json!({"deleteVmOnFailMigration": false, "vms": [{"id": "bad", "deleteVmOnFailMigration": true}]}),
            ),
            "vsphere",
            vec![format!("{targets}bad"), helpers.to_owned()],
        ),
        (with_vms(two(), json!({"type": "conversion"})), "vsphere", vec![helpers.to_owned()]),
        (
            with_vms(two(), json!({"type": "live", "deleteVmOnFailMigration": false})),
            "openshift",
            vec![format!("{targets}bad"), helpers.to_owned()],
        ),
        (
            resumable,
            "vsphere",
            vec![
                format!("{targets}bad"),
                "copied disks from which it could be resumed of bad".to_owned(),
                helpers.to_owned(),
            ],
        ),
        (
            with_vms(vec![vm("ok", "Succeeded", converts)], json!({})),
            "ova",
            vec![
                "pods and logs of the conversion of ok".to_owned(),
                "jobs and logs of the hooks of ok".to_owned(),
                "PVCs and PVs of the source's storage".to_owned(),
                helpers.to_owned(),
            ],
        ),
        (
            with_vms((0..8).map(|n| vm(&format!("w{n}"), "Canceled", json!({"warm": {}}))).collect(), json!({"warm": true})),
            "vsphere",
            vec![
                format!("{targets}w0, w1, w2, w3, w4 and 3 more"),
                "last snapshot on the source of w0, w1, w2, w3, w4 and 3 more".to_owned(),
                helpers.to_owned(),
            ],
        ),
    ] {
        let state = state(vec![plan(short.clone()), provider("vc", source), provider("host", "openshift")]);
        let told: Vec<String> = losses(&state).iter().map(ToString::to_string).collect();
        assert_eq!(told, expected, "{short}");
    }
}

#[test]
fn no_plan_is_archived_while_nothing_is_known_beside_it() {
    // What a caller forgets to say is a reason not to.
    let decision = decide(&whole(due(), vec![]), &Context::default(), &policies("{name: done}"), late());
    assert_eq!(decision.reason(), Reason::NotSynced);
}
