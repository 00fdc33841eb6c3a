//! Each rule on a timeline of objects: what is pending, what fires, and what ends it, at which minute.
//!
//! The snapshot is a table to be read: a timeline shows one rule, with every other one off.

use crate::support::{migration, minute, plan, provider};
use mtv_sentinel::alert::{AlertState, Alerts, Evaluated, RULES, Scope, Settings, Since};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::plan::{Key, Kind, Time};
use mtv_sentinel::store::{Changes, Store};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What a timeline does at a minute.
enum Step {
    Apply(Box<Object>),
    Delete(Kind, Key),
    /// Nothing: time passes.
    Wait,
}

use Step::{Apply, Delete, Wait};

fn apply(object: Object) -> Step {
    Apply(Box::new(object))
}

struct Timeline {
    rule: &'static str,
    store: Store,
    alerts: Alerts,
    again: BTreeMap<Scope, Time>,
    holding: BTreeMap<(String, u32), AlertState>,
    lines: Vec<String>,
    /// How often an alert was found the same by one who saw nothing before.
    late: usize,
}

/// The settings under which one rule is on.
fn only(rule: &str) -> Settings {
    let names =
        |wanted: fn(&str, &str) -> bool| RULES.iter().map(|rule| rule.name).filter(|name| wanted(name, rule)).collect();
    Settings { on: names(|name, rule| name == rule), off: names(|name, rule| name != rule), ..Settings::default() }
}

impl Timeline {
    fn new(rule: &'static str) -> Self {
        assert!(RULES.iter().any(|row| row.name == rule), "{rule}");
        Self {
            rule,
            store: Store::default(),
            alerts: Alerts::new(only(rule)),
            again: BTreeMap::new(),
            holding: BTreeMap::new(),
            lines: Vec::new(),
            late: 0,
        }
    }

    fn evaluate(&mut self, scope: Scope, now: Time) {
        let Evaluated { again, .. } = match &scope {
            Scope::Plan(key) => self.alerts.plan(key, self.store.plan(key).map(|state| &**state), now),
            Scope::Provider(key) => {
                let plans = self.store.plans_using(key);
                self.alerts.provider(key, self.store.provider(key).map(|provider| (&**provider, plans)), now)
            }
        };
        assert!(again.is_none_or(|again| again > now), "{}: a deadline that is no deadline", self.rule);
        match again {
            Some(again) => self.again.insert(scope, again),
            None => self.again.remove(&scope),
        };
        self.compare(now);
        self.note(now);
    }

    /// Where the object has the time, whoever comes now finds what we found.
    fn compare(&mut self, now: Time) {
        let has_time = RULES.iter().any(|rule| rule.name == self.rule && rule.since == Since::Object);
        if has_time {
            let key = Key::new("ns", "plan");
            let mut late = Alerts::new(only(self.rule));
            late.plan(&key, self.store.plan(&key).map(|state| &**state), now);
            let found = |alerts: &Alerts| {
                let all = alerts.all();
                let all = all.values().flat_map(|alerts| alerts.iter());
                all.map(|alert| (alert.state, alert.since, alert.reason.clone())).collect::<Vec<_>>()
            };
            assert_eq!(found(&late), found(&self.alerts), "{}", self.rule);
            self.late += found(&late).len();
        }
    }

    fn note(&mut self, now: Time) {
        let mut holding = BTreeMap::new();
        let at = now.since(minute(0.0)).as_secs() as f64 / 60.0;
        for alert in self.alerts.all().values().flat_map(|alerts| alerts.iter()) {
            assert_eq!(alert.id.rule, self.rule);
            assert!(alert.since <= now, "{}: it holds since a time to come", self.rule);
            let subject = if alert.id.subject.is_empty() { String::new() } else { format!(" {}", alert.id.subject) };
            let key = (format!("attempt {}{subject}", alert.id.attempt), alert.id.episode);
            if self.holding.get(&key) != Some(&alert.state) {
                self.lines.push(format!("{at:>6}  {:<8} {} episode {}: {}", alert.state, key.0, key.1, alert.reason));
            }
            holding.insert(key, alert.state);
        }
        for ((what, episode), _) in self.holding.iter().filter(|(key, _)| !holding.contains_key(key)) {
            self.lines.push(format!("{at:>6}  over     {what} episode {episode}"));
        }
        self.holding = holding;
    }

