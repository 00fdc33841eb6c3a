//! The format of the file that `http.web_config_file` names: what is accepted, and what is refused and how.

use crate::support::repository;
use mtv_sentinel::config::{CipherSuite, ClientAuth, Curve, Header, TlsVersion, WebConfig};

/// A bcrypt hash, from the documentation of the toolkit.
const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

fn parse(text: &str) -> Result<WebConfig, Vec<String>> {
    WebConfig::parse("web.yml", text).map_err(|errors| errors.to_string().lines().map(str::to_owned).collect())
}

#[test]
fn every_key_of_the_toolkit_is_read() {
    let config = parse(&format!(
        "tls_server_config:
  cert_file: server.crt
  key_file: /etc/tls/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.monitoring.svc]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: true
  headers:
    Content-Security-Policy: default-src 'self'
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: 0
basic_auth_users:
  alice: {HASH}
  bob: '{HASH}'
"
    ))
    .unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.cert_file, Some("server.crt".into()));
    assert_eq!(tls.key_file, Some("/etc/tls/server.key".into()));
    assert_eq!(tls.client_auth_type, ClientAuth::RequireAndVerify);
    assert_eq!(tls.client_ca_file, Some("ca.crt".into()));
    assert_eq!(tls.client_allowed_sans, ["prometheus.monitoring.svc"]);
    assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls12, TlsVersion::Tls13));
    assert_eq!(tls.cipher_suites, [CipherSuite::EcdheRsaAes256Gcm, CipherSuite::EcdheEcdsaAes256Gcm]);
    assert!(!tls.prefer_server_cipher_suites);
    assert_eq!(tls.curve_preferences, [Curve::P256, Curve::X25519]);
    let headers = config.http.headers.0;
    assert_eq!(headers.len(), 5);
    assert_eq!((&*headers[&Header::FrameOptions], &*headers[&Header::XssProtection]), ("deny", "0"));
    let users: Vec<&String> = config.general.basic_auth_users.0.keys().collect();
    assert_eq!(users, ["alice", "bob"]);
    assert_eq!(config.general.basic_auth_users.0["bob"].expose(), Some(HASH));
}

#[test]
fn the_examples_in_the_documents_are_right() {
    for page in ["README.md", "docs/api.md"] {
        let text = std::fs::read_to_string(repository(page)).unwrap();
        let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let examples: Vec<&str> = blocks.filter(|block| block.contains("tls_server_config")).collect();
        assert_eq!(examples.len(), 1, "{page}");
        assert!(parse(examples[0]).unwrap().tls.is_some(), "{page}");
    }
}

#[test]
fn a_file_that_asks_for_nothing_is_plain_text_for_everybody() {
    for text in
        ["", "{}", "tls_server_config: {}\nbasic_auth_users:\n", "http_server_config: {headers: {X-Frame-Options: ''}}"]
    {
        let config = parse(text).unwrap();
        assert!(config.tls.is_none() && config.http.headers.0.is_empty(), "{text:?}");
        assert!(config.general.basic_auth_users.0.is_empty(), "{text:?}");
    }
}

#[test]
fn certificates_in_the_file_itself_are_read_too() {
    let tls = parse(
        "tls_server_config: {cert: a certificate, key: its key, client_ca_file: ca.crt, client_auth_type: VerifyClientCertIfGiven}",
    );
    let tls = tls.unwrap().tls.unwrap();
    assert_eq!((tls.cert.as_str(), tls.key.expose()), ("a certificate", Some("its key")));
}

#[test]
fn a_list_of_suites_stands_for_tls_1_2_and_leaves_those_of_1_3_unless_it_names_some() {
    let offers = |more: &str| {
        let tls = parse(&format!("tls_server_config: {{cert_file: a, key_file: b, {more}}}")).unwrap().tls.unwrap();
        [TlsVersion::Tls12, TlsVersion::Tls13].map(|version| tls.offers(version).map_or(0, |suites| suites.len()))
    };
    assert_eq!(offers(""), [6, 3]);
    assert_eq!(offers("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]"), [1, 3]);
    assert_eq!(offers("cipher_suites: [TLS_AES_256_GCM_SHA384]"), [0, 1]);
    assert_eq!(offers("min_version: TLS13"), [0, 3]);
    assert_eq!(offers("max_version: TLS12"), [6, 0]);
}

