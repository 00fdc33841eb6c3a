//! What a receiver is told when deliveries fail, when there is a storm, when something was there before, and when this program
//! was away.

use crate::desk::{Desk, Kept, impatient, line, one_receiver, routing};
use crate::dispatch::attempt;
use crate::support::{minute, plan};
use mtv_sentinel::alert::{Settings, Severity};
use mtv_sentinel::dispatch::{Dispatch, Outcome, Told, Topic};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::plan::{Key, Kind};
use serde_json::json;

fn desk() -> Desk {
    Desk::new(one_receiver(), impatient())
}

/// A plan whose earlier attempts failed, and whose latest stands like this.
fn retried(name: &str, failures: usize, latest: &str) -> Object {
    let history: Vec<_> = (0..failures)
        .map(|_| json!({"conditions": ["Failed: it did not work"]}))
        .chain([json!({"conditions": [latest]})])
        .collect();
    plan(
        json!({"metadata": {"name": name, "uid": name}, "status": {"conditions": [latest], "migration": {"started": 1, "history": history, "vms": [
        {"id": "vm-1", "name": "vm-1", "started": 1}]}}}),
    )
}

fn failed(name: &str) -> Object {
    attempt(name, &["vm-1"], &["Failed"])
}

const FIRING: &str = "log firing plan PlanFailed/0: vm-1: no space";
const RESOLVED: &str = "log resolved plan PlanFailed/0: vm-1: no space";

#[test]
fn what_did_not_arrive_is_told_again_at_its_time_and_unmarked() {
    let mut desk = desk();
    desk.at(3.0).apply(failed("plan"));
    assert_eq!(desk.told_ending(&Outcome::Failed(minute(5.0))), [FIRING]);
    assert_eq!(desk.due().again, Some(minute(5.0)));
    assert_eq!(desk.at(4.0).told(), [""; 0]);
    assert_eq!(desk.at(5.0).told(), [FIRING]);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn what_may_have_arrived_is_told_once_more_and_marked() {
    let mut desk = desk();
    desk.at(3.0).apply(failed("plan"));
    assert_eq!(desk.told_ending(&Outcome::Unknown(minute(5.0))), [FIRING]);
    assert_eq!(desk.at(4.0).told(), [""; 0]);
    assert_eq!(desk.at(5.0).told(), ["log firing plan PlanFailed/0 (perhaps again): vm-1: no space"]);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn nothing_is_told_of_a_thread_while_a_message_of_it_is_under_way() {
    let mut desk = desk();
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &["Executing"]));
    let first = desk.due().sends;
    assert_eq!(first.len(), 1);
    desk.apply(failed("plan"));
    assert_eq!(desk.due().sends, []);
    desk.record(&first[0], Outcome::Delivered);
    assert_eq!(desk.told(), ["log updated plan PlanFailed/0: vm-1: no space"]);
}

#[test]
fn the_name_that_a_receiver_gives_a_conversation_comes_with_all_that_is_sent_in_it_and_ends_with_it() {
    let mut desk = desk();
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &["Executing"]));
    let first = desk.due().sends.remove(0);
    assert_eq!(first.remote, "");
    desk.dispatch.name(&first.receiver, &first.topic, "C1/17.5".into());
    desk.record(&first, Outcome::Delivered);
    let (kept, routing) = (desk.kept(), one_receiver());
    desk.restart(kept, routing, &|_| None);
    desk.apply(failed("plan"));
    assert_eq!(desk.ending(&Outcome::Delivered)[0].remote, "C1/17.5", "also after a restart");
    desk.at(2.0).apply(attempt("plan", &[], &["Succeeded"]));
    let end = desk.ending(&Outcome::Delivered).remove(0);
    assert_eq!((end.turn.as_str(), end.remote.as_str()), ("resolved", "C1/17.5"));
    desk.at(3.0).apply(failed("plan"));
    let anew = desk.ending(&Outcome::Delivered).remove(0);
    assert_eq!((anew.episode, anew.remote.as_str()), (1, ""), "what begins anew is another one");
}

