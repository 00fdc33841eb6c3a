//! TLS, basic auth and headers: the server in this process, asked by curl; certificates are made on the spot.

use crate::daemon::Daemon;
use crate::prometheus::Prometheus;
use crate::support::{recording, repository};
use mtv_sentinel::app::Input;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::watch::replay::Pace;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// An authority that signs certificates.
struct Ca(Issuer<'static, KeyPair>, String);

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// Certificate and key of somebody with these names, as PEM.
    fn sign(&self, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn dns(name: &str) -> Vec<SanType> {
    vec![SanType::DnsName(name.try_into().unwrap())]
}

/// A folder with a web configuration and what it names.
struct Site(TempDir);

impl Site {
    /// With a certificate of `ca` for this machine; `more` stands below the section of TLS.
    fn tls(ca: &Ca, more: &str) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.write("ca.crt", &ca.1);
        site.renew(ca);
        let keys = "cert_file: server.crt, key_file: server.key";
        site.write("web.yml", &format!("tls_server_config: {{{keys}}}\n").replace('}', &format!("{more}}}")));
        site
    }

    fn plain(web: &str) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.write("web.yml", web);
        site
    }

    fn renew(&self, ca: &Ca) {
        let (certificate, key) = ca.sign(vec![SanType::IpAddress([127, 0, 0, 1].into())]);
        // In this order: between the two the pair is broken, and nobody may notice.
        self.write("server.crt", &certificate);
        self.write("server.key", &key);
    }

    fn identity(&self, name: &str, ca: &Ca, names: Vec<SanType>) {
        let (certificate, key) = ca.sign(names);
        self.write(name, &(certificate + &key));
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, text: &str) {
        let old = std::fs::read_to_string(self.path("web.yml")).unwrap();
        self.write("web.yml", &(old + text));
    }

    /// A daemon with this web configuration; `more` are keys of the section `http`.
    fn start(&self, more: &str) -> Daemon {
        let config = format!("{{http: {{web_config_file: '{}', {more}}}}}", self.path("web.yml"));
        let file = Some(("test".to_owned(), config));
        let config = Config::load(Layers { file, ..Layers::default() }).unwrap();
        let pace = Pace { speed: 1.0, until: None, repeat: false, longest_pause: Duration::ZERO };
        Daemon::spawn(config, Input::Replay(recording("g-cancel-all"), pace))
    }

    /// Asks by TLS, and trusts the authority in a file of the folder.
    fn ask(&self, daemon: &Daemon, path: &str, ca: &str, more: &[&str]) -> Answer {
        let (url, ca) = (format!("https://{}{path}", daemon.address), self.path(ca));
        curl(&[&["--cacert", &ca, &url], more].concat())
    }

    /// The code that `/livez` gets, 0 for none, with the authority in `ca.crt`.
    fn live(&self, daemon: &Daemon, more: &[&str]) -> u16 {
        self.ask(daemon, "/livez", "ca.crt", more).code
    }
}

/// What curl got.
#[derive(Debug)]
struct Answer {
    /// curl's own verdict: 0 is good, 60 that the server's certificate is not trusted.
    exit: i32,
    /// 0 if there was no answer.
    code: u16,
    text: String,
}

fn curl_command(arguments: &[&str]) -> Command {
    let mut command = testbed::tied("curl");
    command.args(["-q", "--silent", "--include", "--noproxy", "*"]).args(arguments).stdin(Stdio::null());
    command
}

