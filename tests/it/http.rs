//! The HTTP server in this process, asked over a real socket.

use crate::daemon::{Daemon, answer};
use crate::hook::{serve, status};
use mtv_sentinel::app::Input;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::watch::replay::{Pace, Recording};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn every_route_answers_and_head_answers_without_a_body() {
    let daemon = Daemon::start("b-fail-retry", "{http: {expose_config: true}}");
    for (path, code, kind) in [
        ("/", 200, "text/html"),
        ("/metrics", 200, "text/plain; version=0.0.4"),
        ("/livez", 200, "text/plain"),
        ("/healthz", 200, "text/plain"),
        ("/-/healthy", 200, "text/plain"),
        ("/readyz", 200, "text/plain"),
        ("/-/ready", 200, "text/plain"),
        ("/api/v1/plans", 200, "application/json"),
        ("/api/v1/alerts", 200, "application/json"),
        ("/api/v1/notifications", 200, "application/json"),
        ("/api/v1/plans/b-fail-retry/erp", 200, "application/json"),
        ("/api/v1/plans/b-fail-retry/nobody", 404, "application/json"),
        ("/config", 200, "application/yaml"),
        ("/nothing", 404, "text/plain"),
        ("/api/v1/plans/", 404, "text/plain"),
    ] {
        let (got, head, body) = daemon.get(path);
        assert_eq!(got, code, "{path}");
        assert!(head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        assert!(!body.is_empty(), "{path}");
        let (got, head_only, body) = daemon.ask("HEAD", path, "");
        assert_eq!((got, body.len()), (code, 0), "HEAD {path}");
        if path != "/metrics" {
            assert_eq!(
                head_only.lines().find(|l| l.starts_with("content-length")),
                head.lines().find(|l| l.starts_with("content-length")),
                "{path}"
            );
        }
    }
    let (code, head, _) = daemon.ask("POST", "/metrics", "Content-Length: 0\r\n");
    assert_eq!(code, 405);
    assert!(head.contains("allow: get, head"), "{head}");
}

#[test]
fn metrics_come_in_the_format_and_encoding_that_the_client_wants() {
    let daemon = Daemon::start("b-fail-retry", "");
    daemon.wait_for("migration_plans{phase=\"Succeeded\"} 2");
    let openmetrics = "Accept: application/openmetrics-text;version=1.0.0, */*;q=0.1\r\n";
    let gzip = "Accept-Encoding: gzip\r\n";
    let (_, head, body) = daemon.ask("GET", "/metrics", openmetrics);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(head.contains("vary: accept, accept-encoding") && !head.contains("content-encoding"), "{head}");
    assert!(String::from_utf8(body).unwrap().ends_with("# EOF\n"));
    for (headers, end) in [(format!("{openmetrics}{gzip}"), "# EOF\n"), (gzip.to_owned(), "\"} 0\n")] {
        let (_, head, body) = daemon.ask("GET", "/metrics", &headers);
        assert!(head.contains("content-encoding: gzip"), "{head}");
        let page = unpacked(&body);
        assert!(page.ends_with(end) && page.contains("migration_plan_status{"), "{page}");
    }
    let page = daemon.text("/metrics");
    assert!(page.contains("mtv_sentinel_scrapes_total{format=\"openmetrics\",encoding=\"gzip\"} 1\n"), "{page}");
    assert!(page.contains("mtv_sentinel_http_requests_total{route=\"/readyz\",code=\"200\"}"), "{page}");
}

#[test]
fn scrapes_of_one_generation_share_one_page_and_all_are_whole() {
    let daemon = Daemon::start("r-many-plans", "");
    daemon.wait_for("migration_plans{phase=\"Succeeded\"} 37");
    let families =
        |page: String| page.lines().filter(|line| line.starts_with("migration_")).map(str::to_owned).collect::<Vec<_>>();
    let pages: Vec<Vec<String>> = std::thread::scope(|scope| {
        let ask = || families(unpacked(&daemon.ask("GET", "/metrics", "Accept-Encoding: gzip\r\n").2));
        let scrapers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        scrapers.into_iter().map(|scraper| scraper.join().unwrap()).collect()
    });
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(pages[0].iter().filter(|line| line.starts_with("migration_plan_status{")).count(), 40);
}

#[test]
fn the_api_tells_the_derived_model() {
    let daemon = Daemon::start("c-warm", "{cluster: test, archive: {policies: [{name: done}]}}");
    daemon.wait_for("migration_plans{phase=\"Succeeded\"} 2");
    let plans = daemon.json("/api/v1/plans");
    assert_eq!(plans["cluster"], "test");
    let names: Vec<&str> = plans["plans"].as_array().unwrap().iter().map(|plan| plan["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ldap", "mail"]);
    let mail = daemon.json("/api/v1/plans/c-warm/mail");
    assert_eq!((&mail["phase"], &mail["type"], &mail["progress_ratio"]), (&"Succeeded".into(), &"warm".into(), &1.0.into()));
    assert_eq!((&mail["archive"]["decision"], &mail["archive"]["reason"]), (&"Wait".into(), &"TooYoung".into()));
    assert_eq!(mail["vms"][0]["warm"]["precopies"], 4);
    assert_eq!(mail["vms_by_phase"]["Succeeded"], 2);
    assert_eq!(plans["plans"][1]["vms"], Value::Null, "the list is without VMs");
}

#[test]
fn the_api_tells_what_fires_and_so_do_the_metrics() {
    let daemon = Daemon::start("i-provider-lost-until-failed", "{cluster: test}");
    daemon.wait_for(
        "migration_plan_alert{plan_namespace=\"i-provider-lost\",plan=\"core\",alert=\"PlanFailed\",severity=\"warning\"} 1",
    );
    let told = daemon.json("/api/v1/alerts");
    let alerts = told["alerts"].as_array().unwrap();
    let first = alerts.iter().find(|alert| alert["rule"] == "PlanFailed").unwrap();
    assert_eq!((&told["cluster"], &first["state"]), (&"test".into(), &"firing".into()));
    assert_eq!((&first["kind"], &first["name"], &first["attempt"]), (&"Plan".into(), &"core".into(), &1.into()));
    assert!(first["reason"].as_str().unwrap().contains("validation blocker"), "{first}");
    let page = daemon.text("/metrics");
    assert!(page.contains("mtv_sentinel_alerts{rule=\"PlanFailed\",severity=\"warning\",state=\"firing\"} 1\n"), "{page}");
}

#[test]
fn the_api_tells_what_receivers_know_what_is_on_its_way_and_what_never_arrives() {
    let (refuses, _posts) = serve(vec![status(400, "")]);
    let (busy, _posts) = serve(vec![status(503, "Retry-After: 3000\r\n")]);
    let receivers = format!(
        "{{log: {{type: log}}, refuses: {{type: webhook, url: '{refuses}'}}, busy: {{type: webhook, url: '{busy}'}}}}"
    );
    let daemon = Daemon::start(
        "i-provider-lost-until-failed",
        &format!("{{cluster: test, notify: {{group_wait: 0s, receivers: {receivers}}}}}"),
    );
    let told = || daemon.json("/api/v1/notifications");
    let find = |receiver: &str| {
        let all = told()["notifications"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["receiver"] == receiver && one["known"].get("PlanFailed").is_some())
    };
    daemon.wait_until(|_| find("log").is_some() && told()["dead_letters"].get(0).is_some());
    let known = find("log").unwrap();
    assert_eq!((&known["about"], &known["stage"], &known["name"]), (&"thread".into(), &"told".into(), &"core".into()));
    assert_eq!((&known["attempt"], &known["failures"]), (&1.into(), &0.into()));
    let dead = &told()["dead_letters"][0];
    assert!(dead["receiver"] == "refuses" && dead["reason"].as_str().unwrap().contains("400"), "{dead}");
    assert!(!told().to_string().contains("s3cr3t"), "{}", told());
    let waits = |one: &Value| one["receiver"] == "busy" && one["stage"] == "retrying" && one["retry_at"].is_string();
    daemon.wait_until(|_| told()["notifications"].as_array().unwrap().iter().any(waits));
    assert_eq!((&told()["acts"], &told()["cluster"]), (&true.into(), &"test".into()));
    let page = daemon.text("/metrics");
    assert!(!page.contains("mtv_sentinel_dead_letters_total{receiver=\"refuses\",reason=\"refused\"} 0\n"), "{page}");
    assert!(page.contains("mtv_sentinel_oldest_pending_notification_timestamp_seconds{receiver=\"busy\"} "), "{page}");
}

#[test]
fn readiness_waits_for_the_source_and_says_what_is_known() {
    let daemon = Daemon::start("a-cold", "");
    let details = daemon.text("/readyz?verbose");
    assert!(details.starts_with("[+] source: ") && details.ends_with("ok\n"), "{details}");

    // A recording whose start lasts for ever: the event that ends it comes after a pause that no test outlives.
    let provider = r#"{"apiVersion":"forklift.konveyor.io/v1beta1","kind":"Provider","metadata":{"name":"host"}}"#;
    let event = |time: &str| format!("{{\"time\":\"2026-01-01T{time}Z\",\"type\":\"ADDED\",\"object\":{provider}}}\n");
    let recording = Recording::unpack("start", (event("00:00:00") + &event("23:00:00")).as_bytes()).unwrap();
    let pace = Pace { speed: 1e-6, until: None, repeat: false, longest_pause: Duration::MAX };
    let daemon = Daemon::spawn(Config::load(Layers::default()).unwrap(), Input::Replay(recording, pace));
    daemon.wait_for("migration_provider_ready{provider_namespace=\"\",provider=\"host\"} 0");
    assert_eq!((daemon.get("/readyz").0, daemon.get("/-/ready").0, daemon.get("/livez").0), (503, 503, 200));
    let details = daemon.text("/readyz?verbose");
    assert!(
        details.starts_with("[-] source: 0 plans, 0 migrations, 1 providers") && details.contains("not ready"),
        "{details}"
    );
}

#[test]
fn a_bearer_token_is_asked_for_and_never_shown() {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "first\n").unwrap();
    let daemon = Daemon::start(
        "g-cancel-all",
        &format!("{{http: {{expose_config: true, bearer_token_file: \"{}\"}}}}", token.path().display()),
    );
    let ask = |token: &str| daemon.ask("GET", "/api/v1/plans", &format!("Authorization: Bearer {token}\r\n")).0;
    assert_eq!((daemon.get("/metrics").0, daemon.get("/livez").0, daemon.get("/readyz").0), (401, 200, 200));
    assert_eq!((ask("first"), ask("second"), ask("")), (200, 401, 401));
    std::fs::write(token.path(), "second").unwrap();
    assert_eq!((ask("first"), ask("second")), (401, 200), "a rotated token counts at once");
    std::fs::remove_file(token.path()).unwrap();
    assert_eq!((ask("second"), ask("")), (401, 401), "nobody may while the file is gone");
    drop(daemon);

    let daemon = Daemon::start("g-cancel-all", "{http: {expose_config: true, bearer_token: s3cr3t}}");
    let (code, _, body) = daemon.ask("GET", "/config", "Authorization: Bearer s3cr3t\r\n");
    let body = String::from_utf8(body).unwrap();
    assert_eq!(code, 200);
    assert!(body.contains("bearer_token: \"<secret>\"") && !body.contains("s3cr3t"), "{body}");
}

