//! Messages: what a person reads, within which bounds, and what the user's own templates can and cannot do.

use crate::support::{START, minute, plan, state};
use mtv_sentinel::alert::{Alert, AlertId, AlertState, RULES, Scope, Severity};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::{Send, ThreadId, Topic, Turn};
use mtv_sentinel::message::{
    BaseUrl, LinkTemplate, Message, REASON_MAX, Sample, Settings, TEXT_MAX, TITLE_MAX, Template, sample, sample_on, samples,
};
use mtv_sentinel::plan::{Key, PlanState, Time};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

/// What links there can be.
fn settings() -> Settings {
    Settings {
        cluster: "prod".to_owned(),
        console: Some(BaseUrl::parse("https://console.example.com/").unwrap()),
        grafana: Some(LinkTemplate::parse("https://grafana.example.com/d/mtv?var-plan={{ namespace }}/{{ name }}").unwrap()),
        runbooks: Some(BaseUrl::parse("https://git.example.com/runbooks").unwrap()),
        ..Settings::default()
    }
}

fn rule(name: &str) -> &'static mtv_sentinel::alert::Rule {
    RULES.iter().find(|rule| rule.name == name).unwrap()
}

fn page<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let mut page = String::new();
    for sample in samples {
        let message = sample.message(&settings());
        writeln!(page, "# {sample}\n{}\n\n{}\n\nin one line: {}\n", message.title, message.text, message.summary()).unwrap();
    }
    page
}

#[test]
fn what_fires_reads_like_this() {
    let firing: Vec<Sample> = RULES.iter().map(|rule| sample(rule, Turn::Firing)).collect();
    insta::assert_snapshot!("firing", page(firing.iter()));
}

#[test]
fn other_turns_read_like_this() {
    let mut all = Vec::new();
    for (name, turns) in [
        ("PlanFailed", &[Turn::Updated, Turn::Reminder, Turn::Over, Turn::Resolved][..]),
        ("ProviderNotReady", &[Turn::Resolved]),
        ("CutoverOverdue", &[Turn::Reminder, Turn::Resolved]),
    ] {
        all.extend(turns.iter().map(|turn| sample(rule(name), *turn)));
    }
    let mut gone = sample(rule("PlanFailed"), Turn::Resolved);
    gone.plan = None;
    let mut repeat = sample(rule("PlanFailed"), Turn::Resolved);
    repeat.send.is_repeat = true;
    all.extend([gone, repeat]);
    insta::assert_snapshot!("turns", page(all.iter()));
}

#[test]
fn digests_and_baselines_read_like_this() {
    let many: Vec<Sample> = samples().into_iter().filter(|sample| !matches!(sample.send.topic, Topic::Thread(_))).collect();
    assert_eq!(many.len(), Turn::ALL.len() + 1);
    let shown = |sample: &&Sample| !matches!(sample.send.turn, Turn::Over | Turn::Reminder);
    insta::assert_snapshot!("many", page(many.iter().filter(shown)));
}

#[test]
fn each_sample_is_what_its_rule_finds() {
    for rule in RULES {
        let Sample { send, plan, provider, .. } = sample(rule, Turn::Firing);
        assert!(plan.is_some() != provider.is_some(), "{}", rule.name);
        assert!(!send.alert.reason.is_empty(), "the sample of {} is none for which it fires", rule.name);
        let message = sample(rule, Turn::Firing).message(&Settings::default());
        assert!(!rule.next.is_empty() && message.next == rule.next, "{}", rule.name);
        assert_eq!(message.command.is_some(), rule.command.is_some(), "the sample of {} has no command", rule.name);
        assert_eq!(message.vms.is_empty(), rule.vms.is_empty() && send.alert.id.subject.is_empty(), "{}", rule.name);
        let ended = sample(rule, Turn::Resolved).message(&Settings::default());
        assert_eq!((ended.next, ended.command), ("", None), "{}: nothing is to be done about what is over", rule.name);
    }
}

