//! What an elector decides by what the lease shows, and what it is permitted.

use mtv_sentinel::lease::election::{Decision, Election, Free, Held, Record, Standing};
use mtv_sentinel::lease::{self, Leadership, Settings};
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn me() -> Election {
    Election::new("me".to_owned(), seconds(15), seconds(10))
}

fn record(holder: &str, term: u64, version: u64) -> Record {
    Record { holder: holder.to_owned(), duration: seconds(15), term, version: version.to_string() }
}

fn following(holder: &str) -> Standing {
    Standing::Following { holder: holder.to_owned() }
}

/// One that leads since second 100, in term 1.
fn leader() -> Election {
    let mut election = me();
    assert_eq!(election.look(None, seconds(100)), Decision::Create { term: 1 });
    election.written(record("me", 1, 1), seconds(100), seconds(101));
    assert_eq!(*election.standing(), Standing::Leading { term: 1 });
    election
}

#[test]
fn a_lease_that_is_not_there_is_created_and_one_that_nobody_holds_is_taken() {
    let mut election = leader();
    assert_eq!(election.look(Some(record("me", 1, 1)), seconds(102)), Decision::Renew);
    let mut election_2 = me();
    let free = Free::Released;
    assert_eq!(election_2.look(Some(record("", 7, 3)), seconds(5)), Decision::TakeOver { term: 8, free });
    assert_eq!(*election_2.standing(), Standing::Unknown, "only the answer makes a leader");
    election.step_down();
    assert_eq!((election.standing(), election.held()), (&Standing::Lost, None));
}

#[test]
fn anothers_lease_is_waited_for_from_when_it_was_last_seen_to_change() {
    let mut election = me();
    let until = |at| Decision::Wait { until: seconds(at) };
    assert_eq!(election.look(Some(record("you", 1, 1)), seconds(100)), until(115));
    assert_eq!(election.look(Some(record("you", 1, 1)), seconds(114)), until(115));
    assert_eq!(election.look(Some(record("you", 1, 2)), seconds(114)), until(129), "it was renewed");
    assert_eq!(election.look(Some(record("you", 1, 2)), seconds(128)), until(129));
    let free = Free::Expired;
    assert_eq!(election.look(Some(record("you", 1, 2)), seconds(129)), Decision::TakeOver { term: 2, free });
}

#[test]
fn a_holder_that_says_a_longer_time_is_given_it_and_a_shorter_one_is_not_believed() {
    for (says, waits) in [(60, 60), (1, 15), (0, 15)] {
        let found = Record { duration: seconds(says), ..record("you", 1, 1) };
        assert_eq!(me().look(Some(found), seconds(100)), Decision::Wait { until: seconds(100 + waits) }, "{says}");
    }
}

#[test]
fn somebody_is_followed_once_seen_to_live_and_until_the_lease_is_free() {
    let mut election = me();
    election.look(Some(record("you", 1, 1)), seconds(100));
    assert_eq!(*election.standing(), Standing::Unknown, "that may be all that is left of a dead one");
    election.look(Some(record("you", 1, 2)), seconds(102));
    assert_eq!(*election.standing(), following("you"));
    election.look(Some(record("them", 2, 3)), seconds(104));
    assert_eq!(*election.standing(), following("them"));
    election.look(Some(record("them", 2, 3)), seconds(119));
    assert_eq!(*election.standing(), Standing::Unknown, "expired");
    election.look(Some(record("you", 3, 4)), seconds(120));
    assert_eq!(*election.standing(), following("you"));
    election.look(Some(record("", 3, 5)), seconds(121));
    assert_eq!(*election.standing(), Standing::Unknown, "released");
}

#[test]
fn a_term_is_given_up_when_it_was_not_renewed_in_time_and_a_renewal_counts_from_its_start() {
    let mut election = leader();
    election.expire(seconds(109));
    assert_eq!(election.give_up_at(), Some(seconds(110)));
    election.written(record("me", 1, 2), seconds(103), seconds(109));
    election.expire(seconds(112));
    assert_eq!(election.held(), Some(Held { term: 1, renewed: seconds(103), duration: seconds(15) }));
    election.expire(seconds(113));
    assert_eq!((election.held(), election.standing()), (None, &Standing::Lost));
    // Nobody else has come: the lease names us, and that is a new term.
    let free = Free::Ours;
    assert_eq!(election.look(Some(record("me", 1, 2)), seconds(114)), Decision::TakeOver { term: 2, free });
    election.written(record("me", 2, 3), seconds(114), seconds(114));
    assert_eq!(*election.standing(), Standing::Leading { term: 2 });
}

