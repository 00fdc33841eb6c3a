//! The decoder against whatever an API server, a person or a newer Forklift may write.

use crate::support::{decode, raw_events, recordings};
use mtv_sentinel::forklift::{self, Envelope, Issue, Object};
use mtv_sentinel::plan::{Category, Kind, MigrationType, ProviderType, Stage, StepName, Time};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

fn issues(object: &Value) -> Vec<Issue> {
    forklift::decode(&serde_json::to_vec(object).unwrap()).unwrap().issues
}

fn a_plan() -> Value {
    json!({
        "apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
        "metadata": {"namespace": "ns", "name": "p", "uid": "u", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"wave": "1", "app": "x"},
            "annotations": {"populatorLabels": "True", "mtv-sentinel.io/keep": "true"}, "ownerReferences": [{"kind": "App"}]},
        "spec": {"type": "warm", "archived": true, "provider": {"source": {"namespace": "f", "name": "vc"}},
            "vms": [{"id": "vm-1", "name": "one"}]},
        "status": {"observedGeneration": 2,
            "conditions": [{"type": "Ready", "status": "True", "category": "Required"}],
            "migration": {"started": "2026-01-01T00:01:00Z", "vms": [{"id": "vm-1", "name": "one", "phase": "CopyDisks",
                "pipeline": [{"name": "DiskTransfer", "phase": "Running", "annotations": {"unit": "MB"},
                    "progress": {"completed": 5, "total": 10},
                    "tasks": [{"name": "[ds] one.vmdk", "progress": {"completed": 5, "total": 10}, "reason": "Pod is running; ",
                        "annotations": {"Precopy": "2"}}]}]}]}},
    })
}

fn a_provider(kind: &str) -> Value {
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "metadata": {"name": "p"}, "spec": {"type": kind}})
}

fn the_plan(object: &Value) -> mtv_sentinel::plan::Plan {
    let Object::Plan(plan) = decode(object) else { panic!("it is no plan") };
    plan
}

#[test]
fn every_field_that_is_read_arrives_in_the_model() {
    let plan = the_plan(&a_plan());
    assert_eq!(issues(&a_plan()), []);
    assert_eq!((plan.key.to_string().as_str(), plan.uid.as_str(), plan.generation), ("ns/p", "u", 2));
    assert_eq!((plan.spec_type, plan.archived, plan.owner.as_str()), (MigrationType::Warm, true, "an object"));
    assert_eq!((plan.label("wave"), plan.label("app"), plan.annotation("keep")), (Some("1"), Some("x"), Some("true")));
    assert_eq!((plan.delete_failed, plan.vms[0].delete_failed, plan.deleting), (true, false, false));
    let vm = &plan.vms[0];
    let step = &vm.steps[0];
    assert_eq!(
        (vm.stage, step.name, step.in_mib, step.done, step.total),
        (Stage::CopyDisks, StepName::DiskTransfer, true, 5, 10)
    );
    assert_eq!((step.tasks[0].precopy, step.note.as_str()), (2, "Pod is running; "));
}

#[test]
fn what_tells_who_writes_a_plan_back_and_what_an_archive_deletes_is_read() {
    let mut object = a_plan();
    let long = "x".repeat(257);
    object["metadata"]["annotations"] = json!({"mtv-sentinel.io/keep": long, "kubectl.kubernetes.io/last-applied-configuration": long,
        "ops.io/analysed": "yes"});
    object["metadata"]["ownerReferences"] = json!([{"kind": "Wave", "name": "w1", "uid": "x"}, {"kind": "Other"}]);
    object["metadata"]["managedFields"] =
        json!([{"manager": "forklift-controller", "fieldsV1": {"f:status": {}}}, {"manager": "argocd-controller"}]);
    object["metadata"]["deletionTimestamp"] = json!("2026-11-23T15:37:44Z");
    object["spec"]["deleteVmOnFailMigration"] = json!(false);
    object["status"]["migration"]["vms"][0]["deleteVmOnFailMigration"] = json!(true);
    let plan = the_plan(&object);
    assert_eq!(issues(&object), []);
    assert_eq!((plan.owner.as_str(), plan.manager.as_str(), plan.deleting), ("Wave w1", "Argo CD", true));
    assert_eq!((plan.delete_failed, plan.vms[0].delete_failed), (false, true));
    // A long value of somebody else's is not kept.
    assert_eq!(plan.annotations.len(), 2);
    assert_eq!(plan.annotation("keep"), Some(long.as_str()));
    assert!(plan.is_marked("ops.io/analysed", "yes") && !plan.is_marked("ops.io/analysed", "no"));
}