    /// Moves on to a minute, by way of the times at which something was due, and takes a step there.
    fn at(&mut self, at: f64, step: Step) -> &mut Self {
        let now = minute(at);
        while let Some((scope, due)) =
            self.again.iter().min_by_key(|(_, due)| **due).map(|(scope, due)| (scope.clone(), *due))
        {
            if due > now {
                break;
            }
            self.evaluate(scope, due);
        }
        let changes = match step {
            Apply(object) => self.store.apply(*object, now),
            Delete(kind, key) => self.store.delete(kind, &key, now),
            Wait => Changes::default(),
        };
        let providers = changes.providers.into_iter().map(Scope::Provider);
        for scope in changes.plans.into_iter().map(Scope::Plan).chain(providers) {
            self.evaluate(scope, now);
        }
        self
    }
}

fn with(conditions: Value, attempts: Value, vms: Value, more: Value) -> Step {
    let completed = conditions.as_array().unwrap().iter().any(|c| c == "Failed" || c == "Succeeded" || c == "Canceled");
    let mut status = json!({"conditions": conditions, "migration": {"started": 1, "history": attempts, "vms": vms}});
    if completed {
        status["migration"]["completed"] = json!(20);
    }
    let mut short = json!({"status": status});
    for (name, value) in more.as_object().unwrap() {
        short[name] = value.clone();
    }
    apply(plan(short))
}

fn history(conditions: &[&str]) -> Value {
    let attempt = |condition| json!({"conditions": [condition], "migration": {"uid": "run-1", "name": "run"}});
    conditions.iter().map(attempt).collect()
}

/// The plan executes, with these conditions beside.
fn runs(conditions: &[&str], vms: Value) -> Step {
    let conditions: Vec<&str> = ["Executing"].iter().chain(conditions).copied().collect();
    with(json!(conditions), history(&["Executing"]), vms, json!({}))
}

/// The plan has ended so.
fn ended(outcome: &str, vms: Value) -> Step {
    with(json!([outcome]), history(&[outcome]), vms, json!({}))
}

fn idle(conditions: &[&str]) -> Step {
    with(json!(conditions), json!([]), json!([]), json!({}))
}

fn archived(conditions: &[&str], outcome: &str) -> Step {
    let conditions: Vec<&str> = ["Archived"].iter().chain(conditions).copied().collect();
    with(json!(conditions), history(&[outcome]), json!([]), json!({"spec": {"archived": true}}))
}

fn copying(done: u32) -> Value {
    json!([{"id": "vm-1", "name": "one", "phase": "CopyDisks", "started": 1, "pipeline": [
        {"name": "DiskTransfer", "phase": "Running", "started": 1, "progress": {"completed": done, "total": 100}, "annotations": {"unit": "MB"}}]}])
}

fn failed() -> Value {
    json!([{"id": "vm-1", "name": "one", "phase": "Completed", "started": 1, "completed": 5, "conditions": ["Failed"],
        "error": {"phase": "DiskTransfer", "reasons": ["no space left"]}}])
}

fn warm(stage: &str, more: Value) -> Value {
    let mut warm = json!({"precopies": [{"start": 1, "end": 10}], "successes": 1, "failures": 0});
    for (name, value) in more.as_object().unwrap() {
        warm[name] = value.clone();
    }
    json!([{"id": "vm-1", "name": "one", "phase": stage, "started": 1, "warm": warm, "pipeline": [
        {"name": "DiskTransfer", "phase": "Running", "started": 1, "progress": {"completed": 1, "total": 100}, "annotations": {"unit": "MB"}}]}])
}

fn runs_warm(stage: &str, more: Value) -> Step {
    with(json!(["Executing"]), history(&["Executing"]), warm(stage, more), json!({"spec": {"type": "warm"}}))
}

fn cutover(at: u32) -> Step {
    apply(migration(json!({"spec": {"cutover": at}})))
}

fn broken(name: &str) -> Step {
    let object = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider",
        "metadata": {"namespace": "forklift", "name": name, "uid": format!("uid-{name}")}, "spec": {"type": "vsphere"},
        "status": {"phase": "ConnectionFailed", "conditions": [
            {"type": "ConnectionTestFailed", "category": "Critical", "status": "True", "message": "connection refused"}]}});
    apply(crate::support::decode(&object))
}

