//! The file that `http.web_config_file` names: TLS, headers and users of the listener, in the format of Prometheus'
//! exporter-toolkit.
//!
//! Called by `http`, which reads it and the files that it names. Pure: text in, a [`WebConfig`] or **all** errors out.

mod headers;
mod tls;
mod users;

pub use headers::{Header, Headers};
pub use tls::{CipherSuite, ClientAuth, Curve, TlsServerConfig, TlsVersion};
pub use users::Users;

use super::layers::Layers;
use super::section::{Errors, Reader, Section, section};
use super::setting::Setting;
use figment::value::Value;

/// The web configuration.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// The keys that stand in no section: who may ask.
    pub general: WebGeneral,
    /// TLS; plain text without it.
    pub tls: Option<TlsServerConfig>,
    /// What is added to answers.
    pub http: HttpServerConfig,
}

section! {
    /// The keys that stand in no section.
    pub struct WebGeneral {
        /// Names of users and the bcrypt hashes of their passwords.
        basic_auth_users: Users = "{}",
        /// A part of the format that this program does not have.
        rate_limit: NoRateLimit = "\"\"",
    }
}

section! {
    /// What concerns HTTP.
    pub struct HttpServerConfig {
        /// Accepted for the sake of the format: HTTP/1.1 is spoken in any case.
        http2: bool = "true",
        /// Headers that are added to each answer.
        headers: Headers = "{}",
    }
}

/// Nothing: requests are not limited by rate, and a file that asks for it must not be taken as if they were.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRateLimit;

impl Setting for NoRateLimit {
    const ACCEPTS: &'static str = "nothing";
    fn parse(value: &Value) -> Result<Self, String> {
        let none = matches!(value, Value::String(_, text) if text.is_empty());
        if none { Ok(Self) } else { Err("requests are not limited by rate; http.max_connections is the limit".to_owned()) }
    }
    fn show(&self) -> String {
        "\"\"".to_owned()
    }
}

impl WebConfig {
    /// Reads the text of a file; its name is told in errors.
    ///
    /// # Errors
    /// All that is wrong, each with its path and what is accepted.
    pub fn parse(name: &str, text: &str) -> Result<Self, Errors> {
        let layers = Layers { file: Some((name.to_owned(), text.to_owned())), ..Layers::default() };
        let (figment, mut errors) = layers.merge();
        let mut root = Reader::root(&figment, &mut errors);
        let (mut tls, mut http) = (root.section("tls_server_config"), root.section("http_server_config"));
        let general = WebGeneral::read(&mut root);
        root.finish();
        let wanted = tls.is_given();
        let tls = TlsServerConfig::read(&mut tls.open(&figment, &mut errors));
        let http = HttpServerConfig::read(&mut http.open(&figment, &mut errors));
        // What was refused counts as its default, and would be told a second time.
        if wanted && !errors.0.iter().any(|problem| problem.path.starts_with("tls_server_config")) {
            tls.check(&mut errors);
        }
        let tls = wanted.then_some(tls);
        if errors.is_empty() { Ok(Self { general, tls, http }) } else { Err(errors) }
    }
}
