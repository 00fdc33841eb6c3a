//! Edges of the decisions about notifications: what is easily lost, told twice, or told for ever.

use crate::desk::{Desk, Kept, impatient, line, one_receiver, routing};
use crate::dispatch::attempt;
use crate::support::{decode, minute, plan, provider};
use mtv_sentinel::alert::{Settings, Severity};
use mtv_sentinel::app::Engine;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::{Outcome, Pace, Routing, Send, Told, Topic};
use mtv_sentinel::forklift::{Decoded, Object};
use mtv_sentinel::ledger::{Account, Head, LIMIT, Stored, encode, part_of, recover, split};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::plan::{Key, Kind};
use mtv_sentinel::store::{Report, Store, Trouble, WatchId};
use mtv_sentinel::watch::{Observation, Seen};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

fn failed(name: &str) -> Object {
    attempt(name, &["vm-1"], &["Failed"])
}

fn load(yaml: &str) -> Result<Config, String> {
    let layers = Layers { file: Some(("x.yaml".to_owned(), yaml.to_owned())), ..Layers::default() };
    Config::load(layers).map_err(|errors| errors.to_string())
}

#[test]
fn a_mute_that_is_taken_away_wakes_the_loop_though_no_alert_has_changed() {
    let muted = |value: &str| match failed("plan") {
        Object::Plan(mut plan) => {
            plan.annotations = [("mtv-sentinel.io/mute".into(), value.into())].into();
            Object::Plan(plan)
        }
        other => other,
    };
    let mut engine = Engine::new(&load("notify: {group_wait: 0s}").unwrap(), Arc::new(Own::new("test", "test")));
    let mut see = |at: f64, what: Seen| {
        engine.observe(Observation { at: minute(at), what });
        engine.due(minute(at)).len()
    };
    let applied = |object| Seen::Applied(Box::new(Decoded { object, issues: Default::default() }));
    assert_eq!(see(1.0, Seen::Synced), 0);
    assert_eq!(see(3.0, applied(muted("true"))), 0);
    assert_eq!(see(4.0, applied(muted("false"))), 1);
}

#[test]
fn a_reminder_or_a_digest_that_is_refused_is_not_sent_again_at_once() {
    let mut desk = Desk::new(routing("  receivers: {log: {type: log}}\n  repeat_interval: 1h"), impatient());
    desk.at(2.0).apply(failed("plan"));
    desk.told();
    assert_eq!(desk.at(62.0).told_ending(&Outcome::Refused).len(), 1);
    assert_eq!(desk.told(), [""; 0]);
    assert_eq!(desk.due().again, Some(minute(122.0)));

    let storm = "  receivers: {log: {type: log}}\n  storm_threads: 1\n  group_interval: 5m";
    let mut desk = Desk::new(routing(storm), impatient());
    desk.at(2.0);
    (0..3).for_each(|number| desk.apply(failed(&format!("p{number}"))));
    desk.told();
    desk.at(10.0).delete(Kind::Plan, &Key::new("ns", "p0"));
    assert_eq!(desk.told_ending(&Outcome::Refused).len(), 1);
    assert_eq!(desk.at(30.0).told(), [""; 0]);
}

#[test]
fn an_end_is_told_if_the_route_of_any_member_tells_ends() {
    let one = "  receivers: {log: {type: log}}\n  routes: [{matchers: [rule=VmFailed], receivers: [log], send_resolved: false}, {receivers: [log]}]";
    let mut desk = Desk::new(routing(one), impatient());
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &["Executing"]));
    desk.told();
    desk.apply(failed("plan"));
    desk.told();
    desk.delete(Kind::Plan, &Key::new("ns", "plan"));
    assert_eq!(desk.told(), ["log resolved plan PlanFailed/0: vm-1: no space"]);

    let digest = "  receivers: {log: {type: log}}\n  storm_threads: 1\n  routes: [{matchers: [plan=p0], receivers: [log], send_resolved: false}, {receivers: [log]}]";
    let mut desk = Desk::new(routing(digest), impatient());
    desk.at(2.0);
    (0..3).for_each(|number| desk.apply(failed(&format!("p{number}"))));
    desk.told();
    (0..3).for_each(|number| desk.delete(Kind::Plan, &Key::new("ns", format!("p{number}"))));
    assert_eq!(desk.ending(&Outcome::Delivered)[0].turn.as_str(), "resolved");
}

