//! The account of what was told, as it is kept: cut into parts, written, read, damaged, and recovered.

use crate::desk::{Desk, impatient, routing};
use crate::dispatch::attempt;
use crate::support::{minute, repository};
use mtv_sentinel::alert::{Alert, AlertId, AlertState, Episodes, Identity, Memory, RULES, Scope, Severity};
use mtv_sentinel::dispatch::{Conversation, Intent, Outcome, Reported, Settled, ThreadId, Told, Topic, Turn};
use mtv_sentinel::ledger::{
    Account, Damage, FORMAT, Folder, Head, LIMIT, Stored, decode, encode, merge, part_of, recover, split,
};
use mtv_sentinel::plan::{Key, Text, Time};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn head(part: u16, parts: u16) -> Head {
    Head { part, parts, epoch: 7, beat: minute(1.0) }
}

fn stored(accounts: Vec<Account>) -> Vec<Stored> {
    let parts = u16::try_from(accounts.len()).unwrap();
    let write = |(part, account): (usize, Account)| {
        let part = u16::try_from(part).unwrap();
        Stored { name: format!("part-{part}"), text: encode(&head(part, parts), &account, LIMIT).unwrap() }
    };
    accounts.into_iter().enumerate().map(write).collect()
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof!["[a-c]{1,2}", "\\PC{0,12}"].prop_map(Text::from)
}

fn time() -> impl Strategy<Value = Time> {
    (1i64..4_000_000_000).prop_map(|seconds| Time::from_unix(seconds).unwrap())
}

fn rule() -> impl Strategy<Value = &'static str> {
    (0..RULES.len()).prop_map(|row| RULES[row].name)
}

fn id() -> impl Strategy<Value = AlertId> {
    (text(), 0usize..3, rule(), text(), 0u32..3).prop_map(|(uid, attempt, rule, subject, episode)| AlertId {
        uid,
        attempt,
        rule,
        subject,
        episode,
    })
}

fn alert() -> impl Strategy<Value = Alert> {
    (id(), text(), time(), time(), any::<bool>(), 0..Severity::ALL.len()).prop_map(
        |(id, name, since, fires, over, severity)| Alert {
            scope: Scope::Plan(Key::new("ns", name.clone())),
            severity: Severity::ALL[severity],
            state: if over { AlertState::Over } else { AlertState::Firing },
            since,
            fires,
            reason: name,
            causes: Vec::new(),
            id,
        },
    )
}

fn intent() -> impl Strategy<Value = Intent> {
    (0..Turn::ALL.len(), vec(alert(), 0..4), vec(alert(), 0..3)).prop_map(|(turn, alerts, ended)| Intent {
        turn: Turn::ALL[turn],
        alerts,
        ended,
    })
}

fn conversation() -> impl Strategy<Value = Conversation> {
    let times = (proptest::option::of(time()), proptest::option::of(time()), proptest::option::of(time()));
    let intents = (proptest::option::of(intent()), proptest::option::of(intent()));
    let flags = (any::<bool>(), any::<bool>(), proptest::option::of(0..Turn::ALL.len()));
    let alerts = (vec(alert(), 0..4), vec(alert(), 0..4), btree_set(id(), 0..3), btree_set(id(), 0..3));
    (times, intents, flags, alerts, 0u32..5, 0u32..5).prop_map(
        move |((opened, told, again), (sending, once), (closed, ends_silently, doubt), alerts, episode, failures)| {
            let (known, perhaps, silent, threads) = alerts;
            Conversation {
                episode,
                opened,
                told,
                known: known.into_iter().collect(),
                perhaps: perhaps.into_iter().collect(),
                in_doubt: doubt.map(|turn| Turn::ALL[turn]),
                silent,
                sending,
                again,
                failures,
                waiting: told.filter(|_| closed),
                ends_silently,
                scope: None,
                closed,
                threads: threads.iter().map(ThreadId::of).collect(),
                once: once.map(Box::new),
                remote: if episode % 2 == 0 { "C1/1.5".into() } else { "".into() },
            }
        },
    )
}

/// What is owed by order of insertion comes in any order from several parts.
fn in_order(mut account: Account) -> Account {
    for told in account.told.conversations.values_mut() {
        for intent in told.sending.iter_mut().chain(told.once.as_deref_mut()) {
            for alerts in [&mut intent.alerts, &mut intent.ended] {
                alerts.sort_by(|one, other| {
                    (&one.id, one.since, &one.reason, one.fires).cmp(&(&other.id, other.since, &other.reason, other.fires))
                });
            }
        }
    }
    account
}

