//! What the simulator writes against what a real controller wrote: for each recording the scenario that mirrors it is played,
//! and the order of what happens has to be the same.
//!
//! Compared are the sets of conditions of plans and Migrations, the phases and outcomes of VMs, and the steps of VMs with all
//! their marks. Times, amounts and texts are not: the recordings' are compressed. What is known to differ is in
//! `tests/differences.yaml`, each with its reason; an entry that no longer holds fails the test.

#![allow(clippy::unwrap_used)]

use flate2::read::GzDecoder;
use forklift_sim::core::Span;
use forklift_sim::memory;
use forklift_sim::scenario::Scenario;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Recordings and the scenarios that mirror them. Of x-controller-restart only what a restart looks like is mirrored.
const PAIRS: [(&str, &[&str]); 13] = [
    ("a-cold", &["cold"]),
    ("b-fail-retry", &["fail-retry"]),
    ("c-warm", &["warm"]),
    ("f-cancel-one", &["cancel-one"]),
    ("g-cancel-all", &["cancel-all"]),
    ("h-not-ready", &["not-ready", "not-ready-others"]),
    ("i-provider-lost-until-failed", &["provider-lost"]),
    ("i2-provider-blip", &["provider-blip"]),
    ("j-archive", &["archive"]),
    ("p-queue", &["queue"]),
    ("r-many-plans", &["many-plans"]),
    ("t-hooks-and-reboot", &["hooks"]),
    ("x-controller-restart", &["restart"]),
];

/// Something that is known to differ.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// Recordings it is about.
    recordings: Vec<String>,
    /// What it is about: `plan`, `migration`, `phases`, `steps`.
    what: String,
    /// States that pass, seen by one and not by the other.
    #[serde(default)]
    passing: Vec<String>,
    /// States that only the recording has.
    #[serde(default)]
    recorded: Vec<String>,
    /// States that only the simulator has.
    #[serde(default)]
    simulated: Vec<String>,
    /// Whether the simulator goes on after the recording ends.
    #[serde(default)]
    goes_on: bool,
    /// Why.
    reason: String,
}

type Sequences = BTreeMap<(String, String), Vec<String>>;

fn conditions(object: &Value) -> String {
    let list = object["conditions"].as_array().into_iter().flatten();
    let word = |condition: &Value| {
        let reason = condition["reason"].as_str().map(|reason| format!("/{reason}")).unwrap_or_default();
        format!("{}{reason}", condition["type"].as_str().unwrap_or_default())
    };
    let all: BTreeSet<String> = list.map(word).collect();
    all.into_iter().collect::<Vec<_>>().join(" ")
}

/// A step with its marks: s started, c completed, e failed.
fn step(step: &Value) -> String {
    let mark = |field: &str, mark: &'static str| if step.get(field).is_some() { mark } else { "" };
    let marks = [mark("started", "s"), mark("completed", "c"), mark("error", "e")].concat();
    format!("{}={}/{marks}", step["name"].as_str().unwrap_or_default(), step["phase"].as_str().unwrap_or("-"))
}