#[test]
fn the_configuration_is_not_served_unless_asked_for() {
    assert_eq!(Daemon::start("g-cancel-all", "").get("/config").0, 404);
}

#[test]
fn no_request_makes_it_fall_over() {
    let daemon = Daemon::start("g-cancel-all", "{http: {header_timeout: 200ms}}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Y: z\r\n".repeat(500));
    let requests: Vec<&[u8]> = vec![
        b"",
        b"\r\n\r\n",
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/plans/%2e%2e/%2f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        b"GET /readyz?verbose&verbose=%zz#x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ];
    for request in requests {
        // Each ends: with an answer, or because the head never came to its end.
        let (code, _, _) = answer(daemon.send(request));
        assert!(code < 500, "{code} for {:?}", String::from_utf8_lossy(&request[..request.len().min(60)]));
    }
    assert_eq!(daemon.get("/livez").0, 200);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_cut_off() {
    let daemon = Daemon::start("r-many-plans", "{http: {max_connections: 1, write_timeout: 100ms, header_timeout: 60s}}");
    // More answers than any socket buffer takes, and nobody reads them.
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut deaf = daemon.send(request);
    deaf.set_nonblocking(true).unwrap();
    while deaf.write(&request.repeat(100)).is_ok() {}
    assert_eq!(daemon.get("/livez").0, 200, "its slot is free again");
}

#[test]
fn a_connection_beyond_the_limit_waits_and_is_served_when_another_ends() {
    let daemon = Daemon::start("g-cancel-all", "{http: {max_connections: 1, header_timeout: 60s}}");
    let idle = daemon.send(b"GET /livez HTTP/1.1\r\n");
    let waiting = daemon.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    waiting.set_nonblocking(true).unwrap();
    assert_eq!(waiting.peek(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    waiting.set_nonblocking(false).unwrap();
    drop(idle);
    assert_eq!(answer(waiting).0, 200);
}

#[test]
fn stopping_ends_connections_and_the_daemon() {
    let daemon = Daemon::start("g-cancel-all", "{http: {stop_timeout: 100ms}}");
    let idle = daemon.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    let address = daemon.address;
    daemon.stop().unwrap();
    assert!(TcpStream::connect(address).is_err(), "the listener is closed");
    drop(idle);
}

#[test]
fn a_source_that_cannot_be_read_ends_the_daemon_with_its_name() {
    let config =
        Config::load(Layers { flags: vec![("source", "files:/nonexistent/plans".to_owned())], ..Layers::default() })
            .unwrap();
    let error = Input::open(&config).err().unwrap();
    assert!(format!("{error:#}").contains("source files:/nonexistent/plans"), "{error:#}");
}
