//! What every receiver that speaks HTTP has to do: one suite for all kinds, against a server that answers by a script.
//!
//! A new kind is one row of `KINDS`.

use crate::hook::{Reply, answer, deliver_one, listen, load, notification, receiver, self_signed, status};
use mtv_sentinel::config::ReceiverConfig;
use mtv_sentinel::dispatch::Turn;
use mtv_sentinel::notify::{Done, Verdict};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// The part of every secret that must be seen nowhere.
const SECRET: &str = "s3cr3t0s3cr3t0s3cr3t0s3cr3t0s3cr";

/// A kind of receiver.
struct Kind {
    name: &'static str,
    /// Its keys but for the secret; `BASE` is the server.
    keys: &'static str,
    /// The key of its secret, and what is in the file.
    secret: (&'static str, &'static str),
    /// The body of a success.
    ok: &'static str,
    /// Whether a success without that body is one.
    status_is_enough: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "alertmanager",
        keys: "type: alertmanager, urls: ['BASE']",
        secret: ("bearer_token_file", SECRET),
        ok: "",
        status_is_enough: true,
    },
    Kind {
        name: "webhook",
        keys: "type: webhook",
        secret: ("url_file", "BASE/hooks/s3cr3t0s3cr3t0s3cr3t0s3cr3t0s3cr"),
        ok: "",
        status_is_enough: true,
    },
    Kind {
        name: "slack through a webhook",
        keys: "type: slack",
        secret: ("url_file", "BASE/services/T0/B0/s3cr3t0s3cr3t0s3cr3t0s3cr3t0s3cr"),
        ok: "ok",
        status_is_enough: false,
    },
    Kind {
        name: "slack as a bot",
        keys: "type: slack, channel: C0, api_url: 'BASE/api'",
        secret: ("token_file", SECRET),
        ok: "{\"ok\": true, \"channel\": \"C0\", \"ts\": \"1.2\"}",
        status_is_enough: false,
    },
    Kind {
        name: "pagerduty",
        keys: "type: pagerduty, url: 'BASE/v2/enqueue'",
        secret: ("routing_key_file", SECRET),
        ok: "{\"status\": \"success\"}",
        status_is_enough: true,
    },
];

/// A receiver of a kind whose secret is in a file in `folder`.
fn made(kind: &Kind, base: &str, folder: &Path, more: &str) -> ReceiverConfig {
    let (key, content) = kind.secret;
    let file = folder.join("secret");
    std::fs::write(&file, content.replace("BASE", base) + "\n").unwrap();
    let keys = kind.keys.replace("BASE", base);
    receiver(&format!("{{{keys}, {key}: '{}', timeout: 400ms{more}}}", file.display()))
}

/// Sends one notification to a server that answers like this.
fn told(kind: &Kind, reply: Reply) -> (Done, usize) {
    let (address, requests) = listen(vec![reply], None);
    let folder = tempfile::tempdir().unwrap();
    let receiver = made(kind, &format!("http://{address}"), folder.path(), "");
    let done = deliver_one(&receiver, notification("PlanFailed", Turn::Firing));
    (done, requests.try_iter().count())
}

#[test]
fn every_status_means_the_same_to_every_kind() {
    for kind in KINDS {
        for code in 200..=599 {
            let expected = match code {
                // These have no body by definition.
                204 | 205 if !kind.status_is_enough => "unknown",
                200..=299 => "delivered",
                300..=399 | 401 | 403 | 404 | 407 | 408 | 410 | 429 | 503 => "failed",
                500..=599 => "unknown",
                _ => "refused",
            };
            let body = if matches!(code, 204 | 205 | 304) { "" } else { kind.ok };
            let (done, requests) = told(kind, answer(code, "", body));
            assert_eq!(done.verdict.as_str(), expected, "{}: {code}: {:?}", kind.name, done.verdict);
            assert_eq!(requests, 1, "{}: {code}: it is not for the client to try again", kind.name);
            // What a person has to mend is not asked for every second.
            if matches!(code, 300..=399 | 401 | 403 | 404 | 407 | 410) {
                assert_eq!(done.pause, Duration::from_secs(300), "{}: {code}", kind.name);
            }
        }
    }
}

