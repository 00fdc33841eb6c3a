//! The receivers `slack` and `pagerduty` against stand-ins that keep what a person sees.

use crate::hook::{answer, deliver_one, linked, listen, noon, notification, receiver};
use mtv_sentinel::alert::Severity;
use mtv_sentinel::config::ReceiverConfig;
use mtv_sentinel::dispatch::{ThreadId, Topic, Turn};
use mtv_sentinel::message::Notification;
use mtv_sentinel::notify::{Done, Verdict, pagerduty, slack_payload};
use mtv_sentinel::plan::Text;
use proptest::prelude::*;
use testbed::pagerduty::check_event;
use testbed::slack::{calls, check_message};
use testbed::{Mishap, PagerDuty, Slack};

/// PagerDuty's keys have 32 characters.
const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

/// One conversation, as the program has it: it knows what the receiver calls it.
struct Conversation {
    receiver: ReceiverConfig,
    remote: Text,
}

impl Conversation {
    fn with(receiver: ReceiverConfig) -> Self {
        Self { receiver, remote: Text::new() }
    }

    fn tell(&mut self, turn: Turn) -> Verdict {
        self.tell_this(notification("PlanFailed", turn)).verdict
    }

    fn repeat(&mut self, turn: Turn) -> Verdict {
        let mut repeat = notification("PlanFailed", turn);
        repeat.message.is_repeat = true;
        repeat.message.title = format!("(possible repeat) {}", repeat.message.title);
        self.tell_this(repeat).verdict
    }

    fn tell_this(&mut self, mut notification: Notification) -> Done {
        notification.remote = self.remote.clone();
        let done = deliver_one(&self.receiver, notification);
        self.remote = done.remote.clone().unwrap_or(std::mem::take(&mut self.remote));
        done
    }
}

fn bot(slack: &Slack) -> Conversation {
    let (token, channel, api) = (slack.token(), slack.channel(), slack.api_url());
    Conversation::with(receiver(&format!(
        "{{type: slack, token: {token}, channel: '{channel}', api_url: '{api}', timeout: 400ms}}"
    )))
}

fn on_call(pagerduty: &PagerDuty, key: &str) -> ReceiverConfig {
    receiver(&format!("{{type: pagerduty, routing_key: '{key}', url: '{}', timeout: 400ms}}", pagerduty.url()))
}

fn titles(slack: &Slack) -> Vec<String> {
    slack.messages().into_iter().map(|message| message.title).collect()
}

#[test]
fn a_conversation_in_slack_is_one_message_that_is_edited() {
    let slack = Slack::start().unwrap();
    let mut bot = bot(&slack);
    for turn in [Turn::Firing, Turn::Updated, Turn::Updated, Turn::Resolved] {
        assert_eq!(bot.tell(turn), Verdict::Delivered, "{:?}", slack.refused());
    }
    let messages = slack.messages();
    assert_eq!((messages.len(), messages[0].before.len(), messages[0].colour.as_str()), (1, 3, "#2eb67d"));
    assert!(messages[0].title.starts_with("[prod] RESOLVED PlanFailed"), "{:?}", messages[0]);
    assert!(messages[0].before[0].starts_with("[prod] WARNING PlanFailed"), "{:?}", messages[0]);
    assert_eq!(bot.remote, format!("C0MIGRATION/{}", messages[0].ts).as_str());
}

#[test]
fn a_reminder_is_a_reply_that_the_channel_sees() {
    let slack = Slack::start().unwrap();
    let mut bot = bot(&slack);
    for turn in [Turn::Firing, Turn::Reminder, Turn::Reminder, Turn::Resolved] {
        assert_eq!(bot.tell(turn), Verdict::Delivered);
    }
    let messages = slack.messages();
    assert_eq!(messages.len(), 3);
    assert!(messages[0].title.contains("RESOLVED"), "{messages:?}");
    for reply in &messages[1..] {
        assert_eq!((reply.thread.as_ref(), reply.in_channel), (Some(&messages[0].ts), true));
        assert!(reply.title.contains("WARNING (still)"), "{reply:?}");
    }
}