#[test]
fn each_mistake_is_named_with_its_path_and_what_is_accepted() {
    let tls = |more: &str| format!("tls_server_config: {{cert_file: a, key_file: b, {more}}}");
    let header = |header: &str| format!("http_server_config: {{headers: {{{header}}}}}");
    for (text, expected) in [
        ("tls_config: {}".to_owned(), "tls_config: there is no such key; did you mean tls_server_config? [web.yml]"),
        (
            tls("client_ca_fil: c"),
            "tls_server_config.client_ca_fil: there is no such key; did you mean client_ca_file? [web.yml]",
        ),
        (
            "tls_server_config: please".to_owned(),
            "tls_server_config: \"please\" is a section: it takes keys below it [web.yml]",
        ),
        (
            "tls_server_config: {cert_file: a}".to_owned(),
            "tls_server_config.key_file: is missing: TLS needs a certificate and its key",
        ),
        (
            "tls_server_config: {key_file: b}".to_owned(),
            "tls_server_config.cert_file: is missing: TLS needs a certificate and its key",
        ),
        (tls("cert: c"), "tls_server_config.cert: is set beside cert_file; keep one of them"),
        (tls("key: s3cr3t"), "tls_server_config.key: is set beside key_file; keep one of them"),
        (
            tls("key: [s3cr3t]"),
            "tls_server_config.key: <secret> is not accepted; it takes a secret text, or nothing [web.yml]",
        ),
        (
            tls("client_auth_type: VerifyAll"),
            "tls_server_config.client_auth_type: \"VerifyAll\" is not accepted; it takes NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert [web.yml]",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            "tls_server_config.client_ca_file: is missing: client_auth_type RequireAndVerifyClientCert needs it",
        ),
        (
            tls("client_ca_file: c"),
            "tls_server_config.client_ca_file: has no effect with client_auth_type NoClientCert; RequireAndVerifyClientCert asks for its certificates",
        ),
        (
            tls("client_allowed_sans: [x], client_auth_type: VerifyClientCertIfGiven, client_ca_file: c"),
            "tls_server_config.client_allowed_sans: needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: others let clients in without a certificate",
        ),
        (
            tls("min_version: TLS10"),
            "tls_server_config.min_version: \"TLS10\" is not accepted; it takes TLS12 or TLS13 [web.yml]",
        ),
        (tls("min_version: TLS13, max_version: TLS12"), "tls_server_config.min_version: TLS13 is above max_version, TLS12"),
        (
            tls("cipher_suites: [TLS_AES_256_GCM_SHA384, TLS_RSA_WITH_RC4_128_SHA, RC4]"),
            "tls_server_config.cipher_suites: [\"TLS_AES_256_GCM_SHA384\",\"TLS_RSA_WITH_RC4_128_SHA\",\"RC4\"] is not accepted (there is no cipher suite \"TLS_RSA_WITH_RC4_128_SHA\", \"RC4\"; there are TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256); it takes a list of cipher suites [web.yml]",
        ),
        (
            tls("cipher_suites: [TLS_AES_256_GCM_SHA384], max_version: TLS12"),
            "tls_server_config.cipher_suites: has none for TLS12, the only version",
        ),
        (
            tls("prefer_server_cipher_suites: perhaps"),
            "tls_server_config.prefer_server_cipher_suites: \"perhaps\" is not accepted; it takes true or false [web.yml]",
        ),
        (
            tls("curve_preferences: [CurveP521]"),
            "tls_server_config.curve_preferences: [\"CurveP521\"] is not accepted (there is no curve \"CurveP521\"; there are X25519, CurveP256, CurveP384); it takes a list of curves [web.yml]",
        ),
        (
            "http_server_config: {http3: true}".to_owned(),
            "http_server_config.http3: there is no such key; did you mean http2? [web.yml]",
        ),
        (
            header("Server: x"),
            "http_server_config.headers: {\"Server\":\"x\"} is not accepted (\"Server\" is no header that can be set; there are Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection); it takes a map from headers to values [web.yml]",
        ),
        (
            header("X-Frame-Options: allow, X-Content-Type-Options: sniff"),
            "http_server_config.headers: {\"X-Content-Type-Options\":\"sniff\",\"X-Frame-Options\":\"allow\"} is not accepted (X-Content-Type-Options takes nosniff; X-Frame-Options takes deny or sameorigin); it takes a map from headers to values [web.yml]",
        ),
        (
            header("X-XSS-Protection: \"0\\r\\nSet-Cookie: a\""),
            "http_server_config.headers: {\"X-XSS-Protection\":\"0\\r\\nSet-Cookie: a\"} is not accepted (X-XSS-Protection takes printable ASCII characters only); it takes a map from headers to values [web.yml]",
        ),
        (
            "basic_auth_users: {alice: s3cr3t, bob: $2y$10$short, eve: [s3cr3t]}".to_owned(),
            "basic_auth_users: <secret> is not accepted (the hash of \"alice\" is no bcrypt hash; the hash of \"bob\" is no bcrypt hash; the hash of \"eve\" is no text); it takes a map from users to bcrypt hashes of passwords [web.yml]",
        ),
        (
            format!("basic_auth_users: {{'a:b': {HASH}}}"),
            "basic_auth_users: <secret> is not accepted (\"a:b\" is no name of a user); it takes a map from users to bcrypt hashes of passwords [web.yml]",
        ),
        (
            format!("basic_auth_users: {{alice: {}}}", HASH.replace("$10$", "$19$")),
            "basic_auth_users: <secret> is not accepted (the hash of \"alice\" has the cost 19, which takes too long; 18 is the highest); it takes a map from users to bcrypt hashes of passwords [web.yml]",
        ),
        (
            "rate_limit: {interval: 1s, burst: 20}".to_owned(),
            "rate_limit: {\"burst\":20,\"interval\":\"1s\"} is not accepted (requests are not limited by rate; http.max_connections is the limit); it takes nothing [web.yml]",
        ),
    ] {
        assert_eq!(parse(&text).unwrap_err(), [expected], "{text}");
    }
}

