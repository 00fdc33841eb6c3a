//! The archive policy: one table in which each guard has a plan that it alone stops.

use crate::support::{migration, minute, plan, provider, state};
use mtv_sentinel::plan::Time;
use mtv_sentinel::policy::{Decision, Policy, Reason, decide};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: f64 = 24.0 * 60.0;

fn policy() -> Policy {
    Policy { succeeded_older_than: Duration::from_secs(30 * 86_400) }
}

/// A plan that is due 30 days after minute 10.
fn due() -> Value {
    json!({"spec": {"vms": [{"id": "vm-1"}]}, "status": {"observedGeneration": 1, "conditions": ["Ready", "Succeeded"], "migration": {
        "started": 1, "completed": 10, "history": [{"conditions": ["Succeeded"], "migration": {"uid": "run-1"}}],
        "vms": [{"id": "vm-1", "phase": "Completed", "started": 1, "completed": 10, "conditions": ["Succeeded"]}]}}})
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut plan = due();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    if plan.pointer(parent).is_none() {
        plan[parent.trim_start_matches('/')] = json!({});
    }
    plan.pointer_mut(parent).unwrap()[field] = value;
    plan
}

fn decide_at(short: Value, extra: Vec<mtv_sentinel::forklift::Object>, now: Time) -> Decision {
    let mut objects = vec![plan(short), provider("vc", "vsphere"), provider("host", "openshift")];
    objects.extend(extra);
    decide(&state(objects), &policy(), now)
}

fn late() -> Time {
    minute(40.0 * DAY)
}

#[test]
fn a_plan_that_succeeded_long_ago_is_due_and_not_a_second_earlier() {
    let end = minute(10.0);
    let due_at = end.plus(Duration::from_secs(30 * 86_400));
    assert_eq!(decide_at(due(), vec![], due_at), Decision::Archive(Reason::Due));
    let before = Time::from_unix(i64::from(due_at.unix()) - 1).unwrap();
    assert_eq!(decide_at(due(), vec![], before), Decision::Wait(Reason::TooYoung, Some(due_at)));
    let past = minute(5.0);
    assert_eq!(decide_at(due(), vec![], past), Decision::Wait(Reason::EndsInFuture, Some(due_at)));
}

#[test]
fn each_guard_stops_a_plan_that_is_otherwise_due() {
    let waiting =
        || vec![migration(json!({"metadata": {"name": "again", "uid": "run-2"}, "status": {"conditions": ["Ready"]}}))];
    let not_ready = || {
        let short = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider",
            "metadata": {"namespace": "forklift", "name": "vc"}, "spec": {"type": "vsphere"}});
        vec![crate::support::decode(&short)]
    };
    let vms = "/status/migration/vms";
    let conditions = "/status/conditions";
    let cases: Vec<(Value, Vec<_>, Decision)> = vec![
        (changed("/spec/archived", json!(true)), vec![], Decision::Never(Reason::Archived)),
        (changed(conditions, json!(["Succeeded", "Archived"])), vec![], Decision::Never(Reason::Unarchived)),
        (changed("/metadata/annotations", json!({"mtv-sentinel.io/keep": "true"})), vec![], Decision::Never(Reason::Kept)),
        (changed(conditions, json!(["Executing"])), vec![], Decision::Wait(Reason::Executing, None)),
        (changed(conditions, json!(["Ready"])), vec![], Decision::Wait(Reason::NotFinished, None)),
        (changed(conditions, json!(["Failed"])), vec![], Decision::Never(Reason::NotSucceeded)),
        (changed(conditions, json!(["Canceled"])), vec![], Decision::Never(Reason::NotSucceeded)),
        (
            changed(vms, json!([{"id": "vm-1", "completed": 10, "conditions": ["Canceled"]}])),
            vec![],
            Decision::Never(Reason::VmNotSucceeded),
        ),
        (changed("/spec/vms", json!([{"id": "vm-1"}, {"id": "vm-2"}])), vec![], Decision::Never(Reason::VmsNotCovered)),
        (changed("/status/observedGeneration", json!(0)), vec![], Decision::Never(Reason::Edited)),
        (changed("/metadata/ownerReferences", json!([{"kind": "Application"}])), vec![], Decision::Never(Reason::Owned)),
        (changed("/status/migration/completed", Value::Null), vec![], Decision::Never(Reason::NoEnd)),
        (due(), waiting(), Decision::Wait(Reason::MigrationWaits, None)),
        (due(), not_ready(), Decision::Wait(Reason::ProviderNotReady, None)),
        (
            changed("/spec/provider", json!({"destination": {"name": "gone"}})),
            vec![],
            Decision::Wait(Reason::ProviderNotReady, None),
        ),
    ];
    let mut seen: Vec<Reason> = vec![Reason::Due, Reason::TooYoung, Reason::EndsInFuture];
    for (short, extra, expected) in cases {
        assert_eq!(decide_at(short.clone(), extra, late()), expected, "{short}");
        seen.push(expected.reason());
    }
    let missing: Vec<&Reason> = Reason::ALL.iter().filter(|reason| !seen.contains(reason)).collect();
    assert!(missing.is_empty(), "reasons that no case has: {missing:?}");
}

#[test]
fn an_annotation_with_another_value_keeps_nothing() {
    let short = changed("/metadata/annotations", json!({"mtv-sentinel.io/keep": "no", "keep": "true"}));
    assert_eq!(decide_at(short, vec![], late()), Decision::Archive(Reason::Due));
}
