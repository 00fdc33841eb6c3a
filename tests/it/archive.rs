//! The command `archive`, as people run it: on every recording, on a capture of hundreds of plans, and where it refuses.

use crate::support::{decode, minute, recordings, repository};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::policy::{GUARDS, Stop};
use serde_json::{Value, json};
use std::fmt::Write;
use std::process::Command;

/// A policy for each outcome, for campaigns that took minutes.
const POLICIES: &str = "[{name: done, after: 30s, keep_last: 1}, {name: canceled, outcome: Canceled, after: 30s}, \
                        {name: given-up, outcome: Failed, after: 30s, acknowledge: ops.io/analysed=yes}]";

fn archive(policies: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtv-sentinel"));
    command.arg("archive").args(arguments).env_clear().env("MTV_SENTINEL__ARCHIVE__POLICIES", policies);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn source(name: &str) -> String {
    format!("replay:{}", repository(&format!("tests/recordings/{name}.ndjson.gz")).display())
}

#[test]
fn every_recording_has_a_decision_and_a_reason_for_every_plan() {
    let mut shown = String::new();
    for name in recordings() {
        let (code, json, err) = archive(POLICIES, &["--dry-run", "--source", &source(&name), "--all", "-o", "json"]);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        let told: Value = serde_json::from_str(&json).unwrap();
        let plans = told["plans"].as_array().unwrap();
        assert!(!plans.is_empty(), "{name}");
        for plan in plans {
            let archive = &plan["archive"];
            let reason = archive["reason"].as_str().unwrap();
            let stops = GUARDS.iter().find(|guard| guard.reason.as_str() == reason).map(|guard| guard.stops);
            let expected = stops.map_or("Archive", Stop::as_str);
            assert_eq!(archive["decision"], expected, "{name}: {plan}");
            assert_eq!(archive["evidence"].is_object(), expected == "Archive", "{name}: {plan}");
            assert!(!archive["says"].as_str().unwrap().is_empty());
        }
        let (code, table, _) = archive(POLICIES, &["--dry-run", "--source", &source(&name), "--all"]);
        assert_eq!((code, table.lines().count()), (0, plans.len() + 3), "{name}:\n{table}");
        if ["b-fail-retry", "f-cancel-one", "i-provider-lost-until-failed", "j-archive"].contains(&name.as_str()) {
            writeln!(shown, "# {name}\n{table}").unwrap();
        }
    }
    insta::assert_snapshot!("archive_recordings", shown);
}

#[test]
fn it_shows_what_was_so_at_an_instant() {
    let (_, middle, _) =
        archive(POLICIES, &["--dry-run", "--source", &source("b-fail-retry"), "--at", "2026-11-23T15:38:10Z"]);
    assert!(middle.starts_with("DECISION  PLAN") && middle.contains("NotAcknowledged"), "{middle}");
    assert!(middle.contains("0 would be archived, "), "{middle}");
}

/// A recording of many plans that differ in all that counts; its last event is at minute 0.
fn many(number: usize) -> String {
    let conditions =
        |kinds: &[&str]| -> Value { kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect() };
    let mut lines = String::new();
    let mut put = |object: Value| {
        assert!(matches!(decode(&object), Object::Plan(_) | Object::Provider(_)));
        writeln!(lines, "{}", json!({"time": minute(0.0).to_string(), "type": "ADDED", "object": object})).unwrap();
    };
    for name in ["vc", "host"] {
        put(
            json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "metadata": {"namespace": "forklift", "name": name, "uid": name},
            "spec": {"type": if name == "vc" { "vsphere" } else { "openshift" }}, "status": {"conditions": conditions(&["Ready"])}}),
        );
    }
    for n in 0..number {
        let outcome = ["Succeeded", "Succeeded", "Succeeded", "Failed", "Canceled", "Ready"][n % 6];
        let has_ended = outcome != "Ready";
        let end = minute(-((n % 80) as f64) * 1440.0).to_string();
        let vm = json!({"id": "vm", "name": format!("host-{n}"), "started": end, "completed": end, "conditions": conditions(&[outcome]),
            "pipeline": [{"name": "ImageConversion"}]});
        let mut plan = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
            "metadata": {"namespace": format!("wave-{}", n % 7), "name": format!("plan-{n:03}"), "uid": format!("u{n}"), "generation": 1},
            "spec": {"vms": [{"id": "vm"}], "archived": n % 11 == 10, "provider": {
                "source": {"namespace": "forklift", "name": "vc"}, "destination": {"namespace": "forklift", "name": "host"}}},
            "status": {"observedGeneration": 1, "conditions": conditions(&[outcome])}});
        if has_ended {
            plan["status"]["migration"] = json!({"started": end, "completed": end, "vms": [vm],
                "history": [{"conditions": conditions(&[outcome]), "migration": {"uid": "run"}}]});
        }
        match n % 13 {
            5 => plan["metadata"]["annotations"] = json!({"mtv-sentinel.io/keep": "true"}),
            6 => plan["metadata"]["annotations"] = json!({"ops.io/analysed": "yes"}),
            7 => plan["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "waves"}),
            // What a person may call a VM does not speak to the terminal.
            8 if has_ended => plan["status"]["migration"]["vms"][0]["name"] = json!("evil\u{1b}[2J\nvm"),
            _ => {}
        }
        put(plan);
    }
    lines
}