#[test]
fn all_mistakes_are_named_at_once() {
    let text = "tls_server_config: {client_auth_type: RequireAndVerifyClientCert}
http_server_config: {http2: maybe, header: {}}
basic_auth_users: {alice: s3cr3t}
rate_limits: {}
";
    let errors = parse(text).unwrap_err();
    assert_eq!(errors.len(), 7, "{errors:#?}");
    let paths: Vec<&str> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "basic_auth_users",
            "rate_limits",
            "http_server_config.http2",
            "http_server_config.header",
            "tls_server_config.cert_file",
            "tls_server_config.key_file",
            "tls_server_config.client_ca_file"
        ]
    );
}

#[test]
fn a_secret_is_in_no_text_that_the_format_gives() {
    let key = "-----BEGIN PRIVATE KEY-----\nczNjcjN0\n-----END PRIVATE KEY-----\n";
    for text in [
        key.to_owned(),
        format!("key: {key}"),
        "s3cr3t".to_owned(),
        "- s3cr3t".to_owned(),
        "basic_auth_users: s3cr3t".to_owned(),
        "basic_auth_users: {a: &b s3cr3t, a: *c}".to_owned(),
        "basic_auth_users: [s3cr3t]".to_owned(),
        "basic_auth_users: {alice: 'czNjcjN0}".to_owned(),
        "tls_server_config: {key: {czNjcjN0: s3cr3t}}".to_owned(),
    ] {
        let errors = parse(&text).unwrap_err().join("\n");
        assert!(!errors.contains("s3cr3t") && !errors.contains("czNjcjN0"), "{text}: {errors}");
    }
    let config =
        parse(&format!("basic_auth_users: {{alice: {HASH}}}\ntls_server_config: {{cert: c, key: s3cr3t}}")).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cr3t") && !shown.contains("X0h1gDsPszWURQ"), "{shown}");
}