/// A failed plan of many VMs, all of which failed but the first.
fn failed(vms: usize, attempts: usize) -> Arc<PlanState> {
    let vm = |n: usize| {
        let (outcome, error) = if n == 0 {
            ("Succeeded", Value::Null)
        } else {
            ("Failed", json!({"phase": "Running", "reasons": [format!("error {n}")]}))
        };
        json!({"id": format!("vm-{n}"), "name": format!("db-{n:02}"), "started": 1, "completed": 2, "conditions": [outcome], "error": error})
    };
    let history: Vec<Value> = (0..attempts)
        .map(|n| json!({"conditions": ["Failed"], "migration": {"name": format!("run-{n}"), "uid": format!("u-{n}")}}))
        .collect();
    state(vec![plan(
        json!({"status": {"conditions": ["Failed"], "migration": {"started": 1, "completed": 2, "history": history,
        "vms": (0..vms).map(vm).collect::<Vec<_>>()}}}),
    )])
}

fn alert(rule_name: &'static str, uid: &str, attempt: usize, reason: &str) -> Alert {
    Alert {
        id: AlertId { uid: uid.into(), attempt, rule: rule_name, subject: "".into(), episode: 0 },
        scope: Scope::Plan(Key::new("ns", "plan")),
        severity: Severity::Warning,
        state: AlertState::Firing,
        since: minute(2.0),
        fires: minute(2.0),
        reason: reason.into(),
        causes: Vec::new(),
    }
}

fn send(alert: Alert, turn: Turn) -> Send {
    let topic = Topic::Thread(ThreadId::of(&alert.id));
    Send {
        receiver: "log".into(),
        topic,
        episode: 0,
        turn,
        is_repeat: false,
        failures: 0,
        remote: "".into(),
        alert,
        others: Vec::new(),
        ended: Vec::new(),
    }
}

#[test]
fn ten_vms_are_named_and_the_rest_is_counted() {
    let plan = failed(25, 1);
    let send = send(alert("PlanFailed", "uid-1", 0, "24 VMs failed"), Turn::Firing);
    let message = Message::of(&send, Some(&plan), None, &Settings::default(), minute(3.0));
    let names: Vec<&str> = message.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!((names.len(), names[0], names[9], message.more_vms), (10, "db-01", "db-10", 14));
    assert!(message.text.contains("- db-10 Failed: error 10\n- and 14 more\n"), "{}", message.text);
    assert!(!message.text.contains("db-11") && !message.text.contains("db-00"), "{}", message.text);
    let progress = message.progress.unwrap();
    assert_eq!((progress.ended, progress.total), (25, 25));
}

#[test]
fn vms_and_progress_of_another_attempt_are_not_shown_and_nothing_is_to_be_started() {
    let plan = failed(3, 2);
    let settings = Settings::default();
    let of = |attempt, uid: &str| {
        Message::of(&send(alert("PlanFailed", uid, attempt, "x"), Turn::Firing), Some(&plan), None, &settings, minute(3.0))
    };
    let same = of(1, "uid-1");
    assert_eq!((same.attempt, same.vms.len(), same.progress.is_some(), same.command.is_some()), (2, 2, true, true));
    assert_eq!(same.now, "the plan is Failed");
    let earlier = of(0, "uid-1");
    assert_eq!((earlier.attempt, earlier.vms.len(), earlier.progress, earlier.command), (1, 0, None, None));
    assert_eq!(earlier.now, "the plan is Failed, in attempt 2");
    let replaced = of(1, "uid-0");
    assert_eq!((replaced.vms.len(), replaced.facts.len(), replaced.command), (0, 0, None));
    assert_eq!(replaced.now, "the plan was deleted; there is another one of its name");
}

