//! The sources: files in every form that kubectl prints, recordings, and what is broken among them.

use crate::support::{raw_events, recording, repository};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::plan::{Key, Kind, Time};
use mtv_sentinel::watch::replay::{Pace, Recording, play};
use mtv_sentinel::watch::{Observation, Seen, files};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

fn a_plan(name: &str) -> Value {
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"namespace": "ns", "name": name}, "spec": {"type": "cold"}})
}

/// What the file shows: names of objects, "-name" for a deletion, "!" and the origin for bad input.
fn shown(path: &Path) -> Vec<String> {
    let observations = files::read(path).unwrap();
    observations.iter().filter_map(|observation| short(&observation.what)).collect()
}

fn short(seen: &Seen) -> Option<String> {
    match seen {
        Seen::Applied(decoded) => Some(decoded.object.key().name.to_string()),
        Seen::Deleted(_, key) => Some(format!("-{}", key.name)),
        Seen::Unreadable(_, key, _) => Some(format!("?{}", key.name)),
        Seen::BadInput(origin, _) => Some(format!("!{}", origin.rsplit('/').next().unwrap())),
        Seen::RelistBegins(..) | Seen::RelistEnds(..) | Seen::Report(..) | Seen::Synced | Seen::Restarted | Seen::Ended => {
            None
        }
    }
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const YAML: &str = "apiVersion: forklift.konveyor.io/v1beta1\nkind: Plan\nmetadata:\n  name: NAME\n  namespace: ns\n";

#[test]
fn every_form_that_kubectl_prints_shows_the_same_objects() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (a_plan("one"), a_plan("two"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [one, two]});
    let yaml = |name: &str| YAML.replace("NAME", name);
    let yaml_list = format!("apiVersion: v1\nitems:\n{}{}kind: List\n", item(&yaml("one")), item(&yaml("two")));
    let event = |kind: &str, object: &Value| json!({"type": kind, "object": object});
    for (form, text) in [
        ("a list as JSON", list.to_string()),
        ("a list as pretty JSON", format!("{list:#}\n")),
        (
            "a PlanList",
            json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "PlanList", "items": [one, two]}).to_string(),
        ),
        ("an array", json!([one, two]).to_string()),
        ("NDJSON", format!("{one}\n{two}\n")),
        ("pretty JSON one after another", format!("{one:#}\n{two:#}\n")),
        ("watch events of kubectl", format!("{:#}\n{:#}\n", event("ADDED", &one), event("MODIFIED", &two))),
        ("YAML documents", format!("# a comment\n---\n{}---\n{}---\n# nothing\n", yaml("one"), yaml("two"))),
        ("YAML documents without a marker at the start", format!("{}--- \n{}", yaml("one"), yaml("two"))),
        ("a YAML list", yaml_list),
        ("lists in a list", json!({"apiVersion": "v1", "kind": "List", "items": [list]}).to_string()),
        (
            "objects among others",
            format!("{one}\n{}\n{two}\n", json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})),
        ),
    ] {
        assert_eq!(shown(&write(folder.path(), "input", &text)), ["one", "two"], "{form}");
        assert_eq!(shown(&write(folder.path(), "input", gzip(text.as_bytes()))), ["one", "two"], "{form}, packed");
    }
}

/// A YAML document as an item of a list.
fn item(yaml: &str) -> String {
    yaml.lines().enumerate().map(|(at, line)| format!("{}{line}\n", if at == 0 { "- " } else { "  " })).collect()
}

#[test]
fn a_yaml_object_is_the_same_as_its_json() {
    let event = raw_events("c-warm").into_iter().rev().find(|event| event["object"]["kind"] == "Plan").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let decoded = |path: &Path| {
        files::read(path).unwrap().into_iter().find_map(|observation| match observation.what {
            Seen::Applied(decoded) => Some(*decoded),
            _ => None,
        })
    };
    let yaml = serde_saphyr::to_string(&event["object"]).unwrap();
    let (json, yaml) = (write(folder.path(), "a.json", event["object"].to_string()), write(folder.path(), "a.yaml", yaml));
    let decoded = (decoded(&json).unwrap(), decoded(&yaml).unwrap());
    assert_eq!(decoded.0, decoded.1);
    let Object::Plan(plan) = decoded.1.object else { panic!("it is no plan") };
    assert_eq!(plan.vms.len(), 1);
}

