//! The configuration: what is accepted, what is refused and how, and which layer counts.

use crate::support::repository;
use mtv_sentinel::config::{ArchiveMode, Config, Layers, LeaseMode, LogFormat, LogLevel, Source};
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
        archive: {mode: dry-run, succeeded_older_than: 45d}, replay: {at: '2026-11-23T15:37:44Z', speed: 2.5}}";
    let config = load(file, &[], &[]).unwrap();
    assert_eq!(load(&config.show(), &[], &[]).unwrap().show(), config.show());
    assert_eq!(config.archive.succeeded_older_than, Duration::from_secs(45 * 86_400));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Debug, LogFormat::Json));
    assert_eq!(config.general.source, Source::Files("/a b/c".into()));
    assert_eq!(config.metrics.plan_labels, ["a", "b c"]);
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = "{cluster: file, log: {level: error}, archive: {mode: dry-run}}";
    let environment = [
        ("MTV_SENTINEL__CLUSTER", "environment"),
        ("MTV_SENTINEL__LOG__LEVEL", "warn"),
        ("UNRELATED", "x"),
        ("MTV_SENTINEL_COMMIT", "x"),
    ];
    let config = load(file, &environment, &[("log.level", "debug")]).unwrap();
    assert_eq!(
        (config.general.cluster.as_str(), config.log.level, config.archive.mode),
        ("environment", LogLevel::Debug, ArchiveMode::DryRun)
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
        ("MTV_SENTINEL__ARCHIVE__MODE", "off"),
        ("MTV_SENTINEL__ARCHIVE__SUCCEEDED_OLDER_THAN", "1h 30m"),
        ("MTV_SENTINEL__ALERTS__SEVERITY", "{PlanFailed: info}"),
        ("MTV_SENTINEL__HTTP__LISTEN", ":9999"),
    ];
    let config = load("", &environment, &[]).unwrap();
    assert_eq!((config.general.cluster.as_str(), config.http.max_connections.0, config.http.expose_config), ("42", 7, true));
    assert_eq!(config.metrics.plan_labels, ["app", "wave"]);
    assert_eq!(config.archive.succeeded_older_than, Duration::from_secs(5400));
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
        ("archive: {mode: enforce}", "archive.mode: \"enforce\" is not accepted; it takes off or dry-run [sentinel.yaml]"),
        (
            "archive: {succeeded_older_than: 30}",
            "archive.succeeded_older_than: 30 is not accepted (it needs a unit); it takes a duration such as 30s, 5m, 12h, 30d or 1h 30m [sentinel.yaml]",
        ),
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
        let config = load(&format!("archive: {{succeeded_older_than: {written}}}"), &[], &[]).unwrap();
        assert!(config.show().contains(&format!("  succeeded_older_than: {shown}\n")), "{written}");
    }
}
