//! The whole program: commands, exit codes, what is said when something is wrong.

use crate::support::{raw_events, repository};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};

pub fn command(arguments: &[&str]) -> Command {
    let mut command = testbed::tied(env!("CARGO_BIN_EXE_mtv-sentinel"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    said(command(arguments).output().unwrap())
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn recording(name: &str) -> String {
    format!("replay:{}", repository(&format!("tests/recordings/{name}.ndjson.gz")).display())
}

#[test]
fn version_says_what_was_built() {
    let (code, out, _) = run(&["version"]);
    assert_eq!(code, 0);
    assert!(out.starts_with(concat!("mtv-sentinel ", env!("CARGO_PKG_VERSION"), " (")), "{out}");
    let (_, out, _) = run(&["version", "-o", "json"]);
    let version: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["commit"].is_string() && version["target"].is_string());
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for word in [
        "run",
        "demo",
        "render",
        "preview",
        "archive",
        "guards",
        "check-config",
        "metrics",
        "version",
        "completion",
        "Exit codes: 0 done; 1 failed; 2",
    ] {
        assert!(out.contains(word), "{word} is missing:\n{out}");
    }
}

#[test]
fn wrong_usage_and_a_wrong_configuration_exit_with_2() {
    for (arguments, expected) in [
        (vec!["--nonsense"], "unexpected argument"),
        (vec!["frobnicate"], "unrecognized subcommand"),
        (vec!["run", "--log-level", "loud", "--source", "x"], "log.level: \"loud\" is not accepted"),
        (vec!["check-config", "--config", "/nonexistent.yaml"], "--config /nonexistent.yaml: No such file"),
        (vec!["render", "--source", "files:x", "--at", "2026-01-01T00:00:00Z"], "--at needs --source replay:PATH"),
        (vec!["render", "--source", "replay:x", "--at", "noon"], "replay.at: \"noon\" is not accepted"),
        (vec!["demo", "--speed", "0"], "replay.speed: \"0\" is not accepted"),
    ] {
        let (code, out, err) = run(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}

#[test]
fn what_cannot_be_read_at_all_exits_with_1_and_names_the_mend() {
    for (arguments, expected) in [
        (vec!["render", "--source", "files:/nonexistent"], "source files:/nonexistent: No such file"),
        (vec!["render", "--source", "replay:/nonexistent"], "source replay: /nonexistent: No such file"),
        (vec!["run", "--source", "files:/nonexistent"], "source files:/nonexistent: No such file"),
        (vec!["run", "--listen", "127.0.0.1:0"], "there is no way to a cluster: "),
        (vec!["render"], "source cluster: there is no way to a cluster: "),
        (vec!["alerts"], "source cluster: there is no way to a cluster: "),
    ] {
        let (code, out, err) = run(&arguments);
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: {err}");
        assert!(
            err.lines().last().is_some_and(|line| line.starts_with("error: ") && line.contains(expected)),
            "{arguments:?}: {err}"
        );
    }
}

#[test]
fn check_config_names_every_mistake_and_shows_what_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.yaml");
    std::fs::write(&file, "cluster: prod\nhttp:\n  lisen: x\n  bearer_token: s3cr3t\nlog: {level: loud}\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, err) = run(&["check-config", "--config", file]);
    assert_eq!(code, 2);
    assert_eq!(err.lines().count(), 3, "{err}");
    assert!(
        err.contains("  http.lisen: there is no such key; did you mean listen?") && err.contains("  log.level: \"loud\""),
        "{err}"
    );

    std::fs::write(file, "cluster: prod\nhttp: {bearer_token: s3cr3t}\n").unwrap();
    assert_eq!(run(&["check-config", "--config", file]).1, "the configuration is right\n");
    let output =
        command(&["check-config", "--config", file, "--print"]).env("MTV_SENTINEL__LOG__LEVEL", "debug").output().unwrap();
    let (code, out, _) = said(output);
    assert_eq!(code, 0);
    assert!(out.contains("cluster: prod\n") && out.contains("  level: debug\n") && !out.contains("s3cr3t"), "{out}");
}

#[test]
fn render_prints_a_recording_at_an_instant_or_at_its_end() {
    let (code, end, err) = run(&["render", "--source", &recording("b-fail-retry")]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        end.contains("plan=\"erp\",phase=\"Succeeded\"} 1\n") && !end.contains("# EOF") && !end.contains("# UNIT"),
        "{end}"
    );
    let (_, middle, _) = run(&["render", "--source", &recording("b-fail-retry"), "--at", "2026-11-23T15:38:10Z"]);
    assert!(middle.contains("plan=\"erp\",phase=\"Failed\"} 1\n"), "{middle}");
    // An instant after the end is the state at the end, at that time: what has become due is due.
    let later = command(&["render", "--source", &recording("b-fail-retry"), "--at", "2027-01-01T00:00:00Z"]);
    let (_, later, _) = said({ later }.env("MTV_SENTINEL__ARCHIVE__POLICIES", "[{name: done}]").output().unwrap());
    assert!(later.contains("plan=\"erp\",decision=\"Archive\",reason=\"Due\"} 1\n"), "{later}");
}

#[test]
fn alerts_prints_what_holds_at_an_instant_as_a_table_or_as_json() {
    let source = recording("b-fail-retry");
    let (code, end, err) = run(&["alerts", "--source", &source]);
    assert_eq!((code, end.as_str(), err.as_str()), (0, "nothing holds\n", ""));
    let at = ["alerts", "--source", &source, "--at", "2026-11-23T15:37:53Z"];
    let (code, table, _) = run(&at);
    assert_eq!(code, 0);
    assert_eq!(
        table,
        "STATE   SEVERITY  RULE      OF                     SINCE                 REASON\n\
         firing  warning   VmFailed  plan b-fail-retry/erp  2026-11-23T15:37:43Z  erp-02: Unable to process data: nbdkit: vddk: error: \
         VixDiskLib_Read: connection lost (lab); Unable to process data: import of the disk failed (lab)\n\
         firing  warning   VmFailed  plan b-fail-retry/crm  2026-11-23T15:37:52Z  crm-02: Guest conversion failed. See pod logs for \
         details.\n"
    );
    let (_, json, _) = run(&[&at[..], &["-o", "json"]].concat());
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["alerts"].as_array().unwrap().len(), 2);
    let (code, _, err) = run(&["alerts", "--source", "files:x", "--at", "2026-01-01T00:00:00Z"]);
    assert_eq!((code, err.as_str()), (2, "error: --at needs --source replay:PATH: only a recording has a past\n"));
    assert!(run(&["rules"]).1.contains("| [PlanFailed](runbooks/planfailed.md) | warning |"));
}

#[test]
fn preview_prints_the_message_of_a_rule_without_a_source() {
    // The default source is a cluster, and there is none.
    let (code, out, err) = run(&["preview", "--rule", "planfailed", "--cluster", "prod"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("To: log\nTitle: [prod] WARNING PlanFailed: plan migrations/crm\n\nA migration plan failed.\n"),
        "{out}"
    );
    let (_, json, _) = run(&["preview", "--rule", "PlanFailed", "--turn", "resolved", "-o", "json"]);
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&told["receiver"], &told["sample"]), (&json!("log"), &json!(true)));
    assert_eq!(
        (&told["message"]["turn"], &told["message"]["title"]),
        (&json!("resolved"), &json!("RESOLVED PlanFailed: plan migrations/crm"))
    );
    let own = command(&["preview", "--rule", "PlanBlocked"])
        .env("MTV_SENTINEL__MESSAGE__TITLE", "{{ rule }} of {{ name }}")
        .output();
    assert!(said(own.unwrap()).1.contains("\nTitle: PlanBlocked of crm\n"));
}

#[test]
fn preview_of_a_plan_shows_the_alert_that_fires_or_says_that_it_is_made_up() {
    let source = recording("b-fail-retry");
    let of = ["preview", "--rule", "PlanFailed", "--plan", "b-fail-retry/crm", "--source", &source];
    let (code, out, err) = run(&[&of[..], &["--at", "2026-11-23T15:38:10Z"]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("crm-02: Guest conversion failed.") && out.contains("Since: 2026-11-23T15:37:55Z, for 15s\n"),
        "{out}"
    );
    let (code, out, err) = run(&of);
    assert_eq!(
        (code, err.as_str()),
        (0, "warning: PlanFailed does not fire for b-fail-retry/crm: the alert is made up, and so is its reason\n")
    );
    assert!(
        out.contains("Title: WARNING PlanFailed: plan b-fail-retry/crm, attempt 2\n") && out.contains("Phase: Succeeded\n"),
        "{out}"
    );
    assert!(!out.contains("kubectl create"), "a plan that has succeeded is not run again: {out}");
}

#[test]
fn preview_says_what_was_meant() {
    let source = recording("b-fail-retry");
    for (arguments, code, expected) in [
        (vec!["--rule", "PlanFaild"], 2, "--rule: there is no rule \"PlanFaild\"; did you mean PlanFailed?"),
        (
            vec!["--rule", "PlanFailed", "--turn", "resolve"],
            2,
            "--turn: there is no turn \"resolve\"; did you mean resolved?",
        ),
        (vec!["--rule", "PlanFailed", "--receiver", "lgo"], 2, "--receiver: there is no receiver \"lgo\"; there is log"),
        (vec!["--rule", "PlanFailed", "--plan", "crm"], 2, "--plan: \"crm\" is no plan; it takes NAMESPACE/NAME"),
        (
            vec!["--rule", "ProviderNotReady", "--plan", "a/b", "--source", &source],
            2,
            "is about a provider: leave out --plan",
        ),
        (
            vec!["--rule", "PlanFailed", "--plan", "b-fail-retry/cm", "--source", &source],
            1,
            "did you mean b-fail-retry/crm?",
        ),
        (
            vec!["--rule", "PlanFailed", "--plan", "a/b", "--source", "files:/nonexistent"],
            1,
            "source files:/nonexistent: No such file",
        ),
        (vec!["--rule", "PlanFailed", "--plan", "a/b"], 1, "source cluster: there is no way to a cluster"),
    ] {
        let (got, out, err) = run(&[&["preview"], &arguments[..]].concat());
        assert_eq!((got, out.as_str()), (code, ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}

#[test]
fn what_an_object_says_does_not_speak_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.json");
    let plan = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"namespace": "ns", "name": "\u{1b}[2Jplan"}, "status": {
        "conditions": [{"type": "Failed", "status": "True", "category": "Advisory"}],
        "migration": {"vms": [{"id": "vm-1", "name": "\u{1b}]0;title\u{7}", "completed": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Failed", "status": "True"}], "error": {"phase": "x", "reasons": ["one\ntwo"]}}]}}});
    std::fs::write(&file, plan.to_string()).unwrap();
    let (code, table, _) = run(&["alerts", "--source", &format!("files:{}", file.display())]);
    assert_eq!((code, table.lines().count()), (0, 2), "{table:?}");
    assert!(table.contains("PlanFailed") && !table.replace('\n', "").contains(char::is_control), "{table:?}");
}

#[test]
fn render_shows_good_files_beside_a_broken_one_names_it_and_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let plan = |name: &str| json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"namespace": "ns", "name": name}});
    std::fs::write(folder.path().join("a.json"), plan("one").to_string()).unwrap();
    std::fs::write(folder.path().join("b.yaml"), "kind: [").unwrap();
    std::fs::write(folder.path().join("c.json"), plan("two").to_string()).unwrap();
    let source = format!("files:{}", folder.path().display());
    let (code, out, err) = run(&["render", "--source", &source]);
    assert_eq!(code, 3);
    assert!(out.contains("plan=\"one\"") && out.contains("plan=\"two\""), "{out}");
    assert!(err.contains("b.yaml:1: broken YAML: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn render_reads_standard_input_and_writes_a_file_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("plans.prom");
    std::fs::write(&target, "old").unwrap();
    let mut child =
        command(&["render", "--source", "files:-", "-o", target.to_str().unwrap()]).stdin(Stdio::piped()).spawn().unwrap();
    let last = raw_events("a-cold").pop().unwrap();
    child.stdin.take().unwrap().write_all(last["object"].to_string().as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let page = std::fs::read_to_string(&target).unwrap();
    assert!(page.starts_with("# HELP migration_plan_status"), "{page}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["plans.prom"], "nothing is left beside it");

    let (code, _, err) = run(&["render", "--source", &recording("a-cold"), "-o", "/nonexistent/plans.prom"]);
    assert_eq!(code, 1);
    assert!(err.contains("cannot write /nonexistent/plans.prom"), "{err}");
}

#[test]
fn render_of_hundreds_of_plans_as_kubectl_prints_them_has_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.yaml");
    std::fs::write(&file, capture(550)).unwrap();
    let (code, out, err) = run(&["render", "--source", &format!("files:{}", file.display())]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.lines().filter(|line| line.starts_with("migration_plan_status{")).count(), 550);
}

/// What `kubectl get plans,migrations,providers -A -o yaml` would print of a cluster with this many plans: copies of real
/// ones under other names.
fn capture(plans: usize) -> String {
    let mut real = std::collections::BTreeMap::new();
    for event in raw_events("r-many-plans") {
        let object = event["object"].clone();
        real.insert(format!("{}/{}", object["kind"], object["metadata"]["name"]), object);
    }
    let of = |kind: &'static str| real.values().filter(move |object| object["kind"] == kind);
    let originals: Vec<&Value> = of("Plan").collect();
    let copies = (0..plans).map(|number| {
        let mut plan = originals[number % originals.len()].clone();
        plan["metadata"]["name"] = json!(format!("copy-{number}"));
        plan
    });
    let items: Vec<Value> = of("Provider").cloned().chain(copies).collect();
    serde_saphyr::to_string(
        &json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}),
    )
    .unwrap()
}

#[test]
fn the_reference_is_markdown_or_json() {
    let (code, out, _) = run(&["metrics"]);
    assert_eq!(code, 0);
    assert!(out.contains("| `migration_plan_status` |"));
    let (_, out, _) = run(&["metrics", "--format", "json"]);
    let reference: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert!(reference.iter().any(|row| row["name"] == "mtv_sentinel_scrapes_total" && row["type"] == "counter"));
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, _) = run(&["completion", shell]);
        assert_eq!(code, 0);
        assert!(out.contains("check-config"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let mut child = command(&["render", "--source", &recording("p-queue")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (code, _, err) = said(child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}

/// A daemon that dies with the test.
pub struct Daemon(pub Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn terminate(child: &Child) {
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

pub fn get(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_demo_says_what_it_plays_and_where_to_look_tells_the_story_and_stops_when_told() {
    let mut child = command(&["demo", "--listen", "127.0.0.1:0", "--speed", "1000"]);
    let mut daemon = Daemon(child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(daemon.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until =
        |wanted: &str| lines.by_ref().find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted} never came"));
    until("  c-warm ");
    let address = until("  metrics  http://").split_once("http://").unwrap().1.trim_end_matches("/metrics").to_owned();
    assert!(get(&address, "/metrics").contains("migration_plans{phase="));
    let failed = until("Running → Failed");
    assert!(failed.contains("b-fail-retry/crm"), "{failed}");
    let updated =
        "would tell log: [demo] WARNING (updated) PlanFailed: plan b-fail-retry/crm - crm-02: Guest conversion failed.";
    until(updated);
    until("would tell log: [demo] RESOLVED PlanFailed: plan b-fail-retry/");
    until("would archive");
    until("CutoverScheduled → CuttingOver");
    // It starts again at the end: what was told once is told again.
    until("j-archive/never");
    until("b-fail-retry/crm");
    until(updated);
    terminate(&daemon.0);
    // Whoever stops it does not have to read to the end.
    for _ in lines {}
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
    let mut err = String::new();
    daemon.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
}

#[test]
fn the_daemon_logs_phase_changes_as_json_and_stops_when_told() {
    let source = recording("b-fail-retry");
    let mut child = command(&["--source", &source, "--listen", "127.0.0.1:0", "--log-format", "json", "--cluster", "prod"]);
    child.env("MTV_SENTINEL__REPLAY__SPEED", "1000").env("MTV_SENTINEL__NOTIFY__GROUP_WAIT", "0s");
    let mut daemon = Daemon(child.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(daemon.0.stderr.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let listening = lines.next().unwrap();
    assert_eq!(listening["message"], "listening");
    assert!(listening["timestamp"].as_str().unwrap().ends_with('Z'), "{listening}");
    let mut find = |wanted: &dyn Fn(&Value) -> bool| lines.by_ref().find(|line| wanted(line)).unwrap();
    let failed = find(&|line| line["message"] == "plan phase" && line["to"] == "Failed");
    assert_eq!((&failed["level"], &failed["plan"], &failed["from"]), (&"INFO".into(), &"crm".into(), &"Running".into()));
    let told = find(&|line| line["turn"] == "updated");
    assert_eq!(
        (&told["level"], &told["cluster"], &told["rule"], &told["attempt"]),
        (&"WARN".into(), &"prod".into(), &"PlanFailed".into(), &1.into())
    );
    find(&|line| line["message"] == "plan phase" && line["plan"] == "crm" && line["to"] == "Succeeded");
    terminate(&daemon.0);
    assert_eq!(find(&|line| line["message"] == "stopping")["level"], "INFO");
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_named_with_the_mend() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = run(&["run", "--source", &recording("a-cold"), "--listen", &address]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("cannot listen on {address}; --listen takes another address")), "{err}");
}
