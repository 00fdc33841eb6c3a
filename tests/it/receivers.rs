//! Receivers at their edges: what is easily forgotten, shown, or taken for something else.

use crate::hook::{Reply, answer, deliver, deliver_one, listen, load, noon, notification, receiver, status};
use mtv_sentinel::dispatch::{Topic, Turn};
use mtv_sentinel::notify::Verdict;
use mtv_sentinel::notify::webhook::payload;
use std::io::{Read, Write};
use std::time::Duration;

/// Answers the first connection at once with 429, the second later with 200, others at once with 200; counts them.
fn patience() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let at = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 65536]);
                std::thread::sleep(Duration::from_millis(if at == 1 { 500 } else { 20 }));
                let head = if at == 0 { "429 X\r\nRetry-After: 300" } else { "202 X" };
                let _ = stream
                    .write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
            });
        }
    });
    (address.to_string(), count)
}

#[tokio::test]
async fn a_retry_after_outlives_what_was_under_way_beside_it_and_another_configuration() {
    use mtv_sentinel::lease::Leadership;
    use mtv_sentinel::metrics::Own;
    use mtv_sentinel::notify::{Notifier, Senders};
    let (address, count) = patience();
    let hook = receiver(&format!("{{type: pagerduty, routing_key: k3y, url: 'http://{address}/v2/enqueue'}}"));
    let senders = || Senders::new(vec![("hook".into(), hook.clone())], None, false).unwrap();
    let (change, changes) = tokio::sync::mpsc::unbounded_channel();
    let notifier = Notifier::new(senders(), std::sync::Arc::new(Own::new("test", "test")), Leadership::always(), noon);
    let (send, due) = tokio::sync::mpsc::unbounded_channel();
    let (finish, mut done) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(notifier.deliver(due, changes, finish));
    for _ in 0..2 {
        send.send(notification("PlanFailed", Turn::Firing)).unwrap();
    }
    for _ in 0..2 {
        assert!(done.recv().await.is_some());
    }
    // It asked for five minutes a moment ago; another configuration does not change that.
    send.send(notification("PlanFailed", Turn::Firing)).unwrap();
    assert!(done.recv().await.is_some_and(|done| done.pause > Duration::from_secs(200)));
    assert!(change.send(senders()).is_ok());
    send.send(notification("PlanFailed", Turn::Firing)).unwrap();
    assert!(done.recv().await.is_some_and(|done| done.pause > Duration::from_secs(200)));
    drop(send);
    task.await.unwrap();
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
fn a_timeout_keeps_the_name_of_the_routing_key() {
    let mut none = 0;
    for _ in 0..20 {
        let (address, _requests) = listen(vec![Reply::Hang], None);
        let pd =
            receiver(&format!("{{type: pagerduty, routing_key: k3y, url: 'http://{address}/v2/enqueue', timeout: 100ms}}"));
        let done = deliver_one(&pd, notification("PlanFailed", Turn::Firing));
        assert_eq!(done.verdict.as_str(), "unknown");
        none += usize::from(done.remote.is_none());
    }
    assert_eq!(none, 0, "of 20");
}

/// Answers 200 and half a body, and keeps the connection.
fn half() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 65536]);
            std::thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n{");
            kept.push(stream);
        }
    });
    address.to_string()
}

#[test]
fn a_status_that_came_counts_though_the_body_does_not_come() {
    let mut seen = Vec::new();
    for _ in 0..60 {
        let address = half();
        let hook = receiver(&format!("{{type: webhook, url: 'http://{address}/', timeout: 101ms}}"));
        seen.push(deliver_one(&hook, notification("PlanFailed", Turn::Firing)).verdict.as_str());
    }
    assert_eq!(seen.iter().filter(|word| **word != "delivered").count(), 0, "of 60");
}