#[test]
fn a_reply_that_is_lost_leads_to_a_second_message_that_says_so() {
    let slack = Slack::start().unwrap();
    let mut bot = bot(&slack);
    slack.mishaps([Mishap::LoseReply]);
    assert!(matches!(bot.tell(Turn::Firing), Verdict::Unknown(_)));
    assert_eq!(bot.repeat(Turn::Firing), Verdict::Delivered);
    assert_eq!(bot.tell(Turn::Resolved), Verdict::Delivered);
    let titles = titles(&slack);
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles[0].contains("WARNING") && titles[1].contains("RESOLVED"), "{titles:?}");
    assert!(slack.messages()[1].before[0].starts_with("(possible repeat) "), "{:?}", slack.messages());
    // A lost reply to an edit leads to the same edit.
    slack.mishaps([Mishap::LoseReply]);
    assert!(matches!(bot.tell(Turn::Updated), Verdict::Unknown(_)));
    assert_eq!((bot.repeat(Turn::Updated), slack.messages().len()), (Verdict::Delivered, 2));
}

#[test]
fn a_message_that_is_gone_is_followed_by_a_new_one() {
    let slack = Slack::start().unwrap();
    let mut bot = bot(&slack);
    for turn in [Turn::Updated, Turn::Reminder, Turn::Resolved] {
        assert_eq!(bot.tell(Turn::Firing), Verdict::Delivered);
        slack.delete_all();
        assert_eq!(bot.tell(turn), Verdict::Delivered, "{turn}");
        let messages = slack.messages();
        assert_eq!((messages.len(), &messages[0].thread), (1, &None), "{turn}");
        assert_eq!(bot.remote, format!("C0MIGRATION/{}", messages[0].ts).as_str(), "{turn}");
    }
    // A name that some other kind of receiver has given.
    bot.remote = "0123456789abcdef".into();
    assert_eq!((bot.tell(Turn::Updated), slack.messages().len()), (Verdict::Delivered, 2));
}

#[test]
fn through_a_webhook_each_turn_is_a_message_of_its_own() {
    let slack = Slack::start().unwrap();
    let url = slack.webhook_url();
    let mut hook = Conversation::with(receiver(&format!("{{type: slack, url: '{url}', timeout: 400ms}}")));
    for turn in [Turn::Firing, Turn::Updated, Turn::Resolved] {
        assert_eq!(hook.tell(turn), Verdict::Delivered);
    }
    let lead: Vec<String> =
        titles(&slack).iter().map(|title| title.split(" PlanFailed").next().unwrap().to_owned()).collect();
    assert_eq!(lead, ["[prod] WARNING", "[prod] WARNING (updated)", "[prod] RESOLVED"]);
    assert_eq!(hook.remote, "");
}

#[test]
fn a_slack_that_is_told_too_much_says_when_it_wants_more() {
    let slack = Slack::start().unwrap();
    slack.limit(1, std::time::Duration::from_secs(20));
    let mut bot = bot(&slack);
    assert_eq!(bot.tell(Turn::Firing), Verdict::Delivered);
    assert!(matches!(bot.tell(Turn::Updated), Verdict::NotSent(Some(wait), _) if wait.as_secs() == 20));
}

#[test]
fn what_a_method_of_slacks_answers_tells_who_can_mend_it() {
    let judged = |error: &str| {
        let (address, _requests) =
            listen(vec![answer(200, "", &format!("{{\"ok\": false, \"error\": \"{error}\"}}"))], None);
        let yaml = format!("{{type: slack, token: t, channel: C0, api_url: 'http://{address}/api', timeout: 400ms}}");
        let done = deliver_one(&receiver(&yaml), notification("PlanFailed", Turn::Firing));
        (done.verdict.as_str(), done.pause.as_secs())
    };
    for error in ["fatal_error", "internal_error"] {
        assert_eq!(judged(error).0, "unknown", "{error}");
    }
    for error in ["ratelimited", "rate_limited", "service_unavailable", "request_timeout"] {
        assert!(judged(error).0 == "failed" && judged(error).1 <= 1, "{error}: {:?}", judged(error));
    }
    for error in ["msg_too_long", "invalid_blocks", "no_text", "msg_blocks_too_long", "too_many_attachments"] {
        assert_eq!(judged(error).0, "refused", "{error}");
    }
    for error in [
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "not_in_channel",
        "channel_not_found",
        "is_archived",
        "restricted_action",
        "what_slack_may_think_of_later",
        "",
    ] {
        assert_eq!(judged(error), ("failed", 300), "{error}");
    }
}