fn gone() -> Step {
    Delete(Kind::Plan, Key::new("ns", "plan"))
}

fn timelines() -> Vec<Timeline> {
    let mut all = Vec::new();
    let mut show = |rule: &'static str, steps: Vec<(f64, Step)>| {
        let mut timeline = Timeline::new(rule);
        for (at, step) in steps {
            timeline.at(at, step);
        }
        all.push(timeline);
    };
    let canceled = || {
        json!([{"id": "vm-1", "name": "one", "phase": "Completed", "completed": 5, "conditions": ["Canceled"]},
        {"id": "vm-2", "name": "two", "phase": "Completed", "completed": 6, "conditions": ["Succeeded"]}])
    };
    let blocked = "Critical/SourceProviderNotReady: The provider is not ready.";

    let retry = || with(json!(["Executing"]), history(&["Failed", "Executing"]), copying(0), json!({}));
    let again = || with(json!(["Failed"]), history(&["Failed", "Failed"]), failed(), json!({}));
    show(
        "PlanFailed",
        vec![
            (0.0, runs(&[], copying(1))),
            (20.0, ended("Failed", failed())),
            (30.0, retry()),
            (40.0, again()),
            (50.0, archived(&["Failed"], "Failed")),
        ],
    );
    show(
        "PlanFailed",
        vec![
            (0.0, runs(&[], copying(1))),
            (20.0, ended("Succeeded", json!([]))),
            (30.0, ended("Failed", failed())),
            (40.0, gone()),
        ],
    );
    show("VmFailed", vec![(0.0, runs(&[], copying(1))), (5.0, runs(&[], failed())), (20.0, ended("Failed", failed()))]);
    show(
        "VmsCanceledInSucceededPlan",
        vec![
            (0.0, runs(&[], canceled())),
            (20.0, ended("Succeeded", canceled())),
            (30.0, archived(&["Succeeded"], "Succeeded")),
        ],
    );
    show(
        "PlanBlocked",
        vec![
            (0.0, idle(&[blocked])),
            (1.0, runs(&[], copying(1))),
            (2.0, runs(&[blocked], copying(1))),
            (2.5, runs(&[], copying(1))),
            (3.0, runs(&[blocked], copying(1))),
            (7.0, runs(&[], copying(2))),
            (8.0, runs(&[blocked], copying(2))),
            (12.0, ended("Failed", failed())),
        ],
    );
    show(
        "StartBlocked",
        vec![
            (0.0, idle(&[blocked])),
            (0.0, apply(migration(json!({})))),
            (6.0, idle(&["Ready"])),
            (9.0, runs(&[], copying(0))),
        ],
    );
    show(
        "StartBlocked",
        vec![
            (0.0, apply(migration(json!({})))),
            (20.0, with(json!(["Failed", blocked]), history(&["Failed"]), failed(), json!({}))),
            (26.0, runs(&[], copying(0))),
        ],
    );
    show(
        "PlanStalled",
        vec![
            (0.0, runs(&[], copying(1))),
            (20.0, runs(&[], copying(2))),
            (45.0, runs(&[], copying(2))),
            (60.0, runs(&[], copying(3))),
            (200.0, runs(&[], copying(4))),
        ],
    );
    show(
        "PlanStalled",
        vec![
            (0.0, runs_warm("CopyingPaused", json!({}))),
            (500.0, Wait),
            (501.0, runs(&[], json!([{"id": "vm-1", "name": "one"}]))),
            (900.0, Wait),
        ],
    );
    show(
        "CutoverApproaching",
        vec![(0.0, runs_warm("CopyingPaused", json!({}))), (10.0, cutover(100)), (60.0, cutover(200)), (201.0, Wait)],
    );
    show(
        "CutoverOverdue",
        vec![(0.0, runs_warm("CopyingPaused", json!({}))), (10.0, cutover(100)), (116.0, runs_warm("Finalize", json!({})))],
    );
    show(
        "CutoverOverdue",
        vec![
            (0.0, cutover(2)),
            (1.0, runs_warm("CopyDisks", json!({"precopies": [{"start": 1}], "successes": 0}))),
            (300.0, runs_warm("CopyDisks", json!({"precopies": [{"start": 1, "end": 290}]}))),
            (310.0, Wait),
        ],
    );
    show("CutoverMissing", vec![(0.0, runs_warm("CopyingPaused", json!({}))), (1500.0, Wait), (1600.0, cutover(2000))]);
    show(
        "PrecopyFailing",
        vec![
            (0.0, runs_warm("CopyDisks", json!({"failures": 1}))),
            (5.0, runs_warm("CopyDisks", json!({"failures": 2}))),
            (9.0, runs_warm("CopyingPaused", json!({"failures": 0}))),
        ],
    );
    show(
        "PrecopyOverdue",
        vec![
            (0.0, runs_warm("CopyingPaused", json!({"nextPrecopyAt": 60}))),
            (80.0, runs_warm("CopyDisks", json!({"nextPrecopyAt": 60}))),
        ],
    );
    show("QueueStuck", vec![(0.0, runs(&[], json!([{"id": "vm-1", "name": "one"}]))), (400.0, runs(&[], copying(1)))]);
    show(
        "ProviderNotReady",
        vec![
            (0.0, apply(provider("vc", "vsphere"))),
            (0.0, idle(&["Ready"])),
            (1.0, broken("vc")),
            (1.5, apply(provider("vc", "vsphere"))),
            (3.0, broken("vc")),
            (9.0, apply(provider("vc", "vsphere"))),
            (10.0, broken("vc")),
            (14.0, Delete(Kind::Provider, Key::new("forklift", "vc"))),
        ],
    );
    show(
        "CancelIgnored",
        vec![
            (0.0, runs(&[], copying(1))),
            (1.0, apply(migration(json!({"spec": {"cancel": [{"id": "vm-1"}, {"id": "vm-9"}]}})))),
            (20.0, runs(&[], canceled())),
        ],
    );
    show(
        "PlanRestarted",
        vec![
            (0.0, runs(&[], copying(1))),
            (12.0, with(json!(["Failed", blocked]), history(&["Failed"]), failed(), json!({}))),
            (30.0, retry()),
            (40.0, ended("Succeeded", json!([]))),
        ],
    );
    show(
        "ZombiePlan",
        vec![
            (0.0, runs(&[], copying(1))),
            (
                1.0,
                with(
                    json!(["Executing", "Archived"]),
                    history(&["Executing"]),
                    copying(1),
                    json!({"spec": {"archived": true}}),
                ),
            ),
            (10.0, gone()),
        ],
    );
    show(
        "ControllerStuck",
        vec![(0.0, runs(&[], copying(1))), (5.0, runs(&[], failed())), (30.0, ended("Failed", failed()))],
    );
    let added = || {
        with(
            json!(["Executing"]),
            history(&["Executing"]),
            copying(1),
            json!({"spec": {"vms": [{"id": "vm-1"}, {"id": "vm-2", "name": "two"}]}}),
        )
    };
    show("VmsNotCovered", vec![(0.0, runs(&[], copying(1))), (5.0, added()), (30.0, ended("Succeeded", json!([])))]);
    show(
        "LeftoverAfterArchive",
        vec![
            (0.0, ended("Succeeded", json!([]))),
            (1.0, archived(&["Succeeded"], "Succeeded")),
            (2.0, archived(&["Succeeded", "Critical/TransferNetworkNotValid"], "Succeeded")),
            (3.0, archived(&["Succeeded", blocked], "Succeeded")),
            (4.0, gone()),
        ],
    );
    show(
        "PlanSucceeded",
        vec![
            (0.0, runs(&[], copying(1))),
            (20.0, ended("Succeeded", json!([]))),
            (30.0, archived(&["Succeeded"], "Succeeded")),
        ],
    );
    show("PlanCanceled", vec![(0.0, runs(&[], copying(1))), (20.0, ended("Canceled", canceled())), (30.0, retry())]);
    show("PlanStarted", vec![(0.0, idle(&["Ready"])), (1.0, runs(&[], copying(1))), (20.0, ended("Succeeded", json!([])))]);
    show(
        "PlanNotReady",
        vec![(0.0, idle(&[blocked])), (30.0, idle(&["Ready"])), (31.0, idle(&[blocked])), (100.0, idle(&["Ready"]))],
    );
    all
}

