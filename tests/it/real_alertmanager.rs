//! The receiver `alertmanager` against real Alertmanagers, which say what they make of it by webhooks of their own.

use crate::daemon::Daemon;
use crate::hook::{deliver_one, linked, listen, receiver, status};
use crate::support::{repository, tool};
use mtv_sentinel::app::Input;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::Turn;
use serde_json::{Value, json};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// A real Alertmanager that calls back at once, and what it says.
struct Alertmanager {
    address: String,
    said: Receiver<(String, Value)>,
    _folder: tempfile::TempDir,
    _process: testbed::Daemon,
}

impl Alertmanager {
    fn start() -> Self {
        let (hook, said) = listen(vec![status(200, "")], None);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let config = format!(
            "route: {{receiver: hook, group_by: ['...'], group_wait: 100ms, group_interval: 200ms, repeat_interval: 1h}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: 'http://{hook}/', send_resolved: true}}]}}]\n"
        );
        std::fs::write(path("alertmanager.yml"), config).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let arguments = [
            format!("--config.file={}", path("alertmanager.yml").display()),
            format!("--storage.path={}", path("data").display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let process = testbed::Daemon::start(&testbed::tool("alertmanager/alertmanager"), &arguments, &[], &path("log"));
        Self { address, said, _folder: folder, _process: process }
    }

    /// The next that it says, about the one alert that there is.
    fn says(&self, expected: &str) -> Value {
        let (_, said) = self.said.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!((&said["status"], said["alerts"].as_array().unwrap().len()), (&json!(expected), 1), "{said}");
        said
    }
}

/// A file with one plan that the daemon follows.
fn write_plan(path: &std::path::Path, has_failed: bool) {
    let at = "2026-11-01T10:00:00Z";
    let kind = if has_failed { "Failed" } else { "Ready" };
    let conditions = json!([{"type": kind, "status": "True", "category": "Advisory", "lastTransitionTime": at}]);
    let history = if has_failed { json!([{"conditions": conditions}]) } else { json!([]) };
    let plan = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
        "metadata": {"namespace": "migrations", "name": "crm", "uid": "uid-crm"},
        "status": {"conditions": conditions, "migration": {"history": history}}});
    let new = path.with_extension("new");
    std::fs::write(&new, plan.to_string()).unwrap();
    std::fs::rename(&new, path).unwrap();
}

fn daemon(path: &std::path::Path, receivers: &str) -> Daemon {
    let file = format!(
        "cluster: prod\nalerts: {{for: {{PlanFailed: 0s}}}}\nnotify: {{group_wait: 0s, receivers: {{{receivers}}}}}\n\
         message: {{console_url: 'https://console.example.com', runbook_url: 'https://example.com/runbooks'}}\n"
    );
    let config = Config::load(Layers { file: Some(("test".to_owned(), file)), ..Layers::default() }).unwrap();
    Daemon::run(config, Input::Files(path.to_owned(), Duration::from_millis(20)))
}

/// The types of a value; sets of labels may hold any.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = |name: &str| name.to_lowercase().ends_with("labels") || name.to_lowercase().ends_with("annotations");
            let shape_of =
                |name: &str, value: &Value| if set(name) && value.is_object() { json!("set") } else { shape(value) };
            fields
                .iter()
                .map(|(name, value)| (name.clone(), shape_of(name, value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("flag"),
        Value::Null => json!("null"),
    }
}

#[test]
fn two_replicas_show_two_real_alertmanagers_what_fires_and_each_says_it_once() {
    let (one, other) = (Alertmanager::start(), Alertmanager::start());
    let (bridge, posts) = listen(vec![status(200, "")], None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    write_plan(&path, false);
    let mirror = format!("am: {{type: alertmanager, urls: ['http://{}', 'http://{}']}}", one.address, other.address);
    let _first = daemon(&path, &format!("{mirror}, bridge: {{type: webhook, url: 'http://{bridge}/'}}"));
    let _second = daemon(&path, &mirror);
    write_plan(&path, true);
    let (_, ours) = posts.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(ours["status"], "firing");
    for alertmanager in [&one, &other] {
        let said = alertmanager.says("firing");
        let (alert, our_alert) = (&said["alerts"][0], &ours["alerts"][0]);
        let labels = json!({"alertname": "PlanFailed", "severity": "warning", "namespace": "migrations", "plan": "crm",
            "cluster": "prod", "attempt": "1"});
        assert_eq!((&alert["labels"], &our_alert["labels"]), (&labels, &labels));
        assert_eq!((&alert["status"], &alert["endsAt"]), (&our_alert["status"], &our_alert["endsAt"]));
        assert_eq!(alert["generatorURL"], our_alert["generatorURL"]);
        assert_eq!(alert["annotations"]["runbook_url"], "https://example.com/runbooks/planfailed.md");
        assert_eq!(alert["annotations"]["summary"], "[prod] WARNING PlanFailed: plan migrations/crm");
        // A bridge that was written for Alertmanager finds in our webhook what it finds in Alertmanager's.
        let (mut theirs, ours) = (shape(&said), shape(&ours));
        for newer in ["notification_reason", "routeLabels"] {
            theirs.as_object_mut().unwrap().remove(newer);
        }
        assert_eq!(theirs, ours);
    }
    write_plan(&path, false);
    assert_eq!(posts.recv_timeout(Duration::from_secs(60)).unwrap().1["status"], "resolved");
    for alertmanager in [&one, &other] {
        let said = alertmanager.says("resolved");
        assert_eq!(said["alerts"][0]["labels"]["plan"], "crm");
    }
}

#[test]
fn what_nobody_shows_any_more_ends_in_a_real_alertmanager_by_itself() {
    let alertmanager = Alertmanager::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    write_plan(&path, true);
    let mirror = format!("am: {{type: alertmanager, urls: ['http://{}'], resend_interval: 1s}}", alertmanager.address);
    let daemon = daemon(&path, &mirror);
    alertmanager.says("firing");
    daemon.stop().unwrap();
    alertmanager.says("resolved");
}

#[test]
fn a_real_alertmanager_takes_every_rule_and_what_is_long() {
    let alertmanager = Alertmanager::start();
    let config = receiver(&format!("{{type: alertmanager, urls: ['http://{}']}}", alertmanager.address));
    let mut taken = 0;
    for rule in mtv_sentinel::alert::RULES {
        let mut notification = linked(rule.name, Turn::Resolved);
        if let Some(alert) = notification.alerts.first_mut() {
            alert.id.subject = format!("vm \"{}\" \u{1f600} \n", "x".repeat(9000)).into();
        }
        // It may not listen yet.
        while deliver_one(&config, notification.clone()).verdict.as_str() == "failed" {}
        assert_eq!(deliver_one(&config, notification).verdict.as_str(), "delivered", "{}", rule.name);
        taken += 1;
    }
    assert!(taken > 20);
}

#[test]
fn the_example_on_the_page_is_one_that_alertmanager_takes() {
    let page = std::fs::read_to_string(repository("docs/notifications.md")).unwrap();
    let example = page.split("```yaml\n").find(|block| block.starts_with("# alertmanager.yml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alertmanager.yml");
    std::fs::write(&path, example.split("```").next().unwrap()).unwrap();
    let checked = std::process::Command::new(tool("alertmanager/amtool")).arg("check-config").arg(&path).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && said.contains("2 inhibit rules"), "{said}");
}