#[test]
fn a_name_calls_nobody_in_slack() {
    let slack = Slack::start().unwrap();
    let mut bot = bot(&slack);
    let mut named = linked("PlanFailed", Turn::Firing);
    let bad = "<!channel> <@U1> <http://evil|good> & @here #general";
    named.message.title = bad.to_owned();
    named.message.text = format!("{bad}\n{}", named.message.text);
    named.message.links[0].text = bad.to_owned();
    named.message.text.push_str(&format!("\n{bad}: {}", named.message.links[0].href));
    let body = slack_payload(&named);
    assert_eq!(calls(&body), Vec::<String>::new(), "{body:#}");
    assert!(body["attachments"][0]["blocks"].as_array().unwrap().iter().all(|block| block["text"]["verbatim"] == true));
    assert_eq!(bot.tell_this(named).verdict, Verdict::Delivered);
    assert_eq!(slack.messages()[0].title, bad);
}

#[test]
fn a_conversation_in_pagerduty_is_one_incident_that_is_resolved() {
    let pagerduty = PagerDuty::start().unwrap();
    let mut on_call = Conversation::with(on_call(&pagerduty, KEY));
    for turn in [Turn::Firing, Turn::Updated, Turn::Reminder] {
        assert_eq!(on_call.tell(turn), Verdict::Delivered, "{:?}", pagerduty.refused());
    }
    let open = pagerduty.incidents();
    assert_eq!((open.len(), open[0].is_open, open[0].triggers.len()), (1, true, 3));
    assert_eq!(on_call.tell(Turn::Resolved), Verdict::Delivered, "{:?}", pagerduty.refused());
    assert!(!pagerduty.incidents()[0].is_open);
    // What begins anew is another incident.
    let mut again = notification("PlanFailed", Turn::Firing);
    again.episode = 1;
    assert_eq!(on_call.tell_this(again).verdict, Verdict::Delivered);
    assert_eq!(pagerduty.incidents().iter().map(|incident| incident.is_open).collect::<Vec<_>>(), [false, true]);
    assert!(pagerduty.changes().is_empty());
}

#[test]
fn what_is_lost_on_the_way_to_pagerduty_is_still_one_incident() {
    let pagerduty = PagerDuty::start().unwrap();
    let mut on_call = Conversation::with(on_call(&pagerduty, KEY));
    let late = Mishap::Delay(std::time::Duration::from_millis(600));
    pagerduty.mishaps([Mishap::LoseReply, late, Mishap::LoseRequest]);
    for _ in 0..3 {
        assert!(matches!(on_call.tell(Turn::Firing), Verdict::Unknown(_)));
    }
    assert_ne!(on_call.remote, "", "in doubt it has to be resolved with the same key");
    assert_eq!(on_call.repeat(Turn::Firing), Verdict::Delivered);
    pagerduty.mishaps([Mishap::Status(429, Some(7)), Mishap::LoseReply]);
    assert!(matches!(on_call.tell(Turn::Resolved), Verdict::NotSent(Some(wait), _) if wait.as_secs() == 7));
    assert!(matches!(on_call.tell(Turn::Resolved), Verdict::Unknown(_)));
    assert_eq!(on_call.repeat(Turn::Resolved), Verdict::Delivered, "what is not open is resolved");
    let incidents = pagerduty.incidents();
    assert_eq!((incidents.len(), incidents[0].is_open), (1, false), "{incidents:?}");
}

