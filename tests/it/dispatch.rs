//! From a plan that fails to what is told to whom: threads, causes, and what every recording tells.

use crate::desk::{Desk, impatient, one_receiver, routing};
use crate::support::{minute, plan, provider, recording, recordings};
use mtv_sentinel::alert::{Settings, Severity};
use mtv_sentinel::app::{Answer, Engine};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::{Outcome, Turn};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::message::{Message, Notification};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::plan::{Key, Kind, Time};
use mtv_sentinel::watch::{Observation, Seen};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;

/// A plan with a failed VM if it has failed, and so many attempts.
fn run(conditions: Value, attempts: usize) -> Object {
    let history: Vec<_> = (0..attempts)
        .map(|n| {
            let outcome = if n + 1 < attempts { json!(["Failed: it did not work"]) } else { conditions.clone() };
            json!({"conditions": outcome, "migration": {"uid": format!("run-{n}")}})
        })
        .collect();
    let failed = json!([{"id": "vm-1", "name": "one", "completed": 2, "conditions": ["Failed"], "error": {"phase": "Running", "reasons": ["no space"]}}]);
    let vms = if conditions == json!(["Failed"]) { failed } else { json!([]) };
    plan(
        json!({"status": {"conditions": conditions, "migration": {"started": 1, "completed": 2, "history": history, "vms": vms}}}),
    )
}

#[test]
fn a_failure_is_told_once_to_everybody_and_resolved_by_a_retry() {
    let mut desk = Desk::new(routing(""), Settings::default());
    assert_eq!(desk.see(run(json!(["Ready"]), 0), 3.0), [""; 0]);
    let failure = ["log firing plan PlanFailed/0: one: no space", "pager firing plan PlanFailed/0: one: no space"];
    assert_eq!(desk.see(run(json!(["Failed"]), 1), 4.0), failure);
    assert_eq!(desk.told(), [""; 0], "told once");
    let end = ["log resolved plan PlanFailed/0: one: no space", "pager resolved plan PlanFailed/0: one: no space"];
    assert_eq!(desk.see(run(json!(["Executing"]), 2), 5.0), end);
    assert_eq!(
        desk.see(run(json!(["Failed"]), 2), 6.0),
        failure.map(|line| line.replace("/0", "/1")),
        "another attempt is news"
    );
}

#[test]
fn a_migration_that_the_controller_restarts_by_itself_gives_two_failures_and_one_resolve_between() {
    let mut desk = Desk::new(one_receiver(), Settings::default());
    // The same Migration twice: only the index in the history tells the attempts apart.
    let attempt = |n: usize, outcome: &str| {
        let history: Vec<_> = (0..n)
            .map(|at| json!({"conditions": [if at + 1 < n { "Failed" } else { outcome }], "migration": {"uid": "run-1"}}))
            .collect();
        plan(json!({"status": {"conditions": [outcome], "migration": {"started": 1, "history": history, "vms": []}}}))
    };
    let mut told = Vec::new();
    for (n, outcome) in [(1, "Executing"), (1, "Failed"), (2, "Executing"), (2, "Failed")] {
        told.extend(desk.see(attempt(n, outcome), 3.0));
    }
    let turns: Vec<_> =
        told.iter().filter(|line| line.contains("PlanFailed")).map(|line| line.trim_end_matches(": ")).collect();
    assert_eq!(turns, ["log firing plan PlanFailed/0", "log resolved plan PlanFailed/0", "log firing plan PlanFailed/1"]);
}

#[test]
fn archiving_or_deleting_a_failed_plan_resolves_it() {
    for delete in [true, false] {
        let mut desk = Desk::new(one_receiver(), Settings::default());
        assert_eq!(desk.see(run(json!(["Failed"]), 1), 3.0).len(), 1);
        if delete {
            desk.delete(Kind::Plan, &Key::new("ns", "plan"));
        } else {
            desk.apply(run(json!(["Failed", "Archived"]), 1));
        }
        assert_eq!(desk.told(), ["log resolved plan PlanFailed/0: one: no space"]);
        assert_eq!(desk.told(), [""; 0]);
    }
}

