//! Events about plans and providers: which ones a notification makes, and what a real API server makes of them.

use crate::fleet::{Home, Program, wait_until};
use crate::hook::{Reply, answer, listen, load, noon, notification, receiver, serve, status};
use mtv_sentinel::alert::{Alert, RULES, Scope, Severity};
use mtv_sentinel::dispatch::Turn;
use mtv_sentinel::kube_events::{Event, Events, Failure, Regarding};
use mtv_sentinel::lease::Leadership;
use mtv_sentinel::message::{Notification, Settings, sample, samples};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::notify::kubernetes_events::{events, judge};
use mtv_sentinel::notify::{Notifier, Reason, Senders, Verdict, Why};
use mtv_sentinel::plan::{Key, Kind, Text};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testbed::{Fault, Proxy};

/// What an Event is about and says, in one line.
fn shown((about, event): &(Regarding, Event)) -> String {
    let kind = if event.is_warning { "Warning" } else { "Normal" };
    format!("{} {} {}: {kind} {}: {}", about.kind, about.key, about.uid, event.reason, event.note)
}

#[test]
fn each_alert_of_a_notification_is_an_event_on_its_plan_or_provider() {
    let one = |rule: &str, turn| events(&notification(rule, turn)).iter().map(shown).collect::<Vec<_>>();
    let failed = "Plan migrations/crm 2f6b8a51-crm: Warning PlanFailed: ";
    for turn in [Turn::Firing, Turn::Updated, Turn::Reminder] {
        let made = one("PlanFailed", turn);
        assert!(made.len() == 1 && made[0].starts_with(failed) && made[0].len() > failed.len(), "{made:?}");
        assert_eq!(made, one("PlanFailed", Turn::Firing), "what is told again is the same Event");
    }
    let over = format!("{failed}This was over before it could be told: ");
    assert!(one("PlanFailed", Turn::Over)[0].starts_with(&over));
    let resolved = "Plan migrations/crm 2f6b8a51-crm: Normal PlanFailedResolved: This is over: ";
    assert!(one("PlanFailed", Turn::Resolved)[0].starts_with(resolved));
    let provider = one("ProviderNotReady", Turn::Firing);
    assert!(provider[0].starts_with("Provider ") && provider[0].contains(" uid-vcenter: Warning ProviderNotReady: "));
    let vms = events(&notification("VmFailed", Turn::Firing));
    assert_eq!(vms.len(), notification("VmFailed", Turn::Firing).alerts.len());
    assert!(one("PlanSucceeded", Turn::Firing)[0].contains(": Normal PlanSucceeded: "), "for information");
}

#[test]
fn every_message_makes_the_events_of_its_alerts_and_a_baseline_makes_none() {
    for sample in samples() {
        let notification = Notification::of(sample.send.clone(), sample.message(&Settings::default()));
        let made = events(&notification);
        if sample.to_string() == "a baseline" {
            assert_eq!(made, []);
            continue;
        }
        assert_eq!(made.len(), notification.alerts.len() + notification.ended.len(), "{sample}");
        for (alert, (about, event)) in notification.ended.iter().chain(&notification.alerts).zip(&made) {
            let is_over = notification.message.turn == Turn::Resolved || notification.ended.contains(alert);
            assert_eq!((&about.key, about.kind), (alert.scope.key(), alert.scope.kind()));
            assert_eq!(event.is_warning, !is_over && alert.severity != Severity::Info, "{sample}: {event:?}");
            assert_eq!(event.reason, format!("{}{}", alert.id.rule, if is_over { "Resolved" } else { "" }));
            assert!(!event.note.is_empty());
        }
    }
    // The first hundred of a storm, and what is known by its name has no uid.
    let mut storm = notification("PlanFailed", Turn::Firing);
    storm.alerts[0].id.uid = storm.alerts[0].scope.key().to_string().into();
    storm.alerts = vec![storm.alerts[0].clone(); 300];
    let made = events(&storm);
    assert!(made.len() == 100 && made[0].0.uid.is_empty());
}

