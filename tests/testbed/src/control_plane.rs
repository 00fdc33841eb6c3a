//! A kube-apiserver and its etcd: real ones, on free ports of 127.0.0.1, with RBAC and an audit log.

use crate::child::Daemon;
use crate::pki::{self, Pki};
use crate::tools::tool;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How a control plane is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Another etcd, such as one that is too old for streaming lists.
    pub etcd: Option<PathBuf>,
    /// More arguments for the kube-apiserver.
    pub arguments: Vec<String>,
}

/// A control plane; its processes end when it is dropped, and its files are kept if the test failed.
#[derive(Debug)]
pub struct ControlPlane {
    folder: Option<TempDir>,
    options: Options,
    pki_ca: String,
    admin: (String, String),
    etcd: Option<Daemon>,
    apiserver: Option<Daemon>,
    etcd_port: u16,
    port: u16,
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Everybody's requests but those of the server itself, with verb, resource, user and answer.
const AUDIT: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  users: ['system:apiserver', 'admin']
- level: Metadata
";

impl ControlPlane {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// If a tool is missing or does not start; the logs are named.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("testbed-").tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let pki = Pki::new()?;
        let (certificate, key) = pki.server()?;
        std::fs::write(path("ca.pem"), &pki.ca)?;
        std::fs::write(path("server.pem"), certificate)?;
        std::fs::write(path("server-key.pem"), key)?;
        std::fs::write(path("audit.yaml"), AUDIT)?;
        pki::service_account_keys(&path("sa-key.pem"), &path("sa.pem"))?;
        let mut plane = Self {
            options,
            pki_ca: pki.ca.clone(),
            admin: pki.user("admin", "system:masters")?,
            etcd: None,
            apiserver: None,
            etcd_port: free_port()?,
            port: free_port()?,
            folder: Some(folder),
        };
        std::fs::write(plane.path("admin.kubeconfig"), plane.kubeconfig_of(&plane.url(), &plane.admin_user()))?;
        plane.start_etcd()?;
        plane.start_apiserver();
        plane.wait_until_ready().await?;
        Ok(plane)
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().join(name)).unwrap_or_default()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of its authority.
    pub fn ca(&self) -> &str {
        &self.pki_ca
    }

    fn start_etcd(&mut self) -> anyhow::Result<()> {
        let program = self.options.etcd.clone().unwrap_or_else(|| tool("etcd/etcd"));
        let (client, peer) = (format!("http://127.0.0.1:{}", self.etcd_port), format!("http://127.0.0.1:{}", free_port()?));
        let mut arguments = vec![
            format!("--data-dir={}", self.path("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        if self.options.etcd.is_none() {
            arguments.push("--unsafe-no-fsync".to_owned());
        }
        self.etcd = Some(Daemon::start(&program, &arguments, &[], &self.path("etcd.log")));
        Ok(())
    }

    fn start_apiserver(&mut self) {
        let path = |name: &str| self.path(name).display().to_string();
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            // There is no kubernetes service to keep, and a loopback address would not do for it.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--client-ca-file={}", path("ca.pem")),
            format!("--tls-cert-file={}", path("server.pem")),
            format!("--tls-private-key-file={}", path("server-key.pem")),
            format!("--cert-dir={}", path("certificates")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", path("sa.pem")),
            format!("--service-account-signing-key-file={}", path("sa-key.pem")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--audit-policy-file={}", path("audit.yaml")),
            format!("--audit-log-path={}", path("audit.log")),
            // Else a dying server waits for its watches.
            "--shutdown-delay-duration=0s".to_owned(),
        ];
        arguments.extend(self.options.arguments.iter().cloned());
        let program = tool("kube-apiserver/kube-apiserver");
        self.apiserver = Some(Daemon::start(&program, &arguments, &[], &self.path("kube-apiserver.log")));
    }

    /// Waits until the server says that it is ready.
    ///
    /// # Errors
    /// If it ends instead, or is not ready after minutes.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let client = self.client().await?;
        for _ in 0..1200 {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            let asked = tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await;
            if asked.is_ok_and(|answer| answer.is_ok_and(|answer| answer == "ok")) {
                return Ok(());
            }
            if self.apiserver.as_mut().is_some_and(Daemon::has_ended) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.keep();
        anyhow::bail!("the control plane is not ready; its logs are in {}", self.path("").display())
    }

    /// Kills the kube-apiserver.
    pub fn kill_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Starts it again on the same port, with the same data.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn restart_apiserver(&mut self) -> anyhow::Result<()> {
        self.apiserver = None;
        self.start_apiserver();
        self.wait_until_ready().await
    }

    /// Stops the kube-apiserver's process without ending it: its connections hang.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(apiserver) = &self.apiserver {
            apiserver.signal(name);
        }
    }

    fn admin_user(&self) -> Value {
        json!({"client-certificate-data": base64(&self.admin.0), "client-key-data": base64(&self.admin.1)})
    }

    fn kubeconfig_of(&self, url: &str, user: &Value) -> String {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "testbed",
            "clusters": [{"name": "testbed", "cluster": {"server": url, "certificate-authority-data": base64(&self.pki_ca)}}],
            "users": [{"name": "testbed", "user": user}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        });
        config.to_string()
    }

