//! From a plan that fails to what is told to whom.

use crate::support::{minute, plan, recording, recordings};
use mtv_sentinel::alert::{Alerts, Settings, Severity};
use mtv_sentinel::app::Engine;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::{Send, Told, Turn};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::plan::{Key, Text};
use mtv_sentinel::store::Store;
use mtv_sentinel::watch::{Observation, Seen};
use serde_json::json;
use std::fmt::Write;
use std::sync::Arc;

fn receivers() -> Vec<Text> {
    vec!["log".into(), "pager".into()]
}

struct Bench {
    store: Store,
    alerts: Alerts,
    told: Told,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        Self { store: Store::default(), alerts: Alerts::new(settings), told: Told::default() }
    }

    fn apply(&mut self, conditions: serde_json::Value, attempts: usize) {
        let history: Vec<_> =
            (0..attempts).map(|n| json!({"conditions": ["Failed"], "migration": {"uid": format!("run-{n}")}})).collect();
        let failed = json!([{"id": "vm-1", "name": "one", "completed": 2, "conditions": ["Failed"], "error": {"phase": "Running", "reasons": ["no space"]}}]);
        let vms = if conditions == json!(["Failed"]) { failed } else { json!([]) };
        let object = plan(
            json!({"status": {"conditions": conditions, "migration": {"started": 1, "completed": 2, "history": history, "vms": vms}}}),
        );
        self.store.apply(object, minute(3.0));
        self.evaluate();
    }

    fn evaluate(&mut self) {
        let key = Key::new("ns", "plan");
        self.alerts.plan(&key, self.store.plan(&key).map(|state| &**state), minute(3.0));
    }

    fn due(&mut self) -> Vec<String> {
        let told =
            |send: Send| format!("{} {} {} attempt {}", send.receiver, send.turn, send.alert.id.rule, send.alert.id.attempt);
        self.told.due(&self.alerts, &receivers()).into_iter().map(told).collect()
    }
}

#[test]
fn a_failure_is_told_once_to_everybody_and_resolved_by_a_retry() {
    let mut bench = Bench::new(Settings::default());
    bench.apply(json!(["Ready"]), 0);
    assert_eq!(bench.due(), [""; 0]);
    bench.apply(json!(["Failed"]), 1);
    assert_eq!(bench.due(), ["log firing PlanFailed attempt 0", "pager firing PlanFailed attempt 0"]);
    assert_eq!(bench.due(), [""; 0], "told once");
    bench.apply(json!(["Executing"]), 2);
    assert_eq!(bench.due(), ["log resolved PlanFailed attempt 0", "pager resolved PlanFailed attempt 0"]);
    bench.apply(json!(["Failed"]), 2);
    assert_eq!(
        bench.due(),
        ["log firing PlanFailed attempt 1", "pager firing PlanFailed attempt 1"],
        "another attempt is news"
    );
}

#[test]
fn a_failure_that_was_there_before_is_not_news_and_neither_is_its_end() {
    let mut bench = Bench::new(Settings::default());
    bench.apply(json!(["Failed"]), 1);
    assert_eq!(bench.told.baseline(&bench.alerts, &receivers()), 1);
    assert_eq!(bench.due(), [""; 0]);
    bench.apply(json!(["Succeeded"]), 2);
    assert_eq!(bench.due(), [""; 0]);
    bench.apply(json!(["Failed"]), 3);
    assert_eq!(bench.due().len(), 2);
}

#[test]
fn archiving_or_deleting_a_failed_plan_resolves_it() {
    for delete in [true, false] {
        let mut bench = Bench::new(Settings::default());
        bench.apply(json!(["Failed"]), 1);
        assert_eq!(bench.due().len(), 2);
        if delete {
            bench.store.delete(mtv_sentinel::plan::Kind::Plan, &Key::new("ns", "plan"), minute(4.0));
            bench.evaluate();
        } else {
            bench.apply(json!(["Failed", "Archived"]), 1);
        }
        assert_eq!(bench.due(), ["log resolved PlanFailed attempt 0", "pager resolved PlanFailed attempt 0"]);
    }
}

#[test]
fn an_alert_says_what_is_wrong_and_since_when_and_the_settings_count() {
    let mut bench = Bench::new(Settings { severities: [("PlanFailed", Severity::Critical)].into(), ..Settings::default() });
    bench.apply(json!(["Failed"]), 1);
    let alert = bench.alerts.firing().next().unwrap();
    assert_eq!((alert.severity, alert.since, alert.reason.as_str()), (Severity::Critical, minute(2.0), "one: no space"));

    let mut off = Bench::new(Settings { off: vec!["PlanFailed"], ..Settings::default() });
    off.apply(json!(["Failed"]), 1);
    assert_eq!(off.alerts.firing().count(), 0);
}

#[test]
fn plans_without_a_uid_are_told_apart() {
    let mut bench = Bench::new(Settings::default());
    for name in ["plan", "other"] {
        bench
            .store
            .apply(plan(json!({"metadata": {"name": name, "uid": ""}, "status": {"conditions": ["Failed"]}})), minute(0.0));
        let key = Key::new("ns", name);
        assert!(bench.alerts.plan(&key, bench.store.plan(&key).map(|state| &**state), minute(0.0)).changed);
    }
    assert_eq!(bench.due().len(), 4);
}