#[test]
fn an_alert_says_what_is_wrong_and_since_when_and_the_settings_count() {
    let critical = Settings { severities: [("PlanFailed", Severity::Critical)].into(), ..Settings::default() };
    let mut desk = Desk::new(one_receiver(), critical);
    desk.see(run(json!(["Failed"]), 1), 3.0);
    let alert = desk.alerts.firing().next().unwrap();
    assert_eq!((alert.severity, alert.since, alert.reason.as_str()), (Severity::Critical, minute(2.0), "one: no space"));

    let mut off = Desk::new(one_receiver(), Settings { off: vec!["PlanFailed"], ..Settings::default() });
    off.see(run(json!(["Failed"]), 1), 3.0);
    assert_eq!(off.alerts.firing().count(), 0);
}

#[test]
fn plans_without_a_uid_are_told_apart() {
    let mut desk = Desk::new(one_receiver(), Settings::default());
    for name in ["plan", "other"] {
        desk.apply(plan(json!({"metadata": {"name": name, "uid": ""}, "status": {"conditions": ["Failed"]}})));
    }
    assert_eq!(desk.told().len(), 2);
}

#[test]
fn a_plan_with_many_failed_vms_names_ten_and_counts_the_rest() {
    let vms: Vec<_> = (0..25)
        .map(|n| json!({"id": format!("vm-{n}"), "name": format!("n{n}"), "completed": 2, "conditions": ["Failed"]}))
        .collect();
    let mut desk = Desk::new(one_receiver(), Settings::default());
    desk.apply(plan(json!({"status": {"conditions": ["Failed"], "migration": {"vms": vms}}})));
    let reason = desk.alerts.firing().next().unwrap().reason.clone();
    assert!(reason.starts_with("n0; n1; ") && reason.ends_with("n9; and 15 more"), "{reason}");
}

/// An engine that tells at once, and what it has told.
struct Player {
    engine: Engine,
}

impl Player {
    fn new() -> Self {
        let environment = [
            ("ARCHIVE__POLICIES", "[{name: done, after: 30s}]"),
            ("NOTIFY__GROUP_WAIT", "0s"),
            ("NOTIFY__GROUP_INTERVAL", "0s"),
        ];
        let environment =
            environment.into_iter().map(|(key, value)| (format!("MTV_SENTINEL__{key}"), value.to_owned())).collect();
        let config = Config::load(Layers { environment, ..Layers::default() }).unwrap();
        Self { engine: Engine::new(&config, Arc::new(Own::new("test", "test"))) }
    }

    fn told(&mut self, at: Time) -> Vec<Notification> {
        let due = self.engine.due(at);
        for notification in &due {
            let Notification { receiver, topic, term, .. } = notification;
            let outcome = Outcome::Delivered;
            self.engine.record(Answer { term: *term, receiver, topic, remote: None, outcome }, at);
        }
        due
    }
}