#[test]
fn a_value_of_the_wrong_type_costs_its_field_and_is_counted() {
    let mut object = a_plan();
    object["status"]["migration"]["vms"][0]["pipeline"][0]["progress"]["completed"] = json!("5");
    object["spec"]["archived"] = json!("yes");
    object["metadata"]["labels"] = json!([1, 2]);
    let plan = the_plan(&object);
    assert_eq!((plan.vms[0].steps[0].done, plan.vms[0].steps[0].total), (0, 10));
    assert!(!plan.archived && plan.labels.is_empty());
    let fields: Vec<&str> = issues(&object)
        .iter()
        .map(|issue| match issue {
            Issue::WrongType { field } => *field,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(fields, ["metadata.labels", "spec.archived", "status.migration.vms[].pipeline[].progress"]);
}

#[test]
fn a_word_that_is_new_is_unknown_and_counted_and_no_error() {
    let mut object = a_plan();
    object["spec"]["type"] = json!("teleport");
    object["status"]["conditions"] = json!([{"type": "Brandnew", "status": "True", "category": "Notable"}]);
    object["status"]["migration"]["vms"][0]["phase"] = json!("FlyToTheMoon");
    object["status"]["migration"]["vms"][0]["pipeline"][0]["name"] = json!("Launch");
    object["status"]["migration"]["vms"][0]["pipeline"][0]["phase"] = json!("Boosting");
    let plan = the_plan(&object);
    assert_eq!(plan.spec_type, MigrationType::Unknown);
    assert_eq!(plan.conditions[0].category, Category::Unknown);
    assert_eq!((plan.vms[0].stage, plan.vms[0].steps[0].name), (Stage::Unknown, StepName::Unknown));
    let words: Vec<String> = issues(&object)
        .into_iter()
        .map(|issue| match issue {
            Issue::UnknownWord { word, .. } => word,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(words, ["teleport", "Brandnew", "Notable", "FlyToTheMoon", "Launch", "Boosting"]);
}

#[test]
fn categories_are_closed_and_an_empty_one_has_a_name() {
    for (text, category) in
        [("", Category::None), ("Warning", Category::Warn), ("Warn", Category::Warn), ("Info", Category::Unknown)]
    {
        assert_eq!(Category::parse(text), category, "{text:?}");
    }
}

#[test]
fn the_vm_id_is_taken_off_the_two_condition_types_that_carry_one() {
    let mut object = a_plan();
    object["status"]["conditions"] = json!([
        {"type": "SharedDisks-vm-232", "status": "True", "category": ""},
        {"type": "SharedWarnDisks-vm-1", "status": "True", "category": "Warn"},
    ]);
    let plan = the_plan(&object);
    let labels: Vec<&str> = plan.conditions.iter().map(|condition| condition.label()).collect();
    assert_eq!(labels, ["SharedDisks", "SharedWarnDisks"]);
    assert_eq!(issues(&object), []);
}

#[test]
fn a_vm_that_is_listed_twice_counts_once() {
    let mut object = a_plan();
    let vm = object["status"]["migration"]["vms"][0].clone();
    object["status"]["migration"]["vms"].as_array_mut().unwrap().push(vm);
    assert_eq!(the_plan(&object).vms.len(), 1);
    assert_eq!(issues(&object), [Issue::Twice { field: "status.migration.vms" }]);
}

#[test]
fn an_empty_time_is_none_and_a_broken_one_is_wrong() {
    let mut object = a_plan();
    object["status"]["migration"]["started"] = json!("");
    assert_eq!((the_plan(&object).started, issues(&object)), (None, vec![]));
    object["status"]["migration"]["started"] = json!("yesterday");
    assert_eq!(the_plan(&object).started, None);
    assert_eq!(issues(&object), [Issue::WrongType { field: "status.migration.started" }]);
}

#[test]
fn amounts_beyond_four_bytes_are_cut_and_those_below_zero_are_wrong() {
    let mut object = a_plan();
    object["status"]["migration"]["vms"][0]["pipeline"][0]["progress"] =
        json!({"completed": -1, "total": 99_999_999_999_u64});
    let step = the_plan(&object).vms[0].steps[0].clone();
    assert_eq!((step.done, step.total), (0, u32::MAX));
}

#[test]
fn the_vm_cutovers_of_a_migration_are_read_as_a_map_or_a_list() {
    for cutovers in [
        json!({"vm-1": "2026-01-01T00:00:00Z", "vm-2": ""}),
        json!([{"id": "vm-1", "cutover": "2026-01-01T00:00:00Z"}, {"id": "vm-2"}]),
    ] {
        let object = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Migration", "metadata": {"name": "m"},
            "spec": {"plan": {"name": "p"}, "vmCutover": cutovers}});
        let Object::Migration(migration) = decode(&object) else { panic!("it is no Migration") };
        assert_eq!(migration.vm_cutovers.len(), 1, "{object}");
        assert_eq!(migration.vm_cutovers[0], ("vm-1".into(), Time::parse("2026-01-01T00:00:00Z").unwrap()));
    }
}

#[test]
fn every_kind_of_provider_is_known() {
    for kind in ["openshift", "vsphere", "ovirt", "openstack", "ova", "ec2", "hyperv", "nutanix"] {
        let Object::Provider(provider) = decode(&a_provider(kind)) else { panic!("it is no Provider") };
        assert_eq!(provider.kind.as_str(), kind);
        assert_ne!(provider.kind, ProviderType::Unknown);
    }
}

#[test]
fn objects_of_other_groups_and_kinds_are_foreign_and_lists_are_lists() {
    let outline = |object: Value| forklift::outline(&serde_json::to_vec(&object).unwrap()).unwrap();
    assert_eq!(outline(json!({"apiVersion": "velero.io/v1", "kind": "Plan", "metadata": {"name": "p"}})), Envelope::Foreign);
    assert_eq!(
        outline(json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Host", "metadata": {"name": "p"}})),
        Envelope::Foreign
    );
    assert_eq!(outline(json!({"apiVersion": "v1", "kind": "List", "items": []})), Envelope::List);
    assert_eq!(
        outline(json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "PlanList", "items": []})),
        Envelope::List
    );
}

#[test]
fn an_object_that_cannot_be_decoded_keeps_its_kind_and_key() {
    let twice = br#"{"apiVersion":"forklift.konveyor.io/v1beta1","kind":"Plan","metadata":{"namespace":"ns","name":"p"},"spec":{},"spec":{}}"#;
    let error = forklift::decode(twice).unwrap_err();
    assert_eq!((error.kind, error.key.as_ref().map(ToString::to_string)), (Some(Kind::Plan), Some("ns/p".to_owned())));
    assert!(error.to_string().contains("duplicate field `spec`"), "{error}");
}

#[test]
fn an_object_without_a_name_is_refused() {
    let error =
        forklift::decode(br#"{"apiVersion":"forklift.konveyor.io/v1beta1","kind":"Plan","metadata":{}}"#).unwrap_err();
    assert_eq!(error.to_string(), "Plan it has no metadata.name");
}

#[test]
fn repeated_texts_of_an_object_share_their_memory() {
    let mut object = a_plan();
    let long = "a disk name that is far too long to be stored inline";
    let task = json!({"name": long, "progress": {"completed": 0, "total": 1}});
    object["status"]["migration"]["vms"][0]["pipeline"] = json!([
        {"name": "DiskTransfer", "tasks": [task]}, {"name": "Cutover", "tasks": [task]}]);
    let steps = &the_plan(&object).vms[0].steps;
    assert_eq!(steps[0].tasks[0].name.as_ptr(), steps[1].tasks[0].name.as_ptr());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every place in a value, as the keys that lead to it.
fn places(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        path.push(name);
        found.push(path.clone());
        places(child, path, found);
        path.pop();
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Real objects, a few of each recording.
fn real_objects() -> Vec<Value> {
    let each = recordings().into_iter().flat_map(|name| {
        let events = raw_events(&name);
        let step = (events.len() / 6).max(1);
        events.into_iter().step_by(step).map(|event| event["object"].clone())
    });
    each.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), value in any_json()) {
        let _ = forklift::outline(&bytes);
        let _ = forklift::decode(&bytes);
        let _ = forklift::decode(&serde_json::to_vec(&value).unwrap());
    }

    #[test]
    fn an_object_with_a_name_is_decoded_whatever_its_parts_are(metadata in any_json(), spec in any_json(), status in any_json(), kind in 0..3_usize) {
        let mut metadata = metadata;
        if !metadata.is_object() { metadata = json!({}); }
        metadata["name"] = json!("p");
        let kind = Kind::ALL[kind].as_str();
        let object = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec, "status": status});
        prop_assert!(forklift::decode(&serde_json::to_vec(&object).unwrap()).is_ok());
    }
}

