//! The configuration: what is accepted, what is refused and how, and which layer counts.

use crate::support::repository;
use mtv_sentinel::config::{Config, Layers, LeaseMode, LogFormat, LogLevel, Source};
use std::time::Duration;

fn load(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, Vec<String>> {
    let layers = Layers {
        file: Some(("sentinel.yaml".to_owned(), file.to_owned())),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        flags: flags.iter().map(|(path, value)| (*path, (*value).to_owned())).collect(),
    };
    Config::load(layers).map_err(|errors| errors.to_string().lines().map(str::to_owned).collect())
}

#[test]
fn the_sample_file_loads_and_equals_the_defaults() {
    let sample = std::fs::read_to_string(repository("config/mtv-sentinel.yaml")).unwrap();
    let defaults = Config::load(Layers::default()).unwrap().show();
    assert_eq!(load(&sample, &[], &[]).unwrap().show(), defaults);
    // Every key is in it, each below a comment.
    let keys = |text: &str| {
        text.lines()
            .filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&sample), keys(&defaults));
    let lines: Vec<&str> = sample.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[1].contains(": ")) {
        assert!(
            pair[1].trim_start().starts_with('#') || pair[0].trim_start().starts_with('#'),
            "{} has no comment",
            pair[1]
        );
    }
}

#[test]
fn what_is_shown_loads_again_as_the_same() {
    let file =
        "{cluster: 'prod: 1', source: 'files:/a b/c', log: {level: debug, format: json}, metrics: {plan_labels: [a, 'b c']},
        http: {listen: '[::1]:9', header_timeout: 90m}, alerts: {off: [PlanFailed], severity: {PlanFailed: critical}},
        archive: {policies: [{name: done, after: 45d}]}, replay: {at: '2026-11-23T15:37:44Z', speed: 2.5}}";
    let config = load(file, &[], &[]).unwrap();
    assert_eq!(load(&config.show(), &[], &[]).unwrap().show(), config.show());
    assert_eq!(config.archive.policies.0[0].after, Duration::from_secs(45 * 86_400));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Debug, LogFormat::Json));
    assert_eq!(config.general.source, Source::Files("/a b/c".into()));
    assert_eq!(config.metrics.plan_labels, ["a", "b c"]);
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = "{cluster: file, log: {level: error}, archive: {policies: [{name: done}]}}";
    let environment = [
        ("MTV_SENTINEL__CLUSTER", "environment"),
        ("MTV_SENTINEL__LOG__LEVEL", "warn"),
        ("UNRELATED", "x"),
        ("MTV_SENTINEL_COMMIT", "x"),
    ];
    let config = load(file, &environment, &[("log.level", "debug")]).unwrap();
    assert_eq!(
        (config.general.cluster.as_str(), config.log.level, config.archive.policies.0[0].name.as_str()),
        ("environment", LogLevel::Debug, "done")
    );
}

#[test]
fn the_environment_sets_every_type_of_key() {
    let environment = [
        ("MTV_SENTINEL__CLUSTER", "42"),
        ("MTV_SENTINEL__HTTP__MAX_CONNECTIONS", "7"),
        ("MTV_SENTINEL__HTTP__EXPOSE_CONFIG", "true"),
        ("MTV_SENTINEL__METRICS__PLAN_LABELS", "[app, wave]"),
        ("MTV_SENTINEL__REPLAY__SPEED", "0.5"),
        ("MTV_SENTINEL__ARCHIVE__POLICIES", "[{name: done, after: 1h 30m, windows: [22:00-04:00]}]"),
        ("MTV_SENTINEL__ALERTS__SEVERITY", "{PlanFailed: info}"),
        ("MTV_SENTINEL__HTTP__LISTEN", ":9999"),
    ];
    let config = load("", &environment, &[]).unwrap();
    assert_eq!((config.general.cluster.as_str(), config.http.max_connections.0, config.http.expose_config), ("42", 7, true));
    assert_eq!(config.metrics.plan_labels, ["app", "wave"]);
    assert_eq!(config.archive.policies.0[0].after, Duration::from_secs(5400));
    assert_eq!(config.http.listen.0, "0.0.0.0:9999".parse().unwrap());
    let token = load("", &[("MTV_SENTINEL__HTTP__BEARER_TOKEN", "0123456")], &[]).unwrap().http.bearer_token;
    assert_eq!(token.expose(), Some("0123456"));
    assert_eq!(
        load("", &[("MTV_SENTINEL__METRICS__PLAN_LABELS", "app, wave")], &[]).unwrap().metrics.plan_labels,
        ["app", "wave"]
    );
}