#[test]
fn a_plan_with_many_failed_vms_names_ten_and_counts_the_rest() {
    let vms: Vec<_> = (0..25)
        .map(|n| json!({"id": format!("vm-{n}"), "name": format!("n{n}"), "completed": 2, "conditions": ["Failed"]}))
        .collect();
    let mut bench = Bench::new(Settings::default());
    bench.store.apply(plan(json!({"status": {"conditions": ["Failed"], "migration": {"vms": vms}}})), minute(0.0));
    bench.evaluate();
    let reason = bench.alerts.firing().next().unwrap().reason.clone();
    assert!(reason.starts_with("n0; n1; ") && reason.ends_with("n9; and 15 more"), "{reason}");
}

fn engine() -> Engine {
    let environment = vec![
        ("MTV_SENTINEL__ARCHIVE__MODE".to_owned(), "dry-run".to_owned()),
        ("MTV_SENTINEL__ARCHIVE__SUCCEEDED_OLDER_THAN".to_owned(), "30s".to_owned()),
    ];
    let config = Config::load(Layers { environment, ..Layers::default() }).unwrap();
    Engine::new(&config, Arc::new(Own::new("test", "test")))
}

#[test]
fn every_recording_tells_its_failures_and_what_would_be_archived() {
    let mut text = String::new();
    for name in recordings() {
        writeln!(text, "{name}").unwrap();
        let mut engine = engine();
        for observation in recording(&name).observations(None) {
            let at = observation.at;
            for outcome in [engine.tick(at), engine.observe(observation)] {
                assert_eq!(outcome.oddities, Vec::<String>::new());
                for send in outcome.sends {
                    let id = &send.alert.id;
                    writeln!(
                        text,
                        "  {at} {} {} attempt {} {}: {}",
                        send.alert.scope.key().name,
                        id.rule,
                        id.attempt,
                        send.turn,
                        send.reason()
                    )
                    .unwrap();
                }
                for decided in outcome.decisions {
                    if decided.decision.as_str() == "Archive" {
                        writeln!(text, "  {at} {} {}", decided.plan.name, decided.decision.reason()).unwrap();
                    }
                }
            }
        }
    }
    insta::assert_snapshot!("sends", text);
}

#[test]
fn a_recording_that_starts_again_is_told_again() {
    let mut engine = engine();
    let recording = recording("b-fail-retry");
    let play = |engine: &mut Engine| {
        let sends = recording.observations(None).flat_map(|observation| engine.observe(observation).sends);
        sends.filter(|send| send.turn == Turn::Updated && send.alert.id.rule == "PlanFailed").count()
    };
    assert_eq!(play(&mut engine), 2);
    engine.observe(Observation { at: minute(0.0), what: Seen::Restarted });
    assert!(!engine.is_synced() && engine.view().snapshot.plans.is_empty());
    assert_eq!(play(&mut engine), 2);
}

/// A plan that executes, with these VMs failed and these conditions beside.
fn attempt(name: &str, failed: &[&str], conditions: &[&str]) -> mtv_sentinel::forklift::Object {
    let vms: Vec<_> = ["vm-1", "vm-2", "vm-3"]
        .iter()
        .map(|id| {
            if failed.contains(id) {
                json!({"id": id, "name": id, "started": 1, "completed": 2, "conditions": ["Failed"], "error": {"phase": "Running", "reasons": ["no space"]}})
            } else {
                json!({"id": id, "name": id, "started": 1})
            }
        })
        .collect();
    let outcome = conditions.first().unwrap();
    let history = json!([{"conditions": [outcome], "migration": {"uid": "run-0"}}]);
    plan(json!({"metadata": {"name": name, "uid": name},
        "status": {"conditions": conditions, "migration": {"started": 1, "history": history, "vms": vms}}}))
}

/// Evaluates what an object touches, and tells what is due.
fn see(bench: &mut Bench, object: mtv_sentinel::forklift::Object, at: f64) -> Vec<String> {
    let changes = bench.store.apply(object, minute(at));
    for key in changes.providers {
        let plans = bench.store.plans_using(&key);
        let provider = bench.store.provider(&key).map(|provider| (&**provider, plans));
        bench.alerts.provider(&key, provider, minute(at));
    }
    for key in changes.plans {
        bench.alerts.plan(&key, bench.store.plan(&key).map(|state| &**state), minute(at));
    }
    told(bench)
}

fn told(bench: &mut Bench) -> Vec<String> {
    let shown =
        |send: Send| format!("{} {} {}: {}", send.turn, send.alert.scope.key().name, send.alert.id.rule, send.reason());
    bench.told.due(&bench.alerts, &["log".into()]).into_iter().map(shown).collect()
}

/// Every rule fires at once.
fn impatient() -> Settings {
    let holds = mtv_sentinel::alert::RULES.iter().map(|rule| (rule.name, std::time::Duration::ZERO)).collect();
    Settings { holds, off: vec!["PlanStalled", "QueueStuck", "ControllerStuck"], ..Settings::default() }
}