#[test]
fn a_retry_is_not_offered_while_a_migration_waits_or_after_the_plan_succeeded() {
    let failed = sample(rule("PlanFailed"), Turn::Firing);
    assert!(failed.message(&Settings::default()).command.unwrap().line.contains("kubectl create"));
    for other in ["StartBlocked", "PlanSucceeded", "PlanStarted"] {
        let state = sample(rule(other), Turn::Firing).plan.unwrap();
        let message = sample_on(rule("PlanFailed"), Turn::Firing, &state, minute(0.0)).message(&Settings::default());
        assert_eq!(message.command, None, "{other}");
    }
}

#[test]
fn a_name_that_means_something_to_a_shell_is_in_no_command_and_in_no_link_to_the_console() {
    for name in ["$(reboot)", "a b", "a;b", "a'b", "-n", "A", "", "a/b", "ü"] {
        let mut sample = sample(rule("PlanBlocked"), Turn::Firing);
        let Scope::Plan(key) = &mut sample.send.alert.scope else { panic!() };
        key.name = name.into();
        let message = sample.message(&settings());
        assert_eq!(message.command, None, "{name}");
        assert!(message.links.iter().all(|link| link.text != "Console"), "{name}");
    }
    let message = sample(rule("PlanBlocked"), Turn::Firing).message(&settings());
    assert_eq!(message.command.unwrap().line, "kubectl describe plans.forklift.konveyor.io -n migrations crm");
}

#[test]
fn every_place_in_a_command_is_one_that_is_filled() {
    for rule in RULES.iter() {
        let Some(command) = sample(rule, Turn::Firing).message(&Settings::default()).command else { continue };
        for place in ["{namespace}", "{name}", "{uid}", "{migration}", "{target}"] {
            assert!(!command.line.contains(place), "{}: {}", rule.name, command.line);
        }
    }
}

#[test]
fn what_a_link_inserts_is_encoded() {
    let mut sample = sample(rule("PlanFailed"), Turn::Firing);
    let Scope::Plan(key) = &mut sample.send.alert.scope else { panic!() };
    key.name = "a&b=c d/ü#?\"<".into();
    let links = sample.message(&settings()).links;
    let dashboard = links.iter().find(|link| link.text == "Dashboard").unwrap();
    assert_eq!(dashboard.href, "https://grafana.example.com/d/mtv?var-plan=migrations/a%26b%3Dc%20d%2F%C3%BC%23%3F%22%3C");
    assert!(links.iter().any(|link| link.href == "https://git.example.com/runbooks/planfailed.md"));
}

#[test]
fn an_end_is_told_by_the_notification_alone() {
    let plan = failed(3, 1);
    let message = |plan: Option<&PlanState>| {
        let send = send(alert("PlanFailed", "uid-1", 0, "db-01: no space"), Turn::Resolved);
        Message::of(&send, plan, None, &Settings::default(), minute(14.0))
    };
    let gone = message(None);
    assert_eq!((gone.title.as_str(), gone.lasted.as_str()), ("RESOLVED PlanFailed: plan ns/plan", "12m"));
    assert!(gone.text.contains("This is over after 12m") && gone.text.contains("db-01: no space"), "{}", gone.text);
    assert!(gone.text.contains("Now: the plan is gone"), "{}", gone.text);
    assert!(!message(Some(&plan)).text.contains("gone"));
}

#[test]
fn a_repeat_says_so_whoever_wrote_the_rest() {
    let own = Settings {
        title: Some(Template::parse("mine").unwrap()),
        text: Some(Template::parse("mine too").unwrap()),
        ..Settings::default()
    };
    for settings in [Settings::default(), own] {
        let mut sample = sample(rule("PlanFailed"), Turn::Firing);
        let once = sample.message(&settings);
        assert!(!once.title.contains("repeat") && !once.text.contains("epeat"));
        sample.send.is_repeat = true;
        let again = sample.message(&settings);
        assert_eq!(again.title, format!("(possible repeat) {}", once.title));
        assert_eq!(again.text, format!("Possible repeat: it is not known whether the last one arrived.\n{}", once.text));
    }
}