/// Starts again without this part of three of the ledger.
fn restart_without(desk: &mut Desk, part: u16, routing: Routing) {
    let Kept { told, memory } = desk.kept();
    let parts = split(&Account { told, memory }, 3).into_iter().zip(0u16..).filter(|(_, number)| *number != part);
    let stored = parts.map(|(account, part)| Stored {
        name: part.to_string(),
        text: encode(&Head { part, parts: 3, epoch: 1, beat: minute(2.0) }, &account, LIMIT).unwrap(),
    });
    let recovered = recover(stored).unwrap();
    let kept = Kept { told: recovered.account.told.clone(), memory: recovered.account.memory.clone() };
    desk.restart(kept, routing, &|uid| recovered.lost(uid));
}

#[test]
fn a_digest_of_which_the_ledger_has_lost_everything_takes_no_later_storm_with_it() {
    let storm = || routing("  receivers: {log: {type: log}}\n  storm_threads: 1\n  storm_window: 10m");
    let mut desk = Desk::new(storm(), impatient());
    desk.at(2.0);
    let names: Vec<String> = (0..100).map(|n| format!("p{n}")).filter(|name| part_of(name, 3) == 1).take(2).collect();
    names.iter().for_each(|name| desk.apply(failed(name)));
    desk.told();
    names.iter().for_each(|name| desk.delete(Kind::Plan, &Key::new("ns", name.as_str())));
    assert_eq!(desk.due().sends.len(), 1, "its end is under way");
    restart_without(desk.at(30.0), 1, storm());
    desk.told();
    (0..4).for_each(|number| desk.apply(failed(&format!("new{number}"))));
    let told = desk.ending(&Outcome::Delivered);
    assert_eq!((told.len(), told[0].others.len()), (1, 3), "{told:?}");
}

#[test]
fn a_severity_that_is_raised_makes_no_news_of_old_failures() {
    let by_severity = |severity: &str| {
        let mut routing = routing(
            "  tell_baseline: false\n  routes: [{matchers: [severity=critical], receivers: [pager]}, {receivers: [log]}]",
        );
        let severity = Severity::ALL.iter().copied().find(|known| known.as_str() == severity).unwrap();
        routing.rules.insert("PlanFailed".into(), severity);
        routing
    };
    let mut desk = Desk::new(by_severity("warning"), impatient());
    desk.at(2.0);
    (0..3).for_each(|number| desk.apply(failed(&format!("p{number}"))));
    assert_eq!(desk.told().len(), 3);
    let critical = Settings { severities: [("PlanFailed", Severity::Critical)].into(), ..impatient() };
    let kept = desk.kept();
    let mut later = Desk::new(by_severity("critical"), critical);
    later.store = std::mem::take(&mut desk.store);
    assert_eq!(later.at(1000.0).restart(kept, by_severity("critical"), &|_| None).baseline, 3);
    assert_eq!(later.told(), [""; 0]);
}

#[test]
fn a_copy_that_moves_is_not_stalled_because_the_program_started_again() {
    let stalled = || {
        let mut routing = one_receiver();
        routing.rules.insert("PlanStalled".into(), Severity::Warning);
        routing
    };
    let moving = |done: u64| {
        plan(json!({"metadata": {"name": "p", "uid": "p"}, "status": {"conditions": ["Executing"], "migration": {
            "started": 1, "history": [{"conditions": ["Executing"], "migration": {"uid": "run-1"}}],
            "vms": [{"id": "vm-1", "name": "one", "started": 1, "phase": "CopyDisks", "pipeline": [{"name": "DiskTransfer",
                "phase": "Running", "started": 2, "annotations": {"unit": "MB"}, "progress": {"completed": done, "total": 204_800}}]}]}}}))
    };
    let mut desk = Desk::new(stalled(), Settings::default());
    for minutes in 0..120 {
        assert_eq!(desk.see(moving(100 + minutes), 3.0 + minutes as f64), [""; 0]);
    }
    for ledger in [true, false] {
        let mut kept = desk.kept();
        if !ledger {
            kept.memory.clear();
        }
        desk.store = Store::default();
        desk.now = minute(123.5);
        desk.store.apply(moving(219), desk.now);
        desk.restart(kept, stalled(), &|_| None);
        assert_eq!(desk.told(), [""; 0]);
    }
    assert_eq!(desk.at(152.0).told(), [""; 0]);
    let told = desk.at(154.0).told();
    assert!(matches!(&told[..], [one] if one.starts_with("log firing p PlanStalled/0: ")), "{told:?}");
}

