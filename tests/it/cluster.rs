//! The daemon against a real kube-apiserver: every fault that a cluster has, and what is seen meanwhile.
//!
//! One control plane is shared; each test has a namespace of its own. Tests that break the control plane have a private one.

use crate::daemon::Daemon;
use crate::prometheus::Prometheus;
use mtv_sentinel::app::Input;
use mtv_sentinel::config::{Config, Layers};
use serde_json::{Value, json};
use std::path::Path;
use testbed::{ControlPlane, Fault, Options, Proxy};
use tokio::sync::OnceCell;

/// The CRDs of Forklift.
fn crds() -> String {
    let mut files: Vec<_> =
        std::fs::read_dir(crate::support::repository("tests/crds")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<Vec<_>>().join("\n---\n")
}

pub async fn with_crds(options: Options) -> ControlPlane {
    let plane = ControlPlane::start(options).await.unwrap();
    install(&plane);
    plane
}

fn install(plane: &ControlPlane) {
    plane.kubectl(&["apply", "--server-side", "-f", "-"], &crds());
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "");
}

pub async fn shared() -> &'static ControlPlane {
    static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
    SHARED.get_or_init(|| with_crds(Options::default())).await
}

/// A namespace in which everything of a test is, with the daemon's account and the rights of a Role.
fn namespace(plane: &ControlPlane, name: &str) {
    let rights = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": name, "name": "sentinel"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"namespace": name, "name": "sentinel"}, "rules": [
            {"apiGroups": ["forklift.konveyor.io"], "resources": ["plans", "migrations", "providers"], "verbs": ["list", "watch"]}]},
    ]});
    plane.kubectl(&["create", "-f", "-"], &rights.to_string());
    let account = format!("--serviceaccount={name}:sentinel");
    plane.kubectl(&["-n", name, "create", "rolebinding", "sentinel", "--role=sentinel", &account], "");
}

/// The daemon on a namespace, with the account's token, through the given address.
fn watch(plane: &ControlPlane, namespace: &str, url: &str, more: &str) -> Daemon {
    let token = plane.token(namespace, "sentinel").unwrap();
    let kubeconfig = plane.token_kubeconfig(namespace, url, &token).unwrap();
    spawn(&kubeconfig, namespace, more)
}

/// `more` are keys of the section kubernetes. Every time is short: what takes minutes in a cluster takes seconds here.
fn spawn(kubeconfig: &Path, namespace: &str, more: &str) -> Daemon {
    let file = format!(
        "{{source: cluster, kubernetes: {{kubeconfig: '{}', namespaces: [{namespace}], watch_timeout: 2s, request_timeout: 3s, \
         stale_after: 1s, {}{more}}}}}",
        kubeconfig.display(),
        if more.contains("longest_backoff") { "" } else { "longest_backoff: 500ms, " },
    );
    let config = Config::load(Layers { file: Some(("test".to_owned(), file)), ..Layers::default() }).unwrap();
    let input = Input::open(&config).unwrap();
    Daemon::spawn(config, input)
}

pub fn a_plan(name: &str) -> Value {
    json!({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan", "metadata": {"name": name}, "spec": {
        "type": "cold", "targetNamespace": "target", "map": {"network": {"name": "n", "namespace": "x"}, "storage": {"name": "s", "namespace": "x"}},
        "provider": {"source": {"name": "vc", "namespace": "x"}, "destination": {"name": "host", "namespace": "x"}}, "vms": [{"id": "vm-1", "name": "one"}]}})
}

fn create(plane: &ControlPlane, namespace: &str, plans: impl IntoIterator<Item = String>) {
    let plans: Vec<Value> = plans.into_iter().map(|name| a_plan(&name)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": plans});
    plane.kubectl(&["-n", namespace, "create", "-f", "-"], &list.to_string());
}

fn set_status(plane: &ControlPlane, namespace: &str, plan: &str, conditions: &[&str]) {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "category": "Advisory", "lastTransitionTime": "2026-01-01T00:00:00Z"}))
        .collect();
    let patch = json!({"status": {"conditions": conditions, "observedGeneration": 1, "migration": {}}}).to_string();
    plane.kubectl(
        &[
            "-n",
            namespace,
            "patch",
            "plans.forklift.konveyor.io",
            plan,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ],
        "",
    );
}

