//! The metrics page: golden, strict, and byte for byte what prometheus-client would print.

use crate::support::{minute, plan, provider, recording, recordings, repository, tool};
use mtv_sentinel::alert::Scope;
use mtv_sentinel::app::Engine;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::Pending;
use mtv_sentinel::http::{Negotiated, View, negotiate};
use mtv_sentinel::metrics::{FAMILIES, Family, Format, OWN, Out, Own, PlanContext, Render, Sink, Value};
use mtv_sentinel::store::{Report, Trouble, WatchId};
use mtv_sentinel::watch::{Observation, files};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text::encode_registry};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

fn config() -> Config {
    let file = "{cluster: test, metrics: {plan_labels: [app, wave]}, archive: {policies: [{name: done}]}}";
    Config::load(Layers { file: Some(("test".to_owned(), file.to_owned())), ..Layers::default() }).unwrap()
}

fn own() -> Arc<Own> {
    Arc::new(Own::new("1.2.3", "abc"))
}

fn view(observations: impl IntoIterator<Item = Observation>) -> View {
    let mut engine = Engine::new(&config(), own());
    for observation in observations {
        engine.observe(observation);
    }
    engine.view()
}

/// The objects of tests/synthetic/fleet.yaml, observed at a fixed time.
fn fleet() -> View {
    let observations = files::read(&repository("tests/synthetic/fleet.yaml")).unwrap().into_iter();
    view(observations.map(|observation| Observation {
        at: mtv_sentinel::plan::Time::parse("2026-11-02T08:00:00Z").unwrap(),
        ..observation
    }))
}

fn text(view: &View, format: Format) -> String {
    String::from_utf8(view.exposition.families(format).to_vec()).unwrap()
}

fn whole_page(view: &View, format: Format) -> String {
    String::from_utf8(view.exposition.plain(format, own().encode()).concat()).unwrap()
}

#[test]
fn the_golden_scrape_is_as_reviewed() {
    insta::assert_snapshot!("scrape", whole_page(&fleet(), Format::OpenMetrics));
}

#[test]
fn the_formats_differ_in_their_head_lines_only() {
    let view = fleet();
    let samples = |page: &str| page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    let (openmetrics, plain) = (whole_page(&view, Format::OpenMetrics), whole_page(&view, Format::Text));
    assert_eq!(samples(&openmetrics), samples(&plain));
    assert!(openmetrics.ends_with("# EOF\n") && !plain.contains("# EOF"));
    assert!(openmetrics.contains("# UNIT migration_plan_disk_bytes bytes\n") && !plain.contains("# UNIT"));
    assert!(
        plain.contains("# TYPE mtv_sentinel_scrapes_total counter\n")
            && openmetrics.contains("# TYPE mtv_sentinel_scrapes counter\n")
    );
    assert!(
        plain.contains("# TYPE mtv_sentinel_build_info gauge\n") && openmetrics.contains("# TYPE mtv_sentinel_build info\n")
    );
}

/// Hands the samples of every family to prometheus-client.
struct Oracle(Arc<View>);

impl std::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Oracle")
    }
}

#[derive(Default)]
struct Collected(Vec<(Vec<(String, String)>, Value)>);

impl Sink for Collected {
    fn sample(&mut self, _: &Family, names: &[&str], values: &[&str], value: Value) {
        let labels = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.0.push((labels.collect(), value));
    }
}

