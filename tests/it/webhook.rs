//! The receiver `webhook`: what is posted, what each answer means, and that its secrets stay secret.

use mtv_sentinel::alert::RULES;
use mtv_sentinel::dispatch::Turn;
use mtv_sentinel::lease::Leadership;
use mtv_sentinel::message::{Notification, Settings, sample};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::notify::webhook::payload;
use mtv_sentinel::notify::{Done, Notifier, Target, Verdict, Webhook};
use mtv_sentinel::plan::Time;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// It sends these bytes.
    Bytes(String),
    /// It closes the connection without a word.
    Close,
    /// It says nothing.
    Hang,
}

pub fn status(code: u16, headers: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {code} X\r\n{headers}Content-Length: 2\r\nConnection: close\r\n\r\nno"))
}

/// A server that answers by its script, the last entry for ever, and hands over what it was sent: head and body.
pub fn serve(script: Vec<Reply>) -> (String, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (say, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut script = script.into_iter();
        let mut reply = script.next().unwrap();
        let mut hanging = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if say.send(request(&mut stream)).is_err() {
                return;
            }
            match &reply {
                Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()).unwrap(),
                Reply::Close => {}
                Reply::Hang => hanging.push(stream),
            }
            reply = script.next().unwrap_or(reply);
        }
    });
    (format!("http://{address}/hooks/s3cr3t-path"), requests)
}

fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).unwrap();
        bytes.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return (head.to_owned(), serde_json::from_str(body).unwrap_or_default());
            }
        }
        assert!(n > 0, "the request ends early: {text}");
    }
}

fn notification(rule: &str, turn: Turn) -> Notification {
    let sample = sample(RULES.iter().find(|row| row.name == rule).unwrap(), turn);
    let message = sample.message(&Settings { cluster: "prod".to_owned(), ..Settings::default() });
    let mut notification = Notification::of(sample.send, message);
    notification.receiver = "hook".into();
    notification
}

fn noon() -> Time {
    Time::parse("2027-01-15T12:00:00Z").unwrap()
}

/// Sends to this URL; answers what became of it.
fn deliver(url: &str, notifications: Vec<Notification>) -> Vec<Done> {
    let webhook = Webhook {
        url: url.to_owned().into(),
        bearer_token: Some("t0ken-s3cr3t".to_owned().into()),
        timeout: Duration::from_millis(400),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let targets = vec![("hook".into(), Target::Webhook(webhook))];
        let notifier = Notifier::new(targets, Arc::new(Own::new("test", "test")), Leadership::always(), noon).unwrap();
        let (send, due) = tokio::sync::mpsc::unbounded_channel();
        let (finish, mut done) = tokio::sync::mpsc::unbounded_channel();
        notifications.into_iter().for_each(|notification| send.send(notification).unwrap());
        drop(send);
        notifier.deliver(due, finish).await;
        let mut all = Vec::new();
        done.recv_many(&mut all, 99).await;
        all
    })
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
    let done = deliver(&url, vec![notification("PlanFailed", Turn::Firing)]);
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
fn every_status_is_delivered_not_sent_unknown_or_refused() {
    for code in 200..=599 {
        let expected = match code {
            200..=299 => "delivered",
            408 | 429 | 503 => "failed",
            500..=599 => "unknown",
            _ => "refused",
        };
        // 204 and 304 have no body by definition; the server's two bytes after them are nobody's.
        let (url, _requests) = serve(vec![status(code, "")]);
        let done = deliver(&url, vec![notification("PlanFailed", Turn::Firing)]);
        assert_eq!(done[0].verdict.as_str(), expected, "{code}: {:?}", done[0].verdict);
    }
}