#[test]
fn whether_there_is_a_lease_is_said_by_a_word_or_a_boolean() {
    for (file, mode) in [
        ("", LeaseMode::Auto),
        ("lease: {enabled: auto}", LeaseMode::Auto),
        ("lease: {enabled: true}", LeaseMode::On),
        ("lease: {enabled: 'false'}", LeaseMode::Off),
    ] {
        let config = load(file, &[], &[]).unwrap();
        assert_eq!(config.lease.enabled, mode, "{file}");
        assert_eq!(load(&config.show(), &[], &[]).unwrap().lease.enabled, mode, "{file}");
    }
    assert_eq!(load("", &[("MTV_SENTINEL__LEASE__ENABLED", "false")], &[]).unwrap().lease.enabled, LeaseMode::Off);
}

#[test]
fn an_empty_file_and_empty_sections_are_the_defaults() {
    let defaults = Config::load(Layers::default()).unwrap().show();
    for file in ["", "# nothing\n", "log:\nhttp:\n", "{}"] {
        assert_eq!(load(file, &[], &[]).unwrap().show(), defaults, "{file:?}");
    }
}

#[test]
fn each_mistake_is_named_with_its_path_its_value_what_is_accepted_and_where_it_is() {
    for (file, expected) in [
        (
            "listen: x",
            "listen: there is no such key; there are cluster, source, log, http, metrics, alerts, notify, message, ledger, lease, archive, kubernetes, files, replay [sentinel.yaml]",
        ),
        ("htpp: {}", "htpp: there is no such key; did you mean http? [sentinel.yaml]"),
        ("http: {lisen: x}", "http.lisen: there is no such key; did you mean listen? [sentinel.yaml]"),
        ("http: 5", "http: 5 is a section: it takes keys below it [sentinel.yaml]"),
        (
            "http: {listen: here}",
            "http.listen: \"here\" is not accepted; it takes an address with a port, such as 0.0.0.0:8497, [::]:8497 or :8497 [sentinel.yaml]",
        ),
        (
            "http: {max_connections: 0}",
            "http.max_connections: 0 is not accepted; it takes a whole number from 1 to 1000000 [sentinel.yaml]",
        ),
        (
            "http: {max_connections: many}",
            "http.max_connections: \"many\" is not accepted; it takes a whole number from 1 to 1000000 [sentinel.yaml]",
        ),
        (
            "http: {expose_config: maybe}",
            "http.expose_config: \"maybe\" is not accepted; it takes true or false [sentinel.yaml]",
        ),
        (
            "http: {bearer_token: [s3cr3t]}",
            "http.bearer_token: <secret> is not accepted; it takes a secret text, or nothing [sentinel.yaml]",
        ),
        (
            "http: {bearer_token: a, bearer_token_file: b}",
            "http.bearer_token: is set beside http.bearer_token_file; keep one of them",
        ),
        (
            "source: kluster",
            "source: \"kluster\" is not accepted; it takes cluster, files:PATH or replay:PATH [sentinel.yaml]",
        ),
        (
            "log: {level: loud}",
            "log.level: \"loud\" is not accepted; it takes error, warn, info, debug or trace [sentinel.yaml]",
        ),
        ("log: {format: [text]}", "log.format: [\"text\"] is not accepted; it takes text or json [sentinel.yaml]"),
        ("archive: {mode: dry-run}", "archive.mode: there is no such key; there is policies [sentinel.yaml]"),
        (
            "files: {poll_interval: 0s}",
            "files.poll_interval: \"0s\" is not accepted; it takes a duration of at least 10ms, such as 2s or 1m [sentinel.yaml]",
        ),
        ("cluster: 42", "cluster: 42 is not accepted (put it in quotes); it takes a text [sentinel.yaml]"),
        (
            "replay: {speed: 0}",
            "replay.speed: 0 is not accepted; it takes a number above 0, at most 1000000 [sentinel.yaml]",
        ),
        (
            "replay: {at: now}",
            "replay.at: \"now\" is not accepted; it takes an instant such as 2026-11-23T15:37:44Z, or nothing [sentinel.yaml]",
        ),
        (
            "alerts: {off: [PlanFaild]}",
            "alerts.off: [\"PlanFaild\"] is not accepted (there is no rule \"PlanFaild\"; did you mean PlanFailed?); it takes a list of rules [sentinel.yaml]",
        ),
        (
            "alerts: {severity: {PlanFailed: bad}}",
            "alerts.severity: {\"PlanFailed\":\"bad\"} is not accepted (there is no severity \"bad\"); it takes a map from rules to critical, warning or info [sentinel.yaml]",
        ),
        (
            "metrics: {plan_labels: [a-b, a_b]}",
            "metrics.plan_labels: \"a-b\" and \"a_b\" would both be shown as label_a_b; keep one of them",
        ),
        (
            "lease: {enabled: maybe}",
            "lease.enabled: \"maybe\" is not accepted; it takes auto, true or false [sentinel.yaml]",
        ),
        ("lease: {renew_deadline: 2s}", "lease.renew_deadline: must be longer than lease.retry, 2s"),
        ("lease: {duration: 10s}", "lease.duration: must be longer than lease.renew_deadline, 10s"),
        (
            "lease: {duration: 6s, renew_deadline: 4s}",
            "lease.duration: must be longer than lease.retry and the 5s of an action, 7s",
        ),
        ("lease: {name: ''}", "lease.name: is empty; a Lease has a name"),
        ("metrics: {plan_labels: 5}", "metrics.plan_labels: 5 is not accepted; it takes a list of texts [sentinel.yaml]"),
    ] {
        assert_eq!(load(file, &[], &[]).unwrap_err(), [expected], "{file}");
    }
}