#[test]
fn a_success_that_is_somebody_elses_is_no_success_where_it_can_be_told() {
    for kind in KINDS {
        let page = "<html><body>Please log in</body></html>";
        let (done, _) = told(kind, answer(200, "Content-Type: text/html\r\n", page));
        let expected = if kind.status_is_enough { "delivered" } else { "unknown" };
        assert_eq!(done.verdict.as_str(), expected, "{}: {:?}", kind.name, done.verdict);
        // Half of the right answer.
        let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}", kind.ok.get(..1).unwrap_or_default());
        let (done, _) = told(kind, Reply::Bytes(half));
        assert_eq!(done.verdict.as_str(), expected, "{}: {:?}", kind.name, done.verdict);
        let (done, _) = told(kind, answer(200, "Content-Type: text/html\r\n", kind.ok));
        assert_eq!(done.verdict, Verdict::Delivered, "{}: the type of an answer is nothing to go by", kind.name);
    }
}

#[test]
fn who_asks_for_patience_gets_it_within_reason() {
    for kind in KINDS {
        let asked = |header: &str| {
            let done = told(kind, status(429, header)).0;
            match done.verdict {
                Verdict::NotSent(wait, _) => (wait.map(|wait| wait.as_secs()), done.pause.as_secs()),
                other => panic!("{}: {other:?}", kind.name),
            }
        };
        assert_eq!(asked("Retry-After: 30\r\n"), (Some(30), 30));
        assert_eq!(asked("Retry-After: 999999999\r\n"), (Some(3600), 3600));
        // It is noon here.
        assert_eq!(asked("Retry-After: Fri, 15 Jan 2027 12:00:30 GMT\r\n"), (Some(30), 30));
        assert_eq!(asked("Retry-After: Fri, 15 Jan 2027 11:00:00 GMT\r\n").0, Some(0), "a clock that is behind");
        for none in ["", "Retry-After: -5\r\n", "Retry-After: soon\r\n", "Retry-After: 1e3\r\n"] {
            assert_eq!(asked(none).0, None, "{none}");
        }
    }
}

#[test]
fn what_nobody_took_was_not_sent_and_what_somebody_took_may_have_arrived() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let receiver = made(kind, &format!("http://{nobody}"), folder.path(), "");
        let done = deliver_one(&receiver, notification("PlanFailed", Turn::Firing));
        assert!(matches!(done.verdict, Verdict::NotSent(None, _)), "{}: {done:?}", kind.name);
        let half = Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Le".to_owned());
        let nonsense = Reply::Bytes("nonsense\r\n\r\n".to_owned());
        for reply in [Reply::Close, Reply::Hang, Reply::Reset, half, nonsense] {
            let begun = Instant::now();
            let (done, requests) = told(kind, reply);
            assert!(matches!(done.verdict, Verdict::Unknown(_)), "{}: {done:?}", kind.name);
            assert_eq!(requests, 1, "{}: it is not for the client to try again", kind.name);
            assert!(begun.elapsed() < Duration::from_secs(3), "{}", kind.name);
        }
    }
}

#[test]
fn a_redirect_is_not_followed() {
    for kind in KINDS {
        let (elsewhere, requests) = listen(vec![status(200, "")], None);
        for code in [301, 302, 303, 307, 308] {
            let (done, _) = told(kind, status(code, &format!("Location: http://{elsewhere}/\r\n")));
            assert!(matches!(done.verdict, Verdict::NotSent(..)), "{}: {done:?}", kind.name);
        }
        assert_eq!(requests.try_iter().count(), 0, "{}", kind.name);
    }
}

