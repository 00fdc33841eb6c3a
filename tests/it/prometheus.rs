//! A real Prometheus that scrapes a daemon.

use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

pub struct Prometheus {
    folder: TempDir,
    port: u16,
    _process: testbed::Daemon,
}

impl Prometheus {
    /// Starts the program of a tool to scrape an address once a second; `more` are keys of the scrape configuration, in YAML's
    /// flow style, each with a comma behind it.
    pub fn start(program: &str, target: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scrape = format!("{{job_name: s, {more} static_configs: [{{targets: ['{target}']}}]}}");
        let config = format!("global: {{scrape_interval: 1s}}\nscrape_configs: [{scrape}]\n");
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = [
            format!("--config.file={}", folder.path().join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let log = folder.path().join("prometheus.log");
        let process = testbed::Daemon::start(&testbed::tool(program), &arguments, &[], &log);
        Self { folder, port, _process: process }
    }

    /// The answer to an instant query; null while it does not answer.
    pub fn query(&self, query: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let curl = ["-s", "-G", &url, "--data-urlencode", &format!("query={query}")];
        let output = Command::new("curl").args(curl).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// It complained about no sample.
    pub fn assert_content(&self) {
        let log = std::fs::read_to_string(self.folder.path().join("prometheus.log")).unwrap();
        assert!(!log.contains("Error on ingesting") && !log.contains("append failed"), "{log}");
    }
}