const CAMPAIGN: &str = "[{name: done, matchers: ['namespace!=wave-6'], after: 30d, keep_last: 15, windows: [06:00-22:00]}, \
    {name: canceled, outcome: Canceled, after: 10d}, {name: given-up, outcome: Failed, after: 20d, acknowledge: ops.io/analysed=yes}]";

#[test]
fn a_campaign_of_hundreds_of_plans_is_told_in_a_stable_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("campaign.ndjson");
    std::fs::write(&file, many(420)).unwrap();
    let source = format!("replay:{}", file.display());
    let (code, all, err) = archive(CAMPAIGN, &["--dry-run", "--source", &source, "--all"]);
    assert_eq!((code, err.as_str(), all.lines().count()), (0, "", 423));
    assert_eq!(archive(CAMPAIGN, &["--dry-run", "--source", &source, "--all"]).1, all);
    assert!(!all.contains('\u{1b}'), "a name speaks to the terminal");
    let decisions: Vec<&str> = all.lines().skip(1).take(420).map(|line| line.split(' ').next().unwrap()).collect();
    let order = ["Archive", "Wait", "Never"];
    assert!(decisions.iter().map(|decision| order.iter().position(|known| known == decision)).is_sorted());

    // Without --all the last ones are counted only.
    let (_, some, _) = archive(CAMPAIGN, &["--dry-run", "--source", &source]);
    let never = decisions.iter().filter(|decision| **decision == "Never").count();
    assert_eq!(some.lines().count(), 423 - never);
    assert!(some.contains(&format!("{never} are never archived as they are (--all shows them)")), "{some}");
    let (_, json, _) = archive(CAMPAIGN, &["--dry-run", "--source", &source, "-o", "json"]);
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["plans"].as_array().unwrap().len(), 420 - never);

    // One of each kind of line.
    let mut seen = std::collections::BTreeSet::new();
    let kind = |line: &&str| {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let (decision, outcome) = (words.next(), words.nth(1));
        (decision.map(str::to_owned), outcome.map(str::to_owned), words.nth(2).map(str::to_owned))
    };
    let lines: Vec<&str> = all.lines().filter(|line| seen.insert(kind(line))).collect();
    insta::assert_snapshot!("archive_campaign", lines.join("\n"));
}

#[test]
fn it_refuses_to_act_and_says_what_it_cannot_read() {
    let (code, out, err) = archive(POLICIES, &["--source", &source("a-cold")]);
    let refusal = "error: this version archives nothing, it only tells what it would archive: add --dry-run\n";
    assert_eq!((code, out.as_str(), err.as_str()), (2, "", refusal));
    let (code, out, err) = archive("[{name: x, mode: enforce}]", &["--dry-run", "--source", &source("a-cold")]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("mode: enforce is not in this version, which only tells what it would archive: use dry-run"),
        "{err}"
    );
    let (code, _, err) = archive(POLICIES, &["--dry-run", "--source", "files:x", "--at", "2026-01-01T00:00:00Z"]);
    assert_eq!((code, err.as_str()), (2, "error: --at needs --source replay:PATH: only a recording has a past\n"));
    let (code, out, err) = archive("[]", &["--dry-run", "--source", &source("a-cold")]);
    assert_eq!(
        (code, out.as_str()),
        (0, "0 would be archived, 0 wait, 0 are never archived as they are. Nothing was changed.\n")
    );
    assert_eq!(err, "warning: archive.policies is empty: nothing is archived without a policy\n");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.yaml");
    std::fs::write(
        &file,
        "kind: Plan\napiVersion: forklift.konveyor.io/v1beta1\nmetadata: {name: p, namespace: n, uid: u}\n---\na: [\n",
    )
    .unwrap();
    let (code, out, err) = archive(POLICIES, &["--dry-run", "--source", &format!("files:{}", file.display())]);
    assert_eq!(code, 3, "{err}");
    assert!(out.contains("Wait") && out.contains("NotFinished") && err.starts_with("warning: "), "{out}{err}");
}