#[test]
fn a_user_in_the_url_of_a_webhook_is_not_shown() {
    let (address, _requests) = listen(vec![Reply::Echo(400)], None);
    let hook = receiver(&format!("{{type: webhook, url: 'http://us:pw0@{address}/h'}}"));
    let done = deliver_one(&hook, notification("PlanFailed", Turn::Firing));
    let shown = format!("{:?}", done.verdict);
    // us:pw0
    assert!(!shown.to_lowercase().contains("dxm6chcw"), "{shown}");
}

#[test]
fn a_proxy_that_repeats_what_it_got_shows_no_password() {
    let (proxy, _requests) = listen(vec![Reply::Echo(502)], None);
    let hook =
        receiver(&format!("{{type: webhook, url: 'http://nobody.invalid/hook', proxy: 'http://us:pr0xy-s3cr3t@{proxy}'}}"));
    let shown = format!("{:?}", deliver_one(&hook, notification("PlanFailed", Turn::Firing)).verdict);
    // us:pr0xy-s3cr3t
    assert!(!shown.contains("dXM6cHIweHktczNjcjN0"), "{shown}");
}

#[test]
fn reports_of_two_clusters_are_two_groups() {
    let key = |cluster: &str, topic: Topic| {
        let mut one = notification("PlanFailed", Turn::Firing);
        one.topic = topic;
        one.message.cluster = cluster.to_owned();
        payload(&one, "")["groupKey"].clone()
    };
    for topic in [Topic::Campaign(noon()), Topic::Digest(noon()), Topic::Baseline(noon())] {
        assert_ne!(key("prod", topic.clone()), key("test", topic));
    }
}

#[test]
fn a_thread_that_goes_on_tells_a_webhook_which_alert_has_ended() {
    use crate::desk::{Desk, impatient, one_receiver};
    use crate::dispatch::attempt;
    use crate::support::minute;
    let mut desk = Desk::new(one_receiver(), impatient());
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &["Executing", "Critical/VMNotFound: gone"]));
    assert_eq!(desk.told().len(), 1, "VmFailed and PlanBlocked");
    desk.now = minute(2.0);
    desk.apply(attempt("plan", &["vm-1"], &["Failed"]));
    let send = desk.ending(&mtv_sentinel::dispatch::Outcome::Delivered).remove(0);
    let ended: Vec<&str> = send.ended.iter().map(|alert| alert.id.rule).collect();
    assert_eq!((send.alert.id.rule, &ended[..]), ("PlanFailed", &["PlanBlocked", "VmFailed"][..]));
    let mut posted = notification("PlanFailed", Turn::Updated);
    (posted.alerts, posted.ended) = (vec![send.alert], send.ended);
    let payload = payload(&posted, "2027-01-15T12:00:00Z");
    let states: Vec<_> = payload["alerts"].as_array().unwrap().iter().map(|alert| alert["status"].clone()).collect();
    assert_eq!(
        (states, &payload["status"]),
        (vec!["resolved".into(), "resolved".into(), "firing".into()], &"firing".into())
    );
}

#[test]
fn a_digest_tells_a_webhook_which_alerts_have_ended() {
    let mut digest = notification("PlanFailed", Turn::Updated);
    digest.topic = Topic::Digest(noon());
    digest.ended = notification("ProviderNotReady", Turn::Firing).alerts;
    let payload = payload(&digest, "2027-01-15T12:00:00Z");
    let resolved = payload["alerts"].as_array().unwrap().iter().filter(|alert| alert["status"] == "resolved").count();
    assert_eq!(resolved, 1, "{payload:#}");
}