#[test]
fn what_ended_before_anything_arrived_sends_nothing_and_what_may_have_arrived_is_resolved() {
    for (outcome, told) in [(Outcome::Failed(minute(3.0)), vec![]), (Outcome::Unknown(minute(3.0)), vec![RESOLVED])] {
        let mut desk = desk();
        desk.at(3.0).apply(failed("plan"));
        desk.told_ending(&outcome);
        desk.delete(Kind::Plan, &Key::new("ns", "plan"));
        assert_eq!(desk.told(), told, "{outcome:?}");
        assert_eq!(desk.told(), [""; 0]);
    }
}

#[test]
fn a_resolve_that_may_have_arrived_comes_again_marked_before_the_thread_can_begin_anew() {
    let mut desk = desk();
    let blocked = || attempt("plan", &[], &["Executing", "Critical/VMNotFound: gone"]);
    let free = || attempt("plan", &[], &["Executing"]);
    desk.at(1.0).apply(blocked());
    assert_eq!(desk.told().len(), 1);
    desk.apply(free());
    let resolve = desk.ending(&Outcome::Unknown(minute(1.0)));
    assert!(line(&resolve[0]).starts_with("log resolved plan PlanBlocked/0: VMNotFound"), "{resolve:?}");
    desk.apply(blocked());
    let again = desk.ending(&Outcome::Delivered);
    assert!(line(&again[0]).starts_with("log resolved plan PlanBlocked/0 (perhaps again)"), "{again:?}");
    let anew = desk.ending(&Outcome::Delivered);
    assert!(line(&anew[0]).starts_with("log firing plan PlanBlocked/0: "), "{anew:?}");
    assert_eq!((resolve[0].episode, again[0].episode, anew[0].episode), (0, 0, 1), "another incident");
}

#[test]
fn a_resolve_that_did_not_arrive_is_an_update_when_the_thread_fires_again() {
    let mut desk = desk();
    let blocked = || attempt("plan", &[], &["Executing", "Critical/VMNotFound: gone"]);
    desk.at(1.0).apply(blocked());
    desk.told();
    desk.apply(attempt("plan", &[], &["Executing"]));
    assert_eq!(desk.told_ending(&Outcome::Failed(minute(1.0))).len(), 1);
    desk.apply(blocked());
    let told = desk.ending(&Outcome::Delivered);
    assert!(line(&told[0]).starts_with("log updated plan PlanBlocked/0: "), "{told:?}");
    assert_eq!(told[0].episode, 0);
}

#[test]
fn what_a_receiver_refuses_is_not_tried_again_until_there_is_more() {
    let mut desk = desk();
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &["Executing"]));
    assert_eq!(desk.told_ending(&Outcome::Refused).len(), 1);
    assert_eq!(desk.told(), [""; 0]);
    desk.apply(attempt("plan", &["vm-1", "vm-2"], &["Executing"]));
    assert_eq!(desk.told(), ["log firing plan VmFailed/0: vm-2: no space"]);
    desk.apply(attempt("plan", &[], &["Succeeded"]));
    assert_eq!(desk.told(), ["log resolved plan VmFailed/0: vm-2: no space"]);
}

#[test]
fn news_waits_for_more_and_what_gets_worse_does_not() {
    let mut desk =
        Desk::new(routing("  receivers: {log: {type: log}}\n  group_wait: 30s\n  group_interval: 5m"), impatient());
    desk.at(0.25).apply(attempt("plan", &["vm-1"], &["Executing"]));
    let due = desk.due();
    assert_eq!((due.sends.len(), due.again), (0, Some(minute(0.5))), "its VM failed at 0.0");
    assert_eq!(desk.at(0.5).told(), ["log firing plan VmFailed/0: vm-1: no space"]);
    desk.at(3.0).apply(attempt("plan", &["vm-1", "vm-2"], &["Executing"]));
    let due = desk.due();
    assert_eq!((due.sends.len(), due.again), (0, Some(minute(5.5))));
    assert_eq!(desk.at(5.5).told(), ["log updated plan VmFailed/0: vm-1: no space; vm-2: no space"]);
    desk.at(6.0).apply(failed("plan"));
    assert_eq!(desk.told(), ["log updated plan PlanFailed/0: vm-1: no space"]);
}