    /// The kubeconfig of the administrator.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// Writes a kubeconfig that goes to another address, such as a proxy's, with the token in a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn token_kubeconfig(&self, name: &str, url: &str, token_file: &Path) -> anyhow::Result<PathBuf> {
        let path = self.path(&format!("{name}.kubeconfig"));
        std::fs::write(&path, self.kubeconfig_of(url, &json!({"tokenFile": token_file})))?;
        Ok(path)
    }

    /// A client of the administrator.
    ///
    /// # Errors
    /// If the configuration does not make one.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        let kubeconfig = Kubeconfig::read_from(self.admin_kubeconfig())?;
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        Ok(kube::Client::try_from(config)?)
    }

    /// Makes etcd forget all versions but the latest.
    ///
    /// # Errors
    /// If etcd does not answer.
    pub async fn compact(&self) -> anyhow::Result<()> {
        let status = self.etcd_request("/v3/maintenance/status", "{}").await?;
        let revision = status["header"]["revision"].as_str().unwrap_or_default().to_owned();
        let request = json!({"revision": revision, "physical": true}).to_string();
        let answer = self.etcd_request("/v3/kv/compaction", &request).await?;
        anyhow::ensure!(answer["header"].is_object(), "etcd answers {answer}");
        Ok(())
    }

    /// A request to etcd's JSON gateway.
    async fn etcd_request(&self, path: &str, body: &str) -> anyhow::Result<Value> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.etcd_port)).await?;
        let length = body.len();
        let head = format!("POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Ok(serde_json::from_str(body)?)
    }

    /// Runs kubectl as the administrator, with something on its standard input.
    ///
    /// # Panics
    /// If kubectl fails: what it said is told.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        self.run_kubectl(arguments, input).0
    }

    /// The same, but answers what kubectl warned about.
    ///
    /// # Panics
    /// If kubectl fails: what it said is told.
    pub fn kubectl_warns(&self, arguments: &[&str], input: &str) -> String {
        self.run_kubectl(arguments, input).1
    }

    fn run_kubectl(&self, arguments: &[&str], input: &str) -> (String, String) {
        use std::io::Write;
        let mut child = Command::new(tool("kube-apiserver/kubectl"))
            .arg(format!("--kubeconfig={}", self.admin_kubeconfig().display()))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl can be started");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("kubectl reads its input");
        let Output { status, stdout, stderr } = child.wait_with_output().expect("kubectl ends");
        let said = String::from_utf8_lossy(&stderr).into_owned();
        assert!(status.success(), "kubectl {arguments:?}: {said}");
        (String::from_utf8_lossy(&stdout).into_owned(), said)
    }

    /// Makes a token for a service account and writes it to a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn token(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl(&["-n", namespace, "create", "token", account], "");
        let path = self.path(&format!("{namespace}-{account}.token"));
        std::fs::write(&path, token.trim())?;
        Ok(path)
    }

    /// Signs a token that the server takes for some seconds more, and writes it to a file of its own. The server gives none that
    /// is valid for less than ten minutes.
    ///
    /// # Errors
    /// If it cannot be signed or written.
    pub fn short_token(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        /// The server takes a token a minute longer than it says.
        const LEEWAY: u64 = 60;
        let uid = self.kubectl(&["-n", namespace, "get", "serviceaccount", account, "-o", "jsonpath={.metadata.uid}"], "");
        #[allow(clippy::disallowed_methods)]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"],
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "iat": now - 600, "nbf": now - 600, "exp": now - LEEWAY + 10,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}},
        });
        let key = std::fs::read_to_string(self.path("sa-key.pem"))?;
        let path = self.path(&format!("{namespace}-{account}.short-token"));
        std::fs::write(&path, pki::sign_token(&key, &claims.to_string())?)?;
        Ok(path)
    }

    /// What the audit log says so far of a user: (verb, resource, status code) of each request.
    pub fn audit(&self, user: &str) -> Vec<(String, String, u64)> {
        let log = std::fs::read_to_string(self.path("audit.log")).unwrap_or_default();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_user = events.filter(|event| event["user"]["username"] == user);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        of_user
            .map(|event| {
                let resource = text(&event["objectRef"]["resource"]);
                let what = if resource.is_empty() { text(&event["requestURI"]) } else { resource };
                (text(&event["verb"]), what, event["responseStatus"]["code"].as_u64().unwrap_or_default())
            })
            .collect()
    }

    /// Keeps the files.
    fn keep(&mut self) {
        if let Some(folder) = &mut self.folder {
            folder.disable_cleanup(true);
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.apiserver = None;
        self.etcd = None;
        if std::thread::panicking() {
            self.keep();
            eprintln!("the logs of the control plane are in {}", self.path("").display());
        }
    }
}

/// Base64 as kubeconfigs have it.
pub(crate) fn base64(text: impl AsRef<[u8]>) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_ref().chunks(3) {
        let bytes = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            encoded.push(if place <= chunk.len() { letter as char } else { '=' });
        }
    }
    encoded
}
