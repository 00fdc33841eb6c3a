//! The shipped program on a real API server, as one replica or several, with what the tests of it share.

use crate::cluster::shared;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use testbed::ControlPlane;

/// A namespace with everything that a test has: plans, the lease, the ledger, and an account with the rights that
/// `deploy/` gives.
pub struct Home {
    pub plane: &'static ControlPlane,
    pub namespace: &'static str,
    token: PathBuf,
}

impl Home {
    pub async fn new(namespace: &'static str) -> Self {
        let plane = shared().await;
        let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        let rights = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": "sentinel"}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"namespace": namespace, "name": "sentinel"}, "rules": [
                rule("forklift.konveyor.io", &["plans", "migrations", "providers"], &["list", "watch"]),
                rule("coordination.k8s.io", &["leases"], &["get", "create", "update"]),
                rule("", &["configmaps"], &["get", "create", "update", "delete"]),
                rule("events.k8s.io", &["events"], &["create", "patch"])]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"namespace": namespace, "name": "sentinel"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sentinel"},
                "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": "sentinel"}]}]});
        plane.kubectl(&["create", "-f", "-"], &rights.to_string());
        Self { plane, namespace, token: plane.token(namespace, "sentinel").unwrap() }
    }

    /// A kubeconfig of the account that goes to this address.
    pub fn kubeconfig(&self, name: &str, url: &str) -> PathBuf {
        self.plane.token_kubeconfig(&format!("{}-{name}", self.namespace), url, &self.token).unwrap()
    }

    /// Makes plans that run.
    pub fn start(&self, plans: &[&str]) {
        let plans: Vec<Value> = plans.iter().map(|name| crate::cluster::a_plan(name)).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": plans});
        self.plane.kubectl(&["-n", self.namespace, "create", "-f", "-"], &list.to_string());
        for plan in plans {
            self.set(plan["metadata"]["name"].as_str().unwrap(), "Executing");
        }
    }

    /// Lets a plan come to this condition.
    pub fn set(&self, plan: &str, condition: &str) {
        let condition = json!([{"type": condition, "status": "True", "category": "Advisory", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let patch = json!({"status": {"conditions": condition, "observedGeneration": 1, "migration": {
            "started": "2026-01-01T00:00:00Z", "history": [{"conditions": condition}]}}});
        self.patch(plan, &patch);
    }

    fn patch(&self, plan: &str, patch: &Value) {
        let (plans, patch) = ("plans.forklift.konveyor.io", patch.to_string());
        let patch = ["patch", plans, plan, "--subresource=status", "--type=merge", "-p", &patch];
        self.plane.kubectl(&[&["-n", self.namespace], &patch[..]].concat(), "");
    }

    /// Whether the ledger knows of nothing that is on its way.
    pub fn has_nothing_under_way(&self) -> bool {
        let ledger = ["get", "configmap", "mtv-sentinel-ledger-0", "--ignore-not-found", "-o", "jsonpath={.data.account}"];
        let account = self.plane.kubectl(&[&["-n", self.namespace], &ledger[..]].concat(), "");
        !account.is_empty() && !account.contains("\"sending\"")
    }

    pub fn delete(&self, plan: &str) {
        self.plane.kubectl(&["-n", self.namespace, "delete", "plans.forklift.konveyor.io", plan], "");
    }
}

/// A running program.
pub struct Program {
    child: testbed::Daemon,
    address: String,
}

impl Program {
    /// Starts one with these keys of the configuration, by their names in the environment.
    pub fn start(home: &Home, kubeconfig: &Path, keys: &[(&str, &str)]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut command = testbed::tied(env!("CARGO_BIN_EXE_mtv-sentinel"));
        command.args(["run", "--listen", &address, "--log-format", "json"]).env_clear().stdin(Stdio::null());
        let fixed = BTreeMap::from([
            ("KUBERNETES__NAMESPACES", format!("[{}]", home.namespace)),
            ("KUBERNETES__KUBECONFIG", kubeconfig.display().to_string()),
            ("KUBERNETES__LONGEST_BACKOFF", "200ms".to_owned()),
            ("KUBERNETES__REQUEST_TIMEOUT", "2s".to_owned()),
            ("KUBERNETES__WATCH_TIMEOUT", "5s".to_owned()),
            ("LEASE__NAMESPACE", home.namespace.to_owned()),
            ("LEDGER__PARTS", "1".to_owned()),
            ("NOTIFY__GROUP_WAIT", "0s".to_owned()),
            ("NOTIFY__GROUP_INTERVAL", "0s".to_owned()),
        ]);
        let own = keys.iter().map(|(key, value)| (*key, (*value).to_owned()));
        for (key, value) in fixed.into_iter().chain(own) {
            command.env(format!("MTV_SENTINEL__{key}"), value);
        }
        let log = home.plane.path(&format!("{}-{port}.log", home.namespace));
        let log = std::fs::File::create(log).unwrap();
        command.stderr(log);
        Self { child: testbed::Daemon::spawn(command), address }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// What it answers; nothing while it does not.
    pub fn text(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(&self.address) else { return String::new() };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let mut answer = String::new();
        let asked = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        if asked.and_then(|()| stream.read_to_string(&mut answer)).is_err() {
            return String::new();
        }
        answer
    }

    pub fn has(&self, sample: &str) -> bool {
        self.text("/metrics").lines().any(|line| line == sample)
    }

    /// Whether it shows a plan in its metrics.
    pub fn shows(&self, plan: &str) -> bool {
        self.text("/metrics").contains(&format!("plan=\"{plan}\",phase="))
    }

    pub fn json(&self, path: &str) -> Value {
        let answer = self.text(path);
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap_or_default().1).unwrap_or_default()
    }

    /// Whether it acts, and knows all that is there.
    pub fn acts(&self) -> bool {
        self.json("/api/v1/notifications")["acts"] == true && self.has("mtv_sentinel_source_synced 1")
    }

    /// Whether nothing is on its way to anybody.
    pub fn is_quiet(&self) -> bool {
        let page = self.text("/metrics");
        let pending = page.lines().filter(|line| line.starts_with("mtv_sentinel_pending_notifications{"));
        let pending: Vec<&str> = pending.collect();
        !pending.is_empty() && pending.iter().all(|line| line.ends_with(" 0"))
    }
}

/// Asks until the answer is yes; the test runner's patience is the limit.
pub fn wait_until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_millis(10));
    }
}