#[test]
fn nothing_is_stalled_because_the_api_server_is_not_reached() {
    let mut engine = Engine::new(&load("notify: {group_wait: 0s}").unwrap(), Arc::new(Own::new("test", "test")));
    let running = plan(json!({"status": {"conditions": ["Executing"], "migration": {"started": 1,
        "history": [{"conditions": ["Executing"], "migration": {"uid": "run-1"}}], "vms": [{"id": "vm-1", "started": 1}]}}}));
    let watch = || WatchId { kind: Kind::Plan, namespace: "".into() };
    for (at, what) in [
        (1.0, Seen::Applied(Box::new(Decoded { object: running, issues: Default::default() }))),
        (1.0, Seen::Report(watch(), Report::Listed)),
        (1.0, Seen::Synced),
        (2.0, Seen::Report(watch(), Report::Broken(Trouble::Connection, "refused".to_owned()))),
    ] {
        engine.observe(Observation { at: minute(at), what });
        engine.due(minute(at));
    }
    engine.tick(minute(90.0));
    assert_eq!(engine.due(minute(90.0)), []);
    assert!(engine.next_deadline().is_none_or(|at| at > minute(90.0)), "it would look again and again");
    // It is back, and has nothing new to say: now it is known that nothing has moved.
    engine.observe(Observation { at: minute(91.0), what: Seen::Report(watch(), Report::Contact) });
    engine.tick(minute(91.0));
    assert_eq!(engine.due(minute(91.0)), [], "what was missed comes after its first answer");
    let caught_up = minute(91.0).plus(std::time::Duration::from_secs(10));
    assert_eq!(engine.next_deadline(), Some(caught_up));
    engine.tick(caught_up);
    let told = engine.due(caught_up);
    assert!(matches!(&told[..], [one] if one.message.rule == "PlanStalled"), "{told:?}");
}

#[test]
fn of_what_comes_and_goes_nothing_is_kept_but_the_last() {
    let broken = || {
        decode(&json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "spec": {"type": "vsphere"},
            "metadata": {"namespace": "forklift", "name": "vc", "uid": "uid-vc"}}))
    };
    let mut desk = Desk::new(one_receiver(), impatient());
    for hour in 0..50 {
        assert_eq!(desk.see(broken(), f64::from(hour) * 60.0).len(), 1);
        assert_eq!(desk.see(provider("vc", "vsphere"), f64::from(hour) * 60.0 + 1.0).len(), 1);
    }
    assert!(desk.dispatch.told().conversations.len() <= 1, "{}", desk.dispatch.told().conversations.len());
}

#[test]
fn a_digest_has_a_bound_and_the_next_one_takes_the_rest() {
    let mut desk = Desk::new(routing("  receivers: {log: {type: log}}\n  storm_threads: 1"), impatient());
    desk.at(2.0);
    (0..4500).for_each(|number| desk.apply(failed(&format!("p{number}"))));
    let mut sizes = Vec::new();
    for second in 0..4 {
        desk.now = minute(2.0 + f64::from(second) / 60.0);
        sizes.extend(desk.ending(&Outcome::Delivered).iter().map(|send| send.others.len() + 1));
    }
    assert_eq!(sizes, [2000, 2000, 500]);
}

#[test]
fn what_a_provider_causes_is_no_part_of_a_message_about_something_else() {
    let broken =
        decode(&json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "spec": {"type": "vsphere"},
        "metadata": {"namespace": "forklift", "name": "vc", "uid": "uid-vc"}}));
    let blocked = ["Executing", "Critical/SourceProviderNotReady: not ready"];
    let mut desk = Desk::new(one_receiver(), impatient());
    desk.see(broken.clone(), 1.0);
    assert_eq!(desk.see(attempt("plan", &["vm-1"], &blocked), 2.0), ["log firing plan VmFailed/0: vm-1: no space"]);

    // Whoever is not told of the provider is told of what it causes.
    let nobody = "  receivers: {log: {type: log}}\n  routes: [{matchers: [rule=ProviderNotReady], receivers: []}, {receivers: [log]}]";
    let mut desk = Desk::new(routing(nobody), impatient());
    assert_eq!(desk.see(broken, 1.0), [""; 0]);
    let told = desk.see(attempt("plan", &[], &blocked), 2.0);
    assert!(matches!(&told[..], [one] if one.starts_with("log firing plan PlanBlocked/0: ")), "{told:?}");
}