#[test]
fn a_receiver_that_asks_for_patience_gets_it_within_reason() {
    let asked = |header: &str| {
        let (url, _requests) = serve(vec![status(429, header)]);
        let done = deliver(&url, vec![notification("PlanFailed", Turn::Firing)]).remove(0);
        match done.verdict {
            Verdict::NotSent(wait, _) => (wait.map(|wait| wait.as_secs()), done.pause.as_secs()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked("Retry-After: 30\r\n"), (Some(30), 30));
    assert_eq!(asked("Retry-After: 999999999\r\n"), (Some(3600), 3600));
    // It is noon here.
    assert_eq!(asked("Retry-After: Fri, 15 Jan 2027 12:00:30 GMT\r\n"), (Some(30), 30));
    assert_eq!(asked("Retry-After: Fri, 15 Jan 2027 11:00:00 GMT\r\n").0, Some(0), "a clock that is behind");
    for none in ["", "Retry-After: -5\r\n", "Retry-After: soon\r\n"] {
        assert_eq!(asked(none).0, None, "{none}");
    }
}

#[test]
fn what_nobody_took_was_not_sent_and_what_somebody_took_may_have_arrived() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = deliver(&format!("http://{nobody}/"), vec![notification("PlanFailed", Turn::Firing)]);
    assert!(matches!(done[0].verdict, Verdict::NotSent(None, _)), "{done:?}");
    let half = Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Le".to_owned());
    for reply in [Reply::Close, Reply::Hang, half, Reply::Bytes("nonsense\r\n\r\n".to_owned())] {
        let (url, requests) = serve(vec![reply]);
        let done = deliver(&url, vec![notification("PlanFailed", Turn::Firing)]);
        assert!(matches!(done[0].verdict, Verdict::Unknown(_)), "{done:?}");
        assert_eq!(requests.try_iter().count(), 1, "it is not for the client to try again");
    }
}

#[test]
fn a_receiver_that_asks_for_patience_is_left_alone_with_everything() {
    let (url, requests) = serve(vec![status(429, "Retry-After: 30\r\n")]);
    let done = deliver(&url, (0..12).map(|_| notification("PlanFailed", Turn::Firing)).collect());
    assert_eq!(done.len(), 12, "each is answered");
    assert!(done.iter().all(|done| matches!(done.verdict, Verdict::NotSent(..))), "{done:?}");
    // Those that were under way together.
    assert_eq!(requests.try_iter().count(), 4);
    assert!(done.iter().all(|done| done.pause > Duration::from_secs(20)), "{done:?}");
}

#[test]
fn a_redirect_is_not_followed() {
    let (elsewhere, requests) = serve(vec![status(200, "")]);
    let (url, _requests) = serve(vec![status(307, &format!("Location: {elsewhere}\r\n"))]);
    let done = deliver(&url, vec![notification("PlanFailed", Turn::Firing)]);
    assert!(matches!(done[0].verdict, Verdict::Refused(_)), "{done:?}");
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn failures_in_a_row_are_answered_with_ever_longer_pauses() {
    let (url, _requests) = serve(vec![status(500, "")]);
    let done = deliver(&url, (0..14).map(|_| notification("PlanFailed", Turn::Firing)).collect());
    let pauses: Vec<Duration> = done.iter().map(|done| done.pause).collect();
    for (failures, pause) in pauses.iter().enumerate() {
        let whole = Duration::from_secs(1 << failures.min(16)).min(Duration::from_secs(300));
        assert!((whole * 3 / 4..=whole).contains(pause), "{pauses:?}");
    }
}

#[test]
fn no_verdict_names_the_url_or_the_token() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut urls = vec![format!("http://{nobody}/hooks/s3cr3t-path"), format!("https://{nobody}/hooks/s3cr3t-path")];
    for reply in [status(404, ""), status(500, ""), Reply::Close, Reply::Hang, Reply::Bytes("HTTP/1.1 nonsense".to_owned())]
    {
        urls.push(serve(vec![reply]).0);
    }
    // A server that does not speak TLS.
    urls.push(serve(vec![status(200, "")]).0.replace("http://", "https://"));
    for url in urls {
        if url.starts_with("https") && !url.contains(&nobody.to_string()) {
            continue;
        }
        let done = deliver(&url, vec![notification("PlanFailed", Turn::Firing)]);
        let shown = format!("{done:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert_ne!(done[0].verdict, Verdict::Delivered);
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
    assert!(wrong.contains("hook: the beginning was refused: 404 Not Found") && !wrong.contains("s3cr3t"), "{wrong}");
    let (code, _, wrong) = try_it("hok");
    assert_eq!(code, 2);
    assert!(wrong.contains("there is no receiver \"hok\"; did you mean hook?"), "{wrong}");
}