#[test]
fn every_recording_tells_its_failures_and_what_would_be_archived() {
    let mut text = String::new();
    for name in recordings() {
        writeln!(text, "{name}").unwrap();
        let mut player = Player::new();
        for observation in recording(&name).observations(None) {
            let at = observation.at;
            let before = (player.engine.tick(at), player.told(at));
            let after = (player.engine.observe(observation), player.told(at));
            for (outcome, told) in [before, after] {
                assert_eq!(outcome.oddities, Vec::<String>::new());
                for Notification { receiver, message, .. } in told {
                    writeln!(text, "  {at} {receiver} {}", message.summary()).unwrap();
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
    let mut player = Player::new();
    let recording = recording("b-fail-retry");
    let play = |player: &mut Player| {
        let mut failures = 0;
        for observation in recording.observations(None) {
            let at = observation.at;
            player.engine.observe(observation);
            let told = player.told(at);
            let is_it = |message: &Message| message.turn == Turn::Updated && message.rule == "PlanFailed";
            failures += told.iter().filter(|notification| is_it(&notification.message)).count();
        }
        failures
    };
    assert_eq!(play(&mut player), 2);
    player.engine.observe(Observation { at: minute(0.0), what: Seen::Restarted });
    assert!(!player.engine.is_synced() && player.engine.view().snapshot.plans.is_empty());
    assert_eq!(play(&mut player), 2);
}

/// A plan with three VMs, of which these failed, and these conditions.
pub fn attempt(name: &str, failed: &[&str], conditions: &[&str]) -> Object {
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

#[test]
fn what_fails_in_an_attempt_is_one_thread_that_grows_and_ends_once() {
    let mut desk = Desk::new(one_receiver(), impatient());
    let blocked = "Critical/VMNotFound: gone";
    assert_eq!(desk.see(attempt("plan", &[], &["Executing"]), 0.0), [""; 0]);
    assert_eq!(desk.see(attempt("plan", &["vm-1"], &["Executing"]), 1.0), ["log firing plan VmFailed/0: vm-1: no space"]);
    assert_eq!(desk.see(attempt("plan", &["vm-1"], &["Executing"]), 2.0), [""; 0], "nothing new");
    assert_eq!(
        desk.see(attempt("plan", &["vm-1", "vm-2"], &["Executing"]), 3.0),
        ["log updated plan VmFailed/0: vm-1: no space; vm-2: no space"]
    );
    let worse = desk.see(attempt("plan", &["vm-1", "vm-2"], &["Executing", blocked]), 4.0);
    assert!(
        matches!(&worse[..], [one] if one.starts_with("log updated plan PlanBlocked/0: VMNotFound: gone; ")),
        "{worse:?}"
    );
    assert_eq!(
        desk.see(attempt("plan", &["vm-1", "vm-2"], &["Failed"]), 5.0),
        ["log updated plan PlanFailed/0: vm-1: no space; vm-2: no space"],
        "the VMs' alerts have ended, the thread has not"
    );
    assert_eq!(
        desk.see(attempt("plan", &[], &["Succeeded"]), 6.0),
        ["log resolved plan PlanFailed/0: vm-1: no space; vm-2: no space"]
    );
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
    let blocked = "Critical/SourceProviderNotReady: not ready";
    let mut desk = Desk::new(one_receiver(), impatient());
    desk.see(provider("vc", "vsphere"), 0.0);
    for number in 0..50 {
        assert_eq!(desk.see(attempt(&format!("plan-{number}"), &[], &["Executing"]), 0.0), [""; 0]);
    }
    assert_eq!(
        desk.see(broken(), 1.0),
        ["log firing vc ProviderNotReady/0: ConnectionTestFailed: refused; 50 plans use it"]
    );
    for number in 0..49 {
        assert_eq!(desk.see(attempt(&format!("plan-{number}"), &[], &["Executing", blocked]), 2.0), [""; 0]);
    }
    let other = desk.see(attempt("plan-49", &[], &["Executing", blocked, "Critical/VMNotFound: gone"]), 2.0);
    assert!(
        matches!(&other[..], [one] if one.starts_with("log firing plan-49 PlanBlocked/0: ")),
        "it has another reason: {other:?}"
    );
    // A resolve that is owed comes, whatever is inhibited.
    let ended = desk.see(attempt("plan-49", &[], &["Succeeded"]), 3.0);
    assert!(matches!(&ended[..], [one] if one.starts_with("log resolved plan-49 PlanBlocked/0: ")), "{ended:?}");
    for number in 1..49 {
        assert_eq!(desk.see(attempt(&format!("plan-{number}"), &[], &["Executing"]), 4.0), [""; 0], "it was never told");
    }
    // The provider is back. What is still blocked when the plans have had time to notice is news.
    let back = desk.see(provider("vc", "vsphere"), 5.0);
    assert_eq!(back, ["log resolved vc ProviderNotReady/0: ConnectionTestFailed: refused; 50 plans use it"]);
    assert_eq!(desk.due().again, Some(minute(6.0)));
    let still = desk.at(6.0).told();
    assert!(matches!(&still[..], [one] if one.starts_with("log firing plan-0 PlanBlocked/0: ")), "{still:?}");
}
