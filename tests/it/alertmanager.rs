//! The receiver `alertmanager`: what is posted, and what is posted when, against servers that answer by a script.

use crate::hook::{Reply, deliver_one, linked, listen, load, noon, notification, receiver, status};
use mtv_sentinel::dispatch::Turn;
use mtv_sentinel::message::{Notice, Settings};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::notify::alertmanager::postable;
use mtv_sentinel::notify::{Mirrors, Shown};
use mtv_sentinel::plan::Key;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tokio::sync::watch;

/// A failed plan of this name, as it is shown.
fn failed(name: &str) -> Notice {
    let mut alert = notification("PlanFailed", Turn::Firing).alerts[0].clone();
    alert.scope = mtv_sentinel::alert::Scope::Plan(Key::new("ns", name));
    Notice::of(&alert, &Settings { cluster: "prod".to_owned(), ..Settings::default() })
}

/// A mirror that runs; ends with it.
struct Mirror {
    show: Option<watch::Sender<Shown>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Mirror {
    /// Of servers at these addresses, each of which everything is posted to once a second.
    fn start(addresses: &[&str]) -> Self {
        let urls: Vec<String> = addresses.iter().map(|address| format!("'http://{address}'")).collect();
        let config = receiver(&format!("{{type: alertmanager, urls: [{}], resend_interval: 1s}}", urls.join(", ")));
        let (show, shown) = watch::channel(None);
        let mirrors = Mirrors::new(&[("hook".into(), config)], &Arc::new(Own::new("test", "test")), noon).unwrap();
        let (_, none) = tokio::sync::mpsc::unbounded_channel();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(mirrors.keep(shown, none));
        });
        Self { show: Some(show), thread: Some(thread) }
    }

    /// From now on these fire.
    fn show(&self, notices: Vec<Notice>) {
        let shown = BTreeMap::from([("hook".into(), notices.into())]);
        self.show.as_ref().unwrap().send_replace(Some(Arc::new(shown)));
    }

    fn stop(mut self) {
        drop(self.show.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What a server makes of what it is posted, if it answers by this script; the last code for ever.
struct Model {
    posts: Receiver<(String, Value)>,
    codes: Vec<u16>,
    at: usize,
    /// What fires there, and what may.
    fires: BTreeSet<String>,
    perhaps: BTreeSet<String>,
}

impl Model {
    fn start(codes: &[u16]) -> (String, Self) {
        let (address, posts) = listen(codes.iter().map(|code| status(*code, "")).collect(), None);
        (address, Self { posts, codes: codes.to_vec(), at: 0, fires: BTreeSet::new(), perhaps: BTreeSet::new() })
    }

    /// Takes the next post; answers the plans that it says to fire.
    fn take(&mut self) -> BTreeSet<String> {
        let post = self.posts.recv_timeout(Duration::from_secs(60)).unwrap();
        self.take_post(&post)
    }

    fn take_post(&mut self, (head, body): &(String, Value)) -> BTreeSet<String> {
        assert!(head.starts_with("POST /api/v2/alerts HTTP/1.1"), "{head}");
        check_schema(body);
        let code = self.codes[self.at.min(self.codes.len() - 1)];
        self.at += 1;
        let mut said = BTreeSet::new();
        for alert in body.as_array().unwrap() {
            let plan = alert["labels"]["plan"].as_str().unwrap().to_owned();
            let fires = match alert["endsAt"].as_str().unwrap() {
                // Four times the interval after now.
                "2027-01-15T12:00:04Z" => true,
                // Over, by a clock that may be behind.
                "2027-01-15T11:59:55Z" => false,
                other => panic!("{other}"),
            };
            assert!(fires || self.fires.contains(&plan) || self.perhaps.contains(&plan), "{plan} was over, or never began");
            said.extend(fires.then(|| plan.clone()));
            match (code, fires) {
                (200, true) => drop(self.fires.insert(plan)),
                (200, false) => drop((self.fires.remove(&plan), self.perhaps.remove(&plan))),
                (500, true) => drop(self.perhaps.insert(plan)),
                _ => {}
            }
        }
        said
    }

    /// Takes posts until this is what fires there.
    fn until(&mut self, plans: &[&str]) {
        while !self.fires.iter().eq(plans) {
            self.take();
        }
    }
}

fn names(plans: &[&str]) -> BTreeSet<String> {
    plans.iter().map(|plan| (*plan).to_owned()).collect()
}

/// Whether a body is what `POST /api/v2/alerts` takes: `postableAlerts` of Alertmanager's api/v2/openapi.yaml, and what its
/// code asks for beyond that.
fn check_schema(body: &Value) {
    let texts = |set: &Value| {
        let set = set.as_object().unwrap_or_else(|| panic!("{set} is no set of labels"));
        for (name, value) in set {
            let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(name.chars().all(letters) && !name.starts_with(|c: char| c.is_ascii_digit()), "{name}");
            assert!(value.as_str().is_some_and(|value| !value.is_empty()), "{name}: an empty label is none");
        }
        set.len()
    };
    let time = |alert: &Value, name: &str| -> jiff::Timestamp { alert[name].as_str().unwrap().parse().unwrap() };
    let mut seen = BTreeSet::new();
    for alert in body.as_array().unwrap() {
        for name in alert.as_object().unwrap().keys() {
            let names = ["startsAt", "endsAt", "annotations", "labels", "generatorURL"];
            assert!(names.contains(&name.as_str()), "{name} is not in the schema");
        }
        assert!(texts(&alert["labels"]) > 0 && alert["labels"]["alertname"].is_string());
        texts(&alert["annotations"]);
        assert!(time(alert, "startsAt") <= time(alert, "endsAt"), "start time must be before end time");
        if let Some(url) = alert.get("generatorURL") {
            let url = url.as_str().unwrap();
            assert!(url.parse::<http::Uri>().unwrap().host().is_some(), "{url}");
        }
        assert!(seen.insert(alert["labels"].to_string()), "two alerts with the same labels");
    }
    assert!(!seen.is_empty(), "a post of nothing");
}

#[test]
fn an_alert_is_posted_as_prometheus_would_post_it() {
    let settled = |notification: &mtv_sentinel::message::Notification| Notice::all_of(notification);
    for rule in mtv_sentinel::alert::RULES {
        for notice in
            settled(&notification(rule.name, Turn::Firing)).iter().chain(&settled(&linked(rule.name, Turn::Firing)))
        {
            check_schema(&json!([postable(notice, Some(noon()), noon())]));
            check_schema(&json!([postable(notice, None, noon())]));
        }
    }
    let linked = settled(&linked("VmFailed", Turn::Firing)).remove(0);
    insta::assert_snapshot!(serde_json::to_string_pretty(&postable(&linked, Some(noon()), noon())).unwrap());
    // A clock that is ahead of ours has found what begins only now.
    let mut early = failed("early");
    early.alert.fires = noon().plus(Duration::from_secs(90));
    let posted = postable(&early, None, noon());
    assert_eq!((&posted["startsAt"], &posted["endsAt"]), (&json!("2027-01-15T12:00:00Z"), &json!("2027-01-15T12:00:00Z")));
    assert!(posted.get("generatorURL").is_none(), "it is a URL, or it is not there");
}

#[test]
fn names_that_are_too_long_are_cut_and_stay_different() {
    let long = |end: &str| postable(&failed(&("x".repeat(5000) + end)), None, noon())["labels"]["plan"].clone();
    assert_eq!(long("a").as_str().unwrap().chars().count(), 253);
    assert!(long("a") != long("b"));
    let fits = "y".repeat(253);
    assert_eq!(postable(&failed(&fits), None, noon())["labels"]["plan"], json!(fits));
    let mut wordy = failed("plan");
    wordy.alert.reason = "no space ".repeat(100_000).into();
    let wordy = Notice::of(&wordy.alert, &Settings::default());
    assert_eq!(postable(&wordy, None, noon())["annotations"]["description"].as_str().unwrap().chars().count(), 1000);
}

#[test]
fn what_fires_is_posted_again_before_it_ends_there_and_its_end_once() {
    let (address, mut server) = Model::start(&[200]);
    let mirror = Mirror::start(&[&address]);
    mirror.show(Vec::new());
    mirror.show(vec![failed("a")]);
    for _ in 0..3 {
        assert_eq!(server.take(), names(&["a"]));
    }
    mirror.show(vec![failed("b")]);
    server.until(&["b"]);
    // Another end of it would be one too many, which the model finds.
    for _ in 0..3 {
        assert_eq!(server.take(), names(&["b"]));
    }
    // What begins anew fires anew, and what says something else is posted.
    let mut changed = failed("b");
    changed.reason = "something else".to_owned();
    mirror.show(vec![failed("a"), changed]);
    server.until(&["a", "b"]);
    mirror.show(Vec::new());
    server.until(&[]);
    mirror.stop();
    assert_eq!(server.posts.try_iter().count(), 0, "nothing fires, so nothing is posted");
}

#[test]
fn what_has_changed_last_is_posted_before_the_program_ends_and_nothing_is_over_because_it_ends() {
    let (address, mut server) = Model::start(&[200]);
    let mirror = Mirror::start(&[&address]);
    mirror.show(vec![failed("a")]);
    server.until(&["a"]);
    mirror.show(vec![failed("a"), failed("b")]);
    mirror.stop();
    let rest: Vec<_> = server.posts.try_iter().collect();
    rest.iter().for_each(|post| drop(server.take_post(post)));
    assert_eq!(server.fires, names(&["a", "b"]));
    // Before everything has been seen nothing is said at all.
    let (address, server) = Model::start(&[200]);
    Mirror::start(&[&address]).stop();
    assert_eq!(server.posts.try_iter().count(), 0);
}

#[test]
fn who_was_down_is_told_the_end_later_and_who_never_knew_is_told_nothing() {
    let (address, mut server) = Model::start(&[503, 200, 503, 503, 500, 200]);
    let mirror = Mirror::start(&[&address]);
    mirror.show(vec![failed("never-known")]);
    assert_eq!(server.take(), names(&["never-known"]));
    for shown in [["a"].as_slice(), &["a", "b"], &[], &["c"], &["d"], &[]] {
        mirror.show(shown.iter().map(|name| failed(name)).collect());
        server.until(shown);
    }
    mirror.stop();
}

#[test]
fn what_may_have_arrived_is_owed_its_end() {
    let (address, mut server) = Model::start(&[500, 500, 200]);
    let mirror = Mirror::start(&[&address]);
    mirror.show(vec![failed("a")]);
    server.take();
    mirror.show(vec![failed("b")]);
    server.until(&["b"]);
    while server.perhaps.contains("a") {
        server.take();
    }
    mirror.stop();
}

#[test]
fn what_is_refused_is_posted_again_with_all_the_rest() {
    let (address, mut server) = Model::start(&[400, 400, 200]);
    let mirror = Mirror::start(&[&address]);
    mirror.show(vec![failed("a")]);
    server.until(&["a"]);
    assert!(server.at >= 3);
    mirror.stop();
}

#[test]
fn a_server_that_hangs_or_is_not_there_delays_no_other() {
    let (hanging, asked) = listen(vec![Reply::Hang], None);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (address, mut server) = Model::start(&[200]);
    let mirror = Mirror::start(&[&hanging, &nobody, &address]);
    for shown in [["a"].as_slice(), &["b"], &[], &["a"]] {
        mirror.show(shown.iter().map(|name| failed(name)).collect());
        server.until(shown);
    }
    assert!(asked.recv().is_ok(), "it is asked too");
    drop(mirror.show);
}

#[test]
fn many_are_posted_in_pieces_that_a_server_takes() {
    let (address, mut server) = Model::start(&[200]);
    let mirror = Mirror::start(&[&address]);
    let all: Vec<String> = (0..1200).map(|number| format!("plan-{number:04}")).collect();
    let wordy = |name: &String| {
        let mut notice = failed(name);
        notice.reason = "no space left ".repeat(70);
        notice
    };
    mirror.show(all.iter().map(wordy).collect());
    while server.fires.len() < all.len() {
        let post = server.posts.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(post.1.as_array().unwrap().len() <= 500 && post.1.to_string().len() <= 1_000_000);
        server.take_post(&post);
    }
    drop(mirror.show);
}

#[test]
fn the_user_of_a_url_is_sent_and_shown_nowhere() {
    let (address, requests) = listen(vec![Reply::Echo(400)], None);
    let yaml = format!(
        "{{type: alertmanager, urls: ['http://us%40r:p%25ss-s3cr3t@{address}/am/'], headers: {{X-Scope: s3cr3t-scope}}}}"
    );
    let config = receiver(&yaml);
    let done = deliver_one(&config, notification("PlanFailed", Turn::Firing));
    let (head, _) = requests.recv().unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post /am/api/v2/alerts ") && head.contains("x-scope: s3cr3t-scope"), "{head}");
    // us@r:p%ss-s3cr3t
    let encoded = "dXNAcjpwJXNzLXMzY3IzdA==";
    assert!(head.contains(&format!("authorization: basic {}", encoded.to_lowercase())), "{head}");
    let shown = format!("{done:?} {config:?} {}", load(&yaml).unwrap().show());
    assert!(done.verdict.as_str() == "refused" && shown.contains("400 Bad Request"), "{shown}");
    assert!(shown.contains(&format!("urls: [\"http://<secret>@{address}/am\"]")), "{shown}");
    assert!(
        !shown.contains("s3cr3t") && !shown.contains("us@r") && !shown.contains("us%40r") && !shown.contains(encoded),
        "{shown}"
    );
}

#[test]
fn a_wrong_alertmanager_is_refused_and_a_right_one_is_read_back_as_it_is_shown() {
    for (keys, expected) in [
        ("", "hook: it has no urls"),
        (", urls: []", "hook: it has no urls"),
        (", urls: [am]", "hook: urls[0] is no http or https URL"),
        (", urls: ['http://am', 'http://am/?x=1']", "hook: urls[1] has a ? or a # in it"),
        (", urls: ['http://am/api/v2/alerts']", "hook: urls[0] ends with /api/v2/alerts"),
        (", urls: ['http://am'], resend_interval: 10ms", "hook: resend_interval takes a duration from 1s to 1h"),
        (", urls: ['http://u:p@am'], bearer_token: x", "hook: it has both a bearer_token and a user in urls"),
        (", urls: ['http://am'], rate_limit: 1/1s", "hook: there is no such key as rate_limit"),
        (", url: 'http://am'", "hook: there is no such key as url; did you mean urls?"),
    ] {
        let said = load(&format!("{{type: alertmanager{keys}}}")).unwrap_err();
        assert!(said.contains(expected), "{keys}: {said}");
    }
    let written =
        "{type: alertmanager, urls: ['http://am-0:9093/', 'https://am-1/prefix'], bearer_token_file: /t, ca_file: /ca}";
    let shown = load(written).unwrap().show();
    let line = shown.lines().find_map(|line| line.strip_prefix("  receivers: {hook: ")?.strip_suffix('}')).unwrap();
    let expected = "{type: alertmanager, urls: [http://am-0:9093, https://am-1/prefix], resend_interval: 1m, \
                    bearer_token_file: \"/t\", timeout: 5s, ca_file: \"/ca\"}";
    assert_eq!(line, expected);
    assert!(load(line).is_ok());
}