#[test]
fn a_template_has_everything_that_a_message_holds() {
    let settings = Settings {
        title: Some(Template::parse("{{ rule|lower }} {{ turn }} {{ severity }} {{ kind }}").unwrap()),
        text: Some(
            Template::parse(
                "{% for fact in facts if fact.name == \"phase\" %}\n{{ fact.value }}\n{% endfor %}\n\
                 {% for vm in vms %}\n{{ vm.name }} {{ vm.step }} {{ vm.error }}\n{% endfor %}\n\
                 {% if progress %}\n{{ progress.ended }}/{{ progress.total }}\n{% endif %}\n{{ text }}",
            )
            .unwrap(),
        ),
        ..settings()
    };
    let message = sample(rule("PlanFailed"), Turn::Firing).message(&settings);
    assert_eq!((message.title.as_str(), message.fallback), ("planfailed firing warning plan", None));
    let expected = "Failed\ncrm-db-02 ImageConversion Guest conversion failed. See pod logs for details.\n2/2\nA migration plan failed.\n";
    assert!(message.text.starts_with(expected), "{}", message.text);
}

#[test]
fn a_template_that_fails_on_a_message_leaves_the_built_in_text_and_a_word() {
    // Right for every sample, wrong for what no sample has.
    let wrong = "{% if cluster == \"odd\" %}{{ nothing }}{% endif %}x";
    let built_in = Settings { cluster: "odd".to_owned(), ..Settings::default() };
    let own = |template: &str| Some(Template::parse(template).unwrap());
    let sample = sample(rule("PlanFailed"), Turn::Firing);
    let expected = sample.message(&built_in);
    let message = sample.message(&Settings { text: own(wrong), title: own("mine"), ..built_in.clone() });
    assert_eq!((message.title.as_str(), &message.text), ("mine", &expected.text));
    assert_eq!(message.fallback.as_deref(), Some("the template of the text failed: line 1: `nothing` is undefined"));
    for silent in ["{% if cluster != \"odd\" %}x{% endif %}", "{{ \"\" if cluster == \"odd\" else \"x\" }} "] {
        let message = sample.message(&Settings { title: own(silent), ..built_in.clone() });
        assert_eq!(message.title, expected.title);
        assert_eq!(message.fallback.as_deref(), Some("the template of the title failed: it gives nothing"));
    }
}

#[test]
fn a_mistake_in_a_template_is_found_when_it_is_read_with_its_line() {
    for (template, expected) in [
        ("{{ rule }}\n{{ nmae }}", "line 2: `nmae` is undefined"),
        ("\n\n{{ vms[0].name }}", "line 3: "),
        ("{% for vm in vms %}{{ vm.nme }}{% endfor %}", "line 1: "),
        ("a\n{% if %}", "line 2: unexpected end of block"),
        ("{{ rule|shout }}", "line 1: filter shout is unknown"),
        ("{% if turn == \"firing\" %}x{% endif %}", "it gives nothing, for PlanFailed updated"),
        ("{{ progress.total }}", "line 1: "),
        ("{% include \"x\" %}", "line 1: "),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}x", "it does too much"),
        ("{{ \"x\" * 100000000 }}", "it does too much"),
    ] {
        let why = Template::parse(template).unwrap_err();
        assert!(why.contains(expected), "{template}: {why}");
    }
    for (template, expected) in [
        ("{{ name }}", "it begins with neither"),
        ("https:///{{ name }}", "\"\" is no host"),
        ("https://{{ name }} x/", "is no host"),
        ("https://x/{{ naem }}", "`naem` is undefined"),
        ("https://x/a b", "' ' cannot stand in a URL"),
        ("javascript:alert(1)//https://x", "it begins with neither"),
    ] {
        let why = LinkTemplate::parse(template).unwrap_err();
        assert!(why.contains(expected), "{template}: {why}");
    }
    for (base, expected) in [("console", "neither"), ("https://a?b", "is put behind it"), ("https://a/{x}", "cannot stand")]
    {
        assert!(BaseUrl::parse(base).unwrap_err().contains(expected), "{base}");
    }
}

