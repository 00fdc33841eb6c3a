//! What mirrors are shown: what fires, by the same routes; and that conversations know nothing of them.

use crate::desk::{Desk, impatient, routing};
use crate::dispatch::attempt;
use crate::support::{decode, minute, plan, provider};
use mtv_sentinel::app::Engine;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::Routing;
use mtv_sentinel::metrics::Own;
use mtv_sentinel::plan::Time;
use mtv_sentinel::watch::{Observation, Seen};
use serde_json::json;
use std::sync::Arc;

const RECEIVERS: &str = "receivers: {log: {type: log}, pager: {type: log}, am: {type: alertmanager, urls: ['http://am:9093']}, \
                         other: {type: alertmanager, urls: ['http://other:9093']}}";

fn mirrored(notify: &str) -> (Routing, Desk) {
    let routing = routing(&format!("  {RECEIVERS}\n{notify}"));
    (routing.clone(), Desk::new(routing, impatient()))
}

/// What fires, for whom, in short; and when to look again.
fn shown(routing: &Routing, desk: &Desk) -> (Vec<String>, Option<Time>) {
    let mirrored = routing.mirrors.look(&desk.alerts, &desk.store, desk.now);
    let lines = mirrored.firing.iter().flat_map(|(receiver, alerts)| {
        alerts.iter().map(move |alert| format!("{receiver} {} {}", alert.scope.key().name, alert.id.rule))
    });
    (lines.collect(), mirrored.again)
}

#[test]
fn without_routes_a_mirror_is_shown_everything_that_fires() {
    let (routing, mut desk) = mirrored("");
    assert_eq!(shown(&routing, &desk), (Vec::new(), None));
    desk.apply(attempt("plan", &["vm-1"], &["Executing"]));
    assert_eq!(shown(&routing, &desk).0, ["am plan VmFailed", "other plan VmFailed"]);
    // Those who are told are told as if there were no mirrors.
    assert_eq!(desk.told(), ["log firing plan VmFailed/0: vm-1: no space", "pager firing plan VmFailed/0: vm-1: no space"]);
    desk.apply(attempt("plan", &[], &["Succeeded"]));
    assert_eq!(shown(&routing, &desk).0, [""; 0]);
}

#[test]
fn the_first_route_that_matches_counts_for_mirrors_and_for_conversations_alike() {
    let (routing, mut desk) = mirrored(
        "  routes:
    - {matchers: [plan=a], receivers: [am]}
    - {matchers: [plan=b], receivers: [log, am, other]}
    - {matchers: [plan=c], receivers: []}
    - {receivers: [pager, other]}
",
    );
    for name in ["a", "b", "c", "d"] {
        desk.apply(attempt(name, &[], &["Failed"]));
    }
    let expected = ["am a PlanFailed", "am b PlanFailed", "other b PlanFailed", "other d PlanFailed"];
    assert_eq!(shown(&routing, &desk).0, expected);
    let told: Vec<String> = desk.told().iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(told, ["log firing b PlanFailed/0", "pager firing d PlanFailed/0"]);
}

#[test]
fn conversations_reports_and_what_the_ledger_keeps_know_nothing_of_mirrors() {
    let (with, mut desk) = mirrored("  routes: [{matchers: [plan=a], receivers: [am]}, {receivers: [am, log]}]\n");
    let without = routing("  routes: [{matchers: [plan=a], receivers: []}, {receivers: [log]}]\n");
    assert_eq!(with.receivers, without.receivers);
    assert_eq!(with.routes, without.routes);
    assert_eq!(with.standing(), without.standing());
    assert_eq!((&with.paces, &with.campaign), (&without.paces, &without.campaign));
    assert_eq!(without.mirrors.receivers.len(), 0);
    // Nothing of what a mirror alone is shown is owed to anybody, or waits for anybody.
    desk.apply(attempt("a", &["vm-1"], &["Failed"]));
    assert_eq!(desk.told(), [""; 0]);
    assert!(desk.dispatch.told().conversations.is_empty() && desk.dispatch.told().settled.is_empty());
    desk.at(30.0);
    assert!(desk.dispatch.told_until(&desk.alerts, &desk.store, desk.now) > minute(27.0));
    // And a mirror that is new has no baseline.
    let kept = desk.kept();
    let began = desk.restart(kept, with, &|_| None);
    assert_eq!((began.baseline, desk.told().len()), (0, 0));
}

