//! `make bench`: how long after a plan fails a person hears of it: the shipped program on a real API server.
//!
//! Two hundred failures one after another to a webhook, with the ledger in ConfigMaps and, in the same run, without one; then
//! two hundred at once to a Slack that takes one message a second. What is printed are readings of this machine, not limits.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use futures_util::{StreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use testbed::{ControlPlane, Daemon, Options, Slack};

const FAILURES: usize = 200;

/// A webhook that says when it was told of which plan.
fn webhook() -> (String, Receiver<(String, Instant)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (say, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            let mut chunk = [0; 16 * 1024];
            let body = loop {
                let Ok(read) = stream.read(&mut chunk) else { break None };
                bytes.extend_from_slice(&chunk[..read]);
                let text = String::from_utf8_lossy(&bytes);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let head = head.to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                if body.len() >= length.unwrap_or(0) {
                    break serde_json::from_str::<Value>(body).ok();
                }
            };
            let plan = body.and_then(|body| Some(body["commonLabels"]["plan"].as_str()?.to_owned()));
            let _ = say.send((plan.unwrap_or_default(), Instant::now()));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (url, told)
}

struct Bench {
    plane: ControlPlane,
    client: kube::Client,
}

impl Bench {
    fn plans(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("forklift.konveyor.io", "v1beta1", "Plan");
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, "plans"))
    }

    async fn set(&self, namespace: &str, plan: &str, condition: &str) {
        let condition = json!([{"type": condition, "status": "True", "category": "Advisory", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let status = json!({"status": {"conditions": condition, "observedGeneration": 1, "migration": {
            "started": "2026-01-01T00:00:00Z", "history": [{"conditions": condition}]}}});
        self.plans(namespace).patch_status(plan, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// Makes plans that run.
    async fn make(&self, namespace: &str) {
        self.plane.kubectl(&["create", "namespace", namespace], "");
        stream::iter(0..FAILURES)
            .for_each_concurrent(16, |number| async move {
                let name = format!("plan-{number:03}");
                let plan = json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"name": name}, "spec": {
                    "type": "cold", "targetNamespace": "t", "map": {"network": {"name": "n", "namespace": "x"}, "storage": {"name": "s", "namespace": "x"}},
                    "provider": {"source": {"name": "vc", "namespace": "x"}, "destination": {"name": "host", "namespace": "x"}}, "vms": [{"id": "vm-1"}]}});
                self.plans(namespace).create(&PostParams::default(), &serde_json::from_value(plan).unwrap()).await.unwrap();
                self.set(namespace, &name, "Executing").await;
            })
            .await;
    }

    /// The program on a namespace, once it has seen all of it.
    async fn start(&self, namespace: &str, keys: &[(&str, &str)]) -> Daemon {
        let address = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let mut command = testbed::tied(env!("CARGO_BIN_EXE_mtv-sentinel"));
        command.args(["run", "--listen", &address, "--log-level", "error"]).stdin(Stdio::null());
        let kubeconfig = self.plane.admin_kubeconfig().display().to_string();
        let namespaces = format!("[{namespace}]");
        let fixed = [
            ("KUBERNETES__KUBECONFIG", kubeconfig.as_str()),
            ("KUBERNETES__NAMESPACES", &namespaces),
            ("LEASE__NAMESPACE", namespace),
            ("NOTIFY__GROUP_WAIT", "0s"),
            ("NOTIFY__GROUP_INTERVAL", "1s"),
        ];
        for (key, value) in fixed.iter().chain(keys) {
            command.env(format!("MTV_SENTINEL__{key}"), value);
        }
        let program = Daemon::spawn(command);
        loop {
            let asked =
                std::process::Command::new("curl").args(["-s", &format!("http://{address}/api/v1/notifications")]).output();
            let ready = std::process::Command::new("curl").args(["-s", &format!("http://{address}/readyz")]).output();
            let text = |output: std::io::Result<std::process::Output>| String::from_utf8(output.unwrap().stdout).unwrap();
            if text(asked).contains("\"acts\":true") && text(ready).starts_with("ok") {
                return program;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets one plan after another fail; how long after each the webhook was told, in order.
    async fn one_by_one(&self, namespace: &str, store: &str) -> Vec<Duration> {
        self.make(namespace).await;
        let (url, told) = webhook();
        let receivers = format!("{{hook: {{type: webhook, url: '{url}'}}}}");
        let keys = [("NOTIFY__RECEIVERS", receivers.as_str()), ("NOTIFY__STORM_THREADS", "0"), ("LEDGER__STORE", store)];
        let mut program = self.start(namespace, &keys).await;
        let mut times = Vec::new();
        for number in 0..FAILURES {
            let name = format!("plan-{number:03}");
            let start = Instant::now();
            self.set(namespace, &name, "Failed").await;
            let (plan, at) = told.recv().unwrap();
            assert_eq!(plan, name);
            times.push(at.duration_since(start));
        }
        program.kill();
        times.sort();
        times
    }
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::main]
async fn main() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    plane.kubectl(&["apply", "--server-side", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crds")], "");
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "");
    let client = plane.client().await.unwrap();
    let bench = Bench { plane, client };

    let kept = bench.one_by_one("kept", "configmaps").await;
    let memory = bench.one_by_one("memory", "memory").await;
    for (what, times) in [("in ConfigMaps", &kept), ("in memory", &memory)] {
        println!(
            "from the write of a failure to its post, ledger {what}: p50 {:?}, p99 {:?}, longest {:?}",
            percentile(times, 50),
            percentile(times, 99),
            times[times.len() - 1]
        );
    }
    let ratio = percentile(&kept, 50).as_secs_f64() / percentile(&memory, 50).as_secs_f64();
    println!("with the ledger in ConfigMaps it takes {ratio:.2} times as long (p50)");

    bench.make("burst").await;
    let (see, seen) = channel();
    let slack = Slack::start_with(move |line| drop(see.send((line.to_owned(), Instant::now())))).unwrap();
    // One a second, and short bursts (docs.slack.dev, "Rate limits").
    slack.limit(3, Duration::from_secs(3));
    let (token, channel, api) = (slack.token(), slack.channel(), slack.api_url());
    let receivers = format!("{{slack: {{type: slack, token: {token}, channel: '{channel}', api_url: '{api}'}}}}");
    let keys = [("NOTIFY__RECEIVERS", receivers.as_str()), ("LEDGER__STORE", "configmaps")];
    let mut program = bench.start("burst", &keys).await;
    let start = Instant::now();
    stream::iter(0..FAILURES).for_each_concurrent(16, |number| bench.set_owned("burst", number)).await;
    let written = start.elapsed();
    let mut lines = Vec::new();
    // All are told when the digest says so; those that came before it are messages of their own.
    loop {
        let (line, at) = seen.recv().unwrap();
        lines.push((line, at.duration_since(start)));
        let own = lines.iter().filter(|(line, _)| line.contains(" PlanFailed: plan ")).count();
        let told = format!("{} alerts: ", FAILURES - own);
        if lines.last().is_some_and(|(line, _)| line.contains(&told)) {
            break;
        }
    }
    program.kill();
    let digest = lines.iter().find(|(line, _)| line.contains(" alerts: ")).unwrap();
    println!(
        "{FAILURES} failures within {written:?} to a Slack that takes one message a second: first digest after {:?}, \
         all told after {:?} in {} messages and edits; {} were refused",
        digest.1,
        lines[lines.len() - 1].1,
        lines.len(),
        slack.refused().len()
    );
}

impl Bench {
    async fn set_owned(&self, namespace: &str, number: usize) {
        self.set(namespace, &format!("plan-{number:03}"), "Failed").await;
    }
}