#[test]
fn what_slack_says_of_one_message_does_not_stop_the_channel() {
    for (turn, error) in [
        (Turn::Resolved, "team_not_found"),
        (Turn::Resolved, "block_mismatch"),
        (Turn::Updated, "external_channel_migrating"),
        (Turn::Reminder, "restricted_action_non_threadable_channel"),
        (Turn::Reminder, "restricted_action_thread_locked"),
    ] {
        let (address, requests) = listen(
            vec![
                answer(200, "", &format!("{{\"ok\": false, \"error\": \"{error}\"}}")),
                answer(200, "", "{\"ok\": true, \"channel\": \"C0\", \"ts\": \"1.2\"}"),
            ],
            None,
        );
        let bot = receiver(&format!("{{type: slack, token: t, channel: C0, api_url: 'http://{address}/api', timeout: 2s}}"));
        let mut old = notification("PlanFailed", turn);
        old.remote = "C0/1.1".into();
        let done = deliver(&bot, vec![old, notification("VmFailed", Turn::Firing)]);
        assert!(done.iter().all(|done| done.verdict == Verdict::Delivered), "{error}: {done:?}");
        assert_eq!(requests.try_iter().count(), 3, "{error}: a new message in its place, and the other one");
    }
    // What speaks of the token is not mended by another message.
    let (address, requests) = listen(vec![answer(200, "", "{\"ok\": false, \"error\": \"token_revoked\"}")], None);
    let bot = receiver(&format!("{{type: slack, token: t, channel: C0, api_url: 'http://{address}/api', timeout: 2s}}"));
    let mut old = notification("PlanFailed", Turn::Resolved);
    old.remote = "C0/1.1".into();
    assert_eq!((deliver_one(&bot, old).verdict.as_str(), requests.try_iter().count()), ("failed", 1));
}

#[test]
fn an_alertmanager_user_without_a_password() {
    let (address, requests) = listen(vec![status(200, "")], None);
    let am = receiver(&format!("{{type: alertmanager, urls: ['http://token@{address}']}}"));
    assert_eq!(deliver_one(&am, notification("PlanFailed", Turn::Firing)).verdict, Verdict::Delivered);
    let (head, _) = requests.recv().unwrap();
    // token:
    assert!(head.contains("dG9rZW46"), "{head}");
}

#[test]
fn a_test_of_alertmanagers_asks_all_of_them_and_says_which_one_is_wrong() {
    let ((bad, _bad), (good, posts)) = (listen(vec![status(404, "")], None), listen(vec![status(200, "")], None));
    let am = receiver(&format!("{{type: alertmanager, urls: ['http://{bad}', 'http://{good}'], timeout: 1s}}"));
    let done = deliver_one(&am, notification("PlanFailed", Turn::Firing));
    assert!(matches!(&done.verdict, Verdict::NotSent(_, why) if why.text.contains(&bad)), "{done:?}");
    assert_eq!(posts.try_iter().count(), 1);
}

#[test]
fn a_name_from_slack_has_a_bound() {
    let channel = "C".repeat(200_000);
    let (address, _r) =
        listen(vec![answer(200, "", &format!("{{\"ok\": true, \"channel\": \"{channel}\", \"ts\": \"1.2\"}}"))], None);
    let bot = receiver(&format!("{{type: slack, token: t, channel: C0, api_url: 'http://{address}/api', timeout: 2s}}"));
    let done = deliver_one(&bot, notification("PlanFailed", Turn::Firing));
    assert!(done.remote.is_none_or(|remote| remote.len() < 100));
}

#[test]
fn what_can_never_work_is_refused_when_the_configuration_is_read() {
    for (yaml, why) in [
        ("{type: webhook, url: 'http://host:99999/x'}", "http or https URL"),
        ("{type: alertmanager, urls: ['http://host:99999']}", "http or https URL"),
        ("{type: slack, token: t, channel: C0, api_url: 'http://host/api?token=abc'}", "has a ? or # in it"),
        ("{type: slack, token: t, channel: '   '}", "no channel"),
        ("{type: webhook, url: 'http://h/', rate_limit: 5/10ms}", "rate_limit"),
    ] {
        let Err(said) = load(yaml) else { panic!("{yaml} is accepted") };
        assert!(said.to_string().contains(why), "{yaml}: {said}");
    }
}