fn collect(view: &View, family: &Family) -> Vec<(Vec<(String, String)>, Value)> {
    let shown_labels = [("app".to_owned(), "label_app".to_owned()), ("wave".to_owned(), "label_wave".to_owned())];
    let mut collected = Collected::default();
    let out = &mut Out { family, sink: &mut collected };
    match family.render {
        Render::Plan(render) => {
            for (key, state) in &view.snapshot.plans {
                let decision = view.decisions.get(key).map(|decision| &**decision);
                let alerts = view.alerts.get(&Scope::Plan(key.clone())).map_or(&[][..], |alerts| alerts);
                render(&PlanContext { state, decision, alerts, shown_labels: &shown_labels }, out);
            }
        }
        Render::Provider(render) => view.snapshot.providers.values().for_each(|provider| render(provider, out)),
        Render::Fleet(render) => {
            let mut fleet = mtv_sentinel::metrics::Fleet::default();
            for state in view.snapshot.plans.values() {
                fleet.plans[state.phase as usize] += 1;
                fleet.vms.iter_mut().zip(state.vm_counts()).for_each(|(sum, count)| *sum += u64::from(count));
            }
            render(&fleet, out);
        }
    }
    collected.0
}

impl Collector for Oracle {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for family in FAMILIES {
            let unit = family.unit.map(|unit| Unit::Other(unit.as_str().to_owned()));
            let name = family.unit.map_or(family.name, |unit| family.name.strip_suffix(&format!("_{unit}")).unwrap());
            let mut encoder = encoder.encode_descriptor(name, family.help, unit.as_ref(), MetricType::Gauge)?;
            for (labels, value) in collect(&self.0, family) {
                let encoder = encoder.encode_family(&labels)?;
                match value {
                    Value::Int(value) => ConstGauge::new(value).encode(encoder)?,
                    Value::Float(value) => ConstGauge::new(value).encode(encoder)?,
                }
            }
        }
        Ok(())
    }
}

fn oracle(view: View) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Oracle(Arc::new(view))));
    let mut text = String::new();
    encode_registry(&mut text, &registry).unwrap();
    text
}

#[test]
fn prometheus_client_prints_our_text_byte_for_byte() {
    let mut views = vec![fleet()];
    views.extend(recordings().iter().map(|name| view(recording(name).observations(None))));
    for view in views {
        let ours = text(&view, Format::OpenMetrics);
        let theirs = oracle(view);
        if ours != theirs {
            let different = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
            panic!("{different:?}, {} and {} bytes", ours.len(), theirs.len());
        }
    }
}

#[test]
fn a_page_after_any_changes_is_the_page_of_its_last_state() {
    // The cache of a long life against a fresh one: what the store holds at the end is rendered anew by the oracle.
    for name in recordings() {
        let recording = recording(&name);
        let mut engine = Engine::new(&config(), own());
        for (at, observation) in recording.observations(None).enumerate() {
            engine.observe(observation);
            if at % 37 == 0 {
                let view = engine.view();
                let (ours, samples) = (text(&view, Format::OpenMetrics), view.exposition.samples());
                assert_eq!(
                    ours.lines().filter(|line| !line.starts_with('#')).count() as u64,
                    samples,
                    "{name}: samples are miscounted"
                );
                assert!(ours == oracle(view), "{name} at {at}");
            }
        }
    }
}

#[test]
fn a_family_gives_each_combination_of_labels_once_and_as_many_values_as_names() {
    for view in [fleet(), view(recording("p-queue").observations(None))] {
        for family in FAMILIES {
            let mut seen = BTreeSet::new();
            for (labels, _) in collect(&view, family) {
                assert!(seen.insert(labels.clone()), "{}: {labels:?} twice", family.name);
                if family.name != "migration_plan_labels" {
                    let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
                    assert_eq!(names, family.labels, "{}", family.name);
                }
            }
            assert!(!seen.is_empty() || view.snapshot.plans.len() < 5, "{} has no sample in the golden scrape", family.name);
        }
    }
}