fn sequences<'a>(events: impl Iterator<Item = &'a Value>) -> Sequences {
    let mut all = Sequences::new();
    let mut note = |what: &str, of: String, state: String| {
        let states = all.entry((what.to_owned(), of)).or_default();
        if states.last() != Some(&state) {
            states.push(state);
        }
    };
    for object in events.filter(|object| object.get("status").is_some()) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let status = &object["status"];
        match object["kind"].as_str() {
            Some("Plan") => {
                let history = status["migration"]["history"].as_array().into_iter().flatten();
                let history: Vec<String> = history.map(conditions).collect();
                let times = ["started", "completed"].map(|field| status["migration"].get(field).is_some());
                let times = match times {
                    [true, true] => " (ended)",
                    [true, false] => " (started)",
                    _ => "",
                };
                note("plan", name.into(), format!("{} [{}]{times}", conditions(status), history.join(", ")));
                for vm in status["migration"]["vms"].as_array().into_iter().flatten() {
                    let of = format!("{name} {}", vm["name"].as_str().unwrap_or_default());
                    let phase = vm["phase"].as_str().unwrap_or_default();
                    let failed = vm["error"]["phase"].as_str().map(|phase| format!(" in {phase}")).unwrap_or_default();
                    let over = if vm.get("completed").is_some() { " (over)" } else { "" };
                    let precopies = vm["warm"]["precopies"].as_array().map_or(0, Vec::len);
                    let warm = match &vm["warm"] {
                        Value::Null => String::new(),
                        warm => format!(" {}/{precopies}", warm["successes"]),
                    };
                    let state = format!("{phase}{warm} {}{failed}{over}", conditions(vm));
                    note("phases", of.clone(), state.trim_end().to_owned());
                    let steps = vm["pipeline"].as_array().into_iter().flatten().map(step);
                    note("steps", of, steps.collect::<Vec<_>>().join(" "));
                }
            }
            Some("Migration") => note("migration", name.into(), conditions(status)),
            _ => {}
        }
    }
    all
}

fn events(recording: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recordings").join(format!("{recording}.ndjson.gz"));
    let file = std::fs::File::open(&path).unwrap();
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn play(name: &str) -> Vec<memory::Event> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.yaml"));
    let scenario = Scenario::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    memory::play(scenario, 1.0, "2026-11-23T15:00:00Z".parse().unwrap(), Span::seconds(7200)).unwrap()
}

fn simulated(scenarios: &[&str]) -> Sequences {
    let played: Vec<memory::Event> = scenarios.iter().flat_map(|name| play(name)).collect();
    sequences(played.iter().map(|event| &event.object))
}

fn without(states: &[String], dropped: &[&String]) -> Vec<String> {
    let mut kept: Vec<String> = states.iter().filter(|state| !dropped.contains(state)).cloned().collect();
    kept.dedup();
    kept
}

#[test]
fn order_is_that_of_the_recordings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differences.yaml");
    let known: Vec<Difference> = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut used: BTreeSet<(usize, String)> = BTreeSet::new();
    let mut failures = Vec::new();
    for (recording, scenarios) in PAIRS {
        let real = events(recording);
        let (real, played) = (sequences(real.iter().map(|event| &event["object"])), simulated(scenarios));
        for (id @ (what, of), states) in &real {
            let Some(mine) = played.get(id) else {
                failures.push(format!("{recording}: the simulator has no {what} {of}"));
                continue;
            };
            let (mut only_real, mut only_mine, mut goes_on) = (Vec::new(), Vec::new(), false);
            for (index, difference) in known.iter().enumerate() {
                if difference.what != *what || !difference.recordings.iter().any(|name| name == recording) {
                    continue;
                }
                assert!(!difference.reason.is_empty(), "a difference without a reason: {difference:?}");
                only_real.extend(difference.recorded.iter().chain(&difference.passing));
                only_mine.extend(difference.simulated.iter().chain(&difference.passing));
                goes_on |= difference.goes_on;
                let here = |list: &[String], states: &[String]| list.iter().any(|state| states.contains(state));
                let count = |states: &[String]| states.iter().filter(|state| difference.passing.contains(state)).count();
                let passing = count(states) != count(mine);
                let longer = difference.goes_on && mine.len() > states.len();
                if here(&difference.recorded, states) || here(&difference.simulated, mine) || longer || passing {
                    used.insert((index, recording.to_owned()));
                }
            }
            let (left, mut right) = (without(states, &only_real), without(mine, &only_mine));
            if goes_on {
                right.truncate(left.len());
            }
            if left != right {
                let place = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
                let show =
                    |list: &[String]| list.iter().skip(place).take(3).map(|s| format!("\n      {s}")).collect::<String>();
                let (left, right) = (show(&left), show(&right));
                failures.push(format!("{recording}: {what} {of} after {place}\n    recorded:{left}\n    simulated:{right}"));
            }
        }
    }
    for (index, difference) in known.iter().enumerate() {
        for recording in &difference.recordings {
            if !used.contains(&(index, recording.clone())) {
                failures.push(format!("no longer seen in {recording}: {difference:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} differences\n{}", failures.len(), failures.join("\n"));
}

/// Paths of the fields that an object has, with the types of their values.
fn fields(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_of) => fields_of.iter().for_each(|(name, value)| fields(value, &format!("{path}.{name}"), all)),
        Value::Array(list) => list.iter().for_each(|value| fields(value, &format!("{path}[]"), all)),
        Value::String(_) => drop(all.insert(format!("{path}: text"))),
        Value::Number(_) => drop(all.insert(format!("{path}: number"))),
        Value::Bool(_) => drop(all.insert(format!("{path}: bool"))),
        Value::Null => drop(all.insert(format!("{path}: null"))),
    }
}

fn fields_of<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        if let ("Plan" | "Migration" | "Provider", Some(status)) = (kind, object.get("status")) {
            fields(status, kind, &mut all);
        }
    }
    all
}

