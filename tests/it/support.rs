//! What the tests share: the recordings, objects written in short, and the tools.

use mtv_sentinel::forklift::{self, Object};
use mtv_sentinel::plan::{Key, PlanState, Time};
use mtv_sentinel::store::Store;
use mtv_sentinel::watch::replay::Recording;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file or folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The names of all recordings.
pub fn recordings() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(repository("tests/recordings"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".ndjson.gz").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 13, "recordings are missing: {names:?}");
    names
}

pub fn recording(name: &str) -> Recording {
    Recording::load(&repository(&format!("tests/recordings/{name}.ndjson.gz"))).unwrap()
}

/// The events of a recording as JSON.
pub fn raw_events(name: &str) -> Vec<Value> {
    use std::io::BufRead;
    let file = std::fs::File::open(repository(&format!("tests/recordings/{name}.ndjson.gz"))).unwrap();
    let lines = std::io::BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

/// The instant at which written objects live: times in them are minutes after it.
pub const START: i64 = 1_800_000_000;

pub fn minute(minutes: f64) -> Time {
    Time::from_unix(START + (minutes * 60.0) as i64).unwrap()
}

fn timestamp(minutes: &Value) -> Value {
    match minutes.as_f64() {
        Some(minutes) => json!(minute(minutes).to_string()),
        None => minutes.clone(),
    }
}

/// Writes a condition in full: `Succeeded`, or `Critical/VMNotFound`, or `Critical/VMNotFound: its message`.
fn condition(short: &Value) -> Value {
    let Some(short) = short.as_str() else { return short.clone() };
    let (short, message) = short.split_once(": ").unwrap_or((short, ""));
    let (category, kind) = short.split_once('/').unwrap_or((if short == "Ready" { "Required" } else { "Advisory" }, short));
    json!({"type": kind, "category": category, "status": "True", "message": message, "lastTransitionTime": minute(0.0).to_string()})
}

/// Writes conditions and times below `value` in full.
fn expand(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(expand),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    // Amounts, one of which is called like a time.
                    "progress" => {}
                    "conditions" => field.as_array_mut().unwrap().iter_mut().for_each(|c| *c = condition(c)),
                    "started" | "completed" | "cutover" | "start" | "end" | "nextPrecopyAt" | "creationTimestamp" => {
                        *field = timestamp(field);
                    }
                    "vmCutover" => field.as_object_mut().unwrap().values_mut().for_each(|at| *at = timestamp(at)),
                    _ => expand(field),
                }
            }
        }
        _ => {}
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn object(kind: &str, defaults: Value, short: Value) -> Object {
    let mut whole = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": kind});
    merge(&mut whole, defaults);
    merge(&mut whole, short);
    expand(&mut whole);
    decode(&whole)
}

pub fn decode(object: &Value) -> Object {
    forklift::decode(&serde_json::to_vec(object).unwrap()).unwrap().object
}

/// A plan `ns/plan` with what `short` says of it.
pub fn plan(short: Value) -> Object {
    let defaults = json!({
        "metadata": {"namespace": "ns", "name": "plan", "uid": "uid-1", "generation": 1, "creationTimestamp": 0},
        "spec": {"type": "cold", "provider": {
            "source": {"namespace": "forklift", "name": "vc"}, "destination": {"namespace": "forklift", "name": "host"}}},
    });
    object("Plan", defaults, short)
}

/// A Migration `ns/run` of that plan.
pub fn migration(short: Value) -> Object {
    let defaults = json!({
        "metadata": {"namespace": "ns", "name": "run", "uid": "run-1", "creationTimestamp": 0},
        "spec": {"plan": {"namespace": "ns", "name": "plan"}},
    });
    object("Migration", defaults, short)
}

/// A ready provider in namespace forklift.
pub fn provider(name: &str, kind: &str) -> Object {
    let short = json!({
        "metadata": {"namespace": "forklift", "name": name, "uid": format!("uid-{name}")},
        "spec": {"type": kind}, "status": {"phase": "Ready", "conditions": ["Ready"]},
    });
    object("Provider", json!({}), short)
}

/// The state of the plan `ns/plan` after these objects were applied.
pub fn state(objects: Vec<Object>) -> Arc<PlanState> {
    let mut store = Store::default();
    for object in objects {
        store.apply(object, minute(0.0));
    }
    Arc::clone(store.plan(&Key::new("ns", "plan")).unwrap())
}

/// A tool that `make tools` has built.
pub fn tool(path: &str) -> PathBuf {
    let cache = || {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
        std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("mtv-sentinel/tools")
    };
    let tool = std::env::var_os("MTV_SENTINEL_TOOLS").map_or_else(cache, PathBuf::from).join(path);
    assert!(tool.exists(), "{} is missing: run `make tools`", tool.display());
    tool
}