#[test]
fn an_answer_that_comes_too_late_makes_no_leader() {
    let mut election = me();
    election.look(None, seconds(100));
    election.written(record("me", 1, 1), seconds(100), seconds(110));
    assert_eq!((election.held(), election.standing()), (None, &Standing::Lost));
}

#[test]
fn whoever_else_the_lease_names_leads_instead_of_us() {
    let mut election = leader();
    assert_eq!(election.look(Some(record("you", 2, 2)), seconds(102)), Decision::Wait { until: seconds(117) });
    assert_eq!((election.held(), election.standing()), (None, &following("you")));
}

#[test]
fn a_term_that_began_without_an_answer_is_begun_anew() {
    let mut election = me();
    assert_eq!(election.look(None, seconds(100)), Decision::Create { term: 1 });
    let free = Free::Ours;
    assert_eq!(election.look(Some(record("me", 1, 1)), seconds(102)), Decision::TakeOver { term: 2, free });
    assert_eq!(election.held(), None);
}

#[test]
fn a_number_that_was_edited_ends_the_term_and_the_next_one_is_higher_than_any_that_was_seen() {
    for edited in [0, 9] {
        let mut election = leader();
        election.look(Some(record("me", 5, 2)), seconds(101));
        let found = Some(record("me", edited, 3));
        let term = edited.max(5) + 1;
        assert_eq!(election.look(found, seconds(102)), Decision::TakeOver { term, free: Free::Ours });
        assert_eq!(election.held(), None);
    }
}

#[test]
fn a_lease_that_was_deleted_is_not_free_before_its_holder_must_know() {
    let mut election = me();
    election.look(Some(record("you", 4, 1)), seconds(100));
    // It may have been renewed just before it was deleted.
    assert_eq!(election.look(None, seconds(114)), Decision::Wait { until: seconds(129) });
    assert_eq!(election.look(None, seconds(128)), Decision::Wait { until: seconds(129) });
    assert_eq!(election.look(None, seconds(129)), Decision::Create { term: 5 });
    // Our own is made anew at once, for the next term.
    let mut election = leader();
    assert_eq!(election.look(None, seconds(103)), Decision::Create { term: 2 });
    assert_eq!((election.held(), election.standing()), (None, &Standing::Lost));
    // Unless we slept: somebody else may have had it meanwhile.
    let mut election = leader();
    assert_eq!(election.look(None, seconds(115)), Decision::Wait { until: seconds(130) });
    assert_eq!(*election.standing(), Standing::Lost);
}

#[test]
fn what_is_permitted_ends_before_anybody_else_can_lead() {
    let held = Held { term: 1, renewed: seconds(100), duration: seconds(15) };
    for (now, action, permitted) in [
        (100, 14, true),
        (100, 15, false),
        (109, 5, true),
        (110, 5, false),
        (114, 0, true),
        (115, 0, false),
        (9_999, 0, false),
    ] {
        assert_eq!(held.covers(seconds(now), seconds(action)), permitted, "{now} {action}");
    }
    assert!(!held.covers(Duration::MAX, Duration::MAX));
}

#[test]
fn without_a_lease_everything_is_permitted_for_as_long_as_it_asks() {
    let leadership = Leadership::always();
    let permit = leadership.permit(seconds(5)).unwrap();
    assert!(permit.left() > seconds(4) && permit.left() <= permit.deadline());
    assert_eq!((permit.deadline(), permit.term()), (seconds(5), 0));
    assert_eq!(*leadership.standing().borrow(), Standing::Leading { term: 0 });
    assert_eq!(leadership.permit(Duration::ZERO).unwrap().left(), Duration::ZERO);
}

#[test]
fn times_in_the_wrong_order_are_refused() {
    let settings = |duration, renew_deadline, retry| Settings {
        namespace: "ns".to_owned(),
        name: "name".to_owned(),
        identity: lease::identity(),
        duration: seconds(duration),
        renew_deadline: seconds(renew_deadline),
        retry: seconds(retry),
    };
    assert_eq!(settings(15, 10, 2).check(), Ok(()));
    let wrong = settings(10, 10, 2).check().unwrap_err();
    assert_eq!(wrong, "the lease's duration (10s) must be longer than its renew_deadline (10s)");
    let wrong = settings(15, 2, 2).check().unwrap_err();
    assert_eq!(wrong, "the lease's renew_deadline (2s) must be longer than its retry (2s)");
    assert!(settings(15, 10, 0).check().is_err());
}

#[test]
fn no_two_processes_have_the_same_name_and_the_clock_goes_forward() {
    assert_ne!(lease::identity(), lease::identity());
    let (before, after) = (lease::boot_time(), lease::boot_time());
    assert!(Duration::ZERO < before && before <= after);
}
