//! `make soak`: how a first sync and a relist of a large cluster go: time, CPU and memory of mtv-sentinel.
//!
//! Usage: soak MTV_SENTINEL [SMALL [LARGE]]. SMALL plans of 5 VMs and LARGE ones of 50 are made on a real API server. What is
//! printed are readings of this machine, not limits.

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testbed::{ControlPlane, Daemon, Options};

const WRITERS: usize = 16;

fn plan(name: &str, vms: usize) -> Value {
    let id = |vm: usize| json!({"id": format!("vm-{vm}"), "name": format!("server-{vm:03}.example.com")});
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"name": name, "namespace": "soak"}, "spec": {
        "type": "cold", "targetNamespace": "t", "map": {"network": {"name": "n", "namespace": "x"}, "storage": {"name": "s", "namespace": "x"}},
        "provider": {"source": {"name": "vc", "namespace": "x"}, "destination": {"name": "host", "namespace": "x"}},
        "vms": (0..vms).map(id).collect::<Vec<_>>()}})
}

fn status(vms: usize) -> Value {
    let step = |name: &str, disks: usize| {
        let disk = |disk: usize| json!({"name": format!("[ds] server/disk_{disk}.vmdk"), "phase": "Running", "annotations": {"unit": "MB"}, "progress": {"completed": 512, "total": 40960}});
        json!({"name": name, "description": "A step.", "phase": "Running", "annotations": {"unit": "MB"}, "started": "2026-01-01T00:00:00Z",
            "progress": {"completed": 512, "total": 40960}, "tasks": (0..disks).map(disk).collect::<Vec<_>>()})
    };
    let vm = |vm: usize| {
        json!({"id": format!("vm-{vm}"), "name": format!("server-{vm:03}.example.com"), "phase": "CopyDisks", "started": "2026-01-01T00:00:00Z",
            "pipeline": [step("Initialize", 0), step("DiskTransfer", 3), step("ImageConversion", 0), step("VirtualMachineCreation", 0)]})
    };
    let executing = json!([{"type": "Executing", "status": "True", "category": "Advisory", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    json!({"status": {"conditions": executing, "observedGeneration": 1, "migration": {"started": "2026-01-01T00:00:00Z",
        "vms": (0..vms).map(vm).collect::<Vec<_>>()}}})
}

/// A reading of a process: its memory in MiB, now and at most, and the seconds of CPU that it has used.
fn reading(id: u32) -> Result<(u64, u64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
    };
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after_name = stat.rsplit_once(')').context("a process has a name")?.1;
    let ticks =
        |place: usize| after_name.split_whitespace().nth(place).and_then(|t| t.parse::<u64>().ok()).unwrap_or_default();
    Ok((field("VmRSS:"), field("VmHWM:"), (ticks(11) + ticks(12)) as f64 / 100.0))
}

async fn wait_for(address: &str, what: impl Fn(&str) -> bool) -> Result<()> {
    loop {
        let output = Command::new("curl").args(["-s", &format!("http://{address}/metrics")]).output()?;
        if what(&String::from_utf8_lossy(&output.stdout)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let sentinel = arguments.next().context("the path of mtv-sentinel is missing")?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (small, large) = (number(10_000)?, number(500)?);

    let mut plane = ControlPlane::start(Options::default()).await?;
    let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");
    plane.kubectl(&["apply", "--server-side", "-f", crds], "");
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "");
    plane.kubectl(&["create", "namespace", "soak"], "");
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("forklift.konveyor.io", "v1beta1", "Plan"), "plans");
    let api: Api<DynamicObject> = Api::namespaced_with(plane.client().await?, "soak", &kind);
    println!("making {small} plans of 5 VMs and {large} of 50 …");
    let sizes = (0..small).map(|_| 5).chain((0..large).map(|_| 50)).enumerate();
    let make = |(number, vms): (usize, usize)| {
        let api = api.clone();
        async move {
            let name = format!("plan-{number:05}");
            api.create(&PostParams::default(), &serde_json::from_value(plan(&name, vms))?).await?;
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status(vms))).await?;
            anyhow::Ok(())
        }
    };
    stream::iter(sizes).map(make).buffer_unordered(WRITERS).try_collect::<()>().await?;

    let address = format!("127.0.0.1:{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    for streaming in ["true", "false"] {
        let mut command = testbed::tied(&sentinel);
        command.args(["run", "--listen", &address, "--log-level", "error"]).stdin(Stdio::null());
        command.env("MTV_SENTINEL__KUBERNETES__KUBECONFIG", plane.admin_kubeconfig());
        command.env("MTV_SENTINEL__KUBERNETES__STREAMING_LISTS", streaming);
        let start = Instant::now();
        let daemon = Daemon::spawn(command);
        wait_for(&address, |page| page.contains("mtv_sentinel_source_synced 1")).await?;
        let (now, most, cpu) = reading(daemon.id())?;
        println!(
            "streaming lists {streaming}: first sync {:.1} s, {cpu:.1} s of CPU, {now} MiB, at most {most} MiB",
            start.elapsed().as_secs_f64()
        );
        // Everything is listed anew: the versions from before the restart are unknown to the new server's cache.
        plane.kill_apiserver();
        wait_for(&address, |page| page.contains("mtv_sentinel_watch_broken{kind=\"Plan\",watch_namespace=\"\"} 1")).await?;
        plane.restart_apiserver().await?;
        plane.compact().await?;
        wait_for(&address, |page| page.contains("mtv_sentinel_watch_broken{kind=\"Plan\",watch_namespace=\"\"} 0")).await?;
        let (now, most, cpu) = reading(daemon.id())?;
        println!("  after the server was restarted: {cpu:.1} s of CPU, {now} MiB, at most {most} MiB");
    }
    Ok(())
}