#[test]
fn all_mistakes_are_named_at_once_each_with_its_layer() {
    let errors = load(
        "{log: {level: loud}, htpp: {}}",
        &[("MTV_SENTINEL__HTTP__LISTN", "x"), ("MTV_SENTINEL__REPLAY__SPEED", "fast")],
        &[("http.listen", "there")],
    )
    .unwrap_err();
    assert_eq!(
        errors,
        [
            "htpp: there is no such key; did you mean http? [sentinel.yaml]",
            "log.level: \"loud\" is not accepted; it takes error, warn, info, debug or trace [sentinel.yaml]",
            "http.listen: \"there\" is not accepted; it takes an address with a port, such as 0.0.0.0:8497, [::]:8497 or :8497 [command line]",
            "http.listn: there is no such key; did you mean listen? [MTV_SENTINEL__HTTP__LISTN]",
            "replay.speed: \"fast\" is not accepted; it takes a number above 0, at most 1000000 [MTV_SENTINEL__REPLAY__SPEED]",
        ]
    );
}

#[test]
fn a_file_that_is_no_yaml_map_is_named_and_the_rest_is_checked_all_the_same() {
    for file in ["a: [", "- a\n- b\n", "just a text"] {
        let errors = load(file, &[("MTV_SENTINEL__LOG__LEVEL", "loud")], &[]).unwrap_err();
        assert!(errors[0].starts_with("sentinel.yaml is no YAML map: "), "{errors:?}");
        assert!(errors.last().unwrap().starts_with("log.level: "), "{errors:?}");
    }
}

