//! The report of a campaign: when it is due to whom, and what it says.

use crate::desk::{Desk, Kept, impatient, routing};
use crate::dispatch::attempt;
use crate::support::{minute, plan, provider};
use mtv_sentinel::dispatch::{CampaignReport, Outcome, Topic};
use mtv_sentinel::message::{Message, Settings};
use mtv_sentinel::plan::Time;
use serde_json::json;

const ROUTES: &str = "  receivers: {log: {type: log}, mail: {type: log}}
  tell_baseline: false
  campaign_receivers: [mail]
  campaign_times: ['08:30', '20:00']";

/// A desk at 08:00, minute 0 of the tests being at that time of the day.
fn desk() -> Desk {
    assert_eq!(minute(0.0).to_string(), "2027-01-15T08:00:00Z");
    let mut desk = Desk::new(routing(ROUTES), impatient());
    let kept = desk.kept();
    desk.restart(kept, routing(ROUTES), &|_| None);
    desk
}

/// The reports that are due, with this outcome; `!` marks a possible repeat.
fn reports(desk: &mut Desk, outcome: &Outcome) -> Vec<String> {
    let due = desk.due();
    let shown =
        |report: &CampaignReport| format!("{} {}{}", report.receiver, report.at, if report.is_repeat { " !" } else { "" });
    for CampaignReport { receiver, at, .. } in &due.reports {
        desk.dispatch.record(receiver, &Topic::Campaign(*at), outcome.clone(), desk.now);
    }
    due.reports.iter().map(shown).collect()
}

#[test]
fn a_report_is_due_at_each_of_its_times_and_once() {
    let mut desk = desk();
    assert_eq!(reports(&mut desk, &Outcome::Delivered), [""; 0], "what fell due before the first start is not told");
    assert_eq!(desk.due().again, Some(minute(30.0)));
    desk.at(30.0);
    assert_eq!(reports(&mut desk, &Outcome::Delivered), ["mail 2027-01-15T08:30:00Z"]);
    assert_eq!(reports(&mut desk, &Outcome::Delivered), [""; 0]);
    assert_eq!(desk.due().again, Some(minute(720.0)));
    assert_eq!(reports(desk.at(721.0), &Outcome::Delivered), ["mail 2027-01-15T20:00:00Z"]);
    // Three days of absence are one report.
    assert_eq!(reports(desk.at(5000.0), &Outcome::Delivered), ["mail 2027-01-18T08:30:00Z"]);
}

#[test]
fn a_report_that_did_not_arrive_is_tried_again_and_one_that_may_have_arrived_is_marked() {
    let mut desk = desk();
    assert_eq!(reports(desk.at(30.0), &Outcome::Failed(minute(35.0))).len(), 1);
    assert_eq!(reports(&mut desk, &Outcome::Delivered), [""; 0]);
    assert_eq!(desk.due().again, Some(minute(35.0)));
    assert_eq!(reports(desk.at(35.0), &Outcome::Unknown(minute(36.0))), ["mail 2027-01-15T08:30:00Z"]);
    assert_eq!(reports(desk.at(36.0), &Outcome::Delivered), ["mail 2027-01-15T08:30:00Z !"]);
    assert_eq!(reports(desk.at(40.0), &Outcome::Delivered), [""; 0]);
}

#[test]
fn a_report_that_was_under_way_when_the_process_died_is_told_again_and_marked() {
    let mut desk = desk();
    assert_eq!(desk.at(30.0).due().reports.len(), 1);
    assert_eq!(desk.due().reports, [], "one is under way");
    let Kept { told, memory } = desk.kept();
    desk.restart(Kept { told, memory }, routing(ROUTES), &|_| None);
    assert_eq!(reports(&mut desk, &Outcome::Delivered), ["mail 2027-01-15T08:30:00Z !"]);
}

#[test]
fn a_report_says_how_all_plans_stand() {
    let mut desk = desk();
    desk.at(30.0).apply(provider("vc", "vsphere"));
    for number in 0..12 {
        desk.apply(attempt(&format!("failed-{number:02}"), &["vm-1"], &["Failed"]));
    }
    desk.apply(attempt("runs", &[], &["Executing"]));
    desk.apply(plan(json!({"metadata": {"name": "warm", "uid": "warm"}, "spec": {"type": "warm"},
        "status": {"conditions": ["Executing"], "migration": {"started": 1, "history": [{"conditions": ["Executing"], "migration": {"uid": "run-1"}}],
            "vms": [{"id": "vm-1", "name": "one", "started": 1, "phase": "CopyingPaused",
                "pipeline": [{"name": "DiskTransfer", "phase": "Running", "annotations": {"unit": "MB"}, "progress": {"completed": 512, "total": 2048}}],
                "warm": {"precopies": [{"start": 1, "end": 2}]}}]}}})));
    desk.apply(crate::support::migration(json!({"spec": {"plan": {"name": "warm"}, "cutover": 90.0}})));
    let report = CampaignReport { receiver: "mail".into(), at: minute(30.0), is_repeat: true };
    let settings = Settings { cluster: "prod".to_owned(), ..Settings::default() };
    let snapshot = desk.store.snapshot();
    let plans = || snapshot.plans.values().map(|state| &**state);
    let message = Message::of_campaign(&report, plans(), Some(3), &settings, desk.now);
    insta::assert_snapshot!(
        "report",
        format!("{}\n\n{}\n\nin one line: {}", message.title, message.text, message.summary())
    );
    let nothing = Message::of_campaign(&report, [], None, &Settings::default(), Time::MIN);
    assert!(nothing.text.ends_with("How 0 plans stand."), "{}", nothing.text);
}