#[test]
fn a_route_may_remind_and_may_keep_ends_to_itself() {
    let mut desk =
        Desk::new(routing("  receivers: {log: {type: log}}\n  repeat_interval: 1h\n  send_resolved: false"), impatient());
    desk.at(2.0).apply(failed("plan"));
    assert_eq!(desk.told(), [FIRING]);
    assert_eq!(desk.due().again, Some(minute(62.0)));
    assert_eq!(desk.at(62.0).told(), [FIRING.replace("firing", "reminder")]);
    desk.delete(Kind::Plan, &Key::new("ns", "plan"));
    assert_eq!(desk.told(), [""; 0]);
    assert_eq!(desk.dispatch.told().conversations.len(), 0, "nothing is kept of a plan that is gone");
}

#[test]
fn a_storm_is_one_digest_that_counts_its_members_and_is_resolved_when_the_last_has_ended() {
    let mut desk = Desk::new(
        routing("  receivers: {log: {type: log}}\n  storm_threads: 3\n  storm_window: 10m\n  group_interval: 5m"),
        impatient(),
    );
    desk.at(2.0);
    for number in 0..2 {
        desk.apply(failed(&format!("early-{number}")));
    }
    assert_eq!(desk.told().len(), 2, "few are told one by one");
    for number in 0..5 {
        desk.apply(failed(&format!("plan-{number}")));
    }
    let digest = desk.ending(&Outcome::Delivered);
    assert_eq!(digest.len(), 1);
    assert_eq!((&digest[0].topic, digest[0].others.len()), (&Topic::Digest(minute(2.0)), 4));
    // More of it joins the digest, but not at once.
    desk.at(3.0).apply(failed("late"));
    assert_eq!(desk.due().again, Some(minute(7.0)));
    let more = desk.at(7.0).ending(&Outcome::Delivered);
    assert_eq!((more[0].turn.as_str(), more[0].others.len(), &more[0].topic), ("updated", 5, &digest[0].topic));
    // Some end: that is told, and not one by one.
    for number in 0..4 {
        desk.at(12.0).apply(attempt(&format!("plan-{number}"), &[], &["Succeeded"]));
    }
    let some = desk.ending(&Outcome::Delivered);
    assert_eq!((some.len(), some[0].ended.len(), some[0].others.len()), (1, 4, 1));
    // One that has ended fires again: a thread of its own, as the storm is over.
    desk.at(30.0).apply(retried("plan-0", 0, "Failed"));
    let own = desk.ending(&Outcome::Delivered);
    assert!(matches!(own[0].topic, Topic::Thread(_)), "{own:?}");
    for name in ["plan-4", "late"] {
        desk.apply(attempt(name, &[], &["Succeeded"]));
    }
    let end = desk.ending(&Outcome::Delivered);
    assert_eq!((end.len(), end[0].turn.as_str(), end[0].others.len()), (1, "resolved", 1));
}

#[test]
fn what_was_there_before_the_first_start_is_one_message_at_most_and_its_end_is_none() {
    for tell in [true, false] {
        let routing = || routing(&format!("  receivers: {{log: {{type: log}}}}\n  tell_baseline: {tell}"));
        let mut desk = Desk::new(routing(), impatient());
        desk.at(5.0);
        for number in 0..40 {
            desk.apply(failed(&format!("old-{number}")));
            desk.apply(retried(&format!("retried-{number}"), 2, "Executing"));
        }
        let began = desk.restart(Kept { told: Told::default(), memory: desk.kept().memory }, routing(), &|_| None);
        assert_eq!(began.baseline, 40 + 2 * 40);
        let told = desk.ending(&Outcome::Delivered);
        if tell {
            assert_eq!((told.len(), told[0].others.len(), &told[0].topic), (1, 39, &Topic::Baseline(minute(5.0))));
        } else {
            assert_eq!(told, []);
        }
        assert_eq!(desk.told(), [""; 0]);
        desk.at(6.0).apply(failed("new"));
        assert_eq!(desk.told(), ["log firing new PlanFailed/0: vm-1: no space"]);
        desk.apply(attempt("old-1", &[], &["Succeeded"]));
        assert_eq!(desk.told(), [""; 0]);
    }
}

