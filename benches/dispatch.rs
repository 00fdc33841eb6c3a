//! What 5,000 failures at once cost: to evaluate them, and to decide what is due to two receivers. `make bench` prints it beside
//! what it costs to decode the same plans, in the same run; as a test it fails if what is kept of an alert grows beyond its
//! budget.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod heap;

use mtv_sentinel::alert::{Alerts, Settings};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::{Dispatch, Outcome, Told};
use mtv_sentinel::forklift;
use mtv_sentinel::plan::Time;
use mtv_sentinel::store::Store;
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PLANS: usize = 5000;
/// Milliseconds to evaluate and decide.
const MILLISECONDS: u128 = 50;
/// Bytes of heap for an alert and what two receivers were told of it.
const BUDGET: usize = 3500;

const CONFIG: &str = "
notify:
  receivers: {chat: {type: log}, pager: {type: log}}
  group_wait: 0s
  storm_threads: 0
  routes:
    - {matchers: ['severity=\"critical\"'], receivers: [pager, chat]}
    - {matchers: ['namespace=~\"wave-.*\"', 'label_quiet!=\"yes\"'], receivers: [pager, chat]}
    - {receivers: [chat]}
";

fn plan(number: usize) -> Vec<u8> {
    let at = "2026-11-01T10:00:00Z";
    let failed = json!([{"type": "Failed", "status": "True", "category": "Advisory", "lastTransitionTime": at}]);
    let plan = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
        "metadata": {"namespace": format!("wave-{}", number % 20), "name": format!("plan-{number}"),
            "uid": format!("00000000-0000-4000-8000-{number:012}"), "labels": {"wave": "1"}},
        "status": {"conditions": failed, "migration": {"started": at, "completed": at, "history": [{"conditions": failed}],
            "vms": [{"id": format!("vm-{number}"), "name": format!("server-{number}"), "completed": at, "conditions": failed,
                "error": {"phase": "Running", "reasons": ["Guest conversion failed. See pod logs for details."]}}]}}});
    serde_json::to_vec(&plan).unwrap_or_default()
}

fn milliseconds(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1000.0
}

fn main() -> ExitCode {
    let layers = Layers { file: Some(("bench".to_owned(), CONFIG.to_owned())), ..Layers::default() };
    let config = match Config::load(layers) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("dispatch: {errors}");
            return ExitCode::FAILURE;
        }
    };
    let routing = config.notify.routing(&config.alerts, &config.kubernetes);
    let told = Told { standing: Some(routing.standing()), ..Told::default() };
    let now = Time::MIN.plus(Duration::from_secs(1_800_000_000));

    let texts: Vec<Vec<u8>> = (0..PLANS).map(plan).collect();
    let mut store = Store::default();
    let started = Instant::now();
    let keys: Vec<_> = texts
        .iter()
        .filter_map(|text| forklift::decode(text).ok())
        .flat_map(|decoded| store.apply(decoded.object, now).plans)
        .collect();
    let decoded = started.elapsed();

    let before = heap::live();
    let mut alerts = Alerts::new(Settings::default());
    let mut dispatch = Dispatch::new(routing, told);
    let started = Instant::now();
    for key in &keys {
        alerts.plan(key, store.plan(key).map(|state| &**state), now);
    }
    let evaluated = started.elapsed();
    let due = dispatch.due(&alerts, &store, now);
    let decided = started.elapsed();
    let sends = due.sends.len();
    for send in &due.sends {
        dispatch.record(&send.receiver, &send.topic, Outcome::Delivered, now);
    }
    drop(due);
    let started = Instant::now();
    let again = dispatch.due(&alerts, &store, now).sends.len();
    let idle = started.elapsed();
    let bytes = heap::live().saturating_sub(before) / PLANS;

    println!(
        "dispatch: {PLANS} plans decoded and applied in {:.0} ms; evaluated in {:.0} ms, {sends} sends decided after {:.0} ms \
         ({:.2} of the decoding; at most {MILLISECONDS} ms are wanted); nothing new decided in {:.0} ms; {bytes} bytes an alert",
        milliseconds(decoded),
        milliseconds(evaluated),
        milliseconds(decided),
        decided.as_secs_f64() / decoded.as_secs_f64(),
        milliseconds(idle),
    );
    if sends != 2 * PLANS || again != 0 {
        eprintln!("dispatch: {sends} sends and {again} afterwards, expected {} and 0", 2 * PLANS);
        return ExitCode::FAILURE;
    }
    if bytes > BUDGET {
        eprintln!("dispatch: {bytes} bytes of heap an alert, more than {BUDGET}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