fn curl(arguments: &[&str]) -> Answer {
    let output = curl_command(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test asks with curl, which has to be installed: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { exit: output.status.code().unwrap(), code, text }
}

fn plain(address: SocketAddr, path: &str, more: &[&str]) -> Answer {
    curl(&[&[format!("http://{address}{path}").as_str()], more].concat())
}

/// Basic auth for one user, with the cheapest hash that there is.
fn users(name: &str, password: &str) -> String {
    format!("basic_auth_users:\n  {name}: {}\n", bcrypt::hash(password, 4).unwrap())
}

#[test]
fn tls_is_for_those_who_trust_the_authority() {
    let (ca, other) = (Ca::new("ours"), Ca::new("another"));
    let site = Site::tls(&ca, "");
    site.write("other.crt", &other.1);
    let daemon = site.start("");
    let answer = site.ask(&daemon, "/metrics", "ca.crt", &[]);
    assert_eq!((answer.exit, answer.code), (0, 200), "{answer:?}");
    assert!(answer.text.contains("mtv_sentinel_web_config_stale 0\n"), "{}", answer.text);
    let refused = site.ask(&daemon, "/metrics", "other.crt", &[]);
    assert_eq!((refused.exit, refused.code), (60, 0), "{refused:?}");
}

#[test]
fn a_client_certificate_is_asked_for_as_the_policy_says() {
    let (ca, stranger) = (Ca::new("ours"), Ca::new("stranger"));
    let with_ca = ", client_ca_file: ca.crt";
    for (policy, more, nobody, ours, strangers) in [
        ("NoClientCert", "", 200, 200, 200),
        ("RequestClientCert", "", 200, 200, 200),
        ("RequireAnyClientCert", "", 0, 200, 200),
        ("VerifyClientCertIfGiven", with_ca, 200, 200, 0),
        ("RequireAndVerifyClientCert", with_ca, 0, 200, 0),
    ] {
        let site = Site::tls(&ca, &format!(", client_auth_type: {policy}{more}"));
        site.identity("ours.pem", &ca, dns("prometheus"));
        site.identity("strangers.pem", &stranger, dns("prometheus"));
        let daemon = site.start("");
        for version in [["--tls-max", "1.2"].as_slice(), &["--tlsv1.3"]] {
            let with = |name: &str| site.live(&daemon, &[&["--cert", &site.path(name)], version].concat());
            assert_eq!(site.live(&daemon, version), nobody, "{policy}, without, {version:?}");
            assert_eq!(with("ours.pem"), ours, "{policy}, ours, {version:?}");
            assert_eq!(with("strangers.pem"), strangers, "{policy}, a stranger's, {version:?}");
        }
    }
}

#[test]
fn a_client_certificate_needs_one_of_the_allowed_names_exactly() {
    let ca = Ca::new("ours");
    let names = "[prometheus.monitoring.svc, 10.1.2.3, 'fd00::1', scraper@example.com, 'spiffe://cluster/prometheus']";
    let site = Site::tls(
        &ca,
        &format!(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt, client_allowed_sans: {names}"),
    );
    let daemon = site.start("");
    let text = |text: &str| text.try_into().unwrap();
    for (names, code) in [
        (dns("prometheus.monitoring.svc"), 200),
        (vec![SanType::IpAddress([10, 1, 2, 3].into())], 200),
        (vec![SanType::IpAddress("fd00::1".parse().unwrap())], 200),
        (vec![SanType::Rfc822Name(text("scraper@example.com"))], 200),
        (vec![SanType::URI(text("spiffe://cluster/prometheus"))], 200),
        ([dns("other"), dns("prometheus.monitoring.svc")].concat(), 200),
        (dns("other"), 0),
        (dns("*.monitoring.svc"), 0),
        (dns("PROMETHEUS.monitoring.svc"), 0),
        (vec![SanType::IpAddress([10, 1, 2, 4].into())], 0),
        (vec![], 0),
    ] {
        site.identity("client.pem", &ca, names.clone());
        assert_eq!(site.live(&daemon, &["--cert", &site.path("client.pem")]), code, "{names:?}");
    }
}

#[test]
fn versions_suites_and_curves_are_those_that_are_listed() {
    let ca = Ca::new("ours");
    let newest = Site::tls(&ca, ", min_version: TLS13");
    let daemon = newest.start("");
    assert_eq!((newest.live(&daemon, &[]), newest.live(&daemon, &["--tls-max", "1.2"])), (200, 0));
    let listed = Site::tls(
        &ca,
        ", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384], curve_preferences: [CurveP384]",
    );
    let daemon = listed.start("");
    for (arguments, code) in [
        (vec!["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"], 200),
        (vec!["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"], 0),
        (vec!["--tls13-ciphers", "TLS_AES_256_GCM_SHA384", "--tlsv1.3"], 200),
        (vec!["--tls13-ciphers", "TLS_AES_128_GCM_SHA256", "--tlsv1.3"], 0),
        (vec!["--curves", "P-384"], 200),
        (vec!["--curves", "X25519"], 0),
    ] {
        assert_eq!(listed.live(&daemon, &arguments), code, "{arguments:?}");
    }
}

#[test]
fn basic_auth_lets_those_in_who_know_the_password() {
    let site = Site::plain(&users("alice", "pass:wörd"));
    let daemon = site.start("");
    let ask = |credentials: &str| plain(daemon.address, "/api/v1/plans", &["--user", credentials]).code;
    assert_eq!((ask("alice:pass:wörd"), ask("alice:pass:wörd")), (200, 200), "and again, when it is known");
    assert_eq!((ask("alice:wrong"), ask("alice:"), ask("mallory:pass:wörd"), ask(":pass:wörd")), (401, 401, 401, 401));
    let header =
        |value: &str| plain(daemon.address, "/api/v1/plans", &["--header", &format!("Authorization: {value}")]).code;
    for value in
        ["Basic", "Basic %%%", "Basic YWxpY2U=", "Basic gICA", "Bearer alice:pass:wörd", "Digest YWxpY2U6cGFzczp3w7ZyZA=="]
    {
        assert_eq!(header(value), 401, "{value}");
    }
    assert_eq!(header("basic YWxpY2U6cGFzczp3w7ZyZA=="), 200);
    let refused = plain(daemon.address, "/metrics", &[]);
    assert_eq!(refused.code, 401);
    assert!(refused.text.contains("www-authenticate: Basic realm=\"mtv-sentinel\""), "{}", refused.text);
    for path in ["/livez", "/healthz", "/-/healthy", "/readyz", "/-/ready"] {
        assert_ne!(plain(daemon.address, path, &[]).code, 401, "{path}");
    }
}

#[test]
fn a_real_prometheus_scrapes_by_tls_with_a_password() {
    let ca = Ca::new("authority");
    let site = Site::tls(&ca, "");
    site.append(&users("prometheus", "right"));
    let daemon = site.start("");
    let scrape = |password: &str| {
        let tls = format!("scheme: https, tls_config: {{ca_file: '{}'}},", site.path("ca.crt"));
        let more = format!("{tls} basic_auth: {{username: prometheus, password: {password}}},");
        Prometheus::start("prometheus/prometheus", &daemon.address.to_string(), &more)
    };
    let right = scrape("right");
    daemon.wait_until(|_| right.query("migration_plans{phase=\"Canceled\"}")["data"]["result"][0]["value"][1] == "1");
    right.assert_content();
    let wrong = scrape("wrong");
    daemon.wait_until(|_| wrong.query("up")["data"]["result"][0]["value"][1] == "0");
}

#[test]
fn a_token_or_a_password_is_enough_where_both_are_set_and_neither_is_shown() {
    let site = Site::plain(&users("alice", "password"));
    let daemon = site.start("bearer_token: t0ken, expose_config: true");
    let ask = |more: &[&str]| plain(daemon.address, "/config", more);
    let by_token = ask(&["--header", "Authorization: Bearer t0ken"]);
    assert_eq!((by_token.code, ask(&["--user", "alice:password"]).code), (200, 200));
    assert_eq!((ask(&["--header", "Authorization: Bearer no"]).code, ask(&["--user", "alice:t0ken"]).code), (401, 401));
    assert!(by_token.text.contains("web.yml\"\n") && !by_token.text.contains("t0ken"), "{}", by_token.text);
    assert!(!by_token.text.contains("alice") && !by_token.text.contains("$2"), "{}", by_token.text);
    let refused = ask(&[]).text;
    assert!(refused.contains("www-authenticate: Bearer\r\n") && refused.contains("www-authenticate: Basic "), "{refused}");
}

#[test]
fn headers_are_added_to_every_answer() {
    let headers = "http_server_config: {headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1, X-Content-Type-Options: nosniff}}\n";
    let site = Site::plain(&(headers.to_owned() + &users("alice", "password")));
    let daemon = site.start("");
    for (path, code) in [("/livez", 200), ("/metrics", 401)] {
        let answer = plain(daemon.address, path, &[]);
        assert_eq!(answer.code, code, "{path}");
        for header in ["x-frame-options: deny\r\n", "strict-transport-security: max-age=1\r\n"] {
            assert!(answer.text.contains(header), "{path}: {}", answer.text);
        }
        assert_eq!(answer.text.matches("x-content-type-options").count(), 1, "{}", answer.text);
    }
}

#[test]
fn a_renewed_certificate_and_new_users_count_at_once() {
    let (ca, next) = (Ca::new("ours"), Ca::new("next"));
    let site = Site::tls(&ca, "");
    let daemon = site.start("");
    site.write("next.crt", &next.1);
    assert_eq!(site.ask(&daemon, "/metrics", "ca.crt", &[]).code, 200);
    site.renew(&next);
    assert_eq!((site.ask(&daemon, "/metrics", "next.crt", &[]).code, site.live(&daemon, &[])), (200, 0));

    let ask = |credentials: &str| site.ask(&daemon, "/metrics", "next.crt", &["--user", credentials]).code;
    let tls = std::fs::read_to_string(site.path("web.yml")).unwrap();
    site.append(&users("alice", "first"));
    assert_eq!((ask("alice:first"), ask("alice:second")), (200, 401));
    site.write("web.yml", &(tls + &users("alice", "second")));
    assert_eq!((ask("alice:first"), ask("alice:second")), (401, 200));
}

#[test]
fn a_renewed_authority_of_clients_counts_at_once() {
    let (ca, next) = (Ca::new("ours"), Ca::new("next"));
    let site = Site::tls(&ca, ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.crt");
    site.write("clients.crt", &ca.1);
    site.identity("old.pem", &ca, dns("a"));
    site.identity("new.pem", &next, dns("a"));
    let daemon = site.start("");
    let with = |name: &str| site.live(&daemon, &["--cert", &site.path(name)]);
    assert_eq!((with("old.pem"), with("new.pem")), (200, 0));
    site.write("clients.crt", &(next.1.clone() + &ca.1));
    assert_eq!((with("old.pem"), with("new.pem")), (200, 200), "both, while clients move");
    site.write("clients.crt", &next.1);
    assert_eq!((with("old.pem"), with("new.pem")), (0, 200));
}

#[test]
fn a_broken_new_version_changes_nothing_and_is_seen() {
    let ca = Ca::new("ours");
    let site = Site::tls(&ca, "");
    site.append(&users("alice", "password"));
    let daemon = site.start("");
    let stale = || {
        let answer = site.ask(&daemon, "/metrics", "ca.crt", &["--user", "alice:password"]);
        assert_eq!(answer.code, 200, "{answer:?}");
        assert_eq!(site.ask(&daemon, "/metrics", "ca.crt", &[]).code, 401);
        answer.text.contains("\nmtv_sentinel_web_config_stale 1\n")
    };
    assert!(!stale());
    let (web, key) = ["web.yml", "server.key"].map(|name| std::fs::read_to_string(site.path(name)).unwrap()).into();
    let tls_only = web.split_inclusive('\n').next().unwrap();
    let users_only = web.strip_prefix(tls_only).unwrap();
    for broken in
        ["", "basic_auth_users: {", "tls_server_config: {cert_file: gone.crt, key_file: server.key}", tls_only, users_only]
    {
        site.write("web.yml", broken);
        assert!(stale(), "{broken:?}");
    }
    site.write("web.yml", &web);
    assert!(!stale());
    for broken in ["", "no key", &ca.sign(dns("other")).1] {
        site.write("server.key", broken);
        assert!(stale(), "{broken:?}");
    }
    std::fs::remove_file(site.path("server.key")).unwrap();
    assert!(stale());
    site.write("server.key", &key);
    assert!(!stale());
}

#[test]
fn plain_text_at_the_port_of_tls_ends_without_an_answer() {
    let ca = Ca::new("ours");
    let site = Site::tls(&ca, "");
    let daemon = site.start("header_timeout: 1h");
    let answer = plain(daemon.address, "/livez", &["--http0.9"]);
    assert!(!answer.text.contains("HTTP/1.1") && !answer.text.contains("ok"), "{answer:?}");
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(site.live(&daemon, &[]), 200);
}

#[test]
fn a_handshake_that_does_not_come_holds_a_slot_for_the_header_timeout() {
    let ca = Ca::new("ours");
    let site = Site::tls(&ca, "");
    let daemon = site.start("max_connections: 1, header_timeout: 200ms");
    let mut silent = TcpStream::connect(daemon.address).unwrap();
    assert_eq!(site.live(&daemon, &[]), 200, "its slot is free again");
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);

    let daemon = site.start("max_connections: 1, header_timeout: 1h");
    let silent = TcpStream::connect(daemon.address).unwrap();
    let (url, ca) = (format!("https://{}/livez", daemon.address), site.path("ca.crt"));
    let mut waiting = curl_command(&["--cacert", &ca, &url]).stdout(Stdio::null()).spawn().unwrap();
    assert!(waiting.try_wait().unwrap().is_none());
    drop(silent);
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn a_handshake_that_is_under_way_does_not_hold_up_the_end() {
    let ca = Ca::new("ours");
    let site = Site::tls(&ca, "");
    let daemon = site.start("header_timeout: 1h, stop_timeout: 1h");
    let _silent = TcpStream::connect(daemon.address).unwrap();
    assert_eq!(site.live(&daemon, &[]), 200);
    // It would wait for an hour.
    drop(daemon);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_by_tls_too() {
    let ca = Ca::new("ours");
    let site = Site::tls(&ca, "");
    let daemon = site.start("max_connections: 1, write_timeout: 100ms, header_timeout: 1h");
    let mut roots = rustls::RootCertStore::empty();
    let pem = rustls::pki_types::pem::PemObject::from_pem_slice(ca.1.as_bytes()).unwrap();
    roots.add(pem).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let client = rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    let name = "127.0.0.1".try_into().unwrap();
    let connection = rustls::ClientConnection::new(client.into(), name).unwrap();
    let mut deaf = rustls::StreamOwned::new(connection, TcpStream::connect(daemon.address).unwrap());
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    deaf.write_all(request).unwrap();
    deaf.sock.set_nonblocking(true).unwrap();
    // More answers than any buffer takes, and nobody reads them.
    while deaf.write(&request.repeat(100)).is_ok() {}
    assert_eq!(site.live(&daemon, &[]), 200, "its slot is free again");
}

fn program(arguments: &[&str]) -> Command {
    let mut command = testbed::tied(env!("CARGO_BIN_EXE_mtv-sentinel"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

#[test]
fn a_wrong_file_is_refused_at_start_with_everything_that_is_wrong() {
    let site = Site::plain("tls_server_config: {cert_file: a.crt, key_file: a.key}\n");
    site.write("a.key", "no key");
    let source = format!("replay:{}", repository("tests/recordings/a-cold.ndjson.gz").display());
    let file = site.path("web.yml");
    let expected = format!(
        "error: the configuration is wrong:\n  \
         tls_server_config.cert_file: {} cannot be read: No such file or directory (os error 2)\n  \
         tls_server_config.key_file: {} holds no private key as PEM without a password\n",
        site.path("a.crt"),
        site.path("a.key")
    );
    let mut check = program(&["check-config"]);
    check.env("MTV_SENTINEL__HTTP__WEB_CONFIG_FILE", &file);
    for mut command in [program(&["run", "--source", &source, "--web-config-file", &file]), check] {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
    let (one, another) = (Ca::new("one").sign(dns("a")), Ca::new("another").sign(dns("a")));
    for (certificate, key, web, expected) in [
        (one.0.as_str(), another.1.as_str(), "", "tls_server_config.key_file: is not the key of the certificate"),
        ("nothing", &one.1, "", "tls_server_config.cert_file: "),
        (&one.0, &one.1, "x: 1", "x: there is no such key; there are basic_auth_users, rate_limit, "),
    ] {
        site.write("a.crt", certificate);
        site.write("a.key", key);
        site.write("web.yml", &format!("tls_server_config: {{cert_file: a.crt, key_file: a.key}}\n{web}"));
        let output = program(&["run", "--source", &source, "--web-config-file", &file]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

/// A program that dies with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_broken_new_version_is_logged_once_and_without_secrets() {
    let site = Site::plain(&users("alice", "first"));
    let source = format!("replay:{}", repository("tests/recordings/a-cold.ndjson.gz").display());
    let file = site.path("web.yml");
    let arguments = ["--source", &source, "--listen", "127.0.0.1:0", "--log-format", "json", "--web-config-file", &file];
    let mut running =
        Running(program(&arguments).env("MTV_SENTINEL__LOG__LEVEL", "debug").stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let listening: serde_json::Value =
        serde_json::from_str(&lines.find(|line| line.contains("\"listening\"")).unwrap()).unwrap();
    let address: SocketAddr = listening["address"].as_str().unwrap().parse().unwrap();
    let ask = |credentials: &str| plain(address, "/metrics", &["--user", credentials]).code;
    assert_eq!(ask("alice:first"), 200);
    site.write("web.yml", "basic_auth_users: {alice: s3cr3t}\n");
    assert_eq!((ask("alice:first"), ask("alice:s3cr3t"), ask("alice:first")), (200, 401, 200));
    site.write("web.yml", &users("alice", "second"));
    assert_eq!((ask("alice:second"), ask("alice:first")), (200, 401));
    let kill = Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let log: Vec<String> = lines.collect();
    let told: Vec<&String> =
        log.iter().filter(|line| line.contains("the web configuration") || line.contains("new web configuration")).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].contains("the old one stays in use") && told[0].contains("the hash of \\\"alice\\\" is no bcrypt hash"),
        "{}",
        told[0]
    );
    assert!(told[1].contains("was read anew"), "{}", told[1]);
    for secret in ["s3cr3t", "first", "second", "$2b$"] {
        assert!(log.iter().all(|line| !line.contains(secret)), "{secret}");
    }
}
