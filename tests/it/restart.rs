//! The whole program, killed and started again: what its ledger is for.

use crate::cli::{Daemon, command, terminate};
use crate::webhook::{Reply, serve, status};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStderr, Stdio};
use testbed::{Mishap, PagerDuty, Slack};

/// A routing key of PagerDuty's.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A daemon that reads plans from a file and keeps its ledger in a folder, and the lines of its log.
struct Program {
    daemon: Daemon,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Program {
    fn start(home: &Path) -> Self {
        Self::start_with(home, "{log: {type: log}}")
    }

    /// With these receivers.
    fn start_with(home: &Path, receivers: &str) -> Self {
        let file = format!("files:{}", home.join("plans.json").display());
        let mut child = command(&["--source", &file, "--listen", "127.0.0.1:0", "--log-format", "json"]);
        child.env("MTV_SENTINEL__LEDGER__PATH", home.join("ledger")).env("MTV_SENTINEL__FILES__POLL_INTERVAL", "20ms");
        child.env("MTV_SENTINEL__NOTIFY__GROUP_WAIT", "0s").env("MTV_SENTINEL__NOTIFY__RECEIVERS", receivers);
        let hook = if receivers.contains("hook") { "log, hook" } else { "log" };
        let routes = format!("[{{matchers: ['plan=old'], receivers: [log]}}, {{receivers: [{hook}]}}]");
        child.env("MTV_SENTINEL__NOTIFY__ROUTES", routes);
        let mut daemon = Daemon(child.stderr(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(daemon.0.stderr.take().unwrap()).lines();
        Self { daemon, lines }
    }

    /// What it tells, up to what is told about the plan of this name: turn, name, and whether it is marked as a repeat.
    fn told_until(&mut self, name: &str) -> Vec<(String, String, bool)> {
        let mut told = Vec::new();
        for line in &mut self.lines {
            let line = line.unwrap();
            assert_keeps_secrets(&line);
            let line: Value = serde_json::from_str(&line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            if line["receiver"] == "log" {
                told.push((text("turn"), text("name"), line["repeat"] == true));
            }
            if line["name"] == name {
                return told;
            }
        }
        panic!("it ended, and told {told:?}");
    }

    fn kill(mut self) {
        self.daemon.0.kill().unwrap();
        self.daemon.0.wait().unwrap();
        self.lines.for_each(|line| assert_keeps_secrets(&line.unwrap()));
    }

    /// Stops it in order; answers what it told until it was over.
    fn stop(mut self) -> usize {
        terminate(&self.daemon.0);
        let lines = self.lines.map(Result::unwrap).inspect(|line| assert_keeps_secrets(line));
        let told = lines.filter(|line| line.contains("\"receiver\":\"log\"")).count();
        assert_eq!(self.daemon.0.wait().unwrap().code(), Some(0));
        told
    }
}

/// Keys, tokens and URLs of receivers are in no line of the log.
fn assert_keeps_secrets(line: &str) {
    for secret in [KEY, "xoxb-", "s3cr3t"] {
        assert!(!line.contains(secret), "{line}");
    }
}

/// A plan that stands like this, as `kubectl get -o json` prints it.
pub fn plan(name: &str, outcome: &str) -> Value {
    let condition =
        json!([{"type": outcome, "status": "True", "category": "Advisory", "lastTransitionTime": "2026-11-01T10:00:00Z"}]);
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
        "metadata": {"namespace": "ns", "name": name, "uid": format!("uid-{name}")},
        "status": {"conditions": condition, "migration": {"started": "2026-11-01T09:00:00Z", "history": [{"conditions": condition}]}}})
}

/// Writes the plans as one piece: whoever reads sees the old file or the new one.
pub fn show(home: &Path, plans: &[Value]) {
    let beside = home.join("beside");
    std::fs::write(&beside, json!({"apiVersion": "v1", "kind": "List", "items": plans}).to_string()).unwrap();
    std::fs::rename(beside, home.join("plans.json")).unwrap();
}

/// Waits until the ledger knows of this object and of no message that is under way.
fn wait_until_recorded(home: &Path, uid: &str) {
    loop {
        let parts = std::fs::read_dir(home.join("ledger")).unwrap().map(|entry| entry.unwrap().path());
        let parts = parts.filter(|path| path.extension().is_some_and(|ending| ending == "ledger"));
        let text: String = parts.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        if text.contains(uid) && !text.contains("\"sending\"") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn told(turn: &str, name: &str) -> (String, String, bool) {
    (turn.to_owned(), name.to_owned(), false)
}

#[test]
fn a_program_that_is_killed_repeats_nothing_that_arrived_and_still_owes_the_end() {
    let home = tempfile::tempdir().unwrap();
    show(home.path(), &[plan("old", "Failed"), plan("mail", "Executing")]);
    let mut first = Program::start(home.path());
    assert_eq!(first.told_until(""), [told("firing", "")], "the baseline");
    show(home.path(), &[plan("old", "Failed"), plan("mail", "Failed"), plan("web", "Failed")]);
    assert_eq!(first.told_until("web"), [told("firing", "mail"), told("firing", "web")]);
    wait_until_recorded(home.path(), "uid-web");
    first.kill();

    // While it is away one is mended, and one fails.
    show(home.path(), &[plan("old", "Failed"), plan("web", "Failed"), plan("new", "Failed")]);
    let mut second = Program::start(home.path());
    let mut news = second.told_until("new");
    news.sort();
    assert_eq!(news, [told("firing", "new"), told("resolved", "mail")]);
    assert_eq!(second.stop(), 0);

    // Nothing has happened: nothing is told, until something does.
    let mut third = Program::start(home.path());
    show(home.path(), &[plan("old", "Failed"), plan("new", "Failed")]);
    assert_eq!(third.told_until("web"), [told("resolved", "web")]);
    assert_eq!(third.stop(), 0);
}

#[test]
fn a_folder_that_another_program_uses_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    show(home.path(), &[plan("mail", "Failed")]);
    let mut first = Program::start(home.path());
    first.told_until("");
    let mut second = Program::start(home.path());
    let said: Vec<String> = (&mut second.lines).map(Result::unwrap).collect();
    assert_eq!(second.daemon.0.wait().unwrap().code(), Some(1));
    assert!(said.iter().any(|line| line.contains("ledger: another mtv-sentinel uses it")), "{said:?}");
    first.stop();
}

/// What a person sees of a post: status, plan, whether it is marked as a repeat.
fn seen((_, body): (String, Value)) -> (String, String, bool) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let summary = text(&body["commonAnnotations"]["summary"]);
    (text(&body["status"]), text(&body["commonLabels"]["plan"]), summary.contains("(possible repeat)"))
}

#[test]
fn a_webhook_that_is_down_hears_of_everything_and_the_log_does_not_wait_for_it() {
    let home = tempfile::tempdir().unwrap();
    // Of the old one only the log is told: that it has told the baseline says that it has read the first file.
    show(home.path(), &[plan("old", "Failed"), plan("mail", "Executing")]);
    // It is busy, then takes a message and says nothing, then works.
    let (url, posts) = serve(vec![status(503, "Retry-After: 1\r\n"), Reply::Close, status(200, "")]);
    std::fs::write(home.path().join("url"), url + "\n").unwrap();
    let receivers =
        format!("{{log: {{type: log}}, hook: {{type: webhook, url_file: {}}}}}", home.path().join("url").display());
    let mut first = Program::start_with(home.path(), &receivers);
    assert_eq!(first.told_until(""), [told("firing", "")]);
    show(home.path(), &[plan("old", "Failed"), plan("mail", "Failed")]);
    assert_eq!(first.told_until("mail"), [told("firing", "mail")], "the log is told at once");
    assert_eq!(seen(posts.recv().unwrap()), told("firing", "mail"));
    assert_eq!(seen(posts.recv().unwrap()), told("firing", "mail"), "it did not arrive, so it is no repeat");
    assert_eq!(seen(posts.recv().unwrap()), ("firing".to_owned(), "mail".to_owned(), true), "it may have arrived");
    wait_until_recorded(home.path(), "uid-mail");
    first.kill();

    // The end is owed after a restart, and nothing else.
    show(home.path(), &[plan("old", "Failed")]);
    let second = Program::start_with(home.path(), &receivers);
    assert_eq!(seen(posts.recv().unwrap()), told("resolved", "mail"));
    second.stop();
    assert_eq!(posts.try_iter().count(), 0);
}

#[test]
fn an_incident_and_a_message_that_were_open_at_a_restart_are_followed_to_their_end() {
    for kind in ["slack", "pagerduty"] {
        let (slack, pagerduty) = (Slack::start().unwrap(), PagerDuty::start().unwrap());
        let home = tempfile::tempdir().unwrap();
        show(home.path(), &[plan("old", "Failed"), plan("mail", "Executing")]);
        let secret = if kind == "slack" { slack.token() } else { KEY };
        std::fs::write(home.path().join("secret"), secret).unwrap();
        let file = home.path().join("secret").display().to_string();
        let keys = match kind {
            "slack" => format!("token_file: '{file}', channel: '{}', api_url: '{}'", slack.channel(), slack.api_url()),
            _ => format!("routing_key_file: '{file}', url: '{}'", pagerduty.url()),
        };
        let receivers = format!("{{log: {{type: log}}, hook: {{type: {kind}, {keys}}}}}");
        // What is on the way at first is lost.
        slack.mishaps([Mishap::Status(503, Some(1))]);
        pagerduty.mishaps([Mishap::LoseReply]);
        let mut first = Program::start_with(home.path(), &receivers);
        assert_eq!(first.told_until(""), [told("firing", "")]);
        show(home.path(), &[plan("old", "Failed"), plan("mail", "Failed")]);
        assert_eq!(first.told_until("mail"), [told("firing", "mail")]);
        let requests = || slack.requests() + pagerduty.requests();
        wait_until(|| requests() == 2);
        wait_until_recorded(home.path(), "uid-mail");
        let ledger = std::fs::read_dir(home.path().join("ledger")).unwrap().map(|entry| entry.unwrap().path());
        let ledger: String = ledger.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        assert!(!ledger.contains(secret));
        first.kill();

        show(home.path(), &[plan("old", "Failed")]);
        let second = Program::start_with(home.path(), &receivers);
        wait_until(|| requests() == 3);
        second.stop();
        let (messages, incidents) = (slack.messages(), pagerduty.incidents());
        match kind {
            "slack" => {
                assert_eq!((messages.len(), messages[0].before.len()), (1, 1), "{messages:?}");
                assert!(messages[0].title.contains("RESOLVED") && !messages[0].title.contains("repeat"), "{messages:?}");
            }
            _ => {
                assert_eq!((incidents.len(), incidents[0].is_open), (1, false), "{incidents:?}");
                assert_eq!(incidents[0].triggers.len(), 2, "{incidents:?}");
            }
        }
        assert_eq!((slack.refused(), pagerduty.refused()), Default::default());
    }
}

/// Waits until something is so.
fn wait_until(is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it does not come to that");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