#[test]
fn a_secret_is_in_no_text_that_the_configuration_gives() {
    let config = load("{http: {bearer_token: s3cr3t}}", &[], &[]).unwrap();
    assert!(!config.show().contains("s3cr3t") && !format!("{config:?}").contains("s3cr3t"));
    assert_eq!(config.http.bearer_token.expose(), Some("s3cr3t"));
}

#[test]
fn durations_are_shown_as_people_write_them() {
    for (written, shown) in
        [("60d", "60d"), ("90m", "1h 30m"), ("1500ms", "1s 500ms"), ("0s", "0s"), ("1 day 2 hours", "1d 2h")]
    {
        let config = load(&format!("notify: {{group_interval: {written}}}"), &[], &[]).unwrap();
        assert!(config.show().contains(&format!("  group_interval: {shown}\n")), "{written}");
    }
}

/// What is said of a list of policies, without the list.
fn refused(policies: &str) -> String {
    let errors = load(&format!("archive: {{policies: [{policies}]}}"), &[], &[]).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let (_, why) = errors[0].split_once(" is not accepted (").unwrap();
    why.split("); it takes a list of policies").next().unwrap().to_owned()
}

#[test]
fn a_policy_is_refused_with_all_that_is_wrong_with_it() {
    let acknowledgement = "[0] outcome Failed needs acknowledge: NAME=VALUE, an annotation or label that a person sets after the \
                           analysis, or without_acknowledgement: i-accept-that-targets-are-deleted";
    for (policies, expected) in [
        ("{}", "[0] name is missing"),
        ("5", "[0] it has no keys"),
        ("{name: a, afer: 3d}", "[0] there is no such key as afer; did you mean after?"),
        ("{name: a, after: 3}", "[0] after: it needs a unit"),
        (
            "{name: a, mode: enforce}",
            "[0] mode: enforce is not in this version, which only tells what it would archive: use dry-run",
        ),
        ("{name: a, mode: off}", "[0] mode: it takes dry-run"),
        ("{name: a, outcome: Archived}", "[0] outcome: it takes Succeeded, Canceled or Failed"),
        ("{name: a, outcome: Failed}", acknowledgement),
        (
            "{name: a, outcome: Failed, acknowledge: analysed}",
            "[0] acknowledge: it takes an annotation or label with its value, such as example.com/analysed=yes",
        ),
        (
            "{name: a, outcome: Failed, without_acknowledgement: I-accept}",
            "[0] without_acknowledgement: \"I-accept\" is not i-accept-that-targets-are-deleted",
        ),
        (
            "{name: a, outcome: Failed, without_acknowledgement: true}",
            "[0] without_acknowledgement: \"true\" is not i-accept-that-targets-are-deleted",
        ),
        (
            "{name: a, without_acknowledgement: i-accept-that-targets-are-deleted}",
            "[0] without_acknowledgement is for outcome Failed only",
        ),
        (
            "{name: a, outcome: Failed, acknowledge: a=b, without_acknowledgement: i-accept-that-targets-are-deleted}",
            "[0] acknowledge is set beside without_acknowledgement; keep one of them",
        ),
        (
            "{name: a, matchers: [sourcetype!=ova]}",
            "[0] matchers: plans have no label \"sourcetype\"; did you mean source_type?; a label of the object is label_NAME",
        ),
        (
            "{name: a, matchers: [severity=critical]}",
            "[0] matchers: plans have no label \"severity\"; there are namespace, plan, provider, source_type, type, target_namespace; a label of the object is label_NAME",
        ),
        ("{name: a, keep_last: 0}", "[0] keep_last: it takes a whole number from 1 to 1000000"),
        (
            "{name: a, keep_last: 1, keep_last_per: plan}",
            "[0] keep_last_per: \"plan\" is no group; it takes namespace or label_NAME",
        ),
        ("{name: a, keep_last_per: namespace}", "[0] keep_last_per is set, and keep_last is not"),
        (
            "{name: a, windows: [Mon-Fri]}",
            "[0] windows: \"Mon-Fri\" is no window; one is like Mon-Fri 20:00-06:00, Sat,Sun 00:00-24:00 or 22:00-04:00",
        ),
        (
            "{name: a, windows: [Mo 20:00-06:00]}",
            "[0] windows: there is no day \"Mo\"; there are Mon, Tue, Wed, Thu, Fri, Sat, Sun",
        ),
        (
            "{name: a, windows: [01:00-01:00]}",
            "[0] windows: \"01:00-01:00\" ends when it begins; a whole day is 00:00-24:00",
        ),
        ("{name: a, windows: [24:00-01:00]}", "[0] windows: \"24:00-01:00\" begins at 24:00; that is 00:00 of the next day"),
        (
            "{name: a, windows: [1:00-25:00]}",
            "[0] windows: \"1:00-25:00\" is no window; one is like Mon-Fri 20:00-06:00, Sat,Sun 00:00-24:00 or 22:00-04:00",
        ),
        ("{name: a, max_per_hour: 0}", "[0] max_per_hour: it takes a whole number from 1 to 1000000"),
        ("{name: a, max_concurrent: many}", "[0] max_concurrent: it takes a whole number from 1 to 1000000"),
        ("{name: a, outcome: Canceled}, {name: a}", "[1] there is another policy \"a\""),
        (
            "{name: a, matchers: [namespace=x]}, {name: b, matchers: ['namespace=x', 'plan=y']}",
            "[1] it can never count: \"a\" comes before it and is about all of its plans",
        ),
        (
            "{after: 3}, {name: b, mode: enforce}",
            "[0] name is missing; [0] after: it needs a unit; [1] mode: enforce is not in this version, which only tells what it would archive: use dry-run",
        ),
    ] {
        assert_eq!(refused(policies), expected, "{policies}");
    }
}