#[test]
fn what_nobody_resolves_or_gets_up_for_is_no_incident() {
    let pagerduty = PagerDuty::start().unwrap();
    let mut on_call = Conversation::with(on_call(&pagerduty, KEY));
    for topic in [Topic::Baseline(noon()), Topic::Over(noon()), Topic::Campaign(noon())] {
        let turn = if matches!(topic, Topic::Over(_)) { Turn::Over } else { Turn::Firing };
        let mut once = notification("PlanFailed", turn);
        (once.topic, once.message.severity) = (topic, Severity::Critical);
        assert_eq!(on_call.tell_this(once).verdict, Verdict::Delivered, "{:?}", pagerduty.refused());
    }
    let info = |turn| {
        let mut info = notification("PlanFailed", turn);
        info.message.severity = Severity::Info;
        info
    };
    for turn in [Turn::Firing, Turn::Resolved] {
        assert_eq!(on_call.tell_this(info(turn)).verdict, Verdict::Delivered, "{:?}", pagerduty.refused());
    }
    assert_eq!((pagerduty.changes().len(), pagerduty.incidents().len(), on_call.remote.as_str()), (5, 0, ""));
    // It becomes worse, and better again: what is open is followed to its end.
    assert_eq!(on_call.tell(Turn::Updated), Verdict::Delivered);
    assert_eq!(on_call.tell_this(info(Turn::Updated)).verdict, Verdict::Delivered);
    assert_eq!(on_call.tell_this(info(Turn::Resolved)).verdict, Verdict::Delivered);
    let incidents = pagerduty.incidents();
    assert_eq!((incidents.len(), incidents[0].is_open, incidents[0].severity.as_str()), (1, false, "info"));
    assert_eq!(pagerduty.changes().len(), 5);
}

#[test]
fn an_incident_of_another_routing_key_is_not_silently_left_open() {
    let pagerduty = PagerDuty::start().unwrap();
    let mut old = Conversation::with(on_call(&pagerduty, KEY));
    assert_eq!(old.tell(Turn::Firing), Verdict::Delivered);
    let mut new = Conversation { receiver: on_call(&pagerduty, OTHER_KEY), remote: old.remote.clone() };
    let requests = pagerduty.requests();
    let Verdict::Refused(why) = new.tell(Turn::Resolved) else { panic!("it was sent") };
    assert!(why.text.contains("another routing key") && why.text.contains("by hand") && !why.text.contains(KEY), "{why}");
    assert_eq!(pagerduty.requests(), requests);
    // What goes on goes on where people look now.
    assert_eq!(new.tell(Turn::Updated), Verdict::Delivered);
    assert_eq!(new.tell(Turn::Resolved), Verdict::Delivered);
    assert_eq!(pagerduty.incidents().iter().map(|incident| incident.is_open).collect::<Vec<_>>(), [true, false]);
    assert_ne!(new.remote, old.remote);
}

#[test]
fn a_routing_key_that_pagerduty_does_not_know_can_be_mended() {
    let pagerduty = PagerDuty::start().unwrap();
    let done = Conversation::with(on_call(&pagerduty, "too-short")).tell_this(notification("PlanFailed", Turn::Firing));
    assert!(matches!(done.verdict, Verdict::NotSent(..)) && done.pause.as_secs() == 300, "{done:?}");
}

#[test]
fn what_slack_and_pagerduty_get_is_what_it_was() {
    let shown = |name: &str, body: serde_json::Value| {
        insta::assert_snapshot!(name, serde_json::to_string_pretty(&body).unwrap());
    };
    let event = |notification: &Notification| {
        let kind = pagerduty::Kind::of(notification);
        pagerduty::event(notification, kind, KEY, "2027-01-15T12:00:00Z")
    };
    for (name, rule, turn) in [
        ("firing", "PlanFailed", Turn::Firing),
        ("resolved", "PlanFailed", Turn::Resolved),
        ("provider", "ProviderNotReady", Turn::Firing),
    ] {
        let notification = linked(rule, turn);
        shown(&format!("slack-{name}"), slack_payload(&notification));
        shown(&format!("pagerduty-{name}"), event(&notification));
    }
    let mut once = linked("PlanFailed", Turn::Over);
    once.topic = Topic::Over(noon());
    shown("pagerduty-change", event(&once));
}

/// Texts of all kinds: what markup is made of, right-to-left, emoji, and what no text should have.
fn any_text(most: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9.-]{1,63}",
        "[<>&|`*_~!@#\"\\\\]{1,20}",
        "\\PC{0,40}",
        Just("\u{1f680}\u{1f469}\u{200d}\u{1f4bb}".to_owned()),
        Just("\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{202e}".to_owned()),
        Just("\n".to_owned()),
        Just("\u{0}\u{1b}[31m".to_owned()),
        Just(String::new()),
    ];
    (proptest::collection::vec(piece, 1..8), 1..most).prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

