//! The shipped program, told another configuration while it runs: all of it is taken, or nothing.

use crate::cli::{Daemon, command};
use crate::hook::{listen, serve, status};
use crate::restart::{plan, show};
use mtv_sentinel::plan::Time;
use mtv_sentinel::watch::Clock;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

struct Program {
    daemon: Daemon,
    address: String,
    lines: Receiver<String>,
    home: tempfile::TempDir,
}

impl Program {
    /// Starts one on plans in a file.
    fn start(plans: &[Value], config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        show(home.path(), plans);
        std::fs::write(home.path().join("sentinel.yaml"), config).unwrap();
        let (file, plans) = (home.path().join("sentinel.yaml"), home.path().join("plans.json"));
        let source = format!("files:{}", plans.display());
        let arguments =
            ["--config", file.to_str().unwrap(), "--source", &source, "--listen", "127.0.0.1:0", "--log-format", "json"];
        let mut child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        let reader = BufReader::new(child.stderr.take().unwrap());
        let (say, lines) = channel();
        std::thread::spawn(move || reader.lines().map_while(Result::ok).all(|line| say.send(line).is_ok()));
        let mut program = Self { daemon: Daemon(child), address: String::new(), lines, home };
        let line: Value = serde_json::from_str(&program.line("\"listening\"")).unwrap();
        program.address = line["address"].as_str().unwrap().to_owned();
        program
    }

    /// The next line of its log with this in it.
    fn line(&self, part: &str) -> String {
        self.lines.iter().find(|line| line.contains(part)).unwrap()
    }

    fn configure(&self, config: &str) {
        // As a ConfigMap is replaced in a pod: never half of it.
        std::fs::write(self.home.path().join("beside"), config).unwrap();
        std::fs::rename(self.home.path().join("beside"), self.home.path().join("sentinel.yaml")).unwrap();
    }

    fn hang_up(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.daemon.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn get(&self, path: &str) -> String {
        crate::cli::get(&self.address, path)
    }
}

/// A configuration with these receivers and more.
fn config(receivers: &str, more: &str) -> String {
    format!(
        "cluster: one\nfiles: {{poll_interval: 20ms}}\nhttp: {{expose_config: true}}\nnotify:\n  group_wait: 0s\n  receivers: {{log: {{type: log}}{receivers}}}\n{more}"
    )
}

#[test]
fn what_is_right_is_taken_at_once_and_a_new_receiver_begins_with_its_baseline() {
    let (hook, posts) = serve(vec![status(200, "")]);
    let program = Program::start(&[plan("old", "Failed")], &config("", ""));
    program.line("\"about\":\"baseline\"");
    program.configure(&config(&format!(", hook: {{type: webhook, url: '{hook}'}}"), ""));
    program.hang_up();
    program.line("the configuration was read anew");
    let (_, baseline) = posts.recv().unwrap();
    assert!(baseline["groupKey"].as_str().unwrap().contains("baseline"), "{baseline}");
    show(program.home.path(), &[plan("old", "Failed"), plan("new", "Failed")]);
    let (_, news) = posts.recv().unwrap();
    assert_eq!((&news["status"], &news["commonLabels"]["plan"]), (&"firing".into(), &"new".into()), "{news}");
    let page = program.get("/metrics");
    assert!(page.contains("mtv_sentinel_config_last_reload_successful 1\n"), "{page}");
    assert!(program.get("/config").contains("hook: {type: webhook, url: \"<secret>\""), "{}", program.get("/config"));

    // A file that changes is noticed without a word. What it does not select any more, and was told, is told to have ended.
    program.configure(&config("", "alerts: {off: [PlanFailed]}\n"));
    program.line("the configuration was read anew");
    program.line("\"turn\":\"resolved\"");
    let page = program.get("/metrics");
    assert!(!page.contains("mtv_sentinel_alerts{rule=\"PlanFailed\""), "{page}");
    assert_eq!(posts.try_iter().count(), 0, "nobody is told who is no receiver any more");
}

#[test]
fn an_alertmanager_that_is_added_is_shown_what_fires_and_one_that_is_removed_is_shown_nothing_more() {
    let (address, posts) = listen(vec![status(200, "")], None);
    let program = Program::start(&[plan("old", "Failed")], &config("", ""));
    program.line("\"about\":\"baseline\"");
    program
        .configure(&config(&format!(", am: {{type: alertmanager, urls: ['http://{address}'], resend_interval: 1s}}"), ""));
    program.hang_up();
    for _ in 0..2 {
        let (head, body) = posts.recv().unwrap();
        assert!(head.starts_with("POST /api/v2/alerts "), "{head}");
        assert_eq!((&body[0]["labels"]["alertname"], &body[0]["labels"]["plan"]), (&"PlanFailed".into(), &"old".into()));
    }
    // What is not looked for any more has ended, and the server is told so.
    let am = format!(", am: {{type: alertmanager, urls: ['http://{address}'], resend_interval: 1s}}");
    program.configure(&config(&am, "alerts: {off: [PlanFailed]}\n"));
    program.hang_up();
    let has_ended = |body: &Value| body[0]["endsAt"].as_str().and_then(Time::parse).is_some_and(|at| at < Clock::wall());
    while !has_ended(&posts.recv().unwrap().1) {}
    program.configure(&config("", ""));
    program.hang_up();
    for _ in 0..3 {
        program.line("the configuration was read anew");
    }
    while posts.recv_timeout(std::time::Duration::from_millis(2500)).is_ok() {}
}

#[test]
fn what_is_wrong_or_needs_a_start_changes_nothing_and_says_so() {
    let program = Program::start(&[plan("mail", "Executing")], &config("", ""));
    for (wrong, why) in [
        (config(", hook: {type: webhok}", ""), "did you mean webhook?"),
        (config(", hook: {type: webhook, url_file: /not/there}", ""), "/not/there"),
        (
            config("", "archive: {policies: [{name: done}]}\nkubernetes: {page_size: 7}\n"),
            "a start only: kubernetes.page_size",
        ),
        ("notify: {".to_owned(), "sentinel.yaml"),
    ] {
        program.configure(&wrong);
        program.hang_up();
        let line = program.line("is not used, the old one is");
        assert!(line.contains(why), "{line}");
        let page = program.get("/metrics");
        assert!(page.contains("mtv_sentinel_config_last_reload_successful 0\n"), "{page}");
        assert!(program.get("/config").contains("  policies: []\n"));
    }
    show(program.home.path(), &[plan("mail", "Failed")]);
    program.line("\"rule\":\"PlanFailed\"");
    program.configure(&config("", ""));
    program.hang_up();
    program.line("the configuration was read anew\"");
    assert!(program.get("/metrics").contains("mtv_sentinel_config_last_reload_successful 1\n"));
}