#[test]
fn a_real_object_with_any_field_deleted_or_of_another_type_is_decoded() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut tried = 0;
    for object in real_objects() {
        let mut all = Vec::new();
        places(&object, &mut Vec::new(), &mut all);
        for _ in 0..12 {
            let at = any::<prop::sample::Index>().new_tree(&mut runner).unwrap().current().index(all.len());
            let other = any_json().new_tree(&mut runner).unwrap().current();
            let path = &all[at];
            // What tells which object it is has to be there.
            if path.len() <= 2 && matches!(pointer(path).as_str(), "/kind" | "/apiVersion" | "/metadata" | "/metadata/name")
            {
                continue;
            }
            let mut changed = object.clone();
            *changed.pointer_mut(&pointer(path)).unwrap() = other;
            let mut without = object.clone();
            let (last, parents) = path.split_last().unwrap();
            match without.pointer_mut(&pointer(parents)).unwrap() {
                Value::Object(fields) => drop(fields.remove(last)),
                Value::Array(items) => drop(items.remove(last.parse().unwrap())),
                other => panic!("{other} has no children"),
            }
            for object in [changed, without] {
                tried += 1;
                let result = forklift::decode(&serde_json::to_vec(&object).unwrap());
                assert!(result.is_ok(), "{} at {path:?}: {}", object["kind"], result.unwrap_err());
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}