#[test]
fn the_table_keeps_the_contract() {
    let mut names = BTreeSet::new();
    for family in FAMILIES {
        assert!(names.insert(family.name), "{} stands twice", family.name);
        assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}: {}", family.name, family.help);
        let unit = ["seconds", "bytes", "ratio"].into_iter().find(|unit| family.name.ends_with(&format!("_{unit}")));
        assert_eq!(family.unit.map(|unit| unit.as_str()), unit, "{}", family.name);
        let has = |label: &str| family.labels.contains(&label);
        match family.render {
            Render::Plan(_) => assert!(has("plan_namespace") && has("plan"), "{}", family.name),
            Render::Provider(_) => assert!(has("provider_namespace") && has("provider"), "{}", family.name),
            Render::Fleet(_) => assert!(!has("plan"), "{}", family.name),
        }
        assert_eq!(family.name.starts_with("migration_vm_"), has("vm") && has("vm_id"), "{}", family.name);
    }
}

#[test]
fn a_vm_costs_at_most_ten_samples_cold_and_fourteen_warm_and_none_when_archived() {
    let cost = |kind: &str, more: serde_json::Value| {
        let samples = |vms: usize| {
            let each: Vec<_> = (0..vms)
                .map(|n| {
                    serde_json::json!({"id": format!("vm-{n}"), "phase": "CopyingPaused", "started": 1, "completed": 9, "conditions": more["outcome"],
                        "warm": {"successes": 1, "nextPrecopyAt": 5, "precopies": [{"start": 1, "end": 2}]},
                        "pipeline": [{"name": "DiskTransfer", "phase": "Running", "started": 1, "progress": {"completed": 1, "total": 2}},
                            {"name": "Cutover", "started": 3, "progress": {"completed": 1, "total": 2}}]})
                })
                .collect();
            let object = plan(
                serde_json::json!({"spec": {"type": kind, "archived": more["archived"]}, "status": {"conditions": more["conditions"], "migration": {"started": 1, "vms": each}}}),
            );
            let decoded = mtv_sentinel::forklift::Decoded { object, issues: vec![] };
            let what = mtv_sentinel::watch::Seen::Applied(Box::new(decoded));
            view([Observation { at: minute(0.0), what }]).exposition.samples()
        };
        (samples(4) - samples(3)) as usize
    };
    let json = |outcome: &str, archived: bool| {
        let conditions = if archived { vec!["Failed", "Archived"] } else { vec!["Executing"] };
        let outcome: Vec<&str> = outcome.split(' ').filter(|word| !word.is_empty()).collect();
        serde_json::json!({"outcome": outcome, "archived": archived, "conditions": conditions})
    };
    for outcome in ["", "Succeeded", "Failed", "Canceled"] {
        assert!(
            (5..=10).contains(&cost("cold", json(outcome, false))),
            "cold {outcome}: {}",
            cost("cold", json(outcome, false))
        );
        assert!(
            (7..=14).contains(&cost("warm", json(outcome, false))),
            "warm {outcome}: {}",
            cost("warm", json(outcome, false))
        );
    }
    assert_eq!(cost("cold", json("Failed", true)), 0);
}