#[test]
fn a_wrong_template_is_an_error_of_its_key() {
    let file = "message:\n  title: '{{ rule }}'\n  text: |\n    {{ rule }}\n    {{ nmae }}\n  runbook_url: ftp://x\n";
    let load = |file: &str| Config::load(Layers { file: Some(("a.yaml".to_owned(), file.to_owned())), ..Layers::default() });
    let errors = load(file).unwrap_err().to_string();
    assert_eq!(
        errors,
        "message.text: \"{{ rule }}\\n{{ nmae }}\\n\" is not accepted (line 2: `nmae` is undefined, for PlanFailed firing); \
         it takes a template (docs/messages.md), or nothing [a.yaml]\n\
         message.runbook_url: \"ftp://x\" is not accepted (it begins with neither https:// nor http://); \
         it takes an http or https URL, or nothing [a.yaml]"
    );
    let config = load(&file.replace("nmae", "name").replace("ftp", "https")).unwrap();
    assert_eq!(load(&config.show()).unwrap().show(), config.show());
    let message = sample(rule("PlanFailed"), Turn::Firing).message(&config.message.settings("prod"));
    assert_eq!((message.title.as_str(), message.text.as_str()), ("PlanFailed", "PlanFailed\ncrm"));
}

/// Every name of a value in a message, with those inside of lists.
fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.push(name.clone());
                names(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        _ => {}
    }
}

#[test]
fn the_page_about_messages_tells_every_variable() {
    let page = std::fs::read_to_string(crate::support::repository("docs/messages.md")).unwrap();
    let mut found = Vec::new();
    for sample in samples() {
        names(&serde_json::to_value(sample.message(&settings())).unwrap(), &mut found);
    }
    found.sort();
    found.dedup();
    assert!(found.len() > 35, "{found:?}");
    let missing: Vec<&String> = found.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/messages.md does not tell {missing:?}");
}

/// What must hold of every message.
fn check(message: &Message) {
    let of = |text: &str| text.chars().count();
    assert!(of(&message.title) <= TITLE_MAX && !message.title.trim().is_empty(), "{:?}", message.title);
    assert!(of(&message.text) <= TEXT_MAX && !message.text.trim().is_empty(), "{} characters", of(&message.text));
    assert!(of(&message.reason) <= REASON_MAX);
    let whole = serde_json::to_value(message).unwrap();
    let mut texts = Vec::new();
    strings(&whole, &mut texts);
    for text in texts {
        assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
    }
    assert!(!message.title.contains('\n') && !message.summary().contains('\n'));
    for line in message.text.lines().filter(|line| line.starts_with("  ")) {
        assert_eq!(Some(line.trim_start()), message.command.as_ref().map(|command| command.line.as_str()), "not ours");
    }
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        _ => {}
    }
}

#[test]
fn every_sample_is_within_its_bounds() {
    for sample in samples() {
        check(&sample.message(&settings()));
    }
}

#[test]
fn the_longest_message_keeps_its_command_whole_and_its_end() {
    let long = "x".repeat(5000);
    let vms: Vec<Value> = (0..50)
        .map(|n| json!({"id": format!("vm-{n}"), "name": format!("{n}{long}"), "started": 1, "completed": 2, "conditions": ["Failed"],
            "error": {"phase": "Running", "reasons": [format!("{n} {long}")]}}))
        .collect();
    let (namespace, name) = ("n".repeat(63), "p".repeat(253));
    let object = plan(json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"targetNamespace": long},
        "status": {"conditions": ["Failed"], "migration": {"started": 1, "completed": 2, "history": [{"conditions": ["Failed"]}], "vms": vms}}}));
    let mut store = mtv_sentinel::store::Store::default();
    store.apply(object, minute(3.0));
    let key = Key::new(namespace.as_str(), name.as_str());
    let state = store.plan(&key).unwrap();
    let mut alert = alert("PlanFailed", "uid-1", 0, &long);
    alert.scope = Scope::Plan(key.clone());
    let mut send = send(alert, Turn::Firing);
    send.is_repeat = true;
    let message = Message::of(&send, Some(state), None, &Settings { cluster: long, ..settings() }, minute(3.0));
    check(&message);
    let command = message.command.as_ref().unwrap();
    assert!(message.text.contains(&command.line) && message.text.contains("By itself: "), "{}", message.text);
    assert!(message.text.contains("\n- …\n") || message.text.contains("and 40 more"), "{}", message.text);
    assert!(message.title.contains("PlanFailed: plan nnn") && message.title.starts_with("(possible repeat) [xxx"));
}

