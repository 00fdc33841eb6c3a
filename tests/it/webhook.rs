//! The receiver `webhook`: what is posted, what each answer means, and that its secrets stay secret.

pub use crate::hook::{Reply, serve, status};
use crate::hook::{deliver, deliver_one, deliver_with, load, notification, receiver};
use mtv_sentinel::dispatch::Turn;
use mtv_sentinel::lease::{self, Elector, Leadership};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::notify::webhook::payload;
use mtv_sentinel::notify::{Done, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// Sends to this URL; answers what became of it.
fn deliver_to(url: &str, count: usize) -> Vec<Done> {
    let receiver = receiver(&format!("{{type: webhook, url: '{url}', bearer_token: t0ken-s3cr3t, timeout: 400ms}}"));
    deliver(&receiver, (0..count).map(|_| notification("PlanFailed", Turn::Firing)).collect())
}

#[test]
fn the_payload_is_alertmanagers_and_says_what_a_bridge_needs() {
    for (rule, turn) in [("PlanFailed", Turn::Firing), ("ProviderNotReady", Turn::Resolved)] {
        let payload = payload(&notification(rule, turn), "2027-01-15T12:00:00Z");
        insta::assert_snapshot!(format!("payload-{rule}"), serde_json::to_string_pretty(&payload).unwrap());
    }
    let mut many = notification("PlanFailed", Turn::Firing);
    many.alerts = vec![many.alerts[0].clone(); 250];
    let payload = payload(&many, "");
    assert_eq!((payload["alerts"].as_array().unwrap().len(), &payload["truncatedAlerts"]), (100, &150.into()));
}

#[test]
fn what_is_posted_arrives_with_its_token() {
    let (url, requests) = serve(vec![status(200, "")]);
    let done = deliver_to(&url, 1);
    assert_eq!(done[0].verdict, Verdict::Delivered);
    let (head, body) = requests.recv().unwrap();
    let head = head.to_lowercase();
    assert!(
        head.starts_with("post /hooks/s3cr3t-path http/1.1") && head.contains("content-type: application/json"),
        "{head}"
    );
    assert!(head.contains("authorization: bearer t0ken-s3cr3t") && head.contains("user-agent: mtv-sentinel/"), "{head}");
    assert_eq!((&body["version"], &body["receiver"]), (&"4".into(), &"hook".into()));
}

#[test]
fn a_signature_covers_the_time_and_the_body() {
    let (url, requests) = crate::hook::serve_raw();
    let yaml = "bearer_token: t0ken, hmac_secret: 'k3y of ours', headers: {X-Team: virt, x-api-key: s3cr3t-value}";
    let hook = receiver(&format!("{{type: webhook, url: '{url}', {yaml}}}"));
    assert_eq!(deliver_one(&hook, notification("PlanFailed", Turn::Firing)).verdict, Verdict::Delivered);
    let (head, body) = requests.recv().unwrap();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} is missing: {head}")).split_once(": ").unwrap().1.to_owned()
    };
    // 2027-01-15T12:00:00Z
    assert_eq!((header("x-mtv-sentinel-timestamp").as_str(), header("x-team").as_str()), ("1800014400", "virt"));
    assert_eq!(header("x-api-key"), "s3cr3t-value");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k3y of ours");
    let hex = header("x-mtv-sentinel-signature").strip_prefix("sha256=").unwrap().to_owned();
    let signature: Vec<u8> = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..][..2], 16).unwrap()).collect();
    assert!(ring::hmac::verify(&key, format!("1800014400.{body}").as_bytes(), &signature).is_ok());
    assert!(ring::hmac::verify(&key, format!("1800014401.{body}").as_bytes(), &signature).is_err());
    let shown = load(&format!("{{type: webhook, url: '{url}', {yaml}}}")).unwrap().show();
    assert!(shown.contains("x-api-key: \"<secret>\"") && !shown.contains("s3cr3t") && !shown.contains("k3y"), "{shown}");
}