#[test]
fn what_is_broken_is_named_with_its_line_and_costs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (a_plan("one"), a_plan("two"));
    let yaml = |name: &str| YAML.replace("NAME", name);
    for (form, text, expected) in [
        ("a broken line of NDJSON", format!("{one}\n{{\"apiVersion\": oops}}\n{two}\n"), vec!["one", "!input:2", "two"]),
        ("a cut last line", format!("{one}\n{}", &two.to_string()[..40]), vec!["one", "!input:2"]),
        (
            "a broken YAML document",
            format!("{}---\na: [b\n---\n{}", yaml("one"), yaml("two")),
            vec!["one", "!input:6", "two"],
        ),
        (
            "a plan without a name",
            format!("{one}\n{}\n", json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan"})),
            vec!["one", "!input:2"],
        ),
        (
            "a plan with a field twice",
            format!("{}\n{two}\n", one.to_string().replace("\"spec\":", "\"spec\":{},\"spec\":")),
            vec!["?one", "two"],
        ),
        ("a number", "5 6".to_owned(), vec!["!input:1"]),
        (
            "a list whose items are no list",
            json!({"apiVersion": "v1", "kind": "List", "items": 5}).to_string(),
            vec!["!input:1"],
        ),
        ("an unknown event", json!({"type": "EXPLODED", "object": one}).to_string(), vec!["!input:1"]),
        ("a deletion", json!({"type": "DELETED", "object": one}).to_string(), vec!["-one"]),
        ("a bookmark", json!({"type": "BOOKMARK", "object": {}}).to_string(), vec![]),
        ("nothing", String::new(), vec!["!input"]),
        ("blanks", " \n\n".to_owned(), vec!["!input"]),
    ] {
        assert_eq!(shown(&write(folder.path(), "input", text)), expected, "{form}");
    }
    assert_eq!(shown(&write(folder.path(), "input", &gzip(b"{}")[..12])), ["!input"]);
    assert_eq!(shown(&write(folder.path(), "input", [0xff, 0xfe, 0x00])), ["!input:1"]);
}

#[test]
fn a_folder_shows_its_files_in_order_and_leaves_out_what_is_no_capture() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "b.json", a_plan("two").to_string());
    write(folder.path(), "a.YAML", YAML.replace("NAME", "one"));
    write(folder.path(), "c.ndjson.gz", gzip(a_plan("three").to_string().as_bytes()));
    write(folder.path(), "README.md", "nothing");
    std::fs::create_dir(folder.path().join("d.json")).unwrap();
    assert_eq!(shown(folder.path()), ["one", "two", "three"]);
    assert!(files::read(&folder.path().join("missing")).is_err());
}

#[test]
fn a_capture_with_something_broken_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let whole = write(folder.path(), "a.json", a_plan("one").to_string());
    let ends = |path: &Path| files::read(path).unwrap().iter().filter(|o| matches!(o.what, Seen::RelistEnds(..))).count();
    assert_eq!(ends(folder.path()), Kind::ALL.len());
    write(folder.path(), "b.json", "{");
    assert_eq!((ends(folder.path()), ends(&whole)), (0, Kind::ALL.len()));
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "plans.json", a_plan("one").to_string());
    let (to, mut from) = mpsc::channel(100);
    let follower = tokio::spawn(files::follow(path.clone(), Duration::from_millis(5), to));
    async fn next(from: &mut mpsc::Receiver<Observation>) -> String {
        loop {
            if let Some(shown) = short(&from.recv().await.unwrap().what) {
                return shown;
            }
        }
    }
    assert_eq!(next(&mut from).await, "one");
    std::fs::write(&path, format!("{}\n{}", a_plan("one"), a_plan("two"))).unwrap();
    assert_eq!((next(&mut from).await.as_str(), next(&mut from).await.as_str()), ("one", "two"));
    std::fs::remove_file(&path).unwrap();
    assert!(next(&mut from).await.starts_with('!'), "a file that is gone is named");
    std::fs::write(&path, a_plan("three").to_string()).unwrap();
    while next(&mut from).await != "three" {}
    drop(from);
    follower.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_file_that_is_cut_to_nothing_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "plans.json", a_plan("one").to_string());
    let (to, mut from) = mpsc::channel(100);
    tokio::spawn(files::follow(path.clone(), Duration::from_millis(5), to));
    let mut store = mtv_sentinel::store::Store::default();
    let mut syncs = 0;
    while syncs < 2 {
        let observation = from.recv().await.unwrap();
        match observation.what {
            Seen::Applied(decoded) => drop(store.apply(decoded.object, observation.at)),
            Seen::RelistBegins(kind, namespace) => store.relist_begins(kind, &namespace),
            Seen::RelistEnds(kind, namespace) => drop(store.relist_ends(kind, &namespace, observation.at)),
            Seen::BadInput(_, reason) => assert_eq!(reason, "it is empty"),
            Seen::Synced => {
                syncs += 1;
                std::fs::write(&path, "").unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.snapshot().plans.len(), 1);
}

#[test]
fn a_recording_of_nothing_but_its_start_is_synced_at_its_end() {
    let event = json!({"time": "2026-01-01T00:00:00Z", "type": "ADDED", "object": a_plan("one")});
    let recording = Recording::unpack("start", event.to_string().as_bytes()).unwrap();
    let last: Vec<Seen> = recording.observations(None).map(|observation| observation.what).skip(1).collect();
    assert_eq!(last, [Seen::Synced, Seen::Ended]);
}

#[test]
fn an_empty_file_among_recordings_is_one_that_had_nothing_to_record() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "providers.ndjson", "");
    assert!(Recording::load(folder.path()).is_err(), "nothing at all is no recording");
    std::fs::copy(repository("tests/recordings/a-cold.ndjson.gz"), folder.path().join("a-cold.ndjson.gz")).unwrap();
    assert_eq!(Recording::load(folder.path()).unwrap().span(), recording("a-cold").span());
}