#[test]
fn of_a_huge_answer_only_the_beginning_is_read() {
    for kind in KINDS {
        let (done, _) = told(kind, answer(500, "", &"A ".repeat(20_000_000)));
        let Verdict::Unknown(said) = &done.verdict else { panic!("{}: {done:?}", kind.name) };
        assert!(said.text.chars().count() < 300 && said.text.contains("A A A"), "{}: {said}", kind.name);
    }
}

#[test]
fn a_server_proves_who_it_is_to_an_authority_that_is_trusted() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        // A server that does not speak TLS.
        let (plain, _requests) = listen(vec![answer(200, "", kind.ok)], None);
        let receiver = made(kind, &format!("https://{plain}"), folder.path(), "");
        let done = deliver_one(&receiver, notification("PlanFailed", Turn::Firing));
        assert!(matches!(done.verdict, Verdict::NotSent(..)), "{}: {done:?}", kind.name);
        // One that nobody knows.
        let (pem, tls) = self_signed();
        let (address, requests) = listen(vec![answer(200, "", kind.ok)], Some(tls));
        let base = format!("https://{address}");
        let done = deliver_one(&made(kind, &base, folder.path(), ""), notification("PlanFailed", Turn::Firing));
        assert!(matches!(done.verdict, Verdict::NotSent(..)), "{}: {done:?}", kind.name);
        assert_eq!(requests.try_iter().count(), 0, "{}", kind.name);
        // One that the configuration knows.
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, pem).unwrap();
        let trusting = made(kind, &base, folder.path(), &format!(", ca_file: '{}'", ca.display()));
        let done = deliver_one(&trusting, notification("PlanFailed", Turn::Firing));
        assert_eq!(done.verdict, Verdict::Delivered, "{}", kind.name);
    }
}

#[test]
fn what_is_sent_goes_through_the_proxy_that_is_named() {
    for kind in KINDS {
        let (proxy, requests) = listen(vec![answer(200, "", kind.ok)], None);
        let folder = tempfile::tempdir().unwrap();
        let more = format!(", proxy: 'http://user:pr0xy-s3cr3t@{proxy}'");
        let receiver = made(kind, "http://nobody.invalid", folder.path(), &more);
        let done = deliver_one(&receiver, notification("PlanFailed", Turn::Firing));
        assert_eq!(done.verdict, Verdict::Delivered, "{}", kind.name);
        let (head, _) = requests.recv().unwrap();
        assert!(head.starts_with("POST http://nobody.invalid/"), "{}: {head}", kind.name);
        assert!(!format!("{receiver:?}").contains("pr0xy-s3cr3t"), "{}", kind.name);
    }
}

#[test]
fn no_verdict_names_a_secret_whatever_the_server_says_of_it() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut bases = vec![format!("http://{nobody}"), format!("https://{nobody}"), "http://nobody.invalid".to_owned()];
        let of_url = "The requested URL /hooks/s3cr3t0s3cr3t0s3cr3t0s3cr3t0s3cr was not found";
        let replies = [
            Reply::Echo(200),
            Reply::Echo(400),
            Reply::Echo(404),
            Reply::Echo(500),
            Reply::Echo(503),
            answer(404, "", of_url),
            answer(400, "", &format!("{{\"errors\": [\"routing_key {SECRET} is wrong\"]}}")),
            answer(200, "", &format!("{{\"ok\": false, \"error\": \"invalid_auth {SECRET}\"}}")),
            Reply::Close,
            Reply::Hang,
            Reply::Bytes("HTTP/1.1 nonsense".to_owned()),
        ];
        let servers: Vec<_> = replies.into_iter().map(|reply| listen(vec![reply], None)).collect();
        bases.extend(servers.iter().map(|(address, _)| format!("http://{address}")));
        for base in bases {
            let receiver = made(kind, &base, folder.path(), "");
            let done = deliver_one(&receiver, notification("PlanFailed", Turn::Firing));
            let shown = format!("{done:?} {receiver:?}");
            assert!(!shown.contains("s3cr3t"), "{}: {base}: {shown}", kind.name);
        }
    }
}