/// What the strict parser says: its errors, and every sample that it read.
fn strictly(pages: &[String]) -> serde_json::Value {
    const PARSE: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
answers = []
for page in json.load(sys.stdin):
    try:
        families = list(text_string_to_metric_families(page))
        answers.append([[s.name, s.labels, s.value] for f in families for s in f.samples])
    except ValueError as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
";
    let mut python = Command::new("python3")
        .args(["-c", PARSE])
        .env("PYTHONPATH", tool("python"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(&serde_json::to_vec(pages).unwrap()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_strict(pages: &[String]) {
    let answers = strictly(pages);
    for (page, answer) in pages.iter().zip(answers.as_array().unwrap()) {
        let samples = answer.as_array().unwrap_or_else(|| panic!("{answer}\n{page}"));
        let lines = page.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples.len(), lines, "samples were lost");
        let different: BTreeSet<String> = samples.iter().map(|sample| format!("{} {}", sample[0], sample[1])).collect();
        assert_eq!(different.len(), samples.len(), "a sample is there twice");
    }
}

#[test]
fn the_strict_openmetrics_parser_takes_every_page() {
    let mut pages = vec![whole_page(&fleet(), Format::OpenMetrics), whole_page(&view([]), Format::OpenMetrics)];
    pages.extend(recordings().iter().map(|name| whole_page(&view(recording(name).observations(None)), Format::OpenMetrics)));
    assert_strict(&pages);
}

#[test]
fn the_strict_parser_is_strict() {
    let broken = ["migration_plans 1\n".to_owned(), "# TYPE a gauge\na{b=\"c} 1\n# EOF\n".to_owned()];
    assert!(strictly(&broken).as_array().unwrap().iter().all(serde_json::Value::is_string));
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\\\\"\n{}=,# a]{1,12}",
        "\\PC{1,20}",
        "[a-z]{253}",
        prop::collection::vec(any::<char>(), 1..10).prop_map(|chars| chars
            .into_iter()
            .filter(|c| *c != '\0')
            .chain(['x'])
            .collect()),
    ]
}

#[test]
fn any_name_round_trips_through_the_strict_parser() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut name = || hostile().new_tree(&mut runner).unwrap().current();
    let (mut pages, mut wanted) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let (namespace, plan_name, vm) = (name(), name(), name());
        let object = plan(
            serde_json::json!({"metadata": {"namespace": namespace, "name": plan_name, "labels": {"app": name()}},
            "status": {"conditions": ["Executing", format!("Warn/{}", name())], "migration": {"started": 1, "vms": [{"name": vm, "phase": name(), "started": 1}]}}}),
        );
        let decoded = |object| Box::new(mtv_sentinel::forklift::Decoded { object, issues: vec![] });
        let observe = |object| Observation { at: minute(0.0), what: mtv_sentinel::watch::Seen::Applied(decoded(object)) };
        pages.push(whole_page(&view([observe(object), observe(provider(&name(), &name()))]), Format::OpenMetrics));
        wanted.push((namespace, plan_name, vm));
    }
    assert_strict(&pages);
    let answers = strictly(&pages);
    for (answer, (namespace, plan_name, vm)) in answers.as_array().unwrap().iter().zip(wanted) {
        let status = answer.as_array().unwrap().iter().find(|sample| sample[0] == "migration_vm_status").unwrap();
        assert_eq!(
            (&status[1]["plan_namespace"], &status[1]["plan"], &status[1]["vm"]),
            (&namespace.into(), &plan_name.into(), &vm.into())
        );
    }
}