#[test]
fn statuses_have_the_fields_of_the_recordings() {
    let (mut real, mut played) = (BTreeSet::new(), BTreeSet::new());
    for (recording, scenarios) in PAIRS {
        real.append(&mut fields_of(events(recording).iter().map(|event| &event["object"])));
        for name in scenarios {
            played.append(&mut fields_of(play(name).iter().map(|event| &event.object)));
        }
    }
    let missing: Vec<&String> = real.difference(&played).collect();
    // Marks that only a real vCenter gives.
    assert_eq!(missing, ["Provider.fingerprint: text", "Provider.secretResourceVersion: text"]);
    let invented: Vec<&String> = played.difference(&real).collect();
    assert_eq!(invented, Vec::<&String>::new());
}

#[test]
fn conditions_read_as_in_the_recordings() {
    // Category, reason, durability and text by kind and type; numbers and names in texts aside.
    let read = |object: &Value, all: &mut BTreeMap<String, BTreeSet<String>>| {
        let plain = |kind: &str, condition: &Value| {
            let text = condition["message"].as_str().unwrap_or_default();
            let words = text.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == '/'));
            let rest = words.take(4).collect::<Vec<_>>().join(" ");
            let [category, reason] = ["category", "reason"].map(|field| condition[field].as_str().unwrap_or_default());
            let durable = condition.get("durable").is_some();
            (format!("{kind} {}", condition["type"]), format!("{category} {reason} {durable} {rest}"))
        };
        let kind = object["kind"].as_str().unwrap();
        let mut note = |kind: &str, list: &Value| {
            for condition in list.as_array().into_iter().flatten() {
                let (what, how) = plain(kind, condition);
                all.entry(what).or_default().insert(how);
            }
        };
        note(kind, &object["status"]["conditions"]);
        let migration = if kind == "Plan" { &object["status"]["migration"] } else { &object["status"] };
        for vm in migration["vms"].as_array().into_iter().flatten() {
            note("VM", &vm["conditions"]);
        }
        for snapshot in migration["history"].as_array().into_iter().flatten() {
            note("history", &snapshot["conditions"]);
        }
    };
    let (mut real, mut played) = (BTreeMap::new(), BTreeMap::new());
    for (recording, scenarios) in PAIRS {
        events(recording).iter().for_each(|event| read(&event["object"], &mut real));
        let plans = scenarios.iter().flat_map(|name| play(name));
        let known = |event: &memory::Event| matches!(event.object["kind"].as_str(), Some("Plan" | "Migration" | "Provider"));
        plans.filter(known).for_each(|event| read(&event.object, &mut played));
    }
    for (what, how) in &real {
        assert_eq!(played.get(what), Some(how), "{what}");
    }
}