fn account() -> impl Strategy<Value = Account> {
    let topic = prop_oneof![
        id().prop_map(|id| Topic::Thread(ThreadId::of(&id))),
        time().prop_map(Topic::Digest),
        time().prop_map(Topic::Baseline),
        time().prop_map(Topic::Over),
    ];
    let conversations = proptest::collection::btree_map((text(), topic), conversation(), 0..5);
    let settled = proptest::collection::btree_map(
        (text(), text()),
        btree_set(0usize..9, 1..4).prop_map(|attempts| Settled { plan: Key::new("ns", "p"), attempts }),
        0..4,
    );
    let memory = proptest::collection::btree_map(text(), (text(), rule(), text(), time(), 1u32..9), 0..4);
    (conversations, settled, memory).prop_map(|(conversations, settled, memory)| {
        let standing =
            Some(routing("  routes: [{matchers: ['plan=~\"a\\\\.b|c\"', 'label_wave=1'], receivers: [log]}]").standing());
        let memory = memory.into_iter().map(|(name, (uid, rule, subject, at, begun))| {
            let identity = Identity { uid, attempt: 1, rule, subject };
            let fired = [(identity.clone(), Episodes { begun, lasts: begun % 2 == 0 })].into();
            (Scope::Provider(Key::new("ns", name)), Memory { seen: [(identity, at)].into(), fired })
        });
        let reported = settled.keys().map(|(receiver, _)| {
            (receiver.clone(), Reported { in_doubt: Some(minute(2.0)), ..Reported::since(minute(1.0)) })
        });
        let reported = reported.collect();
        Account { told: Told { conversations, settled, standing, reported }, memory: memory.collect() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_cut_written_read_and_put_together_is_the_same(account in account(), parts in 1u16..9) {
        let recovered = recover(stored(split(&account, parts))).unwrap();
        prop_assert_eq!(recovered.epoch, 7);
        prop_assert_eq!(in_order(recovered.account.clone()), in_order(account));
        prop_assert_eq!(recovered.missing(), 0);
        prop_assert_eq!(recovered.lost("a"), None);
    }

    #[test]
    fn a_part_that_is_cut_off_or_changed_anywhere_is_seen_to_be_damaged(
        account in account(), at in any::<prop::sample::Index>(), change in 1u8..=255, is_cut in any::<bool>(),
    ) {
        let text = encode(&head(0, 1), &account, LIMIT).unwrap();
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        if is_cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= change;
        }
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        if let Ok(read) = decode(&changed) {
            // JSON allows some freedom that changes nothing, such as a space for another.
            prop_assert_eq!(read, decode(&text).unwrap());
        }
    }

    #[test]
    fn the_loss_of_a_part_loses_nothing_of_the_others(account in account(), parts in 2u16..6, lost in 0u16..6) {
        let lost = lost % parts;
        let mut stored = stored(split(&account, parts));
        stored.remove(lost.into());
        let recovered = recover(stored).unwrap();
        prop_assert_eq!(recovered.missing(), 1);
        let is_lost = |uid: &str| part_of(uid, parts) == lost;
        for ((receiver, uid), settled) in &account.told.settled {
            let kept = recovered.account.told.settled.get(&(receiver.clone(), uid.clone()));
            prop_assert_eq!(kept, Some(settled).filter(|_| !is_lost(uid)));
            prop_assert_eq!(recovered.lost(uid).is_some(), is_lost(uid));
        }
        for (key, told) in &account.told.conversations {
            let kept = recovered.account.told.conversations.get(key);
            let known: Vec<_> = kept.into_iter().flat_map(|kept| kept.known.iter()).map(|alert| &alert.id).collect();
            let whole = matches!(&key.1, Topic::Thread(thread) if !is_lost(&thread.uid));
            for id in told.known.iter().map(|alert| &alert.id) {
                let is_kept = whole || (!matches!(key.1, Topic::Thread(_)) && !is_lost(&id.uid));
                prop_assert_eq!(known.contains(&id), is_kept, "{:?} of {:?}", id, key);
            }
        }
    }
}

/// An account with something of everything.
fn sample() -> Account {
    let mut desk = Desk::new(routing("  storm_threads: 2\n  tell_baseline: true"), impatient());
    desk.at(3.0).apply(attempt("told", &["vm-1"], &["Failed"]));
    desk.told();
    desk.apply(attempt("under-way", &["vm-1"], &["Executing", "Critical/VMNotFound: gone"]));
    desk.due();
    for number in 0..3 {
        desk.apply(attempt(&format!("storm-{number}"), &["vm-1"], &["Failed"]));
    }
    desk.ending(&Outcome::Unknown(minute(9.0)));
    let kept = desk.kept();
    Account { told: kept.told, memory: kept.memory }
}

#[test]
fn the_format_that_was_written_once_is_read_for_ever() {
    let path = repository("tests/synthetic/ledger-format-1.txt");
    let written = std::fs::read_to_string(path).unwrap();
    let (of, account) = decode(&written).unwrap();
    assert_eq!(of, head(0, 1));
    assert_eq!(encode(&of, &account, LIMIT).unwrap(), written, "something was lost in reading");
    let turns = account.told.conversations.values().filter_map(|told| told.in_doubt.or(told.sending.as_ref()?.turn.into()));
    assert_eq!(turns.count(), 2);
    assert!(!account.told.settled.is_empty() && !account.memory.is_empty() && account.told.standing.is_some());
}

#[test]
fn a_part_of_a_newer_version_is_refused_by_name_with_what_to_do() {
    let newer = Stored { name: "part-3".to_owned(), text: format!("{{\"format\":{}}}\n", FORMAT + 1) };
    let (name, why) = recover([newer]).unwrap_err();
    assert_eq!((name.as_str(), why.clone()), ("part-3", Damage::Newer(FORMAT + 1)));
    assert_eq!(
        why.to_string(),
        "it has format 2, and this program reads up to 1: run the version that wrote it, or a newer one"
    );
}

#[test]
fn a_damaged_part_is_named_and_counts_as_lost_since_all_were_last_whole() {
    let mut parts = stored(split(&sample(), 4));
    let of_told = part_of("told", 4);
    parts[usize::from(of_told)].text.push('x');
    let recovered = recover(parts).unwrap();
    assert_eq!(recovered.damaged, [(format!("part-{of_told}"), "its end is missing".to_owned())]);
    assert_eq!((recovered.missing(), recovered.lost("told")), (1, Some(minute(1.0))));
}

#[test]
fn no_ledger_at_all_is_a_first_start_and_not_a_loss() {
    let recovered = recover([]).unwrap();
    assert_eq!((recovered.epoch, recovered.lost("told"), recovered.account), (0, None, Account::default()));
}

#[test]
fn a_part_that_is_too_big_is_made_smaller_without_losing_what_is_owed_and_else_refused() {
    let mut account = sample();
    let some = account.told.conversations.values().find(|told| !told.known.is_empty()).unwrap().clone();
    let closed = Conversation { closed: true, known: Default::default(), opened: Some(minute(1.0)), ..some.clone() };
    for number in 0..200 {
        let thread = |uid: String| {
            Topic::Thread(ThreadId { uid: uid.into(), attempt: 0, topic: "PlanFailed", subject: Text::new(), episode: 0 })
        };
        let mut open = some.clone();
        let long = |alert: &Alert| Alert { reason: "why ".repeat(99).into(), ..alert.clone() };
        open.known = open.known.iter().map(long).collect();
        account.told.conversations.insert(("log".into(), thread(format!("open-{number}"))), open);
        account.told.conversations.insert(("log".into(), thread(format!("closed-{number}"))), closed.clone());
    }
    let open = |account: &Account| account.told.conversations.values().filter(|told| told.is_open()).count();
    let all = |account: &Account| account.told.conversations.len();
    let whole = encode(&head(0, 1), &account, LIMIT).unwrap().len();
    let (_, shortened) = decode(&encode(&head(0, 1), &account, whole - 1).unwrap()).unwrap();
    assert_eq!((open(&shortened), all(&shortened)), (open(&account), all(&account)), "reasons go first");
    let short = encode(&head(0, 1), &account, whole - 1).unwrap().len();
    let (_, lean) = decode(&encode(&head(0, 1), &account, short - 1).unwrap()).unwrap();
    assert_eq!(open(&lean), open(&account));
    assert!(all(&lean) + 200 <= all(&account), "then what is resolved");
    let refused = encode(&head(0, 1), &account, 1000).unwrap_err();
    assert!(refused.to_string().contains("use more parts") && refused.limit == 1000);
}

#[test]
fn a_digest_of_two_thousand_threads_fits_into_one_part() {
    let mut desk = Desk::new(routing("  receivers: {log: {type: log}}\n  storm_threads: 1"), impatient());
    desk.at(3.0);
    for number in 0..2000 {
        let uid = format!("3f2b9c1e-7d44-4a58-9a7e-{number:012}");
        desk.apply(attempt(&uid, &["vm-1"], &["Failed"]));
    }
    assert_eq!(desk.told().len(), 1);
    let kept = desk.kept();
    let text = encode(&head(0, 1), &Account { told: kept.told, memory: kept.memory }, usize::MAX).unwrap();
    // The parts share it.
    assert!(text.len() / 8 < LIMIT / 4, "{}", text.len());
    assert_eq!(merge(split(&sample(), 8)), merge(split(&sample(), 3)));
}

#[test]
fn a_folder_is_for_one_process_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let first = Folder::open(home.path()).unwrap();
    let refused = Folder::open(home.path()).unwrap_err().to_string();
    assert_eq!(refused, format!("{}: another mtv-sentinel uses it; each needs a folder of its own", home.path().display()));
    drop(first);
    Folder::open(home.path()).unwrap();
}

#[test]
fn a_damaged_part_is_put_aside_for_a_person_to_look_at() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::open(home.path()).unwrap();
    folder.write(0, "nonsense").unwrap();
    let recovered = recover(folder.read().unwrap()).unwrap();
    let (name, _) = &recovered.damaged[0];
    let aside = folder.set_aside(name).unwrap();
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "nonsense");
    assert_eq!(folder.read().unwrap().len(), 1, "until it is written anew it is known to be damaged");
}
