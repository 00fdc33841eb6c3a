//! A scripted API server, for answers that no real one gives on demand. Plain HTTP; it says what the script says and nothing
//! else.

use crate::daemon::Daemon;
use mtv_sentinel::app::Input;
use mtv_sentinel::config::{Config, Layers};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// What a request gets: the answers of its kind one after another, the last one for ever.
type Script = BTreeMap<&'static str, Vec<String>>;

/// An answer with a body.
fn answer(code: &str, head: &str, body: &str) -> String {
    format!("HTTP/1.1 {code}\r\nContent-Type: application/json\r\nConnection: close\r\n{head}\r\n{body}")
}

fn ok(body: &str) -> String {
    answer("200 OK", "", body)
}

fn list(items: &str) -> String {
    ok(&format!("{{\"kind\":\"List\",\"metadata\":{{\"resourceVersion\":\"1\"}},\"items\":[{items}]}}"))
}

/// A server that plays the script; requests that it has no answer for are held open. Answers its address and what was asked.
fn server(script: Script) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (script, log) = (Arc::new(Mutex::new(script)), Arc::clone(&asked));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, script, log) = (stream.unwrap(), Arc::clone(&script), Arc::clone(&log));
            std::thread::spawn(move || {
                let mut request = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                log.lock().unwrap().push(path.clone());
                let kind =
                    ["plans", "migrations", "providers"].into_iter().find(|kind| path.contains(kind)).unwrap_or_default();
                let what = format!("{} {kind}", if path.contains("watch=true") { "watch" } else { "list" });
                let text = {
                    let mut script = script.lock().unwrap();
                    script
                        .get_mut(what.as_str())
                        .map(|answers| if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
                };
                match text {
                    Some(text) => drop(stream.write_all(text.as_bytes())),
                    // Held open until the other side goes.
                    None => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
                        let _ = reader.read_line(&mut String::new());
                    }
                }
            });
        }
    });
    (url, asked)
}

fn daemon(url: &str) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "c", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]});
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let file = format!(
        "{{source: cluster, kubernetes: {{kubeconfig: '{}', watch_timeout: 10s, request_timeout: 3s, longest_backoff: 20ms, streaming_lists: false}}}}",
        kubeconfig.display()
    );
    let config = Config::load(Layers { file: Some(("test".to_owned(), file)), ..Layers::default() }).unwrap();
    let input = Input::open(&config).unwrap();
    let daemon = Daemon::spawn(config, input);
    daemon.wait_until(|daemon| !daemon.text("/readyz?verbose").contains("nothing observed"));
    drop(folder);
    daemon
}

fn a_plan(name: &str) -> Value {
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"namespace": "ns", "name": name, "resourceVersion": "2"}})
}

fn quiet() -> Script {
    BTreeMap::from([("list plans", vec![list("")]), ("list migrations", vec![list("")]), ("list providers", vec![list("")])])
}

fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn shows(daemon: &Daemon, text: &str) -> bool {
    daemon.text("/metrics").contains(text)
}

#[test]
fn a_server_that_asks_for_patience_is_asked_again_and_the_reason_is_told() {
    let mut script = quiet();
    let busy = answer("429 Too Many Requests", "Retry-After: 1\r\n", "too many requests, please try again later");
    script.insert("list plans", vec![busy, list(&a_plan("one").to_string())]);
    let (url, asked) = server(script);
    let daemon = daemon(&url);
    daemon.wait_until(|daemon| shows(daemon, "plan=\"one\""));
    assert!(shows(&daemon, "mtv_sentinel_watch_errors_total{kind=\"Plan\",watch_namespace=\"\",trouble=\"throttled\"} 1\n"));
    let lists = asked.lock().unwrap().iter().filter(|path| path.contains("plans") && !path.contains("watch=true")).count();
    assert_eq!(lists, 2, "not before it was told to");
}