#[test]
fn what_became_of_all_events_is_what_became_of_the_notification() {
    let later = |seconds| Err(Failure::Later(Some(Duration::from_secs(seconds)), "busy".to_owned()));
    let denied = || Err(Failure::Denied("denied".to_owned()));
    let unknown = || Err(Failure::Unknown("unknown".to_owned()));
    let never = || Err(Failure::Never("never".to_owned()));
    let not_sent = |seconds, reason, why: &str| Verdict::NotSent(Some(Duration::from_secs(seconds)), Why::new(reason, why));
    for (made, expected) in [
        (vec![], Verdict::Delivered),
        (vec![Ok(()), Ok(())], Verdict::Delivered),
        (vec![later(7), never()], not_sent(7, Reason::Busy, "busy")),
        (vec![later(1_000_000)], not_sent(3600, Reason::Busy, "busy")),
        (vec![denied(), later(7)], not_sent(300, Reason::Denied, "denied")),
        // Some are there: their end is owed.
        (vec![Ok(()), denied()], Verdict::Unknown(Why::new(Reason::Denied, "denied"))),
        (vec![later(7), unknown()], Verdict::Unknown(Why::new(Reason::Busy, "busy"))),
        (vec![unknown()], Verdict::Unknown(Why::new(Reason::Server, "unknown"))),
        (vec![never(), never()], Verdict::Refused(Why::new(Reason::Rejected, "never"))),
        (vec![never(), Ok(())], Verdict::Delivered),
    ] {
        let words = format!("{made:?}");
        assert_eq!(judge(made), expected, "{words}");
    }
}

#[test]
fn a_receiver_of_events_needs_the_cluster_and_something_to_be_about() {
    let wrong = |yaml: &str| load(yaml).unwrap_err();
    assert!(load("{type: kubernetes_events}").is_ok());
    let shown = load("{type: kubernetes_events, timeout: 2s, rate_limit: none}").unwrap().show();
    assert!(shown.contains("hook: {type: kubernetes_events, timeout: 2s, rate_limit: none}"), "{shown}");
    assert_eq!(receiver("{type: kubernetes_events}").rate().map(|rate| rate.messages), Some(10));
    assert!(wrong("{type: kubernetes_events, url: x}").contains("hook: there is no such key as url"));
    assert!(wrong("{type: kubernetes_event}").contains("did you mean kubernetes_events?"));
    let load = |text: &str| {
        let file = Some(("x.yaml".to_owned(), text.to_owned()));
        mtv_sentinel::config::Config::load(mtv_sentinel::config::Layers { file, ..Default::default() })
            .unwrap_err()
            .to_string()
    };
    let said = load("{source: 'files:/x', notify: {receivers: {e: {type: kubernetes_events}}}}");
    assert!(said.contains("notify.receivers: e: kubernetes_events needs the source cluster"), "{said}");
    let said = load("notify: {receivers: {e: {type: kubernetes_events}}, campaign_receivers: [e]}");
    assert!(said.contains("notify.campaign_receivers: \"e\" makes Events on plans and providers"), "{said}");
}

/// The Events of an account.
async fn events_of(home: &Home, url: &str) -> Events {
    connected(&home.kubeconfig("events", url)).await
}

async fn connected(kubeconfig: &Path) -> Events {
    let yaml = format!("kubernetes: {{kubeconfig: '{}', request_timeout: 2s}}", kubeconfig.display());
    let layers = mtv_sentinel::config::Layers { file: Some(("x".to_owned(), yaml)), ..Default::default() };
    let config = mtv_sentinel::config::Config::load(layers).unwrap();
    let client = mtv_sentinel::watch::cluster::connect(&mtv_sentinel::app::cluster_settings(&config)).await.unwrap();
    Events::new(client, "sentinel-0")
}