#[test]
fn a_policy_is_shown_as_it_loads_again() {
    let file = "{archive: {policies: [{name: old failures, matchers: ['namespace=~\"a\\\\.b|c\"', label_wave!=1], outcome: Failed, \
        acknowledge: 'ops.example.com/analysed=yes, really', after: 90d, keep_last: 3, keep_last_per: label_wave, \
        windows: [Mon-Fri 20:00-06:00, 'Sat,Sun 00:00-24:00'], max_per_hour: 4, max_concurrent: 2}, {name: done}, \
        {name: all, outcome: Failed, without_acknowledgement: i-accept-that-targets-are-deleted}]}}";
    let config = load(file, &[], &[]).unwrap();
    let again = load(&config.show(), &[], &[]).unwrap();
    assert_eq!(again.archive.policies, config.archive.policies);
    assert_eq!(
        config.show().lines().find(|line| line.starts_with("  policies:")).unwrap(),
        "  policies: [{name: \"old failures\", matchers: [\"namespace=~\\\"a\\\\\\\\.b|c\\\"\", \"label_wave!=\\\"1\\\"\"], outcome: Failed, \
         acknowledge: \"ops.example.com/analysed=yes, really\", after: 90d, keep_last: 3, keep_last_per: label_wave, \
         windows: [\"Mon,Tue,Wed,Thu,Fri 20:00-06:00\", \"Sat,Sun 00:00-24:00\"], mode: dry-run, max_per_hour: 4, max_concurrent: 2}, \
         {name: done, matchers: [], outcome: Succeeded, after: 30d, windows: [], mode: dry-run, max_per_hour: 10, max_concurrent: 1}, \
         {name: all, matchers: [], outcome: Failed, without_acknowledgement: i-accept-that-targets-are-deleted, after: 30d, windows: [], \
         mode: dry-run, max_per_hour: 10, max_concurrent: 1}]"
    );
}