#[test]
fn an_object_that_cannot_be_decoded_costs_neither_the_page_nor_the_watch() {
    let twice = a_plan("twice").to_string().replace("\"metadata\":", "\"spec\":{},\"spec\":{},\"metadata\":");
    let mut script = quiet();
    script.insert(
        "list plans",
        vec![list(&[a_plan("one").to_string(), twice.clone(), "5".to_owned(), a_plan("two").to_string()].join(","))],
    );
    let (added, broken) = (event("ADDED", &a_plan("three").to_string()), event("MODIFIED", &twice.replace("twice", "one")));
    let deleted = event("DELETED", &twice);
    script.insert("watch plans", vec![ok(&format!("{broken}{added}{deleted}"))]);
    let (url, _) = server(script);
    let daemon = daemon(&url);
    daemon.wait_until(|daemon| shows(daemon, "plan=\"three\""));
    daemon.wait_until(|daemon| !shows(daemon, "plan=\"twice\""));
    for plan in ["one", "two"] {
        assert!(shows(&daemon, &format!("plan=\"{plan}\"")), "{plan}");
    }
    assert!(shows(&daemon, "mtv_sentinel_unreadable_objects 1\n"), "{}", daemon.text("/metrics"));
}

#[test]
fn a_watch_that_ends_in_an_error_or_in_nonsense_goes_on() {
    for nonsense in [
        "this is no JSON\n",
        "{\"type\":\"WHAT\",\"object\":{}}\n",
        "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"oh\"}}\n",
    ] {
        let mut script = quiet();
        script.insert("watch plans", vec![ok(nonsense), ok(&event("ADDED", &a_plan("one").to_string()))]);
        let (url, _) = server(script);
        let daemon = daemon(&url);
        daemon.wait_until(|daemon| shows(daemon, "plan=\"one\""));
        assert!(shows(&daemon, "trouble=\"server\"} 1\n"), "{nonsense}");
    }
}

#[test]
fn a_list_whose_continuation_has_expired_begins_anew_and_loses_nothing() {
    let page = |name: &str| {
        ok(&format!("{{\"metadata\":{{\"resourceVersion\":\"1\",\"continue\":\"more\"}},\"items\":[{}]}}", a_plan(name)))
    };
    let gone = answer("410 Gone", "", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}");
    let mut script = quiet();
    let end = list(&a_plan("two").to_string());
    script.insert("list plans", vec![page("stale"), gone, page("one"), end]);
    let (url, _) = server(script);
    let daemon = daemon(&url);
    daemon.wait_until(|daemon| daemon.get("/readyz").0 == 200);
    assert!(shows(&daemon, "plan=\"one\"") && shows(&daemon, "plan=\"two\"") && !shows(&daemon, "plan=\"stale\""));
}

#[test]
fn a_watch_goes_on_from_the_version_of_the_last_bookmark() {
    let bookmark = event("BOOKMARK", "{\"kind\":\"Plan\",\"metadata\":{\"resourceVersion\":\"77\"}}");
    let mut script = quiet();
    script.insert("watch plans", vec![ok(&bookmark), ok(&event("ADDED", &a_plan("one").to_string()))]);
    let (url, asked) = server(script);
    let daemon = daemon(&url);
    daemon.wait_until(|daemon| shows(daemon, "plan=\"one\""));
    let asked = asked.lock().unwrap();
    let watches: Vec<&String> = asked.iter().filter(|path| path.contains("plans") && path.contains("watch=true")).collect();
    assert!(watches[0].contains("resourceVersion=1") && watches[1].contains("resourceVersion=77"), "{watches:?}");
}

#[test]
fn a_server_that_ends_every_watch_at_once_is_broken_and_not_stormed() {
    let mut script = quiet();
    script.insert("watch plans", vec![ok("")]);
    let (url, _) = server(script);
    let daemon = daemon(&url);
    daemon
        .wait_until(|daemon| shows(daemon, "watch_errors_total{kind=\"Plan\",watch_namespace=\"\",trouble=\"connection\"}"));
}

#[test]
fn a_server_to_which_every_version_is_too_old_is_broken_and_not_stormed() {
    let mut script = quiet();
    script.insert("watch plans", vec![ok(&event("ERROR", "{\"code\":410,\"message\":\"too old\"}"))]);
    let (url, _) = server(script);
    let daemon = daemon(&url);
    daemon.wait_until(|daemon| shows(daemon, "watch_errors_total{kind=\"Plan\",watch_namespace=\"\",trouble=\"server\"}"));
}
