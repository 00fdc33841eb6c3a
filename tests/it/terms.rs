//! Terms of office at their edges: what a start, a stop, a takeover and another configuration must not lose, repeat or wait for.

use crate::support::{decode, migration, minute, plan, provider};
use mtv_sentinel::app::{Answer, Engine};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::Outcome;
use mtv_sentinel::forklift::{Decoded, Object};
use mtv_sentinel::ledger::{Account, Folder, Keeper, Place, Recovered, Save, part_of};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::plan::Time;
use mtv_sentinel::watch::{Observation, Seen};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

fn load(yaml: &str) -> Config {
    let layers = Layers { file: Some(("x.yaml".to_owned(), yaml.to_owned())), ..Layers::default() };
    Config::load(layers).map_err(|errors| errors.to_string()).unwrap()
}

fn config() -> Config {
    load("alerts: {off: [PlanStalled]}\nnotify: {group_wait: 0s, group_interval: 0s, tell_baseline: false}")
}

fn applied(object: Object) -> Seen {
    Seen::Applied(Box::new(Decoded { object, issues: Default::default() }))
}

struct Rig {
    engine: Engine,
    account: Option<Account>,
}

impl Rig {
    fn new() -> Self {
        Self { engine: Engine::new(&config(), Arc::new(Own::new("test", "test"))), account: None }
    }
    fn see(&mut self, at: f64, what: Seen) -> Vec<String> {
        self.engine.observe(Observation { at: minute(at), what });
        self.told(at)
    }
    fn tick(&mut self, at: f64) -> Vec<String> {
        self.engine.tick(minute(at));
        self.told(at)
    }
    fn told(&mut self, at: f64) -> Vec<String> {
        let due = self.engine.due(minute(at));
        let mut lines = Vec::new();
        for n in &due {
            lines.push(format!(
                "{} {}{} ep{}",
                n.message.turn,
                n.message.rule,
                if n.message.is_repeat { " (repeat)" } else { "" },
                n.alerts[0].id.episode
            ));
            let answer =
                Answer { term: n.term, receiver: &n.receiver, topic: &n.topic, remote: None, outcome: Outcome::Delivered };
            self.engine.record(answer, minute(at));
        }
        if let Some((account, _)) = self.engine.save(minute(at)) {
            self.account = Some(account);
        }
        lines
    }
    /// Another process, with what this one has saved; not in office yet.
    fn next(&self) -> (Self, Recovered) {
        let mut recovered = Recovered::default();
        recovered.account = self.account.clone().unwrap();
        (Self::new(), recovered)
    }
}

fn running() -> Object {
    plan(json!({"status": {"conditions": ["Executing"], "migration": {"started": 0,
        "history": [{"conditions": ["Executing"], "migration": {"namespace": "ns", "name": "run", "uid": "run-1"}}],
        "vms": [{"id": "vm-1", "name": "one", "started": 0, "phase": "CopyDisks"}]}}}))
}

fn canceling() -> Object {
    migration(json!({"spec": {"cancel": [{"id": "vm-1"}]}}))
}

/// An ordinary restart: the plan is listed before its Migration.
#[test]
fn a_plan_that_is_listed_before_its_migration_keeps_what_is_remembered_of_it() {
    let mut first = Rig::new();
    first.see(0.0, applied(running()));
    first.see(0.0, Seen::Synced);
    first.see(1.0, applied(canceling()));
    assert_eq!(first.tick(17.0), ["firing CancelIgnored ep0"]);
    assert_eq!(first.tick(18.0), [""; 0]);

    let (mut second, recovered) = first.next();
    second.engine.take_office(0, recovered, None);
    let mut told = second.see(20.0, applied(running()));
    told.extend(second.see(20.0, applied(canceling())));
    told.extend(second.see(20.0, Seen::Synced));
    told.extend(second.tick(21.0));
    told.extend(second.tick(40.0));
    assert_eq!(told, [""; 0]);
}

fn broken() -> Object {
    decode(&json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "spec": {"type": "vsphere"},
        "metadata": {"namespace": "forklift", "name": "vc", "uid": "uid-vc"}}))
}