#[test]
fn a_secret_is_read_anew_and_what_is_wrong_with_its_file_can_be_mended() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let (address, requests) = listen(vec![answer(200, "", kind.ok)], None);
        let receiver = made(kind, &format!("http://{address}"), folder.path(), "");
        let file = folder.path().join("secret");
        let good = std::fs::read_to_string(&file).unwrap();
        let verdict = || deliver_one(&receiver, notification("PlanFailed", Turn::Firing)).verdict;
        for (wrong, said) in [(None, "No such file"), (Some(""), "is empty"), (Some("s3 cr3t\n\u{1}"), "what is in it ")] {
            match wrong {
                None => std::fs::remove_file(&file).unwrap(),
                Some(content) => std::fs::write(&file, content).unwrap(),
            }
            let Verdict::NotSent(None, why) = verdict() else { panic!("{}: it was sent without a secret", kind.name) };
            assert!(
                why.text.contains(file.to_str().unwrap()) && why.text.contains(said) && !why.text.contains("cr3t\n"),
                "{why}"
            );
        }
        assert_eq!(requests.try_iter().count(), 0);
        std::fs::write(&file, good.replace("s3cr3t0", "r3newed")).unwrap();
        assert_eq!(verdict(), Verdict::Delivered, "{}", kind.name);
        let (head, body) = requests.recv().unwrap();
        assert!(format!("{head}{body}").contains("r3newedr3newed"), "{}: {head}{body}", kind.name);
    }
}