#[test]
fn of_a_thread_that_was_there_before_only_what_comes_is_told() {
    let mut desk = desk();
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &["Executing"]));
    let kept = Kept { told: Told::default(), memory: desk.kept().memory };
    assert_eq!(desk.restart(kept, one_receiver(), &|_| None).baseline, 1);
    desk.told();
    desk.apply(attempt("plan", &["vm-1", "vm-2"], &["Executing"]));
    assert_eq!(desk.told(), ["log firing plan VmFailed/0: vm-2: no space"]);
    desk.apply(attempt("plan", &[], &["Succeeded"]));
    assert_eq!(desk.told(), ["log resolved plan VmFailed/0: vm-2: no space"]);
}

#[test]
fn a_new_receiver_and_a_wider_route_take_what_is_older_as_known_and_nobody_else_loses_anything() {
    let narrow = || {
        routing(
            "  receivers: {log: {type: log}}\n  tell_baseline: false\n  routes: [{matchers: ['plan=a'], receivers: [log]}]",
        )
    };
    let wide = || routing("  receivers: {log: {type: log}, new: {type: log}}\n  tell_baseline: false");
    let mut desk = Desk::new(narrow(), impatient());
    desk.at(3.0).apply(failed("b"));
    assert_eq!(desk.told(), [""; 0]);
    // While the program is away, a plan fails that was selected all the time.
    let kept = desk.kept();
    desk.apply(failed("a"));
    assert_eq!(desk.restart(kept, wide(), &|_| None).baseline, 2);
    assert_eq!(desk.told(), ["log firing a PlanFailed/0: vm-1: no space"]);
    desk.apply(failed("c"));
    assert_eq!(desk.told().len(), 2, "what comes is told to both");
}

#[test]
fn a_rule_that_is_switched_on_tells_of_what_comes() {
    let started = Settings { on: vec!["PlanStarted"], ..impatient() };
    let mut desk = Desk::new(one_receiver(), started);
    desk.at(1.0).apply(attempt("old", &[], &["Executing"]));
    let mut on = one_receiver();
    on.rules.insert("PlanStarted".into(), Severity::Info);
    let kept = desk.kept();
    assert_eq!(desk.restart(kept, on, &|_| None).baseline, 1);
    desk.ending(&Outcome::Delivered);
    desk.apply(attempt("new", &[], &["Executing"]));
    assert!(desk.told()[0].starts_with("log firing new PlanStarted/0"));
}

#[test]
fn a_restart_repeats_nothing_but_what_was_under_way_and_owes_every_end() {
    let mut desk = desk();
    desk.at(3.0);
    for name in ["told", "under-way"] {
        desk.apply(failed(name));
        if name == "told" {
            desk.told();
        }
    }
    desk.due();
    let kept = desk.kept();
    desk.delete(Kind::Plan, &Key::new("ns", "told"));
    desk.restart(kept, one_receiver(), &|_| None);
    let mut told = desk.told();
    told.sort();
    assert_eq!(
        told,
        [
            "log firing under-way PlanFailed/0 (perhaps again): vm-1: no space",
            "log resolved told PlanFailed/0: vm-1: no space",
        ]
    );
}

#[test]
fn an_alert_without_a_clock_goes_on_firing_through_a_restart() {
    let mut desk = Desk::new(one_receiver(), Settings::default());
    desk.at(1.0).apply(attempt("plan", &[], &["Executing", "Critical/VMNotFound: gone"]));
    assert_eq!(desk.told(), [""; 0], "pending");
    assert_eq!(desk.at(2.0).told().len(), 1);
    let kept = desk.kept();
    desk.at(2.5).restart(kept, one_receiver(), &|_| None);
    assert_eq!(desk.told(), [""; 0], "it is the same episode, and it fires still");
    assert_eq!(desk.alerts.firing().count(), 1);
}