fn count(daemon: &Daemon, start: &str) -> usize {
    daemon.text("/metrics").lines().filter(|line| line.starts_with(start)).count()
}

fn has(daemon: &Daemon, sample: &str) -> bool {
    daemon.text("/metrics").lines().any(|line| line == sample)
}

fn status(plan: &str, namespace: &str, phase: &str) -> String {
    format!(
        "migration_plan_status{{namespace=\"{namespace}\",name=\"{plan}\",plan_namespace=\"{namespace}\",plan=\"{plan}\",phase=\"{phase}\"}} 1"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_and_what_changes_is_seen_by_pages_and_by_streams_with_a_role_alone() {
    let plane = shared().await;
    for (name, streaming) in [("pages", "false"), ("streams", "true")] {
        namespace(plane, name);
        create(plane, name, (0..120).map(|n| format!("plan-{n:03}")));
        let daemon = watch(plane, name, &plane.url(), &format!("streaming_lists: {streaming}"));
        daemon.wait_until(|daemon| daemon.get("/readyz").0 == 200);
        assert_eq!(count(&daemon, "migration_plan_status{"), 120, "{name}");
        set_status(plane, name, "plan-007", &["Ready"]);
        daemon.wait_until(|daemon| has(daemon, &status("plan-007", name, "Ready")));
        plane.kubectl(&["-n", name, "delete", "plans.forklift.konveyor.io", "plan-008"], "");
        create(plane, name, ["new".to_owned()]);
        daemon.wait_until(|daemon| {
            has(daemon, &status("new", name, "Unknown")) && !daemon.text("/metrics").contains("plan-008")
        });
        assert_eq!(count(&daemon, "migration_plan_status{"), 120, "{name}");
        drop(daemon);

        let requests = plane.audit(&format!("system:serviceaccount:{name}:sentinel"));
        assert!(!requests.is_empty());
        for (verb, resource, code) in requests {
            assert!(["list", "watch"].contains(&verb.as_str()) && code == 200, "{verb} {resource}: {code}");
        }
    }
}

fn broken(daemon: &Daemon, kind: &str, namespace: &str) -> bool {
    has(daemon, &format!("mtv_sentinel_watch_broken{{kind=\"{kind}\",watch_namespace=\"{namespace}\"}} 1"))
}

/// Scrapes without pause until `done`, and has each of the plans in every scrape.
fn while_none_is_missing(daemon: &Daemon, plans: usize, mut done: impl FnMut(&Daemon) -> bool) {
    daemon.wait_until(|daemon| {
        assert_eq!(count(daemon, "migration_plan_status{"), plans, "a series was lost or doubled");
        done(daemon)
    });
}

fn ready(daemon: &Daemon) -> bool {
    daemon.get("/readyz").0 == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_blanks_no_series_is_seen_to_be_dead_and_is_followed_when_it_is_back() {
    let mut plane = with_crds(Options::default()).await;
    namespace(&plane, "dead");
    create(&plane, "dead", (0..20).map(|n| format!("plan-{n}")));
    let daemon = watch(&plane, "dead", &plane.url(), "");
    daemon.wait_until(ready);
    plane.kill_apiserver();
    while_none_is_missing(&daemon, 20, |daemon| broken(daemon, "Plan", "dead") && !ready(daemon));
    assert_eq!(daemon.get("/livez").0, 200, "liveness does not depend on the server");
    let details = daemon.text("/readyz?verbose");
    assert!(details.contains("[-] watch of Plans in dead: broken since ") && details.contains("(connection)"), "{details}");
    plane.restart_apiserver().await.unwrap();
    while_none_is_missing(&daemon, 20, |daemon| ready(daemon) && !broken(daemon, "Plan", "dead"));
    set_status(&plane, "dead", "plan-3", &["Ready"]);
    while_none_is_missing(&daemon, 20, |daemon| has(daemon, &status("plan-3", "dead", "Ready")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_noticed_and_followed_when_it_goes_on() {
    let plane = with_crds(Options::default()).await;
    namespace(&plane, "hang");
    create(&plane, "hang", (0..5).map(|n| format!("plan-{n}")));
    let daemon = watch(&plane, "hang", &plane.url(), "");
    daemon.wait_until(ready);
    plane.pause();
    while_none_is_missing(&daemon, 5, |daemon| daemon.text("/readyz?verbose").contains("(silent)"));
    plane.resume();
    set_status(&plane, "hang", "plan-1", &["Ready"]);
    while_none_is_missing(&daemon, 5, |daemon| ready(daemon) && has(daemon, &status("plan-1", "hang", "Ready")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_too_old_leads_to_a_new_list_that_takes_away_what_is_gone_and_nothing_else() {
    let plane = with_crds(Options { arguments: vec!["--watch-cache=false".to_owned()], ..Options::default() }).await;
    namespace(&plane, "old");
    create(&plane, "old", (0..120).map(|n| format!("plan-{n:03}")));
    let proxy = Proxy::start(plane.port()).await.unwrap();
    let daemon = watch(&plane, "old", &proxy.url(), "streaming_lists: false");
    daemon.wait_until(ready);
    proxy.set(Fault::Reset);
    daemon.wait_until(|daemon| broken(daemon, "Plan", "old"));
    plane.kubectl(&["-n", "old", "delete", "plans.forklift.konveyor.io", "plan-007"], "");
    set_status(&plane, "old", "plan-008", &["Ready"]);
    plane.compact().await.unwrap();
    proxy.set(Fault::None);
    daemon.wait_until(|daemon| {
        let plans = count(daemon, "migration_plan_status{");
        assert!(plans == 120 || plans == 119, "{plans}");
        plans == 119 && has(daemon, &status("plan-008", "old", "Ready"))
    });
    let page = daemon.text("/metrics");
    assert!(
        page.contains("mtv_sentinel_watch_listings_total{kind=\"Plan\",watch_namespace=\"old\"} 2"),
        "it was listed anew"
    );
}

/// A server that does not stream lists: by its own choice (it refuses the request), or because its etcd is too old (it breaks off
/// the stream).
async fn is_read_page_by_page(options: Options) {
    let plane = with_crds(options).await;
    namespace(&plane, "pages");
    create(&plane, "pages", (0..60).map(|n| format!("plan-{n}")));
    let daemon = watch(&plane, "pages", &plane.url(), "streaming_lists: true");
    daemon.wait_until(ready);
    assert_eq!(count(&daemon, "migration_plan_status{"), 60);
    set_status(&plane, "pages", "plan-7", &["Ready"]);
    daemon.wait_until(|daemon| has(daemon, &status("plan-7", "pages", "Ready")));
    let requests = plane.audit("system:serviceaccount:pages:sentinel");
    assert!(requests.iter().any(|(verb, what, code)| verb == "list" && what == "plans" && *code == 200), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_streaming_lists_is_read_page_by_page() {
    is_read_page_by_page(Options { arguments: vec!["--feature-gates=WatchList=false".to_owned()], ..Options::default() })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_an_etcd_that_is_too_old_for_streaming_lists_is_read_page_by_page() {
    is_read_page_by_page(Options { etcd: Some(testbed::tool("old-etcd/usr/bin/etcd")), ..Options::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_are_named_and_used_when_they_are_back() {
    let plane = shared().await;
    namespace(plane, "rights");
    create(plane, "rights", ["one".to_owned()]);
    let daemon = watch(plane, "rights", &plane.url(), "");
    daemon.wait_until(ready);
    plane.kubectl(&["-n", "rights", "delete", "rolebinding", "sentinel"], "");
    while_none_is_missing(&daemon, 1, |daemon| broken(daemon, "Plan", "rights") && !ready(daemon));
    let details = daemon.text("/readyz?verbose");
    for part in
        ["(forbidden)", "cannot watch resource \"plans\" in API group \"forklift.konveyor.io\" in the namespace \"rights\""]
    {
        assert!(details.contains(part), "{details}");
    }
    assert!(
        daemon
            .text("/metrics")
            .contains("mtv_sentinel_watch_errors_total{kind=\"Plan\",watch_namespace=\"rights\",trouble=\"forbidden\"}")
    );
    plane.kubectl(
        &["-n", "rights", "create", "rolebinding", "sentinel", "--role=sentinel", "--serviceaccount=rights:sentinel"],
        "",
    );
    while_none_is_missing(&daemon, 1, ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_revoked_are_read_anew() {
    let plane = shared().await;
    namespace(plane, "revoked");
    create(plane, "revoked", ["one".to_owned()]);
    let daemon = watch(plane, "revoked", &plane.url(), "");
    daemon.wait_until(ready);
    plane.kubectl(&["-n", "revoked", "delete", "serviceaccount", "sentinel"], "");
    while_none_is_missing(&daemon, 1, |daemon| daemon.text("/readyz?verbose").contains("(unauthorized)"));
    plane.kubectl(&["-n", "revoked", "create", "serviceaccount", "sentinel"], "");
    // Into the file that the daemon was given.
    plane.token("revoked", "sentinel").unwrap();
    while_none_is_missing(&daemon, 1, |daemon| ready(daemon) && !broken(daemon, "Plan", "revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_is_replaced_by_the_one_that_is_in_its_file_by_then() {
    let plane = shared().await;
    namespace(plane, "expired");
    create(plane, "expired", ["one".to_owned()]);
    let token = plane.short_token("expired", "sentinel").unwrap();
    let kubeconfig = plane.token_kubeconfig("expired", &plane.url(), &token).unwrap();
    let daemon = spawn(&kubeconfig, "expired", "");
    daemon.wait_until(ready);
    while_none_is_missing(&daemon, 1, |daemon| daemon.text("/readyz?verbose").contains("(unauthorized)"));
    std::fs::copy(plane.token("expired", "sentinel").unwrap(), &token).unwrap();
    while_none_is_missing(&daemon, 1, |daemon| ready(daemon) && !broken(daemon, "Plan", "expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn crds_that_are_not_there_are_waited_for_and_come_back_after_they_were_removed() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    namespace(&plane, "late");
    let daemon = watch(&plane, "late", &plane.url(), "");
    daemon.wait_until(|daemon| daemon.text("/readyz?verbose").contains("watch of Plans in late: broken since"));
    assert!(daemon.text("/readyz?verbose").contains("(not_installed)") && !ready(&daemon));
    install(&plane);
    daemon.wait_until(ready);
    create(&plane, "late", ["one".to_owned()]);
    daemon.wait_until(|daemon| has(daemon, &status("one", "late", "Unknown")));
    plane.kubectl(&["delete", "crd", "plans.forklift.konveyor.io"], "");
    daemon.wait_until(|daemon| broken(daemon, "Plan", "late") && count(daemon, "migration_plan_status{") == 0);
    install(&plane);
    create(&plane, "late", ["two".to_owned()]);
    daemon.wait_until(|daemon| has(daemon, &status("two", "late", "Unknown")) && ready(daemon));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_in_the_middle_of_events_lose_none() {
    let plane = shared().await;
    namespace(plane, "cut");
    create(plane, "cut", (0..10).map(|n| format!("plan-{n}")));
    let proxy = Proxy::start(plane.port()).await.unwrap();
    let daemon = watch(plane, "cut", &proxy.url(), "longest_backoff: 10ms");
    daemon.wait_until(ready);
    // Enough for a handshake and an event or two.
    proxy.set(Fault::CutAfter(7000));
    for round in ["Ready", "Failed", "Succeeded"] {
        for plan in 0..10 {
            set_status(plane, "cut", &format!("plan-{plan}"), &[round]);
        }
    }
    while_none_is_missing(&daemon, 10, |daemon| {
        (0..10).all(|plan| has(daemon, &status(&format!("plan-{plan}"), "cut", "Succeeded")))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_slow_is_waited_for() {
    let plane = shared().await;
    namespace(plane, "slow");
    create(plane, "slow", (0..60).map(|n| format!("plan-{n}")));
    let proxy = Proxy::start(plane.port()).await.unwrap();
    // The list of the plans takes longer than the server may take to begin an answer.
    proxy.set(Fault::Slow(150));
    let daemon = watch(plane, "slow", &proxy.url(), "");
    daemon.wait_until(ready);
    assert_eq!(count(&daemon, "migration_plan_status{"), 60);
    assert!(!daemon.text("/metrics").contains("trouble=\"silent\""), "it came all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_throttled_is_served_when_there_is_room() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    install(&plane);
    namespace(&plane, "busy");
    create(&plane, "busy", ["one".to_owned()]);
    // A level without a seat for anybody, and every request of the account goes there.
    let level = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration", "metadata": {"name": "none"},
        "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}}});
    let schema = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "none"}, "spec": {
        "matchingPrecedence": 2, "priorityLevelConfiguration": {"name": "none"}, "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": [{"kind": "ServiceAccount", "serviceAccount": {"namespace": "busy", "name": "sentinel"}}],
            "resourceRules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"], "clusterScope": true}]}]}});
    plane
        .kubectl(&["create", "-f", "-"], &json!({"apiVersion": "v1", "kind": "List", "items": [level, schema]}).to_string());
    let daemon = watch(&plane, "busy", &plane.url(), "streaming_lists: false");
    daemon.wait_until(|daemon| daemon.text("/readyz?verbose").contains("(throttled)"));
    assert!(!ready(&daemon));
    plane.kubectl(&["delete", "flowschema", "none"], "");
    daemon.wait_until(ready);
    assert!(has(&daemon, &status("one", "busy", "Unknown")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_is_noticed() {
    let plane = shared().await;
    namespace(plane, "hole");
    create(plane, "hole", ["one".to_owned()]);
    let proxy = Proxy::start(plane.port()).await.unwrap();
    let daemon = watch(plane, "hole", &proxy.url(), "");
    daemon.wait_until(ready);
    proxy.set(Fault::BlackHole);
    while_none_is_missing(&daemon, 1, |daemon| daemon.text("/readyz?verbose").contains("(silent)") && !ready(daemon));
    proxy.set(Fault::Reset);
    proxy.set(Fault::None);
    while_none_is_missing(&daemon, 1, ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_have_the_same_view_whenever_they_were_started() {
    let plane = shared().await;
    namespace(plane, "twins");
    create(plane, "twins", (0..30).map(|n| format!("plan-{n}")));
    let first = watch(plane, "twins", &plane.url(), "");
    first.wait_until(ready);
    for (plan, condition) in [("plan-1", "Ready"), ("plan-2", "Failed"), ("plan-3", "Succeeded")] {
        set_status(plane, "twins", plan, &[condition]);
    }
    first.wait_until(|daemon| has(daemon, &status("plan-3", "twins", "Succeeded")));
    let second = watch(plane, "twins", &plane.url(), "");
    second.wait_until(ready);
    let families = |daemon: &Daemon| {
        let page = daemon.text("/metrics");
        page.lines().filter(|line| line.starts_with("migration_")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(families(&first), families(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deployed_has_the_rights_that_the_daemon_needs_and_no_pod_security_warning() {
    let plane = shared().await;
    let base = crate::support::repository("deploy/kustomize/base");
    let rendered = plane.kubectl(&["kustomize", base.to_str().unwrap()], "");
    // The namespace first: a dry run of what is in it needs it.
    let applied = plane.kubectl_warns(&["apply", "--server-side", "-f", "-"], &rendered);
    assert!(!applied.contains("Warning"), "{applied}");
    let token = plane.token("mtv-sentinel", "mtv-sentinel").unwrap();
    let kubeconfig = plane.token_kubeconfig("deployed", &plane.url(), &token).unwrap();
    // The whole cluster: no namespace is named.
    let daemon = spawn(&kubeconfig, "", "");
    daemon.wait_until(ready);
    let requests = plane.audit("system:serviceaccount:mtv-sentinel:mtv-sentinel");
    assert!(
        requests.iter().all(|(verb, _, code)| ["list", "watch"].contains(&verb.as_str()) && *code == 200),
        "{requests:?}"
    );
}

/// The families about plans, VMs and providers, without those that tell when something was first seen to move.
fn families(page: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| line.starts_with("migration_") && !line.contains("_last_progress_"));
    lines.map(str::to_owned).collect()
}

/// Creates the objects of a recording on the server and changes them as they changed, without their pauses.
fn play(plane: &ControlPlane, namespace: &str, name: &str) {
    for kind in ["plans", "migrations", "providers"] {
        let events = crate::support::raw_events(name);
        let of_kind = events
            .into_iter()
            .filter(|event| format!("{}s", event["object"]["kind"].as_str().unwrap().to_lowercase()) == kind);
        let mut seen = std::collections::BTreeSet::new();
        // Every eighth change, and the last of each object.
        let changes: Vec<Value> = of_kind.map(|event| event["object"].clone()).collect();
        for (number, mut object) in changes.iter().cloned().enumerate() {
            let id = object["metadata"]["name"].as_str().unwrap().to_owned();
            let last = !changes[number + 1..].iter().any(|later| later["metadata"]["name"] == object["metadata"]["name"]);
            let status = object.as_object_mut().unwrap().remove("status");
            object["metadata"] = json!({"name": id, "namespace": namespace, "labels": object["metadata"]["labels"]});
            if seen.insert(id.clone()) {
                plane.kubectl(&["create", "-f", "-"], &object.to_string());
            }
            if let (Some(status), true) = (status, last || number % 8 == 0) {
                let patch = json!({"status": status}).to_string();
                let kind = format!("{kind}.forklift.konveyor.io");
                plane.kubectl(
                    &["-n", namespace, "patch", &kind, &id, "--subresource=status", "--type=merge", "-p", &patch],
                    "",
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_replays_to_the_same_metrics_and_without_a_name_if_asked() {
    let plane = shared().await;
    namespace(plane, "recorded");
    let daemon = watch(plane, "recorded", &plane.url(), "");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = plane.path("recorded.kubeconfig");
    let record = |file: &str, more: &[&str]| {
        let mut command = testbed::tied(env!("CARGO_BIN_EXE_mtv-sentinel"));
        command.args(["record", "--namespaces", "recorded", "-o"]).arg(folder.path().join(file)).args(more);
        command
            .env("MTV_SENTINEL__KUBERNETES__KUBECONFIG", &kubeconfig)
            .env("MTV_SENTINEL__KUBERNETES__WATCH_TIMEOUT", "2s");
        testbed::Daemon::spawn(command)
    };
    let recorders = [record("plain.ndjson", &[]), record("hidden.ndjson.gz", &["--anonymise"])];
    play(plane, "recorded", "b-fail-retry");
    daemon.wait_until(|daemon| {
        has(daemon, &status("erp", "recorded", "Succeeded")) && has(daemon, &status("crm", "recorded", "Succeeded"))
    });
    let plain = folder.path().join("plain.ndjson");
    let last = "\"type\":\"Succeeded\"";
    daemon.wait_until(|_| {
        std::fs::read_to_string(&plain).is_ok_and(|text| text.lines().filter(|line| line.contains(last)).count() >= 4)
    });
    for mut recorder in recorders {
        recorder.signal("TERM");
        assert_eq!(recorder.wait().unwrap().code(), Some(0));
    }
    let replayed = |file: &str| {
        let recording = mtv_sentinel::watch::replay::Recording::load(&folder.path().join(file)).unwrap();
        let own = std::sync::Arc::new(mtv_sentinel::metrics::Own::new("test", "test"));
        let mut engine = mtv_sentinel::app::Engine::new(&Config::load(Layers::default()).unwrap(), own);
        for observation in recording.observations(None) {
            assert_eq!(engine.observe(observation).oddities, Vec::<String>::new());
        }
        String::from_utf8(engine.view().exposition.families(mtv_sentinel::metrics::Format::Text).to_vec()).unwrap()
    };
    assert_eq!(families(&replayed("plain.ndjson")), families(&daemon.text("/metrics")));
    let hidden = replayed("hidden.ndjson.gz");
    assert_eq!(families(&hidden).len(), families(&daemon.text("/metrics")).len());
    for name in ["erp", "crm", "recorded", "vc1", "vm-179"] {
        assert!(!hidden.contains(&format!("\"{name}")), "{name} is left in {hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_plans_are_listed_with_each_of_their_vms() {
    let plane = shared().await;
    namespace(plane, "many");
    let (small, large) = (500, 50);
    let vms = |count: usize| {
        (0..count).map(|n| json!({"id": format!("vm-{n}"), "name": format!("server-{n}")})).collect::<Vec<_>>()
    };
    let plan = |n: usize| {
        let mut plan = a_plan(&format!("plan-{n:03}"));
        plan["spec"]["vms"] = json!(vms(if n < small { 5 } else { 50 }));
        plan
    };
    let all: Vec<Value> = (0..small + large).map(plan).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string();
    plane.kubectl(&["-n", "many", "create", "-f", "-"], &list);
    let daemon = watch(plane, "many", &plane.url(), "");
    daemon.wait_until(ready);
    assert_eq!(count(&daemon, "migration_plan_status{"), small + large);
    assert!(has(&daemon, &format!("migration_vms{{phase=\"Pending\"}} {}", small * 5 + large * 50)));
}

/// A Prometheus of the given generation scrapes the daemon, and answers from the series.
async fn is_scraped_by(program: &str, name: &str) {
    let plane = shared().await;
    namespace(plane, name);
    create(plane, name, ["one".to_owned(), "two".to_owned()]);
    let daemon = watch(plane, name, &plane.url(), "");
    daemon.wait_until(ready);
    let prometheus = Prometheus::start(program, &daemon.address.to_string(), "");
    let query = |query: &str| prometheus.query(query);
    let unknown = format!("count(migration_plan_status{{plan_namespace=\"{name}\",phase=\"Unknown\"}})");
    daemon.wait_until(|_| query(&unknown)["data"]["result"][0]["value"][1] == "2");
    set_status(plane, name, "two", &["Failed"]);
    daemon.wait_until(|_| query("migration_plan_status{phase=\"Failed\"}")["data"]["result"][0]["metric"]["plan"] == "two");
    assert_eq!(query("up")["data"]["result"][0]["value"][1], "1");
    prometheus.assert_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_3_scrapes_it_and_answers_from_the_series() {
    is_scraped_by("prometheus/prometheus", "prom").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_2_scrapes_it_and_answers_from_the_series() {
    is_scraped_by("old-prometheus/usr/bin/prometheus", "old-prom").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_looked_at_once_for_its_alerts_and_its_metrics() {
    let plane = shared().await;
    namespace(plane, "once");
    create(plane, "once", ["plan".to_owned()]);
    set_status(plane, "once", "plan", &["Failed"]);
    // The server takes a moment to know of a new account's rights and of new kinds; one who looks once does not wait for them.
    watch(plane, "once", &plane.url(), "").wait_until(ready);
    let token = plane.token("once", "sentinel").unwrap();
    let kubeconfig = plane.token_kubeconfig("once", &plane.url(), &token).unwrap();
    let say = |command: &str, namespaces: &str| {
        let mut command_line = testbed::tied(env!("CARGO_BIN_EXE_mtv-sentinel"));
        command_line.arg(command).env("MTV_SENTINEL__KUBERNETES__KUBECONFIG", &kubeconfig);
        let output = command_line.env("MTV_SENTINEL__KUBERNETES__NAMESPACES", namespaces).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, table, err) = say("alerts", "[once]");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(table.contains("PlanFailed  plan once/plan  "), "{table}");
    let (code, page, err) = say("render", "[once]");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(page.lines().any(|line| line == status("plan", "once", "Failed")), "{page}");
    // Where it may not look it says so, and does not wait for ever.
    let (code, out, err) = say("alerts", "[default]");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("error: source cluster: the watch of ") && err.contains("(forbidden)"), "{err}");
}