#[test]
fn headers_that_are_set_anyway_or_are_none_are_refused() {
    for headers in ["{Authorization: x}", "{content-type: x}", "{'a b': x}", "{a: \"x\\n\"}", "{X-A: 1, x-a: b}", "[a]"] {
        let wrong = load(&format!("{{type: webhook, url: 'http://x/', headers: {headers}}}")).unwrap_err();
        assert!(wrong.contains("hook: headers takes a map from names to values of headers"), "{wrong}");
    }
}

#[test]
fn a_receiver_that_asks_for_patience_is_left_alone_with_everything() {
    let (url, requests) = serve(vec![status(429, "Retry-After: 30\r\n")]);
    let done = deliver_to(&url, 12);
    assert_eq!(done.len(), 12, "each is answered");
    assert!(done.iter().all(|done| matches!(done.verdict, Verdict::NotSent(..))), "{done:?}");
    // Those that were under way together.
    assert_eq!(requests.try_iter().count(), 4);
    assert!(done.iter().all(|done| done.pause > Duration::from_secs(20)), "{done:?}");
}

#[test]
fn failures_in_a_row_are_answered_with_ever_longer_pauses() {
    let (url, _requests) = serve(vec![status(500, "")]);
    let done = deliver_to(&url, 14);
    let pauses: Vec<Duration> = done.iter().map(|done| done.pause).collect();
    for (failures, pause) in pauses.iter().enumerate() {
        let whole = Duration::from_secs(1 << failures.min(16)).min(Duration::from_secs(300));
        assert!((whole * 3 / 4..=whole).contains(pause), "{pauses:?}");
    }
}

#[test]
fn a_receiver_can_be_tried_and_says_what_is_wrong() {
    let (url, posts) = serve(vec![status(200, ""), status(200, ""), status(404, "")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.yaml");
    let config = format!("cluster: prod\nnotify: {{receivers: {{hook: {{type: webhook, url: '{url}'}}}}}}\n");
    std::fs::write(&file, config).unwrap();
    let try_it = |receiver: &str| {
        let arguments = ["test-notify", "--config", file.to_str().unwrap(), "--receiver", receiver];
        let output = crate::cli::command(&arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let delivered = "hook: the beginning was delivered\nhook: the end was delivered\n".to_owned();
    assert_eq!(try_it("hook"), (0, delivered, String::new()));
    for expected in ["firing", "resolved"] {
        let (_, body) = posts.recv().unwrap();
        let summary = body["commonAnnotations"]["summary"].as_str().unwrap();
        assert!(body["status"] == expected && summary.starts_with("(test) [prod] "), "{body}");
    }
    let (code, _, wrong) = try_it("hook");
    assert_eq!(code, 1);
    assert!(wrong.contains("hook: the beginning was not delivered: 404 Not Found") && !wrong.contains("s3cr3t"), "{wrong}");
    let (code, _, wrong) = try_it("hok");
    assert_eq!(code, 2);
    assert!(wrong.contains("there is no receiver \"hok\"; did you mean hook?"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_nothing_is_sent_and_none_of_an_earlier_term_with_it() {
    let (url, posts) = serve(vec![status(200, "")]);
    let hook = receiver(&format!("{{type: webhook, url: '{url}'}}"));
    let settings = lease::Settings {
        namespace: "default".to_owned(),
        name: "nobody-runs-for-it".to_owned(),
        identity: "test".to_owned(),
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    };
    let client = crate::cluster::shared().await.client().await.unwrap();
    let own = Arc::new(Own::new("test", "test"));
    let (_elector, follows) = Elector::new(client, settings, own, lease::boot_time).unwrap();
    let done = deliver_with(follows, &hook, vec![notification("PlanFailed", Turn::Firing)]).await;
    assert!(matches!(&done[0].verdict, Verdict::NotSent(None, why) if why.text.contains("not in office")), "{done:?}");
    let mut of_another_term = notification("PlanFailed", Turn::Firing);
    of_another_term.term = 7;
    let done = deliver_with(Leadership::always(), &hook, vec![of_another_term]).await;
    assert!(matches!(&done[0].verdict, Verdict::NotSent(None, _)), "{done:?}");
    assert_eq!(posts.try_iter().count(), 0);
}