#[test]
fn promtool_has_nothing_to_say_against_the_text_format() {
    for view in [fleet(), view(recording("c-warm").observations(None))] {
        let mut promtool = Command::new(tool("promtool/promtool"))
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        promtool.stdin.take().unwrap().write_all(whole_page(&view, Format::Text).as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn the_packed_page_unpacks_to_the_plain_one_everywhere() {
    let view = fleet();
    for format in Format::ALL {
        let packed = view.exposition.gzip(*format, own().encode());
        let plain = whole_page(&view, *format);
        let mut unpacked = String::new();
        // One member and nothing after it: this decoder would stop at the first.
        let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
        decoder.read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);

        let mut python = Command::new("python3")
            .args(["-c", "import sys, zlib; d = zlib.decompressobj(31); sys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read())); assert d.eof and not d.unused_data"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&packed).unwrap();
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), plain);
    }
}

#[test]
fn our_own_metrics_are_those_of_the_table() {
    let own = Own::new("1.2.3", "abc");
    own.count_issue(mtv_sentinel::plan::Kind::Plan, "wrong_type", "spec");
    own.count_request("/metrics", 200);
    own.count_notification("log", "PlanFailed", "firing");
    own.set_alerts("PlanFailed", "warning", "firing", 0);
    own.observe_lag(std::time::Duration::from_secs(3));
    own.set_ledger_bytes(0, 1);
    own.count_ledger_conflicts(1);
    own.observe_delivery("log", std::time::Duration::ZERO, true);
    own.observe_delay("log", std::time::Duration::ZERO);
    own.count_dead_letters("log", "refused", 1);
    own.set_pending("log", Pending { messages: 1, oldest: Some(minute(0.0)) });
    own.count_delivery("log", "delivered", "ok");
    own.set_archive_candidates("done", 1, Some(minute(0.0)));
    own.set_archive_decisions("done", "Archive", "Due", 1);
    own.set_lease_term(1);
    own.count_lease_renewal("renewed");
    let watch = WatchId { kind: mtv_sentinel::plan::Kind::Plan, namespace: "ns".into() };
    own.set_contact(&watch, minute(0.0));
    for report in
        [Report::Listing, Report::Listed, Report::Contact, Report::Restarted, Report::Broken(Trouble::Silent, String::new())]
    {
        own.count_report(&watch, &report);
    }
    let page = own.encode();
    let registered: Vec<(&str, &str)> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.rsplit_once(' ')).collect();
    let table: Vec<(&str, &str)> = OWN.iter().map(|row| (row.name, row.kind)).collect();
    assert_eq!(registered, table);
    for row in OWN {
        assert!(page.contains(&format!("# HELP {} {}.\n", row.name, row.help)), "{}", row.name);
        let sample = page.lines().find(|line| line.starts_with(row.name)).unwrap_or_else(|| panic!("{}", row.name));
        let labels: Vec<&str> = sample.split_once('{').map_or(vec![], |(_, rest)| {
            rest.split_once('}').unwrap().0.split(',').map(|label| label.split_once('=').unwrap().0).collect()
        });
        let labels: Vec<&str> = labels.into_iter().filter(|label| *label != "le").collect();
        assert_eq!(labels, row.labels, "{}", row.name);
    }
    assert_strict(&[page + "# EOF\n"]);
}

#[test]
fn our_own_metrics_come_in_the_same_order_every_time() {
    let of_two = || {
        let own = own();
        own.start_notifications("pager");
        own.start_notifications("log");
        own.encode()
    };
    let page = of_two();
    assert!((0..20).all(|_| of_two() == page));
}

#[test]
fn the_format_and_encoding_follow_the_q_values() {
    const OLD: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const NEW: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let (om, plain) = (Format::OpenMetrics, Format::Text);
    for (accept, format) in [
        (None, plain),
        (Some(OLD), om),
        (Some(NEW), om),
        (Some("*/*"), plain),
        (Some(""), plain),
        (Some("text/plain"), plain),
        (Some("text/*;q=0.2, application/openmetrics-text;q=0.1"), plain),
        (Some("application/openmetrics-text"), om),
        (Some("APPLICATION/OpenMetrics-Text; Version=\"1.0.0\" ; Q=0.9, */*;q=0.1"), om),
        (Some("application/openmetrics-text;version=2.0.0, text/plain;q=0.1"), plain),
        (Some("application/openmetrics-text;q=0, text/plain;q=0.1"), plain),
        (Some("application/openmetrics-text;q=0.5, text/plain;version=0.0.4"), plain),
        (Some("application/openmetrics-text;q=nonsense, */*;q=0.1"), plain),
        (Some("text/html, application/json"), plain),
    ] {
        assert_eq!(negotiate(accept, None), Negotiated { format, gzip: false }, "{accept:?}");
    }
    for (encoding, gzip) in [
        (None, false),
        (Some("gzip"), true),
        (Some("gzip, deflate, br"), true),
        (Some("gzip;q=0"), false),
        (Some("gzip;q=0.0, *"), false),
        (Some("*"), true),
        (Some("identity"), false),
        (Some("identity;q=1, gzip;q=0.5"), false),
        (Some("identity;q=0.5, gzip;q=1"), true),
        (Some("zstd"), false),
        (Some("notgzip"), false),
        (Some("X-GZIP"), true),
    ] {
        assert_eq!(negotiate(None, encoding).gzip, gzip, "{encoding:?}");
    }
}