#[test]
fn a_recording_gives_the_state_at_an_instant() {
    let recording = recording("b-fail-retry");
    let at = |time: &str| recording.observations(Some(Time::parse(time).unwrap())).count();
    let all = recording.observations(None).count();
    assert_eq!(all, raw_events("b-fail-retry").len() + 2, "every event, the end of the start, and the end");
    assert!(at("2026-11-23T15:38:00Z") > 10 && at("2026-11-23T15:38:00Z") < all);
    assert_eq!((at("2020-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")), (1, all));
    let until = Time::parse("2026-11-23T15:38:00Z").unwrap();
    let mut shown: Vec<Observation> = recording.observations(Some(until)).collect();
    assert_eq!(shown.pop(), Some(Observation { at: until, what: Seen::Ended }));
    assert!(shown.iter().all(|observation| observation.at <= until));
}

#[test]
fn what_was_there_at_the_start_of_a_recording_is_shown_before_it_is_synced() {
    let observations: Vec<Observation> = recording("c-warm").observations(None).collect();
    let synced = observations.iter().position(|observation| observation.what == Seen::Synced).unwrap();
    assert!(synced >= 2, "{synced}");
    let before = observations[..synced]
        .iter()
        .all(|o| matches!(&o.what, Seen::Applied(d) if matches!(d.object, Object::Provider(_))));
    assert!(before, "only providers were there");
}

#[test]
fn recordings_that_are_played_together_come_in_order_of_time() {
    let together = Recording::together(vec![recording("j-archive"), recording("a-cold")]);
    let times: Vec<Time> = together.observations(None).map(|observation| observation.at).collect();
    assert!(times.is_sorted());
    let names = |o: Observation| if let Seen::Applied(d) = o.what { Some(d.object.key().clone()) } else { None };
    assert!(together.observations(None).filter_map(names).any(|key| key == Key::new("a-cold", "web-tier")));
}

#[test]
fn input_that_is_no_recording_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "plans.json", a_plan("one").to_string());
    let error = Recording::load(&path).unwrap_err();
    assert!(error.contains("plans.json") && error.contains("no event with a time"), "{error}");
    assert!(Recording::load(&folder.path().join("missing")).is_err());
    assert!(Recording::load(&repository("src")).unwrap_err().contains("no recording in this folder"));
}

#[test]
fn a_pause_is_that_of_the_recording_divided_by_the_speed_and_not_too_long() {
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let pace = |speed, longest| Pace { speed, until: None, repeat: false, longest_pause: Duration::from_secs(longest) };
    assert_eq!(pace(20.0, 100).pause(at(0), at(60)), Duration::from_secs(3));
    assert_eq!(pace(0.5, 100).pause(at(0), at(10)), Duration::from_secs(20));
    assert_eq!(pace(1.0, 2).pause(at(0), at(600)), Duration::from_secs(2));
}

#[tokio::test]
async fn a_recording_is_played_to_its_end_and_again_if_asked() {
    let recording = recording("g-cancel-all");
    let count = recording.observations(None).count() - 1;
    let (to, mut from) = mpsc::channel(1);
    let pace = Pace { speed: 1e6, until: None, repeat: true, longest_pause: Duration::MAX };
    tokio::spawn(play(recording, pace, to));
    for _ in 0..count {
        assert!(!matches!(from.recv().await.unwrap().what, Seen::Restarted | Seen::Ended));
    }
    assert_eq!(from.recv().await.unwrap().what, Seen::Restarted);
    assert!(matches!(from.recv().await.unwrap().what, Seen::Applied(_)));
}