/// Office is taken between the first objects of the list and its end.
#[test]
fn office_that_is_taken_in_the_middle_of_the_first_list_goes_on_from_the_ledger() {
    let mut first = Rig::new();
    first.see(0.0, Seen::Synced);
    let mut told = first.see(1.0, applied(broken()));
    told.extend(first.tick(3.0));
    told.extend(first.see(4.0, applied(provider("vc", "vsphere"))));
    told.extend(first.see(5.0, applied(broken())));
    told.extend(first.tick(7.0));
    assert_eq!(told, ["firing ProviderNotReady ep0", "resolved ProviderNotReady ep0", "firing ProviderNotReady ep1"]);

    let (mut second, recovered) = first.next();
    second.engine.leave_office();
    let mut told = second.see(10.0, applied(broken()));
    second.engine.take_office(1, recovered, Some(minute(10.1)));
    told.extend(second.see(10.2, Seen::Synced));
    told.extend(second.tick(12.0));
    told.extend(second.tick(15.0));
    assert_eq!(told, [""; 0]);
}

/// A notification for a receiver that has just been added.
#[tokio::test]
async fn what_is_due_to_a_receiver_that_has_just_been_added_is_answered() {
    use crate::hook::{noon, notification};
    use mtv_sentinel::dispatch::Turn;
    use mtv_sentinel::lease::Leadership;
    use mtv_sentinel::notify::{Notifier, Senders};
    let mut answered = 0;
    for _ in 0..50 {
        let log = || Config::clone(&load("notify: {receivers: {hook: {type: log}}}")).notify.receivers.0["hook"].clone();
        let before = Senders::new(Vec::new(), None, false).unwrap();
        let after = Senders::new(vec![("hook".into(), log())], None, false).unwrap();
        let notifier = Notifier::new(before, Arc::new(Own::new("test", "test")), Leadership::always(), noon);
        let (change, changes) = mpsc::unbounded_channel();
        let (send, due) = mpsc::unbounded_channel();
        let (finish, mut done) = mpsc::unbounded_channel();
        // In this order, as `reload` and the loop do.
        drop(change.send(after));
        send.send(notification("PlanFailed", Turn::Firing)).unwrap();
        drop(send);
        notifier.deliver(due, changes, finish).await;
        answered += usize::from(done.recv().await.is_some());
    }
    assert_eq!(answered, 50);
}

/// The only part is damaged from its head on, and the process ends before its first save.
#[tokio::test]
async fn a_ledger_that_was_put_aside_as_a_whole_is_a_loss_at_the_start_after_that_too() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("part-0.ledger"), "nonsense").unwrap();
    for start in 0..2 {
        let place = Place::Folder(Arc::new(Folder::open(home.path()).unwrap()));
        let (_, recovered) = Keeper::open(place, 1, Arc::new(Own::new("test", "test"))).await.unwrap();
        assert!(recovered.lost("uid").is_some(), "start {start}");
    }
}

/// Who stops while the ledger cannot be written, in a long pause.
#[tokio::test(flavor = "multi_thread")]
async fn who_stops_in_a_pause_of_the_keeper_does_not_wait_for_its_end() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::Folder(Arc::new(Folder::open(home.path()).unwrap()));
    let (keeper, _) = Keeper::open(place, 1, Arc::new(Own::new("test", "test"))).await.unwrap();
    std::fs::create_dir(home.path().join("part-0.ledger")).unwrap();
    let (save, saves) = mpsc::unbounded_channel();
    let (release, _released) = mpsc::unbounded_channel::<u32>();
    let task = tokio::spawn(keeper.keep(saves, release));
    drop(save.send(Save { account: Account::default(), beat: Time::from_unix(1000).unwrap(), then: vec![1] }));
    // 0.2 + 0.4 + … + 6.4 s: now it sleeps for 12.8 s.
    tokio::time::sleep(Duration::from_secs(14)).await;
    drop(save);
    // What is left of the pause is the test: it would be seconds.
    let ended = tokio::time::timeout(Duration::from_secs(5), task).await;
    ended.unwrap().unwrap().unwrap();
}