/// All Events of a namespace.
fn all(home: &Home) -> Vec<Value> {
    let list = home.plane.kubectl(&["-n", home.namespace, "get", "events.v1.events.k8s.io", "-o", "json"], "");
    serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().clone()
}

fn about(home: &Home, name: &str) -> Regarding {
    Regarding { kind: Kind::Plan, key: Key::new(home.namespace, name), uid: "u-1".into() }
}

fn warning(note: &str) -> Event {
    Event { is_warning: true, reason: "PlanFailed".to_owned(), action: "Alert", note: note.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_again_is_a_series_also_after_a_restart_and_when_it_has_vanished_it_is_made_anew() {
    let home = Home::new("events-again").await;
    let (plan, failed) = (about(&home, "crm"), warning("one VM failed"));
    events_of(&home, &home.plane.url()).await.publish(&plan, &failed, false).await.unwrap();
    let made = all(&home);
    assert_eq!(made.len(), 1);
    let expected = json!({"kind": "Plan", "namespace": "events-again", "name": "crm", "uid": "u-1", "apiVersion": "forklift.konveyor.io/v1beta1"});
    assert_eq!(made[0]["regarding"], expected);
    for (field, expected) in [
        ("type", "Warning"),
        ("reason", "PlanFailed"),
        ("action", "Alert"),
        ("note", "one VM failed"),
        ("reportingController", "mtv-sentinel"),
        ("reportingInstance", "sentinel-0"),
    ] {
        assert_eq!(made[0][field], expected);
    }
    // Another process says the same.
    let events = events_of(&home, &home.plane.url()).await;
    for count in [2, 3] {
        events.publish(&plan, &failed, false).await.unwrap();
        let made = all(&home);
        assert_eq!((made.len(), &made[0]["series"]["count"]), (1, &json!(count)));
    }
    events.publish(&plan, &failed, true).await.unwrap();
    assert_eq!(all(&home)[0]["series"]["count"], 3, "it was made already");
    events.publish(&plan, &warning("two VMs failed"), false).await.unwrap();
    assert_eq!(all(&home).len(), 2, "another text is another Event");
    home.plane.kubectl(&["-n", home.namespace, "delete", "events", "--all"], "");
    events.publish(&plan, &failed, false).await.unwrap();
    let made = all(&home);
    assert_eq!((made.len(), &made[0]["series"]), (1, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_a_uid_with_long_names_and_odd_texts_have_events() {
    let home = Home::new("events-odd").await;
    let events = events_of(&home, &home.plane.url()).await;
    let long = format!("{}.{}-{}", "a".repeat(63), "b".repeat(63), "c".repeat(120));
    let dotted = format!("{}.{}", "a".repeat(235), "b".repeat(10));
    let texts = [
        String::new(),
        "ä".repeat(2000),
        "é".repeat(511) + "xyz",
        "\u{0}\n\u{1b}[31m\"\\ <!channel> 🦀".to_owned(),
        "🦀".repeat(256) + "!",
    ];
    for name in ["crm", &long, &dotted] {
        for text in &texts {
            let about = Regarding { uid: Text::new(), kind: Kind::Provider, ..about(&home, name) };
            events.publish(&about, &warning(text), false).await.unwrap();
        }
    }
    let made = all(&home);
    assert_eq!(made.len(), 15);
    for event in made {
        assert_eq!(event["regarding"]["uid"], Value::Null);
        let note = event["note"].as_str().unwrap_or_default();
        assert!(note.len() <= 1024 && !note.contains(char::is_control), "{note}");
        assert!(note.chars().count() < 300 || note.ends_with('…') || note.len() == 1024, "{note}");
    }
    let event = Event { reason: "R".repeat(300), ..warning("x") };
    events.publish(&about(&home, "crm"), &event, false).await.unwrap();
}

/// A notification that is about a plan of this namespace.
fn of(home: &Home, turn: Turn) -> Notification {
    let mut notification = notification("PlanFailed", turn);
    for Alert { scope, .. } in &mut notification.alerts {
        *scope = Scope::Plan(Key::new(home.namespace, "crm"));
    }
    notification
}

/// What becomes of a notification that a receiver is told.
async fn tell(events: &Events, yaml: &str, has_dead_letters: bool, notification: Notification) -> Verdict {
    let senders = Senders::new(vec![("hook".into(), receiver(yaml))], Some(events.clone()), has_dead_letters).unwrap();
    let (_, changes) = tokio::sync::mpsc::unbounded_channel();
    let own = Arc::new(Own::new("test", "test"));
    let notifier = Notifier::new(senders, own, Leadership::always(), noon);
    let (send, due) = tokio::sync::mpsc::unbounded_channel();
    let (finish, mut done) = tokio::sync::mpsc::unbounded_channel();
    send.send(notification).unwrap();
    drop(send);
    notifier.deliver(due, changes, finish).await;
    done.recv().await.unwrap().verdict
}

/// What becomes of an Event by a server that answers like this, and what it was asked.
async fn scripted(script: Vec<Reply>) -> (Result<(), Failure>, Vec<String>) {
    let (address, requests) = listen(script, None);
    let folder = tempfile::tempdir().unwrap();
    let cluster = json!([{"name": "x", "cluster": {"server": format!("http://{address}")}}]);
    let context = json!([{"name": "x", "context": {"cluster": "x", "user": "x"}}]);
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "clusters": cluster, "contexts": context, "current-context": "x",
        "users": [{"name": "x", "user": {}}]});
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let about = Regarding { kind: Kind::Plan, key: Key::new("prod", "crm"), uid: Text::new() };
    let made = connected(&path).await.publish(&about, &warning("x"), false).await;
    let verb = |(head, _): (String, Value)| head.split(' ').next().unwrap_or_default().to_owned();
    (made, requests.try_iter().map(verb).collect())
}

fn refusal(code: u16, reason: &str, details: &Value) -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": "no", "details": details});
    answer(code, "Content-Type: application/json\r\n", &status.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_vanishes_before_it_can_count_is_made_anew_and_every_answer_has_its_meaning() {
    let there = || refusal(409, "AlreadyExists", &json!({}));
    let gone = || refusal(404, "NotFound", &json!({"kind": "events"}));
    let event = || {
        answer(
            201,
            "",
            "{\"metadata\": {}, \"series\": {\"count\": 4, \"lastObservedTime\": \"2027-01-15T12:00:00.000000Z\"}}",
        )
    };
    let (made, asked) = scripted(vec![there(), gone(), event()]).await;
    assert_eq!((made, asked), (Ok(()), ["POST", "PATCH", "POST"].map(str::to_owned).to_vec()));
    let (made, asked) = scripted(vec![there(), event(), event()]).await;
    assert_eq!((made, asked.len()), (Ok(()), 3));
    // Somebody deletes and makes it without end.
    let (made, asked) = scripted([there(), gone(), there(), gone()].to_vec()).await;
    assert!(matches!(made, Err(Failure::Denied(_))) && asked.len() == 4, "{made:?} {asked:?}");

    for (code, details, expected) in [
        (401, json!({}), "denied"),
        (403, json!({}), "denied"),
        (403, json!({"causes": [{"reason": "NamespaceTerminating"}]}), "never"),
        (404, json!({}), "denied"),
        (404, json!({"kind": "namespaces"}), "never"),
        (422, json!({}), "never"),
        (429, json!({"retryAfterSeconds": 3}), "in 3s"),
        (429, json!({}), "later"),
        (503, json!({}), "later"),
        (500, json!({}), "unknown"),
        (504, json!({}), "unknown"),
    ] {
        let (made, asked) = scripted(vec![refusal(code, "", &details)]).await;
        let meaning = match made {
            Err(Failure::Denied(_)) => "denied",
            Err(Failure::Never(_)) => "never",
            Err(Failure::Unknown(_)) => "unknown",
            Err(Failure::Later(Some(Duration { .. }), _)) if details["retryAfterSeconds"] == 3 => "in 3s",
            Err(Failure::Later(None, _)) => "later",
            _ => "something else",
        };
        assert_eq!((meaning, asked.len()), (expected, 1), "{code} {details}");
    }
    let (made, _) = scripted(vec![Reply::Close]).await;
    assert!(matches!(made, Err(Failure::Unknown(_))), "{made:?}");
    let (made, _) = scripted(vec![answer(429, "", "Too many requests, please try again later.")]).await;
    assert!(matches!(made, Err(Failure::Later(None, _))), "{made:?}");
}

const RECEIVER: &str = "{type: kubernetes_events, timeout: 1s}";

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_nothing_was_sent_and_once_it_is_there_all_is_told() {
    let home = Home::new("events-rights").await;
    let events = events_of(&home, &home.plane.url()).await;
    let (hook, _posts) = serve(vec![status(400, "")]);
    let hook = format!("{{type: webhook, url: '{hook}'}}");
    let (name, namespace) = ("rolebinding/sentinel", home.namespace);
    let binding = home.plane.kubectl(&["-n", namespace, "get", name, "-o", "json"], "");
    home.plane.kubectl(&["-n", namespace, "delete", name], "");
    let why = loop {
        match tell(&events, RECEIVER, false, of(&home, Turn::Firing)).await {
            Verdict::NotSent(Some(wait), why) if wait == Duration::from_secs(300) => break why,
            // The server learns of it in a moment.
            Verdict::Delivered => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(why.text.contains("403") && why.text.contains("cannot create resource \"events\""), "{why}");
    // What is refused for ever is refused all the same.
    let before = all(&home).len();
    assert!(matches!(tell(&events, &hook, true, of(&home, Turn::Firing)).await, Verdict::Refused(_)));
    assert_eq!(all(&home).len(), before);

    let mut binding: Value = serde_json::from_str(&binding).unwrap();
    binding["metadata"] = json!({"name": "sentinel", "namespace": namespace});
    home.plane.kubectl(&["create", "-f", "-"], &binding.to_string());
    while tell(&events, RECEIVER, false, of(&home, Turn::Resolved)).await != Verdict::Delivered {}
    assert!(matches!(tell(&events, &hook, true, of(&home, Turn::Firing)).await, Verdict::Refused(_)));
    let made = all(&home);
    let of_reason = |reason: &str| made.iter().filter(|event| event["reason"] == reason).collect::<Vec<_>>();
    assert_eq!(of_reason("PlanFailedResolved")[0]["type"], "Normal");
    let refused = of_reason("NotificationRefused");
    assert_eq!((refused.len(), &refused[0]["type"]), (1, &json!("Warning")));
    let note = refused[0]["note"].as_str().unwrap();
    assert!(note.starts_with("The receiver hook refused") && note.contains("400") && !note.contains("s3cr3t"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_going_or_gone_takes_none_and_a_server_that_is_not_there_gets_them_later() {
    let home = Home::new("events-going").await;
    let events = events_of(&home, &home.plane.url()).await;
    let admin = Events::new(home.plane.client().await.unwrap(), "admin");
    home.plane.kubectl(&["delete", "namespace", home.namespace, "--wait=false"], "");
    let Verdict::Refused(why) = tell(&events, RECEIVER, true, of(&home, Turn::Firing)).await else { panic!("it is going") };
    assert!(why.text.contains("because it is being terminated"), "{why}");
    let nowhere = Regarding { key: Key::new("events-nowhere", "crm"), ..about(&home, "crm") };
    let Err(Failure::Never(why)) = admin.publish(&nowhere, &warning("x"), false).await else { panic!("it is gone") };
    assert!(why.contains("404") && why.contains("events-nowhere"), "{why}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = events_of(&home, &format!("https://{closed}")).await;
    let verdict = tell(&nobody, RECEIVER, false, of(&home, Turn::Firing)).await;
    assert!(matches!(verdict, Verdict::NotSent(None, _)), "{verdict:?}");
    let proxy = Proxy::start(home.plane.port()).await.unwrap();
    let silent = events_of(&home, &proxy.url()).await;
    for fault in [Fault::BlackHole, Fault::Reset] {
        proxy.set(fault);
        let verdict = tell(&silent, RECEIVER, false, of(&home, Turn::Firing)).await;
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_tells_on_the_plan_that_it_failed_and_that_it_is_over_and_what_a_receiver_refused() {
    let home = Home::new("events-told").await;
    let (hook, _posts) = serve(vec![status(400, "")]);
    let receivers = format!("{{events: {{type: kubernetes_events}}, hook: {{type: webhook, url: '{hook}'}}}}");
    home.start(&["mail"]);
    let kubeconfig = home.kubeconfig("told", &home.plane.url());
    let keys = [("NOTIFY__RECEIVERS", receivers.as_str()), ("LEASE__ENABLED", "false")];
    let program = Program::start(&home, &kubeconfig, &keys);
    wait_until(|| program.acts() && program.is_quiet() && program.shows("mail"));
    // As `kubectl describe` asks for them.
    let told = |reason: &str| {
        let fields = format!("involvedObject.name=mail,reason={reason}");
        let list =
            home.plane.kubectl(&["-n", home.namespace, "get", "events", "--field-selector", &fields, "-o", "json"], "");
        serde_json::from_str::<Value>(&list).unwrap()["items"].as_array().unwrap().clone()
    };
    home.set("mail", "Failed");
    wait_until(|| !told("PlanFailed").is_empty() && !told("NotificationRefused").is_empty());
    let failed = &told("PlanFailed")[0];
    assert_eq!((&failed["type"], &failed["reportingComponent"]), (&json!("Warning"), &json!("mtv-sentinel")));
    let plan = home.plane.kubectl(&["-n", home.namespace, "get", "plans.forklift.konveyor.io", "mail", "-o", "json"], "");
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(failed["involvedObject"]["uid"], plan["metadata"]["uid"]);
    home.set("mail", "Executing");
    wait_until(|| !told("PlanFailedResolved").is_empty());
    assert_eq!(told("PlanFailedResolved")[0]["type"], "Normal");
    assert_eq!((told("PlanFailed").len(), told("NotificationRefused").len()), (1, 1));

    // A test is about a plan that is made up.
    let test = || {
        let mut command = crate::cli::command(&["test-notify", "--receiver", "events"]);
        command.env("MTV_SENTINEL__NOTIFY__RECEIVERS", "{events: {type: kubernetes_events}}");
        command.env("MTV_SENTINEL__KUBERNETES__KUBECONFIG", &kubeconfig);
        command
    };
    let said = test().output().unwrap();
    assert!(String::from_utf8(said.stderr).unwrap().contains("a test Event needs a namespace: lease.namespace is empty"));
    let said = test().env("MTV_SENTINEL__LEASE__NAMESPACE", home.namespace).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert!(String::from_utf8(said.stdout).unwrap().contains("made up, in the namespace events-told\n"));
    let tests: Vec<Value> = all(&home).into_iter().filter(|event| event["regarding"]["name"] == "crm").collect();
    assert!(tests.len() == 2 && tests.iter().all(|event| event["note"].as_str().unwrap().contains("(test)")), "{tests:?}");
}

#[test]
fn the_rules_have_names_that_are_reasons() {
    for rule in RULES {
        let longest = format!("{}Resolved", rule.name);
        assert!(longest.len() <= 128 && longest.chars().all(|c| c.is_ascii_alphanumeric()), "{longest}");
        assert!(!events(&Notification::of(sample(rule, Turn::Firing).send, message(rule.name))).is_empty());
    }
}

fn message(rule: &str) -> mtv_sentinel::message::Message {
    notification(rule, Turn::Firing).message
}