#[test]
fn a_failure_that_only_the_history_has_is_told_once_as_over() {
    let mut desk = desk();
    desk.at(1.0).apply(retried("plan", 0, "Executing"));
    assert_eq!(desk.told(), [""; 0]);
    let over = ["log over plan PlanFailed/0: it did not work"];
    assert_eq!(desk.see(retried("plan", 1, "Executing"), 5.0), over);
    assert_eq!(desk.see(retried("plan", 1, "Failed"), 6.0).len(), 1);
    assert_eq!(desk.see(retried("plan", 2, "Executing"), 7.0).len(), 1, "the end of the second, which was told");
    assert_eq!(desk.told(), [""; 0]);
    let kept = desk.kept();
    desk.restart(kept, one_receiver(), &|_| None);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn a_failure_that_never_arrived_is_told_as_over_when_a_retry_has_begun() {
    let mut desk = desk();
    desk.at(3.0).apply(retried("plan", 0, "Failed"));
    assert_eq!(desk.told_ending(&Outcome::Failed(minute(10.0))).len(), 1);
    desk.at(4.0).apply(retried("plan", 1, "Executing"));
    desk.told();
    assert_eq!(desk.at(10.0).told(), ["log over plan PlanFailed/0: it did not work"]);
}

#[test]
fn of_a_lost_part_of_the_ledger_what_is_older_counts_as_told_and_the_rest_is_a_possible_repeat() {
    let mut desk = desk();
    // Both fail at minute 0; the ledger was whole after that for one of them only.
    desk.at(3.0);
    for name in ["older", "newer"] {
        desk.apply(failed(name));
    }
    assert_eq!(desk.told().len(), 2);
    let standing = desk.dispatch.told().standing.clone();
    let kept = Kept { told: Told { standing, ..Told::default() }, memory: desk.kept().memory };
    desk.restart(kept, one_receiver(), &|uid| Some(minute(if uid == "older" { 0.1 } else { -1.0 })));
    assert_eq!(desk.told(), ["log firing newer PlanFailed/0 (perhaps again): vm-1: no space"]);
    for name in ["older", "newer"] {
        desk.delete(Kind::Plan, &Key::new("ns", name));
    }
    assert_eq!(desk.told().len(), 2, "both are owed their end");
}

#[test]
fn a_muted_plan_is_told_of_when_the_mute_ends_and_its_end_is_owed_all_the_same() {
    let muted = |until: &str, object: Object| match object {
        Object::Plan(mut plan) => {
            plan.annotations = [("mtv-sentinel.io/mute".into(), until.into())].into();
            Object::Plan(plan)
        }
        other => other,
    };
    let mut desk = desk();
    let until = minute(10.0).to_string();
    desk.at(3.0).apply(muted(&until, failed("plan")));
    let due = desk.due();
    assert_eq!((due.sends.len(), due.again), (0, Some(minute(10.0))));
    assert_eq!(desk.at(10.0).told(), [FIRING]);
    desk.apply(muted("true", retried("plan", 1, "Executing")));
    assert_eq!(desk.told(), [RESOLVED]);
    desk.apply(muted("true", retried("plan", 1, "Failed")));
    assert_eq!(desk.told(), [""; 0]);
    // What is no instant does not mute.
    desk.apply(muted("tomorrow", retried("plan", 1, "Failed")));
    assert_eq!(desk.told().len(), 1);
}

#[test]
fn a_receiver_that_is_gone_is_not_told_and_that_is_counted() {
    let mut desk = Desk::new(routing(""), impatient());
    desk.at(3.0).apply(failed("plan"));
    assert_eq!(desk.told().len(), 2);
    let kept = desk.kept();
    desk.delete(Kind::Plan, &Key::new("ns", "plan"));
    let began = desk.restart(kept, one_receiver(), &|_| None);
    assert_eq!(began.abandoned.values().sum::<usize>(), 1);
    assert_eq!(desk.told(), [RESOLVED]);
}

#[test]
fn the_account_of_a_dispatch_is_all_that_it_needs() {
    let mut desk = desk();
    desk.at(3.0).apply(failed("plan"));
    desk.told();
    desk.dispatch = Dispatch::new(one_receiver(), desk.dispatch.told().clone());
    assert_eq!(desk.told(), [""; 0]);
}