#[test]
fn what_a_person_has_muted_is_not_shown_until_the_mute_ends() {
    let (routing, mut desk) = mirrored("");
    let muted = |until: &str| {
        plan(json!({"metadata": {"annotations": {"mtv-sentinel.io/mute": until}}, "status": {"conditions": ["Failed"]}}))
    };
    desk.apply(muted("true"));
    assert_eq!(shown(&routing, &desk), (Vec::new(), None));
    desk.apply(muted(&minute(10.0).to_string()));
    assert_eq!(shown(&routing, &desk), (Vec::new(), Some(minute(10.0))));
    desk.at(10.0);
    assert_eq!(shown(&routing, &desk), (vec!["am plan PlanFailed".to_owned(), "other plan PlanFailed".to_owned()], None));
}

#[test]
fn what_a_provider_causes_is_shown_beside_it() {
    let (routing, mut desk) = mirrored("  routes: [{receivers: [am]}]\n");
    desk.apply(provider("vc", "vsphere"));
    desk.apply(decode(
        &json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "spec": {"type": "vsphere"},
        "metadata": {"namespace": "forklift", "name": "vc", "uid": "uid-vc"}}),
    ));
    desk.apply(attempt("plan", &[], &["Executing", "Critical/SourceProviderNotReady: gone"]));
    assert_eq!(shown(&routing, &desk).0, ["am plan PlanBlocked", "am vc ProviderNotReady"]);
}

#[test]
fn what_is_shown_is_shown_by_every_replica_and_only_once_everything_has_been_seen() {
    let file = format!("notify:\n  {RECEIVERS}\n  routes: [{{receivers: [am]}}]\nalerts: {{for: {{PlanFailed: 0s}}}}\n");
    let config = Config::load(Layers { file: Some(("x.yaml".to_owned(), file)), ..Layers::default() }).unwrap();
    let mut engine = Engine::new(&config, Arc::new(Own::new("test", "test")));
    engine.leave_office();
    let see = |engine: &mut Engine, what| drop(engine.observe(Observation { at: minute(1.0), what }));
    let decoded = |object: &serde_json::Value| mtv_sentinel::forklift::decode(&serde_json::to_vec(object).unwrap()).unwrap();
    let failed = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
        "metadata": {"namespace": "ns", "name": "plan", "uid": "uid-1"},
        "status": {"conditions": [{"type": "Failed", "status": "True", "category": "Advisory"}]}});
    see(&mut engine, Seen::Applied(Box::new(decoded(&failed))));
    assert!(engine.mirror(minute(1.0)).is_none(), "who is asked now does not know what else there is");
    see(&mut engine, Seen::Synced);
    let shown = engine.mirror(minute(1.0)).unwrap();
    assert_eq!(
        shown.iter().map(|(name, alerts)| (name.as_str(), alerts.len())).collect::<Vec<_>>(),
        [("am", 1), ("other", 0)]
    );
    assert!(engine.due(minute(1.0)).is_empty() && engine.mirror(minute(1.0)).is_none(), "nothing has changed");
    // A recording that starts again: what it showed last stands until it has shown everything.
    see(&mut engine, Seen::Restarted);
    assert!(engine.mirror(minute(1.0)).is_none());
    see(&mut engine, Seen::Synced);
    assert_eq!(engine.mirror(minute(1.0)).unwrap()["am"].len(), 0);
}

#[test]
fn a_mirror_gets_no_reports() {
    let file = format!("notify:\n  {RECEIVERS}\n  campaign_receivers: [log, am]\n");
    let errors = Config::load(Layers { file: Some(("x.yaml".to_owned(), file)), ..Layers::default() }).unwrap_err();
    let expected = "notify.campaign_receivers: \"am\" is an alertmanager: it is shown what fires, and takes no reports";
    assert_eq!(errors.to_string(), expected);
}