/// Texts as nobody should write them.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9-]{1,12}",
        "\\PC{0,40}",
        any::<String>(),
        ("[\u{1b}\r\n\u{202e}a ]{1,6}", 1..3000_usize).prop_map(|(text, times)| text
            .repeat(times)
            .chars()
            .take(6000)
            .collect()),
    ]
}

// Reading a template tries it on every sample: once is enough.
static SETTINGS: LazyLock<Settings> = LazyLock::new(settings);
static OWN: LazyLock<Template> = LazyLock::new(|| Template::parse("{{ reason }}\n{{ text }}{{ name }}").unwrap());

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_gives_a_message_within_its_bounds(
        texts in proptest::collection::vec(any_text(), 8),
        vms in proptest::collection::vec((any_text(), any_text(), 0..4_usize), 0..30),
        row in 0..RULES.len(),
        turn in 0..Turn::ALL.len(),
        attempt in 0..3_usize,
        later in 0..100_000_i64,
        is_repeat: bool,
    ) {
        let text = |n: usize| texts[n].as_str();
        let vms: Vec<Value> = vms.iter().enumerate().map(|(n, (name, error, kind))| {
            let conditions = [json!([]), json!(["Failed"]), json!(["Succeeded"]), json!(["Canceled"])][*kind].clone();
            json!({"id": format!("vm-{n}"), "name": name, "started": 1, "conditions": conditions, "error": {"phase": error, "reasons": [error]}})
        }).collect();
        let name = format!("p{}", text(1));
        let object = plan(json!({"metadata": {"namespace": text(0), "name": name},
            "spec": {"targetNamespace": text(2), "provider": {"source": {"name": text(3)}}},
            "status": {"conditions": [{"type": "Executing", "status": "True"}],
                "migration": {"started": 1, "vms": vms, "history": [{"conditions": [], "migration": {"name": text(4)}}]}}}));
        let mut store = mtv_sentinel::store::Store::default();
        store.apply(object, minute(3.0));
        let key = Key::new(text(0), name);
        prop_assert!(store.plan(&key).is_some());
        let mut alert = alert(RULES[row].name, "uid-1", attempt, text(5));
        alert.scope = Scope::Plan(key.clone());
        let mut send = send(alert, Turn::ALL[turn]);
        send.is_repeat = is_repeat;
        let settings = Settings { cluster: texts[6].clone(), ..SETTINGS.clone() };
        let now = Time::from_unix(START + later).unwrap();
        check(&Message::of(&send, store.plan(&key).map(|state| &**state), None, &settings, now));
        check(&Message::of(&send, None, None, &settings, now));
        let own = Some(OWN.clone());
        check_own(&Message::of(&send, None, None, &Settings { title: own.clone(), text: own, ..settings }, now));
    }
}

/// The same for a text of the user's, whose lines are not ours to judge.
fn check_own(message: &Message) {
    assert!(message.title.chars().count() <= TITLE_MAX && message.text.chars().count() <= TEXT_MAX);
    let speaks = |text: &str| text.chars().any(|c| c != '\n' && c.is_control());
    assert!(!speaks(&message.title) && !speaks(&message.text) && !message.title.contains('\n'));
}
