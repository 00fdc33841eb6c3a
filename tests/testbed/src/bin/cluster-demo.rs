//! `make cluster-demo`: a real API server, the simulator of Forklift with its campaigns, mtv-sentinel, Prometheus and
//! Alertmanager, all on 127.0.0.1, until Ctrl-C. Stand-ins for Slack, PagerDuty and a webhook print what people would see.
//!
//! Usage: cluster-demo MTV_SENTINEL FORKLIFT_SIM SCENARIOS [SPEED]

use anyhow::{Context, Result};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use testbed::{ControlPlane, Daemon, Options, PagerDuty, Slack, Webhook, tool};

const PROMETHEUS: &str = "\
global: {scrape_interval: 2s, evaluation_interval: 2s}
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:ALERTMANAGER']}]}]}
rule_files: [rules.yml]
scrape_configs:
- job_name: mtv-sentinel
  static_configs: [{targets: ['127.0.0.1:SENTINEL']}]
";

/// Enough to see an alert in Alertmanager.
const RULES: &str = "\
groups:
- name: demo
  rules:
  - alert: PlanFailed
    expr: max by (plan_namespace, plan) (migration_plan_status{phase=\"Failed\"}) > 0
    labels: {severity: warning}
    annotations: {summary: A migration plan failed.}
";

/// Where the lease and the ledger are.
const NAMESPACE: &str = "mtv-sentinel";

/// Whoever is woken up hears of what is critical; the chat hears of everything but that a plan goes well.
const ROUTES: &str =
    "[{matchers: ['severity=critical'], receivers: [pagerduty, slack, webhook]}, {receivers: [slack, webhook]}]";

fn receivers(slack: &Slack, pagerduty: &PagerDuty, webhook: &Webhook) -> String {
    format!(
        "{{slack: {{type: slack, token: {}, channel: '{}', api_url: '{}'}}, \
         pagerduty: {{type: pagerduty, routing_key: 0123456789abcdef0123456789abcdef, url: '{}'}}, \
         webhook: {{type: webhook, url: '{}'}}}}",
        slack.token(),
        slack.channel(),
        slack.api_url(),
        pagerduty.url(),
        webhook.url()
    )
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn scenarios(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    // A day of idling plans is for soaking, and a restart of the controller would fail everybody else's plans.
    let for_itself = |file: &PathBuf| file.ends_with("day.yaml") || file.ends_with("restart.yaml");
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml") && !for_itself(file));
    files.sort();
    Ok(files)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().with_context(|| format!("{name} is missing; see the usage"));
    let (sentinel, simulator, folder) = (argument("MTV_SENTINEL")?, argument("FORKLIFT_SIM")?, argument("SCENARIOS")?);
    let speed = arguments.next().unwrap_or_else(|| "10".to_owned());

    println!("starting etcd and kube-apiserver …");
    let plane = ControlPlane::start(Options::default()).await?;
    let kubeconfig = plane.admin_kubeconfig();
    let mut command = testbed::tied(&simulator);
    command.arg("--kubeconfig").arg(&kubeconfig).args(["--crds", "--speed", &speed]);
    for scenario in scenarios(Path::new(&folder))? {
        command.arg("--scenario").arg(scenario);
    }
    let log = std::fs::File::create(plane.path("forklift-sim.log"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let _simulator = Daemon::spawn(command);

    let (http, prometheus, alertmanager, cluster) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let mut command = testbed::tied(&sentinel);
    command.args(["run", "--cluster", "demo", "--listen", &format!("127.0.0.1:{http}")]);
    command.env("MTV_SENTINEL__KUBERNETES__KUBECONFIG", &kubeconfig);
    command.env("MTV_SENTINEL__ARCHIVE__POLICIES", "[{name: demo, after: 1m}]").stdin(Stdio::null());
    let slack = Slack::start_with(|line| println!("{line}"))?;
    let pagerduty = PagerDuty::start_with(|line| println!("{line}"))?;
    let webhook = Webhook::start_with(|line| println!("webhook: {line}"))?;
    plane.kubectl(&["create", "namespace", NAMESPACE], "");
    command.env("MTV_SENTINEL__LEASE__ENABLED", "true").env("MTV_SENTINEL__LEASE__NAMESPACE", NAMESPACE);
    command.env("MTV_SENTINEL__NOTIFY__RECEIVERS", receivers(&slack, &pagerduty, &webhook));
    command.env("MTV_SENTINEL__NOTIFY__ROUTES", ROUTES);
    command.env("MTV_SENTINEL__NOTIFY__GROUP_WAIT", "2s").env("MTV_SENTINEL__NOTIFY__GROUP_INTERVAL", "10s");
    // What lasts minutes in life lasts seconds here.
    command.env("MTV_SENTINEL__ALERTS__FOR", "{PlanBlocked: 3s, ProviderNotReady: 3s}");
    // Its log would stand between what people see.
    command.stderr(std::fs::File::create(plane.path("mtv-sentinel.log"))?);
    let mut sentinel = Daemon::spawn(command);

    let write = |name: &str, text: &str| {
        let ports = [("SENTINEL", http), ("ALERTMANAGER", alertmanager)];
        let text = ports.iter().fold(text.to_owned(), |text, (name, port)| text.replace(name, &port.to_string()));
        std::fs::write(plane.path(name), text)
    };
    write("prometheus.yml", PROMETHEUS)?;
    write("rules.yml", RULES)?;
    write("alertmanager.yml", "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n")?;
    let path = |name: &str| plane.path(name).display().to_string();
    let arguments = [
        format!("--config.file={}", path("prometheus.yml")),
        format!("--storage.tsdb.path={}", path("prometheus")),
        format!("--web.listen-address=127.0.0.1:{prometheus}"),
    ];
    let _prometheus = Daemon::start(&tool("prometheus/prometheus"), &arguments, &[], &plane.path("prometheus.log"));
    let arguments = [
        format!("--config.file={}", path("alertmanager.yml")),
        format!("--storage.path={}", path("alertmanager")),
        format!("--web.listen-address=127.0.0.1:{alertmanager}"),
        format!("--cluster.listen-address=127.0.0.1:{cluster}"),
    ];
    let _alertmanager = Daemon::start(&tool("alertmanager/alertmanager"), &arguments, &[], &plane.path("alertmanager.log"));

    println!(
        "everything runs; campaigns are played {speed} times faster than life.\n\
         \x20 mtv-sentinel  http://127.0.0.1:{http}/\n\
         \x20 Prometheus    http://127.0.0.1:{prometheus}/graph?g0.expr=migration_plan_progress_ratio\n\
         \x20 Alertmanager  http://127.0.0.1:{alertmanager}/\n\
         \x20 kubectl       {} --kubeconfig {} get plans -A\n\
         \x20 logs          {}\n\
         Ctrl-C ends all of it.\n",
        tool("kube-apiserver/kubectl").display(),
        kubeconfig.display(),
        plane.path("").display(),
    );
    tokio::signal::ctrl_c().await?;
    sentinel.signal("TERM");
    let _ = sentinel.wait();
    Ok(())
}