#[test]
fn a_digest_does_not_tell_what_was_there_before() {
    let storm = || routing("  receivers: {log: {type: log}}\n  storm_threads: 1\n  tell_baseline: false");
    let mut desk = Desk::new(storm(), impatient());
    desk.at(1.0).apply(attempt("p0", &["vm-1"], &["Executing"]));
    let kept = Kept { told: Default::default(), memory: desk.kept().memory };
    desk.restart(kept, storm(), &|_| None);
    desk.apply(attempt("p0", &["vm-1", "vm-2"], &["Executing"]));
    desk.apply(attempt("p1", &["vm-3"], &["Executing"]));
    let told = desk.ending(&Outcome::Delivered);
    assert!(matches!(told[0].topic, Topic::Digest(_)));
    assert_eq!(line(&told[0]), "log firing p0 VmFailed/0: vm-2: no space; vm-3: no space");
}

#[test]
fn a_ledger_of_which_every_part_is_damaged_is_a_loss_and_no_first_start() {
    let mut desk = Desk::new(one_receiver(), impatient());
    desk.at(3.0).apply(failed("plan"));
    desk.told();
    let Kept { told, memory } = desk.kept();
    let head = Head { part: 0, parts: 1, epoch: 9, beat: minute(1.0) };
    let whole = encode(&head, &Account { told, memory }, LIMIT).unwrap();
    for (text, epoch, told) in [
        // The head says until when it was whole: the plan had failed before.
        (whole.replace("no space", "no spice"), 9, vec![]),
        ("nonsense".to_owned(), 0, vec!["log firing plan PlanFailed/0 (perhaps again): vm-1: no space"]),
    ] {
        let recovered = recover([Stored { name: "part-0".to_owned(), text }]).unwrap();
        assert_eq!((recovered.epoch, recovered.damaged.len(), recovered.missing()), (epoch, 1, 1));
        let kept = Kept { told: recovered.account.told.clone(), memory: recovered.account.memory.clone() };
        assert_eq!(desk.restart(kept, one_receiver(), &|uid| recovered.lost(uid)).baseline, 0);
        assert_eq!(desk.told(), told);
    }
}

#[test]
fn only_conversations_that_are_owed_their_end_are_abandoned() {
    let mut desk = Desk::new(routing(""), impatient());
    desk.at(2.0).apply(attempt("plan", &["vm-1"], &["Executing"]));
    desk.told();
    desk.apply(attempt("plan", &[], &["Executing"]));
    desk.told();
    let kept = desk.kept();
    assert_eq!(desk.restart(kept, one_receiver(), &|_| None).abandoned.len(), 0);
}

#[test]
fn what_would_tell_nobody_or_for_ever_is_refused() {
    for (yaml, wrong) in [
        ("notify: {receivers: {log: {type: log, url: x}}}", "log: there is no such key as url"),
        ("notify: {receivers: {hook: {type: webhook}}}", "hook: it has neither url nor url_file"),
        ("notify: {receivers: {hook: {type: webhook, url: 'ftp://s3cr3t'}}}", "hook: its url is no http or https URL"),
        ("notify:\n  routes:\n    - matchers: [severity=critical]\n      receivers:\n", "[0] receivers is missing"),
        ("notify: {campaign_receivers: [log], campaign_times: []}", "notify.campaign_times: it is empty"),
        ("notify: {campaign_times: ['+6:+5']}", "\"+6:+5\" is no time of the day"),
        ("notify: {repeat_interval: 500ms}", "500ms is too short for a reminder"),
    ] {
        let said = load(yaml).unwrap_err();
        assert!(said.contains(wrong) && !said.contains("s3cr3t"), "{yaml}: {said}");
    }
    let config =
        load("notify: {receivers: {hook: {type: webhook, url: 'https://example.com/s3cr3t', timeout: 3s}}}").unwrap();
    let shown = config.show();
    assert!(
        shown.contains("receivers: {hook: {type: webhook, url: \"<secret>\", timeout: 3s, rate_limit: none}}"),
        "{shown}"
    );
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn a_receiver_is_told_no_faster_than_it_takes_it_the_worst_first_and_only_what_is_still_true() {
    let mut routing = one_receiver();
    routing.paces.insert("log".into(), Pace { messages: 2, window: Duration::from_secs(60) });
    let mut desk = Desk::new(routing, Settings { on: vec!["PlanCanceled"], ..impatient() });
    for name in ["a", "b", "c", "d"] {
        desk.at(3.0).apply(attempt(name, &["vm-1"], &["Failed"]));
    }
    desk.apply(attempt("late", &[], &["Executing"]));
    desk.apply(attempt("e", &[], &["Canceled"]));
    let names = |told: &[Send]| told.iter().map(|send| send.alert.scope.key().name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&desk.ending(&Outcome::Delivered)), ["a", "b"]);
    assert_eq!(desk.due().again, Some(minute(4.0)), "then there is room again");
    desk.delete(Kind::Plan, &Key::new("ns", "c"));
    desk.delete(Kind::Plan, &Key::new("ns", "a"));
    assert_eq!(names(&desk.ending(&Outcome::Delivered)), [""; 0]);
    assert_eq!(names(&desk.at(4.0).ending(&Outcome::Failed(minute(5.0)))), ["a", "d"], "an end, and what is left");
    assert_eq!(names(&desk.at(4.5).ending(&Outcome::Delivered)), [""; 0]);
    assert_eq!(names(&desk.at(5.0).ending(&Outcome::Delivered)), ["a", "d"]);
    assert_eq!(names(&desk.at(6.0).ending(&Outcome::Delivered)), ["e"], "what is only for information comes last");
    assert_eq!(desk.at(7.0).told(), [""; 0]);
}

