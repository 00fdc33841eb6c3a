//! What the archiver asks of a real API server: `spec.archived` alone changes, or nothing does, and it is known why.

use crate::cluster::shared;
use crate::fleet::Home;
use mtv_sentinel::archive::{Cluster, Failure, Live, beside_archived};
use mtv_sentinel::lease::{Leadership, Permit};
use mtv_sentinel::plan::{Key, PlanPhase, Time};
use serde_json::{Value, json};
use std::time::Duration;
use testbed::{Admission, Admit, Behind, Gate, Moment, Passage};

fn now() -> Time {
    Time::parse("2026-12-01T00:00:00Z").unwrap()
}

fn permit() -> Permit {
    Leadership::always().permit(Duration::from_secs(5)).unwrap()
}

struct Scene {
    home: Home,
    cluster: Cluster,
}

impl Scene {
    /// A plan `done` that has succeeded, with what it names.
    async fn new(namespace: &'static str) -> Self {
        let home = Home::new(namespace).await;
        let kind = |kind: &str, name: &str| json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": {}});
        let named = |name: &str| json!({"namespace": namespace, "name": name});
        let mut plan = kind("Plan", "done");
        plan["spec"] = json!({"type": "cold", "targetNamespace": "t", "deleteVmOnFailMigration": false, "vms": [{"id": "vm-1"}],
            "map": {"network": named("net"), "storage": named("disks")}, "provider": {"source": named("vc"), "destination": named("host")}});
        let mut items = vec![plan];
        for (of, name) in [("NetworkMap", "net"), ("StorageMap", "disks")] {
            let mut map = kind(of, name);
            map["spec"] = json!({"map": [], "provider": {"source": named("vc"), "destination": named("host")}});
            items.push(map);
        }
        for (name, of) in [("vc", "vsphere"), ("host", "openshift")] {
            let mut provider = kind("Provider", name);
            provider["spec"] = json!({"type": of, "secret": {}});
            items.push(provider);
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        home.plane.kubectl(&["create", "-f", "-"], &list.to_string());
        home.set("done", "Succeeded");
        Self { cluster: Cluster::new(home.plane.client().await.unwrap()), home }
    }

    fn key(&self) -> Key {
        Key::new(self.home.namespace, "done")
    }

    async fn read(&self) -> Live {
        loop {
            // A server that begins to keep a kind asks for patience.
            match self.cluster.read(&self.key(), now()).await {
                Err(Failure::NotDone(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                other => return other.unwrap(),
            }
        }
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        self.home.plane.kubectl(&[&["-n", self.home.namespace], arguments].concat(), input)
    }

    /// The plan as it is.
    fn plan(&self) -> Value {
        serde_json::from_str(
            &self.kubectl(&["get", "plans.forklift.konveyor.io", "done", "-o", "json", "--show-managed-fields"], ""),
        )
        .unwrap()
    }

    fn is_archived(&self) -> bool {
        self.plan()["spec"]["archived"] == true
    }

    fn annotate(&self, text: &str) {
        self.kubectl(&["annotate", "--overwrite", "plans.forklift.konveyor.io", "done", text], "");
    }
}

#[test]
fn whatever_changes_beside_spec_archived_is_named_and_what_moves_by_itself_is_not() {
    let before = json!({"metadata": {"name": "a", "generation": 1, "resourceVersion": "5", "labels": {"x/y": "1"}},
        "spec": {"vms": [1], "warm": false}, "status": {"phase": "x"}});
    let changed = |pointer: &str, value: Value| {
        let mut after = before.clone();
        after["spec"]["archived"] = true.into();
        after["metadata"]["generation"] = 2.into();
        after["metadata"]["resourceVersion"] = "6".into();
        after["metadata"]["managedFields"] = json!([{"manager": "m"}]);
        if let Some(place) = after.pointer_mut(pointer) {
            *place = value;
        } else if let Some((parent, name)) = pointer.rsplit_once('/') {
            after.pointer_mut(parent).unwrap()[name] = value;
        }
        beside_archived(&before, &after)
    };
    assert_eq!(changed("/spec/archived", json!(true)), [""; 0]);
    for (pointer, value, expected) in [
        ("/spec/archived", json!(false), "/spec/archived"),
        ("/spec/warm", json!(true), "/spec/warm"),
        ("/spec/transferNetwork", json!({"name": "n"}), "/spec/transferNetwork/name"),
        ("/spec/vms", json!([1, 2]), "/spec/vms"),
        ("/spec", json!({"archived": true, "vms": [1]}), "/spec/warm"),
        ("/metadata/labels", json!({}), "/metadata/labels/x~1y"),
        ("/metadata/finalizers", json!(["f"]), "/metadata/finalizers"),
        ("/metadata/name", json!("b"), "/metadata/name"),
        ("/status/phase", json!("y"), "/status/phase"),
    ] {
        assert_eq!(changed(pointer, value), [expected], "{pointer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_archived_and_nothing_else_of_it_changes() {
    let scene = Scene::new("archives").await;
    let before = scene.plan();
    let live = scene.read().await;
    assert_eq!((live.state.phase, live.missing_maps.len()), (PlanPhase::Succeeded, 0));
    assert!(live.state.source.is_some() && live.state.destination.is_some());
    scene.cluster.try_out(&live).await.unwrap();
    assert_eq!(scene.plan(), before, "a dry run changes nothing");
    scene.cluster.archive(&live, permit()).await.unwrap();
    let after = scene.plan();
    assert_eq!(beside_archived(&before, &after), [""; 0]);
    let managers = after["metadata"]["managedFields"].to_string();
    assert!(managers.contains("\"manager\":\"mtv-sentinel-archiver\""), "{managers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_another_than_was_read_is_left_alone() {
    let scene = Scene::new("archives-another").await;
    let live = scene.read().await;
    scene.annotate("note=changed");
    let conflict = |result: Result<(), Failure>| assert!(matches!(result, Err(Failure::Conflict(_))), "{result:?}");
    conflict(scene.cluster.try_out(&live).await);
    conflict(scene.cluster.archive(&live, permit()).await);
    // Another one of the same name, which nobody has looked at.
    let live = scene.read().await;
    let mut again = scene.plan();
    scene.kubectl(&["delete", "plans.forklift.konveyor.io", "done"], "");
    assert_eq!(scene.cluster.try_out(&live).await, Err(Failure::Gone));
    again["metadata"] = json!({"name": "done", "namespace": scene.home.namespace});
    scene.kubectl(&["create", "-f", "-"], &again.to_string());
    assert_eq!(scene.cluster.archive(&live, permit()).await, Err(Failure::Gone));
    assert!(!scene.is_archived());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_refuses_changes_more_or_says_nothing_keeps_a_plan_from_being_archived() {
    let scene = Scene::new("archives-webhook").await;
    let webhook = Admission::start(scene.home.plane, scene.home.namespace).unwrap();
    // The API server takes a moment to know of it.
    webhook.set(Admit::Refuse("not today"));
    let live = loop {
        let live = scene.read().await;
        match scene.cluster.try_out(&live).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(Failure::Refused(why)) => {
                assert!(why.contains("not today"), "{why}");
                break live;
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    // As Forklift's does: it writes the spec anew, and what was false by choice is true by default then.
    webhook.set(Admit::Change(json!([{"op": "replace", "path": "/spec/deleteVmOnFailMigration", "value": true}])));
    let changed = vec!["/spec/deleteVmOnFailMigration".to_owned()];
    assert_eq!(scene.cluster.try_out(&live).await, Err(Failure::WouldChange(changed.clone())));
    webhook.set(Admit::Hang);
    let hung = scene.cluster.try_out(&live).await;
    assert!(matches!(&hung, Err(Failure::NotDone(why)) if why.contains("failed calling webhook")), "{hung:?}");
    assert!(!scene.is_archived());
    // One that lies in the dry run is found out when it is too late, and named.
    webhook.set(Admit::Change(json!([{"op": "replace", "path": "/spec/deleteVmOnFailMigration", "value": true}])));
    assert_eq!(scene.cluster.archive(&live, permit()).await, Err(Failure::HasChanged(changed)));
    assert!(scene.is_archived());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_and_an_answer_that_is_lost_is_known_to_be() {
    let scene = Scene::new("archives-rights").await;
    let ca = scene.home.plane.ca().to_owned();
    let gate = Gate::start(Behind::Tls(scene.home.plane.port(), ca), |moment, line| {
        if moment == Moment::Answered && line.starts_with("PATCH ") && !line.contains("dryRun") {
            Passage::Shut
        } else {
            Passage::Open
        }
    });
    let kubeconfig = scene.home.kubeconfig("gate", &gate.await.unwrap().url());
    let file = format!("kubernetes: {{kubeconfig: '{}'}}", kubeconfig.display());
    let config = mtv_sentinel::config::Config::load(mtv_sentinel::config::Layers {
        file: Some(("test".to_owned(), file)),
        ..Default::default()
    });
    let settings = mtv_sentinel::app::cluster_settings(&config.unwrap());
    let cluster = Cluster::new(mtv_sentinel::watch::cluster::connect(&settings).await.unwrap());
    let denied = loop {
        // A server that begins to keep a kind asks for patience.
        match cluster.read(&scene.key(), now()).await {
            Err(Failure::NotDone(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            other => break other.unwrap_err(),
        }
    };
    assert!(matches!(&denied, Failure::Denied(why) if why.contains("cannot get resource \"plans\"")), "{denied:?}");
    let rule = ["--verb=get,list,patch", "--resource=plans,migrations,providers,networkmaps,storagemaps"];
    let rule = [rule[0].to_owned(), rule[1].replace(',', ".forklift.konveyor.io,") + ".forklift.konveyor.io"];
    scene.kubectl(&["create", "role", "archiver", &rule[0], &rule[1]], "");
    let account = format!("--serviceaccount={}:sentinel", scene.home.namespace);
    scene.kubectl(&["create", "rolebinding", "archiver", "--role=archiver", &account], "");
    let live = loop {
        // Rights take a moment.
        match cluster.read(&scene.key(), now()).await {
            Ok(live) => break live,
            Err(Failure::Denied(_) | Failure::NotDone(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(other) => panic!("{other:?}"),
        }
    };
    cluster.try_out(&live).await.unwrap();
    let lost = cluster.archive(&live, permit()).await;
    assert!(matches!(lost, Err(Failure::Unknown(_))), "{lost:?}");
    assert!(scene.is_archived(), "it was done, and a reader finds that out");
    assert_eq!(scene.read().await.object["spec"]["archived"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_and_providers_that_are_not_there_are_known_to_be_missing() {
    let scene = Scene::new("archives-maps").await;
    scene.kubectl(&["delete", "storagemaps.forklift.konveyor.io", "disks"], "");
    scene.kubectl(&["delete", "providers.forklift.konveyor.io", "vc"], "");
    let live = scene.read().await;
    assert_eq!(live.missing_maps, [Key::new(scene.home.namespace, "disks")]);
    assert!(live.state.source.is_none() && live.state.destination.is_some());
    let _ = shared().await;
}