/// More parts, of which one cannot be made (a quota; a right to create that is missing).
#[tokio::test(flavor = "multi_thread")]
async fn more_parts_that_cannot_be_made_lose_nothing_of_the_old_ones() {
    use crate::desk::{Desk, impatient, one_receiver};
    use crate::dispatch::attempt;
    let mut desk = Desk::new(one_receiver(), impatient());
    let names: Vec<String> = (0..40).map(|n| format!("p{n}")).collect();
    names.iter().for_each(|name| desk.apply(attempt(name, &["vm-1"], &["Failed"])));
    assert_eq!(desk.at(3.0).told().len(), 40);
    let kept = desk.kept();
    let account = Account { told: kept.told, memory: kept.memory };
    let home = tempfile::tempdir().unwrap();
    let open = async |parts| {
        let place = Place::Folder(Arc::new(Folder::open(home.path()).unwrap()));
        Keeper::open(place, parts, Arc::new(Own::new("test", "test"))).await.unwrap()
    };
    let beat = Time::from_unix(1000).unwrap();
    let (keeper, _) = open(2).await;
    let (save, saves) = mpsc::unbounded_channel();
    let (release, _released) = mpsc::unbounded_channel::<u32>();
    drop(save.send(Save { account: account.clone(), beat, then: vec![] }));
    drop(save);
    keeper.keep(saves, release).await.unwrap();
    let (keeper, recovered) = open(4).await;
    assert_eq!(recovered.account, account);
    std::fs::create_dir(home.path().join("part-2.new")).unwrap();
    let (save, saves) = mpsc::unbounded_channel();
    let (release, _released) = mpsc::unbounded_channel::<u32>();
    drop(save.send(Save { account: account.clone(), beat, then: vec![] }));
    drop(save);
    keeper.keep(saves, release).await.unwrap();
    let (_, recovered) = open(2).await;
    let lost = names.iter().filter(|name| recovered.lost(name).is_some()).count();
    let there = recovered.account.told.conversations.len();
    assert_eq!((there, lost), (40, 0), "conversations left, and uids that count as lost; {}", part_of("p0", 4));
}

/// The gauges of a receiver that is gone.
#[test]
fn a_receiver_that_is_removed_leaves_nothing_pending_behind() {
    let own = Arc::new(Own::new("test", "test"));
    let with = |more: &str| load(&format!("notify: {{group_wait: 0s, receivers: {{log: {{type: log}}{more}}}}}"));
    let mut engine = Engine::new(&with(", chat: {type: log}"), Arc::clone(&own));
    engine.observe(Observation { at: minute(0.0), what: Seen::Synced });
    engine.due(minute(0.0));
    engine.observe(Observation { at: minute(1.0), what: applied(broken()) });
    engine.tick(minute(3.0));
    assert_eq!(engine.due(minute(3.0)).len(), 2);
    let gauge = "mtv_sentinel_oldest_pending_notification_timestamp_seconds{receiver=\"chat\"}";
    assert!(own.encode().contains(gauge));
    engine.configure(&with(""), Some(minute(4.0)));
    engine.due(minute(4.0));
    assert!(
        !own.encode().contains(gauge),
        "{}",
        own.encode().lines().filter(|line| line.contains("pending")).collect::<Vec<_>>().join("\n")
    );
}

/// SIGTERM while the ledger cannot be opened.
#[tokio::test(flavor = "multi_thread")]
async fn who_stops_does_not_wait_for_a_ledger_that_cannot_be_opened() {
    use crate::fleet::{Home, Program, wait_until};
    let home = Home::new("stop-unopened").await;
    home.start(&["mail"]);
    let newer = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mtv-sentinel-ledger-0"},
        "data": {"account": "{\"format\":2}\nx"}});
    home.plane.kubectl(&["-n", "stop-unopened", "create", "-f", "-"], &newer.to_string());
    let keys = [("NOTIFY__RECEIVERS", "{log: {type: log}}"), ("LEASE__ENABLED", "true")];
    let mut program = Program::start(&home, &home.kubeconfig("one", &home.plane.url()), &keys);
    wait_until(|| {
        program.has("mtv_sentinel_leader 1")
            && program.text("/metrics").contains("mtv_sentinel_ledger_write_failures_total 2")
    });
    program.signal("TERM");
    let (say, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        program.wait();
        let _ = say.send(());
    });
    assert!(ended.recv_timeout(Duration::from_secs(40)).is_ok(), "it has not ended 40 s after SIGTERM");
}

/// News that did not arrive and is over.
#[test]
fn news_that_did_not_arrive_and_is_over_does_not_wait_for_ever() {
    use crate::desk::{Desk, impatient, one_receiver};
    use crate::dispatch::attempt;
    let mut desk = Desk::new(one_receiver(), impatient());
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &["Executing"]));
    assert_eq!(desk.told().len(), 1, "VmFailed");
    desk.at(2.0).apply(attempt("plan", &["vm-1"], &["Executing", "Critical/VMNotFound"]));
    assert_eq!(desk.ending(&Outcome::Failed(minute(2.1))).len(), 1, "PlanBlocked, and the receiver is down for a moment");
    desk.now = minute(2.05);
    desk.apply(attempt("plan", &["vm-1"], &["Executing"]));
    for at in [3.0, 60.0, 600.0] {
        assert_eq!(desk.at(at).told(), [""; 0]);
    }
    let pending = desk.dispatch.told().pending();
    assert!(pending.is_empty(), "{pending:?}");
}