/// Every plan of which these tell.
fn plans_of(sends: &[Send]) -> BTreeSet<String> {
    let alerts = sends.iter().flat_map(|send| send.others.iter().chain([&send.alert]));
    alerts.map(|alert| alert.scope.key().name.to_string()).collect()
}

#[test]
fn a_receiver_that_is_down_for_hours_is_told_everything_afterwards_at_its_pace_and_delays_nobody() {
    let mut routing = routing("  receivers: {log: {type: log}, pager: {type: log}}\n  storm_threads: 10");
    let pace = Pace { messages: 1, window: Duration::from_secs(1) };
    routing.paces.insert("pager".into(), pace);
    let mut desk = Desk::new(routing, impatient());
    let (mut log, mut pager): (Vec<Send>, Vec<Send>) = (Vec::new(), Vec::new());
    let mut seconds_told = Vec::new();
    // One plan fails every two minutes; a step is half a minute. The pager is down for six hours, and answers in each way.
    for step in 0..900 {
        let at = f64::from(step) / 2.0;
        desk.now = minute(at);
        if step % 4 == 0 && step < 800 {
            desk.apply(failed(&format!("plan-{:03}", step / 4)));
        }
        for send in desk.due().sends {
            let is_down = send.receiver == "pager" && at < 360.0;
            let outcome = if is_down { Outcome::Failed(minute(at + 5.0)) } else { Outcome::Delivered };
            desk.record(&send, outcome);
            match (send.receiver.as_str(), is_down) {
                ("log", _) => log.push(send),
                (_, true) => {}
                (_, false) => {
                    seconds_told.push(desk.now.unix());
                    pager.push(send);
                }
            }
        }
        assert_eq!(plans_of(&log).len(), if step < 800 { step as usize / 4 + 1 } else { 200 }, "the log hears at once");
    }
    assert_eq!(plans_of(&pager).len(), 200);
    assert!(pager.iter().all(|send| !send.is_repeat), "nothing may have arrived, so nothing is a repeat");
    assert!(pager.len() < 100, "in fewer messages: {}", pager.len());
    assert!(seconds_told.windows(2).all(|two| two[1] > two[0]), "one in a second at most");
}

#[test]
fn five_hundred_old_failures_are_one_message_at_most_and_so_are_they_for_a_receiver_or_a_rule_that_comes_later() {
    let one = one_receiver();
    let mut desk = Desk::new(one.clone(), impatient());
    desk.now = minute(5.0);
    for number in 0..500 {
        desk.apply(failed(&format!("plan-{number:03}")));
        desk.apply(attempt(&format!("canceled-{number:03}"), &[], &["Canceled"]));
    }
    let first = Kept { told: Told::default(), memory: desk.kept().memory };
    assert_eq!(desk.restart(first, one, &|_| None).baseline, 500);
    let told = desk.ending(&Outcome::Delivered);
    assert_eq!((told.len(), plans_of(&told).len()), (1, 500));

    let two = routing("  receivers: {log: {type: log}, pager: {type: log}}");
    let kept = desk.kept();
    desk.restart(kept, two.clone(), &|_| None);
    let told = desk.ending(&Outcome::Delivered);
    assert_eq!((told.len(), told[0].receiver.as_str(), plans_of(&told).len()), (1, "pager", 500));

    let mut kept = desk.kept();
    let mut more = two;
    more.rules.insert("PlanCanceled".into(), Severity::Info);
    kept.told.standing.as_mut().unwrap().rules.remove("PlanCanceled");
    desk = desk.with(Settings { on: vec!["PlanCanceled"], ..impatient() });
    desk.restart(kept, more, &|_| None);
    let told = desk.ending(&Outcome::Delivered);
    assert_eq!((told.len(), plans_of(&told).len()), (2, 500), "one for each receiver, and of these alone");
    assert_eq!(desk.told(), [""; 0]);
}