#[test]
fn files_are_looked_at_before_anything_is_sent_and_all_that_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("page"), "ftp://s3cr3t").unwrap();
    std::fs::write(path("two"), "s3cr3t\ns3cr3t").unwrap();
    let file = format!(
        "notify:\n  receivers:\n    a: {{type: webhook, url_file: '{}', hmac_secret_file: '{}'}}\n    b: {{type: slack, token_file: \
         '{}', channel: C0}}\n    c: {{type: pagerduty, routing_key: k, ca_file: '{}'}}\n",
        path("page"),
        path("none"),
        path("two"),
        path("page")
    );
    std::fs::write(path("sentinel.yaml"), file).unwrap();
    let output = crate::cli::command(&["check-config", "--config", &path("sentinel.yaml")]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for expected in [
        format!("notify.receivers.a: url_file: {}: what is in it is no http or https URL", path("page")),
        format!("notify.receivers.a: hmac_secret_file: {}: No such file", path("none")),
        format!("notify.receivers.b: token_file: {}: what is in it has a character that no token has", path("two")),
        format!("notify.receivers.c: ca_file: {}: there is no certificate in it", path("page")),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
    assert!(!said.contains("s3cr3t"), "{said}");
    // The daemon does not start with it either.
    let run = ["run", "--config", &path("sentinel.yaml"), "--source", "files:/dev/null", "--listen", "127.0.0.1:0"];
    let output = crate::cli::command(&run).output().unwrap();
    assert!(
        !output.status.success() && String::from_utf8(output.stderr).unwrap().contains("notify.receivers.b: token_file")
    );
}

#[test]
fn a_wrong_receiver_is_refused_with_all_that_is_wrong_and_what_was_meant() {
    for (yaml, expected) in [
        ("{}", "hook: it has no type"),
        ("{type: slak}", "hook: there is no type \"slak\"; did you mean slack?"),
        ("{type: log, url: x}", "hook: there is no such key as url"),
        ("{type: webhook}", "hook: it has neither url nor url_file"),
        ("{type: webhook, url: 'http://x/', url_file: /x}", "hook: it has both url and url_file"),
        ("{type: webhook, url: 'ftp://x/'}", "hook: its url is no http or https URL"),
        ("{type: webhook, url: 'http://x/', tiemout: 3s}", "hook: there is no such key as tiemout; did you mean timeout?"),
        ("{type: webhook, url: 'http://x/', timeout: 6s}", "hook: timeout takes a duration from 10ms to 5s"),
        (
            "{type: webhook, url: 'http://x/', rate_limit: often}",
            "hook: rate_limit takes a number of messages in a duration",
        ),
        ("{type: webhook, url: 'http://x/', rate_limit: 0/1s}", "hook: rate_limit takes"),
        (
            "{type: webhook, url: 'http://x/', bearer_token: 'a b'}",
            "hook: its bearer_token has a character that no token has",
        ),
        ("{type: webhook, url: 'http://x/', proxy: x}", "hook: its proxy is no http or https URL"),
        ("{type: slack}", "hook: it has neither url nor url_file, and neither token nor token_file"),
        ("{type: slack, channel: C0}", "hook: it has neither token nor token_file"),
        ("{type: slack, token: x}", "hook: it has a token and no channel"),
        (
            "{type: slack, url: 'http://x/', channel: C0}",
            "hook: it has both the url of an incoming webhook and what belongs to",
        ),
        ("{type: slack, token: x, channel: C0, api_url: nowhere}", "hook: its api_url is no http or https URL"),
        ("{type: pagerduty}", "hook: it has neither routing_key nor routing_key_file"),
        ("{type: pagerduty, routing_key: x, region: mars}", "hook: region takes us or eu"),
        ("{type: pagerduty, routing_key: x, region: eu, url: 'http://x/v2/enqueue'}", "hook: it has both region and url"),
        ("{type: pagerduty, routing_key: x, url: 'http://x/'}", "hook: its url does not end with /enqueue"),
        ("{type: pagerduty, routing_key: x, url: 'http://u:s3cr3t@x/v2/enqueue'}", "hook: its url has a user in it"),
    ] {
        let said = load(yaml).unwrap_err();
        assert!(said.contains("notify.receivers: ") && said.contains(expected), "{yaml}: {said}");
    }
    let said = load("{type: webhook, url: 'ftp://s3cr3t', timeout: 1, rate_limit: x, nonsense: 1}").unwrap_err();
    for expected in
        ["hook: its url is", "hook: timeout takes", "hook: rate_limit takes", "hook: there is no such key as nonsense"]
    {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[test]
fn each_kind_has_its_pace_and_what_is_shown_is_read_back() {
    let rate = |yaml: &str| receiver(yaml).rate().map(|rate| (rate.messages, rate.window.as_secs()));
    let url = "url: 'http://x/'";
    assert_eq!(rate(&format!("{{type: webhook, {url}}}")), None);
    assert_eq!(rate(&format!("{{type: slack, {url}}}")), Some((1, 1)));
    assert_eq!(rate("{type: pagerduty, routing_key: x}"), Some((100, 60)));
    assert_eq!(rate(&format!("{{type: slack, {url}, rate_limit: none}}")), None);
    assert_eq!(rate(&format!("{{type: webhook, {url}, rate_limit: 20/m}}")), Some((20, 60)));
    assert_eq!(rate("{type: log}"), None);
    let yaml = "{type: slack, token_file: /t, channel: '#ops', timeout: 2s, ca_file: /ca, proxy_file: /p}";
    let shown = load(yaml).unwrap().show();
    let line = shown.lines().find_map(|line| line.strip_prefix("  receivers: {hook: ")?.strip_suffix('}')).unwrap();
    let expected = "{type: slack, token_file: \"/t\", channel: \"#ops\", api_url: https://slack.com/api, timeout: 2s, \
                    rate_limit: 1/1s, ca_file: \"/ca\", proxy_file: \"/p\"}";
    assert_eq!(line, expected);
    assert!(load(line).is_ok());
    let eu = load("{type: pagerduty, routing_key: k3y, region: eu}").unwrap().show();
    assert!(
        eu.contains("routing_key: \"<secret>\", url: https://events.eu.pagerduty.com/v2/enqueue") && !eu.contains("k3y")
    );
}
