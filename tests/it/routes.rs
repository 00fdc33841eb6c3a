//! Who is told: matchers in Alertmanager's syntax, routes in order, and what is wrong with a configuration of them.

use crate::desk::{Desk, impatient, routing};
use crate::dispatch::attempt;
use crate::support::{plan, provider};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::Matcher;
use serde_json::json;

#[test]
fn matchers_are_read_as_alertmanager_reads_them() {
    let cases = [
        (r#"severity="critical""#, Ok(r#"severity="critical""#)),
        (r#"severity = critical"#, Ok(r#"severity="critical""#)),
        (r#"{rule=~"Plan.*", namespace!="test"}"#, Ok(r#"rule=~"Plan.*" namespace!="test""#)),
        (r#"plan!~"a|b","#, Ok(r#"plan!~"a|b""#)),
        (r#"plan="say \"hi\", \\ and }""#, Ok(r#"plan="say \"hi\", \\ and }""#)),
        (r#"plan=~"web\.[0-9]+""#, Ok(r#"plan=~"web\\.[0-9]+""#)),
        (r#"plan="""#, Ok(r#"plan="""#)),
        (r#"label_wave="3""#, Ok(r#"label_wave="3""#)),
        ("", Err("it is empty")),
        ("{}", Err("it is empty")),
        ("{a=b", Err("{a=b has no closing brace")),
        ("=b", Err(r#""=b" does not begin with the name of a label"#)),
        ("1a=b", Err(r#""1a=b" does not begin with the name of a label"#)),
        ("severity", Err("after severity one of = != =~ !~ is missing")),
        ("severity==x", Err("a comma is missing")),
        (r#"severity="x"#, Err(r#""x has no closing quote"#)),
        (r#"severity="x" plan="y""#, Err("a comma is missing before plan=\"y\"")),
        (r#"plan=~"(""#, Err(r#""(" is no regular expression: unclosed group"#)),
    ];
    for (text, expected) in cases {
        let read = Matcher::list(text);
        let shown = read.map(|list| list.iter().map(Matcher::to_string).collect::<Vec<_>>().join(" "));
        match expected {
            // `==x`: Alertmanager takes `=x` as the value.
            Err(_) if text == "severity==x" => assert_eq!(shown.as_deref(), Ok("severity=\"=x\"")),
            Ok(expected) => assert_eq!(shown.as_deref(), Ok(expected), "{text}"),
            Err(expected) => assert_eq!(shown.unwrap_err(), expected, "{text}"),
        }
    }
}

#[test]
fn a_regular_expression_has_to_match_the_whole_value_and_an_absent_label_is_empty() {
    let passes = |matcher: &str, value: &str| Matcher::list(matcher).unwrap()[0].passes(value);
    assert!(passes("plan=~web", "web") && !passes("plan=~web", "web-1") && !passes("plan=~web", "my-web"));
    assert!(passes("plan=~\"a|b\"", "a") && passes("plan=~\"a|b\"", "b") && !passes("plan=~\"a|b\"", "ab"));
    assert!(passes("plan!~web", "web-1") && !passes("plan!~web", "web"));
    assert!(passes("plan=\"\"", "") && passes("plan!=x", "") && passes("plan=~\".*\"", "a\nb"));
}

/// The receivers that hear of one failed plan and of a provider that is not ready, with this route before one that takes the
/// rest.
fn takes(matchers: &str) -> (bool, bool) {
    let routes = format!("  routes: [{{matchers: ['{matchers}'], receivers: [pager]}}, {{receivers: [log]}}]");
    let mut desk = Desk::new(routing(&routes), impatient());
    desk.apply(provider("vc", "vsphere"));
    desk.apply(plan(json!({"metadata": {"name": "web-1", "labels": {"wave": "3", "app.kubernetes.io/name": "shop"}},
        "spec": {"type": "warm", "targetNamespace": "prod"}, "status": {"conditions": ["Failed"]}})));
    desk.apply(crate::support::decode(&json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider",
        "spec": {"type": "ovirt"}, "metadata": {"namespace": "forklift", "name": "rhv", "uid": "uid-rhv"}})));
    let told = desk.told();
    assert_eq!(told.len(), 2, "everything is told to somebody: {told:?}");
    let by_pager = |rule: &str| told.iter().any(|line| line.starts_with("pager ") && line.contains(rule));
    (by_pager("PlanFailed"), by_pager("ProviderNotReady"))
}

#[test]
fn routes_choose_by_every_label_and_the_first_that_matches_counts() {
    let both = (true, true);
    let (plan, provider, none) = ((true, false), (false, true), (false, false));
    for (matchers, expected) in [
        ("rule=PlanFailed", plan),
        ("alertname=ProviderNotReady", provider),
        ("severity=warning", plan),
        ("severity=critical", provider),
        ("severity=~\"critical|warning\"", both),
        ("namespace=ns", plan),
        ("namespace=forklift", provider),
        ("plan=~\"web-.*\"", plan),
        ("plan=\"\"", provider),
        ("provider=vc", plan),
        ("provider=rhv", provider),
        ("source_type=vsphere", plan),
        ("source_type=ovirt", provider),
        ("type=warm", plan),
        ("target_namespace=prod", plan),
        ("label_wave=\"3\"", plan),
        ("label_app_kubernetes_io_name=shop", plan),
        ("label_wave!=\"3\"", provider),
        ("severity=warning,namespace=forklift", none),
    ] {
        assert_eq!(takes(matchers), expected, "{matchers}");
    }
}

#[test]
fn what_no_route_takes_and_what_a_route_without_receivers_takes_is_told_to_nobody() {
    for routes in ["[{matchers: [namespace=other], receivers: [log]}]", "[{receivers: []}]"] {
        let mut desk = Desk::new(routing(&format!("  routes: {routes}")), impatient());
        desk.at(3.0).apply(attempt("plan", &["vm-1"], &["Failed"]));
        assert_eq!(desk.told(), [""; 0], "{routes}");
        assert_eq!(desk.alerts.firing().count(), 1);
    }
}

#[test]
fn a_receiver_hears_of_a_thread_only_what_is_for_it_and_its_end_though_the_route_has_changed() {
    let routes = "  routes: [{matchers: [severity=critical], receivers: [pager]}, {matchers: ['label_quiet!=yes'], receivers: [log]}]";
    let mut desk = Desk::new(routing(routes), impatient());
    let blocked = ["Executing", "Critical/VMNotFound: gone"];
    desk.at(1.0).apply(attempt("plan", &["vm-1"], &blocked));
    let told = desk.told();
    assert_eq!(told[0], "log firing plan VmFailed/0: vm-1: no space");
    assert!(told.len() == 2 && told[1].starts_with("pager firing plan PlanBlocked/0: VMNotFound: gone"), "{told:?}");
    assert!(!told[1].contains("no space"));
    // From here on nothing of it is for the log, which is owed the end all the same.
    let mut quiet = attempt("plan", &["vm-1"], &["Executing"]);
    if let mtv_sentinel::forklift::Object::Plan(plan) = &mut quiet {
        plan.labels = [("quiet".into(), "yes".into())].into();
    }
    desk.apply(quiet);
    assert_eq!(desk.told().len(), 1, "the end of what the pager knows");
    desk.apply(attempt("plan", &[], &["Succeeded"]));
    assert_eq!(desk.told(), ["log resolved plan VmFailed/0: vm-1: no space"]);
}

fn errors(yaml: &str) -> Vec<String> {
    let layers = Layers { file: Some(("x.yaml".to_owned(), yaml.to_owned())), ..Layers::default() };
    Config::load(layers).unwrap_err().0.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn what_is_wrong_with_routes_is_found_with_its_place_and_what_was_meant() {
    insta::assert_snapshot!(
        errors(
            "notify:
  receivers: {log: {type: log}, oncall: {type: log}}
  routes:
    - {matchers: [severity=critical], receivers: [onkall]}
    - {matchers: [severity=critical, plan=web], receivers: [log]}
    - {matchers: [rule=PlanFailled], receivers: [log]}
    - {matchers: [severity=warning, severity!=warning], receivers: [log]}
    - {matchers: [type=hot], receivers: [log]}
    - {matchers: [severty=info], receivers: [log]}
    - {matchers: [plan=a, plan=b], receivers: [log]}
    - {matchers: [rule=PlanStarted], receivers: [log]}
    - {receivers: [log]}
    - {matchers: [rule=PlanFailed], receivers: [log]}
"
        )
        .join("\n"),
        @r#"
    notify.routes[0].receivers: there is no receiver "onkall"; did you mean oncall?
    notify.routes[1]: it can never match: routes[0] takes all of it
    notify.routes[2]: it can never match: there is no rule "PlanFailled"
    notify.routes[3]: it can never match: no rule that is on has such a name and severity
    notify.routes[4]: it can never match: type is one of cold, warm, live, conversion, Unknown or empty
    notify.routes[5].matchers: alerts have no label "severty"; did you mean severity?; a label of the plan is label_NAME
    notify.routes[6]: it can never match: plan="a" and another matcher contradict each other
    notify.routes[7]: it can never match: PlanStarted is off (alerts.on switches it on), or has another severity
    notify.routes[9]: it can never match: routes[8] takes all of it
    "#
    );
    insta::assert_snapshot!(
        errors(
            "notify:
  receivers: {x: {kind: log}, y: {type: pigeon}}
  storm_threads: many
  routes:
    - {matchers: ['a'], receivers: log}
    - {matcher: [a=b], receivers: [log], group_wait: soon}
    - {matchers: ['plan=~\"(\"']}
    - nothing
"
        )
        .join("\n"),
        @r#"
    notify.receivers: <secret> is not accepted (x: it has no type; y: there is no type "pigeon"; there are alertmanager, kubernetes_events, log, pagerduty, slack, webhook); it takes a map from names to receivers such as {type: log}, {type: slack, url_file: /path} or {type: webhook, url_file: /path} [x.yaml]
    notify.routes: [{"matchers":["a"],"receivers":"log"},{"group_wait":"soon","mat… is not accepted ([0] matchers: after a one of = != =~ !~ is missing; [1] there is no such key as matcher; did you mean matchers?; [1] group_wait: expected number at 0; [2] matchers: "(" is no regular expression: unclosed group; [2] receivers is missing; [] tells nobody; [3] it has no keys); it takes a list of routes such as {matchers: [severity="critical"], receivers: [log]} [x.yaml]
    notify.storm_threads: "many" is not accepted; it takes a whole number from 0 to 1000000 [x.yaml]
    "#
    );
}

#[test]
fn routes_are_shown_as_they_are_read() {
    let yaml = "notify: {routes: [{matchers: ['plan=~\"a\\\\.b\", severity=info'], receivers: [log], group_wait: 1m, send_resolved: false}]}";
    let load = |text: &str| {
        Config::load(Layers { file: Some(("x.yaml".to_owned(), text.to_owned())), ..Layers::default() }).unwrap()
    };
    let shown = load(yaml).show();
    let line = "  routes: [{matchers: [\"plan=~\\\"a\\\\\\\\.b\\\"\", \"severity=\\\"info\\\"\"], receivers: [log], group_wait: 1m, send_resolved: false}]";
    assert!(shown.contains(line), "{shown}");
    assert_eq!(load(&shown).show(), shown);
}