#[test]
fn what_fails_in_an_attempt_is_one_thread_that_grows_and_ends_once() {
    let mut bench = Bench::new(impatient());
    let blocked = "Critical/VMNotFound: gone";
    assert_eq!(see(&mut bench, attempt("plan", &[], &["Executing"]), 0.0), [""; 0]);
    assert_eq!(see(&mut bench, attempt("plan", &["vm-1"], &["Executing"]), 1.0), ["firing plan VmFailed: vm-1: no space"]);
    assert_eq!(see(&mut bench, attempt("plan", &["vm-1"], &["Executing"]), 2.0), [""; 0], "nothing new");
    assert_eq!(
        see(&mut bench, attempt("plan", &["vm-1", "vm-2"], &["Executing"]), 3.0),
        ["updated plan VmFailed: vm-1: no space; vm-2: no space"]
    );
    let worse = see(&mut bench, attempt("plan", &["vm-1", "vm-2"], &["Executing", blocked]), 4.0);
    assert!(matches!(&worse[..], [one] if one.starts_with("updated plan PlanBlocked: VMNotFound: gone; ")), "{worse:?}");
    assert_eq!(
        see(&mut bench, attempt("plan", &["vm-1", "vm-2"], &["Failed"]), 5.0),
        ["updated plan PlanFailed: vm-1: no space; vm-2: no space"],
        "the VMs' alerts have ended, the thread has not"
    );
    assert_eq!(
        see(&mut bench, attempt("plan", &[], &["Succeeded"]), 6.0),
        ["resolved plan PlanFailed: vm-1: no space; vm-2: no space"]
    );
}

#[test]
fn of_a_thread_that_was_there_before_only_what_comes_is_told() {
    let mut bench = Bench::new(impatient());
    bench.store.apply(attempt("plan", &["vm-1"], &["Executing"]), minute(0.0));
    let key = Key::new("ns", "plan");
    bench.alerts.plan(&key, bench.store.plan(&key).map(|state| &**state), minute(0.0));
    assert_eq!(bench.told.baseline(&bench.alerts, &["log".into()]), 1);
    assert_eq!(told(&mut bench), [""; 0]);
    assert_eq!(
        see(&mut bench, attempt("plan", &["vm-1", "vm-2"], &["Executing"]), 1.0),
        ["firing plan VmFailed: vm-2: no space"]
    );
    assert_eq!(see(&mut bench, attempt("plan", &[], &["Succeeded"]), 2.0), ["resolved plan VmFailed: vm-2: no space"]);
}

#[test]
fn a_provider_that_is_not_ready_is_told_once_and_not_for_each_plan_that_it_blocks() {
    let broken = || {
        let object = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "spec": {"type": "vsphere"},
            "metadata": {"namespace": "forklift", "name": "vc", "uid": "uid-vc"},
            "status": {"phase": "ConnectionFailed", "conditions": [
                {"type": "ConnectionTestFailed", "category": "Critical", "status": "True", "message": "refused"}]}});
        crate::support::decode(&object)
    };
    let ready = || crate::support::provider("vc", "vsphere");
    let blocked = "Critical/SourceProviderNotReady: not ready";
    let mut bench = Bench::new(impatient());
    see(&mut bench, ready(), 0.0);
    for number in 0..50 {
        assert_eq!(see(&mut bench, attempt(&format!("plan-{number}"), &[], &["Executing"]), 0.0), [""; 0]);
    }
    assert_eq!(
        see(&mut bench, broken(), 1.0),
        ["firing vc ProviderNotReady: ConnectionTestFailed: refused; 50 plans use it"]
    );
    for number in 0..49 {
        assert_eq!(see(&mut bench, attempt(&format!("plan-{number}"), &[], &["Executing", blocked]), 2.0), [""; 0]);
    }
    let other = see(&mut bench, attempt("plan-49", &[], &["Executing", blocked, "Critical/VMNotFound: gone"]), 2.0);
    assert!(
        matches!(&other[..], [one] if one.starts_with("firing plan-49 PlanBlocked: ")),
        "it has another reason: {other:?}"
    );
    // A resolve that is owed comes, whatever is inhibited.
    let ended = see(&mut bench, attempt("plan-49", &[], &["Succeeded"]), 3.0);
    assert!(matches!(&ended[..], [one] if one.starts_with("resolved plan-49 PlanBlocked: ")), "{ended:?}");
    // The provider is back. What is still blocked then is news.
    for number in 1..49 {
        assert_eq!(
            see(&mut bench, attempt(&format!("plan-{number}"), &[], &["Executing"]), 4.0),
            [""; 0],
            "it was never told"
        );
    }
    let back = see(&mut bench, ready(), 5.0);
    assert!(back.contains(&"resolved vc ProviderNotReady: ConnectionTestFailed: refused; 50 plans use it".to_owned()));
    assert!(back.iter().any(|line| line.starts_with("firing plan-0 PlanBlocked: ")) && back.len() == 2, "{back:?}");
}