/// A time of the report that is added while the program runs.
#[test]
fn a_time_of_the_report_that_is_added_later_than_itself_is_not_due() {
    use crate::desk::{Desk, impatient, routing};
    let at = |times: &str| {
        routing(&format!("  receivers: {{log: {{type: log}}}}\n  campaign_receivers: [log]\n  campaign_times: [{times}]"))
    };
    let day = |hour: u32| {
        let midnight = minute(0.0).unix() / 86_400 * 86_400 + 86_400;
        Time::from_unix(i64::from(midnight + hour * 3600)).unwrap()
    };
    let mut desk = Desk::new(at("'08:00'"), impatient());
    desk.now = day(7);
    desk.dispatch.adopt(&desk.alerts, &desk.store, desk.now);
    desk.now = day(9);
    let reports = desk.due().reports;
    assert_eq!(reports.len(), 1);
    let topic = mtv_sentinel::dispatch::Topic::Campaign(reports[0].at);
    desk.dispatch.record(&"log".into(), &topic, Outcome::Delivered, desk.now);
    desk.now = day(12);
    desk.dispatch.set_routing(at("'08:00', '11:00'"));
    desk.dispatch.adopt(&desk.alerts, &desk.store, desk.now);
    assert_eq!(desk.due().reports, []);
}

/// The same with a rule that goes by the object's own times, so that it is told anew at once.
#[test]
fn an_ordinary_restart_repeats_no_blocked_start() {
    let failed = || {
        plan(json!({"status": {"conditions": ["Failed", "Critical/VMNotFound"], "migration": {"started": 0, "completed": 1,
        "history": [{"conditions": ["Failed"], "migration": {"namespace": "ns", "name": "first", "uid": "run-0"}}]}}}))
    };
    let waits = || migration(json!({"metadata": {"creationTimestamp": 2}}));
    let mut first = Rig::new();
    first.see(0.0, Seen::Synced);
    let mut told = first.see(2.0, applied(failed()));
    told.extend(first.see(2.0, applied(waits())));
    told.extend(first.tick(8.0));
    assert!(told.contains(&"firing StartBlocked ep0".to_owned()), "{told:?}");
    let (mut second, recovered) = first.next();
    second.engine.take_office(0, recovered, None);
    let mut told = second.see(20.0, applied(failed()));
    told.extend(second.see(20.0, applied(waits())));
    told.extend(second.see(20.0, Seen::Synced));
    told.extend(second.tick(21.0));
    assert_eq!(told, [""; 0]);
}

/// Two that begin at once: neither finds out about the other.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_begin_at_once_one_is_deposed() {
    use mtv_sentinel::ledger::ConfigMaps;
    let plane = crate::cluster::shared().await;
    plane.kubectl(&["create", "namespace", "begin-at-once"], "");
    let open = async || {
        let maps = ConfigMaps::new(plane.client().await.unwrap(), "begin-at-once", "sentinel");
        Keeper::open(Place::ConfigMaps(Box::new(maps)), 1, Arc::new(Own::new("test", "test"))).await.unwrap().0
    };
    let (one, other) = (open().await, open().await);
    let beat = Time::from_unix(1000).unwrap();
    let run = |keeper: Keeper| {
        let ((save, saves), (release, released)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel::<u32>());
        (save, released, tokio::spawn(keeper.keep(saves, release)))
    };
    let (mut one, mut other) = (run(one), run(other));
    let mut let_go = [0, 0];
    for n in 0..3u32 {
        let account = |who: &str| {
            let mut account = Account::default();
            let settled = mtv_sentinel::dispatch::Settled { attempts: [n as usize].into(), ..Default::default() };
            account.told.settled.insert((who.into(), "uid".into()), settled);
            account
        };
        for (who, (save, released, _), count) in [("one", &mut one, 0), ("other", &mut other, 1)] {
            let _ = save.send(Save { account: account(who), beat, then: vec![n] });
            let_go[count] += usize::from(released.recv().await.is_some());
        }
    }
    assert!(let_go[0] < 3 || let_go[1] < 3, "both let go of everything: {let_go:?}");
}