#[test]
fn each_rule_waits_its_time_fires_and_ends() {
    let mut text = String::new();
    let (mut fired, mut ended, mut pended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for timeline in timelines() {
        writeln!(text, "{}", timeline.rule).unwrap();
        for line in &timeline.lines {
            writeln!(text, "{line}").unwrap();
            match line.split_whitespace().nth(1).unwrap() {
                "firing" => fired.insert(timeline.rule),
                "pending" => pended.insert(timeline.rule),
                _ => ended.insert(timeline.rule),
            };
        }
    }
    insta::assert_snapshot!("rules", text);
    let all: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!((&fired, &ended), (&all, &all));
    let waiting: BTreeSet<&str> =
        RULES.iter().filter(|rule| !rule.hold.is_zero() && rule.pending_is_shown).map(|rule| rule.name).collect();
    assert_eq!(pended, waiting, "a rule that has to hold for a while is pending before, and no other is");
}

#[test]
fn what_is_read_from_the_object_is_the_same_for_one_who_comes_late() {
    let compared: BTreeSet<&str> =
        timelines().iter().filter(|timeline| timeline.late > 0).map(|timeline| timeline.rule).collect();
    let wanted: BTreeSet<&str> = RULES.iter().filter(|rule| rule.since == Since::Object).map(|rule| rule.name).collect();
    assert_eq!(compared, wanted);
}

#[test]
fn a_rule_that_is_off_finds_nothing_and_times_and_severities_can_be_others() {
    use mtv_sentinel::alert::Severity;
    let run = |settings: Settings| {
        let mut timeline = Timeline { alerts: Alerts::new(settings), ..Timeline::new("PlanNotReady") };
        timeline.at(0.0, idle(&["Critical/VMNotFound"])).at(10.0, Wait);
        timeline
            .alerts
            .all()
            .values()
            .flat_map(|all| all.iter().map(|alert| (alert.state, alert.severity)))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(Settings::default()), [], "it is off by default");
    let on = || Settings { on: vec!["PlanNotReady"], ..Settings::default() };
    assert_eq!(run(on()), [(AlertState::Pending, Severity::Warning)]);
    assert_eq!(run(Settings { off: vec!["PlanNotReady"], ..on() }), []);
    let soon = [("PlanNotReady", std::time::Duration::from_secs(60))].into();
    let severities = [("PlanNotReady", Severity::Critical)].into();
    assert_eq!(run(Settings { holds: soon, severities, ..on() }), [(AlertState::Firing, Severity::Critical)]);
}

#[test]
fn every_rule_has_a_runbook_with_its_four_parts_and_each_runbook_a_rule() {
    let folder = crate::support::repository("docs/runbooks");
    let mut there: BTreeSet<String> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(there.remove("README.md"));
    let wanted: BTreeSet<String> = RULES.iter().map(|rule| format!("{}.md", rule.name.to_lowercase())).collect();
    assert_eq!(there, wanted);
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for rule in RULES {
        let file = format!("{}.md", rule.name.to_lowercase());
        let page = std::fs::read_to_string(folder.join(&file)).unwrap();
        assert!(page.starts_with(&format!("# {}\n", rule.name)), "{file}");
        for part in ["## Meaning\n", "## Impact\n", "## Diagnosis\n", "## Mitigation\n"] {
            assert!(page.contains(part), "{file} has no {part:?}");
        }
        let hold = match rule.hold.as_secs() {
            0 => "`for` is 0".to_owned(),
            seconds if seconds % 3600 == 0 => format!("by default {}h", seconds / 3600),
            seconds => format!("by default {}m", seconds / 60),
        };
        assert!(page.contains(&format!("**Severity**: {}.", rule.severity)) && page.contains(&hold), "{file}: {hold}");
        let row = format!("| [{}]({file}) | {} |", rule.name, rule.severity);
        assert!(index.contains(&row), "the index says something else: {row}");
    }
}

#[test]
fn the_expressions_are_taken_by_promtool() {
    let rules: Vec<Value> = RULES
        .iter()
        .filter_map(|rule| {
            Some(json!({"alert": rule.name, "expr": rule.promql?, "for": format!("{}s", rule.hold.as_secs())}))
        })
        .collect();
    assert!(rules.len() > 15);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.json");
    std::fs::write(&file, json!({"groups": [{"name": "mtv-sentinel", "rules": rules}]}).to_string()).unwrap();
    let checked = std::process::Command::new(crate::support::tool("promtool/promtool"))
        .args(["check", "rules"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.contains(&format!("{} rules found", rules.len())), "{said}");
}
