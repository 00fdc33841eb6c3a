//! The simulator's scenarios: in memory, as recordings that nobody had to make, and on a real API server, where the daemon has to
//! come to the same end.

use crate::daemon::Daemon;
use forklift_sim::core::Span;
use forklift_sim::driver;
use forklift_sim::memory;
use forklift_sim::scenario::Scenario;
use mtv_sentinel::app::{Engine, Input};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::metrics::{Format, Own};
use mtv_sentinel::plan::{Fact, Flag};
use mtv_sentinel::watch::replay::Recording;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use testbed::{ControlPlane, Options};

/// Every scenario but the one in which nothing happens for a day.
fn scenarios() -> Vec<Scenario> {
    let folder = crate::support::repository("tests/forklift-sim/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| !file.ends_with("day.yaml"));
    assert!(files.len() >= 12);
    files.iter().map(|file| Scenario::parse(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

/// What a watch would have seen of it, as a recording.
fn recorded(scenario: Scenario) -> Recording {
    let start = "2026-06-01T00:00:00Z".parse().unwrap();
    let events = memory::play(scenario, 1.0, start, Span::seconds(30 * 24 * 3600)).unwrap();
    let lines: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    Recording::unpack("scenario", lines.join("\n").as_bytes()).unwrap()
}

struct Replayed {
    engine: Engine,
    /// For each plan the phases in order, and the flags that were ever raised and stay.
    story: BTreeMap<String, (Vec<&'static str>, BTreeSet<Flag>)>,
}

fn replay(scenario: Scenario) -> Replayed {
    let name = scenario.namespace().to_owned();
    let engine = Engine::new(&Config::load(Layers::default()).unwrap(), Arc::new(Own::new("test", "test")));
    let mut replayed = Replayed { engine, story: BTreeMap::new() };
    for observation in recorded(scenario).observations(None) {
        let outcome = replayed.engine.observe(observation);
        assert_eq!(outcome.oddities, Vec::<String>::new(), "{name}");
        for event in outcome.events {
            let (phases, flags) = replayed.story.entry(event.plan.to_string()).or_default();
            match event.fact {
                Fact::Appeared { phase } | Fact::Phase { to: phase, .. } => phases.push(phase.as_str()),
                Fact::Raised { flag } if !flag.passes() => drop(flags.insert(flag)),
                _ => {}
            }
        }
    }
    replayed
}

#[test]
fn the_scenarios_lead_the_plans_through_the_phases_that_they_are_made_for() {
    let mut text = String::new();
    for scenario in scenarios() {
        let name = scenario.namespace().to_owned();
        // Forty plans that do the same thing.
        let many = name.contains("many");
        let Replayed { mut engine, story } = replay(scenario);
        writeln!(text, "{name}").unwrap();
        let view = engine.view();
        for (plan, (phases, flags)) in story.iter().take(if many { 3 } else { usize::MAX }) {
            let flags: String = flags.iter().map(|flag| format!(" [{flag}]")).collect();
            let state = view.snapshot.plans.values().find(|state| state.plan.key.to_string() == *plan);
            let counts = state.map(|state| state.vm_counts()).unwrap_or_default();
            let vms = mtv_sentinel::plan::VmPhase::ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
            let vms: Vec<String> = vms.map(|(phase, count)| format!("{count} {phase}")).collect();
            writeln!(text, "  {plan}: {}{flags} | {}", phases.join(" → "), vms.join(", ")).unwrap();
        }
    }
    insta::assert_snapshot!("scenarios", text);
}

/// The phase of every plan and VM.
fn phases(page: &str) -> Vec<String> {
    let wanted = |line: &&str| line.starts_with("migration_plan_status{") || line.starts_with("migration_vm_status{");
    page.lines().filter(wanted).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_on_a_real_api_server_ends_as_it_does_in_memory_and_no_series_is_lost_on_the_way() {
    let mut wanted = BTreeSet::new();
    for scenario in scenarios() {
        let page = replay(scenario).engine.view().exposition.families(Format::Text);
        wanted.extend(phases(std::str::from_utf8(&page).unwrap()));
    }

    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let client = plane.client().await.unwrap();
    driver::apply_crds(&client).await.unwrap();
    let file = format!("{{source: cluster, kubernetes: {{kubeconfig: '{}'}}}}", plane.admin_kubeconfig().display());
    let config = Config::load(Layers { file: Some(("test".to_owned(), file)), ..Layers::default() }).unwrap();
    let input = Input::open(&config).unwrap();
    let daemon = Daemon::spawn(config.clone(), input);
    daemon.wait_until(|daemon| daemon.get("/readyz").0 == 200);
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("campaign.ndjson.gz");
    let mut command = testbed::tied(env!("CARGO_BIN_EXE_mtv-sentinel"));
    command.args(["record", "-o"]).arg(&recording).env("MTV_SENTINEL__KUBERNETES__KUBECONFIG", plane.admin_kubeconfig());
    let mut recorder = testbed::Daemon::spawn(command);

    let mut most = 0;
    let mut scrape = || {
        let page = daemon.text("/metrics");
        let plans = page.lines().filter(|line| line.starts_with("migration_plan_status{")).count();
        // No scenario deletes a plan.
        assert!(plans >= most, "{plans} plans after {most}");
        most = plans;
        page
    };
    // A restart of the controller concerns everybody's plans, so it comes when all others have ended.
    let (restart, others): (Vec<_>, Vec<_>) =
        scenarios().into_iter().partition(|scenario| scenario.namespace() == "restart");
    assert_eq!(restart.len(), 1);
    let mut late = None;
    for scenarios in [others, restart] {
        let options = driver::Options { speed: 15.0, scenarios, once: true };
        let mut simulator = tokio::spawn(driver::run(client.clone(), options, std::future::pending()));
        while !simulator.is_finished() {
            scrape();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        (&mut simulator).await.unwrap().unwrap();
        // One that has not seen how it all began.
        late.get_or_insert_with(|| Daemon::spawn(config.clone(), Input::open(&config).unwrap()));
    }
    // The last events are on their way to the daemon; what is not there after many looks will not come.
    let mut ended = BTreeSet::new();
    for _ in 0..300 {
        ended = phases(&scrape()).into_iter().collect();
        if ended == wanted {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let missing: Vec<&String> = wanted.difference(&ended).collect();
    let others: Vec<&String> = ended.difference(&wanted).collect();
    assert!(missing.is_empty() && others.is_empty(), "missing {missing:#?}, instead {others:#?}");

    let late = late.unwrap();
    late.wait_until(|late| families(&late.text("/metrics")) == families(&daemon.text("/metrics")));

    // What was recorded of all that leads to the same metrics.
    let live = families(&daemon.text("/metrics"));
    recorder.signal("TERM");
    assert_eq!(recorder.wait().unwrap().code(), Some(0));
    let mut engine = Engine::new(&Config::load(Layers::default()).unwrap(), Arc::new(Own::new("test", "test")));
    for observation in Recording::load(&recording).unwrap().observations(None) {
        engine.observe(observation);
    }
    let page = engine.view().exposition.families(Format::Text);
    let replayed = families(std::str::from_utf8(&page).unwrap());
    let different: Vec<_> = live.iter().filter(|line| !replayed.contains(line)).take(5).collect();
    assert!(live == replayed, "{} and {} lines; {different:#?}", live.len(), replayed.len());
}

/// The families about plans, VMs and providers, without those that tell when something was first seen to move.
fn families(page: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| line.starts_with("migration_") && !line.contains("_last_progress_"));
    lines.map(str::to_owned).collect()
}