/// A provider comes back, and its plans say so some seconds later.
#[test]
fn a_provider_that_is_back_is_no_news_of_each_plan_that_has_not_noticed_yet() {
    use crate::desk::{Desk, routing};
    use crate::dispatch::attempt;
    let mut desk =
        Desk::new(routing("  receivers: {log: {type: log}}\n  group_wait: 30s"), mtv_sentinel::alert::Settings::default());
    let blocked = || attempt("plan", &[], &["Executing", "Critical/SourceProviderNotReady: not ready"]);
    desk.now = minute(1.0);
    desk.apply(provider("vc", "vsphere"));
    desk.apply(attempt("plan", &[], &["Executing"]));
    desk.at(2.0).apply(broken());
    desk.apply(blocked());
    let mut told = Vec::new();
    for at in [3.0, 3.5, 4.0, 10.0] {
        told.extend(desk.at(at).told());
    }
    desk.at(10.1).apply(provider("vc", "vsphere"));
    told.extend(desk.told());
    desk.at(10.2).apply(attempt("plan", &[], &["Executing"]));
    told.extend(desk.told());
    told.iter_mut().for_each(|line| line.truncate(40));
    assert_eq!(told, ["log firing vc ProviderNotReady/0: its ph", "log resolved vc ProviderNotReady/0: its "]);
}

/// An orderly stop with a receiver that takes three seconds for each message.
#[test]
fn an_orderly_stop_repeats_nothing_that_arrived_and_marks_nothing_that_was_not_tried() {
    use crate::daemon::Daemon;
    use mtv_sentinel::app::Input;
    use std::io::{Read, Write};
    use std::sync::Mutex;
    let posts: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (seen, slow) = (Arc::clone(&posts), Arc::new(std::sync::atomic::AtomicBool::new(true)));
    let is_slow = Arc::clone(&slow);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, seen, is_slow) = (stream.unwrap(), Arc::clone(&seen), Arc::clone(&is_slow));
            std::thread::spawn(move || {
                let (mut text, mut bytes) = (String::new(), [0; 65536]);
                let body = loop {
                    let read = stream.read(&mut bytes).unwrap();
                    text.push_str(&String::from_utf8_lossy(&bytes[..read]));
                    if let Some((_, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<serde_json::Value>(body)
                    {
                        break body;
                    }
                };
                let plan = body["commonLabels"]["plan"].as_str().unwrap_or_default().to_owned();
                let marked = body["commonAnnotations"]["summary"].as_str().unwrap_or_default().contains("possible repeat");
                seen.lock().unwrap().push((plan, marked));
                if is_slow.load(std::sync::atomic::Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_secs(3));
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            });
        }
    });
    let home = tempfile::tempdir().unwrap();
    let (plans, ledger) = (home.path().join("plans.json"), home.path().join("ledger"));
    let show = |number: usize| {
        let failed = json!([{"type": "Failed", "status": "True", "category": "Advisory", "lastTransitionTime": "2026-11-01T10:00:00Z"}]);
        let plan = |n: usize| {
            json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
            "metadata": {"namespace": "ns", "name": format!("p{n}"), "uid": format!("uid-{n}")},
            "status": {"conditions": failed, "migration": {"started": "2026-11-01T09:00:00Z", "history": [{"conditions": failed}]}}})
        };
        let items: Vec<_> = (0..number).map(plan).collect();
        std::fs::write(home.path().join("next"), json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
            .unwrap();
        std::fs::rename(home.path().join("next"), &plans).unwrap();
    };
    let start = || {
        let config = load(&format!(
            "source: 'files:{}'\nfiles: {{poll_interval: 20ms}}\nledger: {{path: '{}'}}\nnotify: {{group_wait: 0s, storm_threads: 0, receivers: {{hook: {{type: webhook, url: '{url}'}}}}}}",
            plans.display(),
            ledger.display()
        ));
        let input = Input::open(&config).unwrap();
        Daemon::run(config, input)
    };
    show(0);
    let daemon = start();
    show(20);
    daemon.wait_until(|_| posts.lock().unwrap().len() >= 4);
    daemon.stop().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let first: Vec<String> = posts.lock().unwrap().drain(..).map(|(plan, _)| plan).collect();
    slow.store(false, std::sync::atomic::Ordering::SeqCst);
    let daemon = start();
    daemon.wait_until(|daemon| daemon.text("/metrics").contains("mtv_sentinel_pending_notifications{receiver=\"hook\"} 0"));
    daemon.stop().unwrap();
    let second = posts.lock().unwrap().clone();
    let again = second.iter().filter(|(plan, _)| first.contains(plan)).count();
    let untried = second.iter().filter(|(plan, marked)| !first.contains(plan) && *marked).count();
    assert_eq!(
        (again, untried),
        (0, 0),
        "told {} before the stop: told again, and marked though never tried; {} after",
        first.len(),
        second.len()
    );
}