/// Whatever stands in a notification, it is something that the services take.
fn assert_taken(notification: &Notification) {
    let body = slack_payload(notification);
    assert_eq!(check_message(&body), Ok(()), "{}", body.to_string().chars().take(2000).collect::<String>());
    assert_eq!(calls(&body), Vec::<String>::new());
    let kind = pagerduty::Kind::of(notification);
    let event = pagerduty::event(notification, kind, KEY, "2027-01-15T12:00:00Z");
    assert_eq!(check_event(&event, kind == pagerduty::Kind::Change), Vec::<String>::new());
    assert!(event.to_string().len() <= 512 * 1024);
    let hook = mtv_sentinel::notify::webhook::payload(notification, "2027-01-15T12:00:00Z");
    assert!(hook["alerts"].as_array().unwrap().len() <= 100 && hook["version"] == "4");
}

#[test]
fn ten_megabytes_and_five_thousand_vms_are_taken() {
    for text in ["x".repeat(10_000_000), "<&>\n".repeat(2_500_000), "\u{1f680}".repeat(2_500_000)] {
        let mut big = notification("PlanFailed", Turn::Firing);
        big.message.reason = text.clone();
        big.alerts[0].reason = text.as_str().into();
        big.message.title = text.clone();
        big.message.text = text;
        big.alerts = vec![big.alerts[0].clone(); 200];
        assert_taken(&big);
    }
    for turn in Turn::ALL {
        let mut many = notification("PlanFailed", *turn);
        many.alerts = vec![many.alerts[0].clone(); 5000];
        if let Some(vm) = many.message.vms.first().cloned() {
            many.message.vms = vec![vm; 5000];
        }
        (many.message.namespace, many.message.name) = ("n".repeat(253), "p".repeat(253));
        many.topic = Topic::Thread(ThreadId {
            uid: "u".repeat(36).into(),
            attempt: 7,
            topic: "VmCutoverOverdue",
            subject: "v".repeat(253).into(),
            episode: 3,
        });
        assert_taken(&many);
        // An own template may give nothing.
        (many.message.title, many.message.text) = (" ".to_owned(), String::new());
        assert_taken(&many);
        many.message.rule = "";
        assert_taken(&many);
    }
}

#[test]
fn a_test_is_one_message_and_its_edit() {
    let slack = Slack::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("token"), slack.token()).unwrap();
    let (api, token) = (slack.api_url(), path("token"));
    let chat = format!("{{type: slack, token_file: '{token}', channel: '{}', api_url: '{api}'}}", slack.channel());
    std::fs::write(path("sentinel.yaml"), format!("notify: {{receivers: {{chat: {chat}}}}}")).unwrap();
    let try_it = || crate::cli::command(&["test-notify", "--config", &path("sentinel.yaml"), "--receiver", "chat"]).output();
    let output = try_it().unwrap();
    assert!(output.status.success(), "{output:?}");
    let messages = slack.messages();
    assert_eq!((messages.len(), messages[0].before.len()), (1, 1), "{messages:?}");
    assert!(messages[0].title.starts_with("(test) RESOLVED"), "{messages:?}");
    std::fs::write(path("token"), "xoxb-another-s3cr3t").unwrap();
    let output = try_it().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("was not delivered") && said.contains("invalid_auth") && !said.contains("s3cr3t"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_in_a_notification_is_taken(
        title in any_text(20), text in any_text(200), name in any_text(4), reason in any_text(100), remote in "[a-f0-9/.C]{0,20}",
        turn in proptest::sample::select(Turn::ALL), cluster in any_text(3),
    ) {
        let mut any = linked("PlanFailed", turn);
        any.message.title = title;
        any.message.links.iter_mut().for_each(|link| link.text = name.clone());
        any.message.text = format!("{text}\n{}", any.message.links.iter().map(|link| format!("{}: {}\n", link.text, link.href)).collect::<String>());
        any.message.namespace = name.clone();
        any.message.name = name;
        any.message.cluster = cluster;
        any.message.reason = reason;
        any.remote = remote.as_str().into();
        assert_taken(&any);
    }
}
