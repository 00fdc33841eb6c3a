//! The keys of a receiver of type `alertmanager`.

use super::credential::{Credential, Form, check_url};
use super::http::ClientConfig;
use super::keys::{Keys, Shown};
use super::webhook::MoreHeaders;
use crate::config::setting::Setting;
use figment::value::Value;
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// Where alerts are posted, below the URL of an Alertmanager.
const PATH: &str = "/api/v2/alerts";

/// Alertmanagers, which are shown what fires.
#[derive(Clone, Debug)]
pub struct AlertmanagerConfig {
    /// Each of them is shown everything.
    pub servers: Vec<Server>,
    /// How often.
    pub resend_interval: Duration,
    /// Sent as `Authorization: Bearer`, if there is one.
    pub bearer_token: Option<Credential>,
    /// More headers; their values are secrets.
    pub headers: HeaderMap,
    /// How they are spoken to.
    pub client: ClientConfig,
}

/// An Alertmanager.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it takes alerts; without a user.
    pub url: String,
    /// User and password, with a colon between them.
    pub user: Option<SecretString>,
}

impl AlertmanagerConfig {
    pub(super) fn take(keys: &mut Keys<'_>) -> Option<Self> {
        let urls: Option<Vec<String>> = keys.take("urls");
        if urls.as_ref().is_some_and(Vec::is_empty) || (urls.is_none() && !keys.has("urls")) {
            keys.refuse("it has no urls");
        }
        let mut servers = Vec::new();
        for (at, url) in urls.unwrap_or_default().iter().enumerate() {
            match Server::parse(url) {
                Ok(server) => servers.push(server),
                Err(why) => keys.refuse(format!("urls[{at}] {why}")),
            }
        }
        let resend_interval = keys.take::<Resend>("resend_interval").unwrap_or_default().0;
        let bearer_token = keys.secret("bearer_token", Form::Word);
        if bearer_token.is_some() && servers.iter().any(|server| server.user.is_some()) {
            keys.refuse("it has both a bearer_token and a user in urls");
        }
        let headers = keys.take::<MoreHeaders>("headers").unwrap_or_default().0;
        let client = ClientConfig::take_without_rate(keys);
        (!servers.is_empty()).then_some(Self { servers, resend_interval, bearer_token, headers, client })
    }

    pub(super) fn show(&self) -> Shown {
        let urls: Vec<String> = self.servers.iter().map(Server::show).collect();
        let shown = Shown::default().key("urls", &urls).key("resend_interval", &Resend(self.resend_interval));
        let shown = shown.secret("bearer_token", self.bearer_token.as_ref());
        let more = MoreHeaders(self.headers.clone());
        let shown = if self.headers.is_empty() { shown } else { shown.key("headers", &more) };
        self.client.show_without_rate(shown)
    }
}

impl Server {
    fn parse(text: &str) -> Result<Self, &'static str> {
        check_url(text)?;
        if text.contains(['?', '#']) {
            return Err("has a ? or a # in it, and a path is put behind it");
        }
        let base = text.trim_end_matches('/');
        if base.ends_with(PATH) {
            return Err("ends with /api/v2/alerts, which is put behind it");
        }
        let (scheme, rest) = base.split_once("://").ok_or("is no http or https URL")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(decode(user).into()), host),
            None => (None, authority),
        };
        Ok(Self { url: format!("{scheme}://{host}{path}{PATH}"), user })
    }

    /// Its host, for who reads the log.
    pub fn host(&self) -> &str {
        self.url.split('/').nth(2).unwrap_or_default()
    }

    /// As it was written, but for what is secret.
    fn show(&self) -> String {
        let base = self.url.trim_end_matches(PATH);
        match &self.user {
            None => base.to_owned(),
            Some(_) => base.replacen("://", "://<secret>@", 1),
        }
    }

    /// What must not be seen of it: the user with the password, and the password.
    pub fn secrets(&self) -> impl Iterator<Item = SecretString> {
        let user = self.user.iter().map(|user| user.expose_secret());
        user.flat_map(|user| [user, user.split_once(':').map_or(user, |(_, password)| password)]).map(Into::into)
    }
}

/// A text in which `%41` stands for a letter (RFC 3986, 2.1).
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = behind.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(b'%');
                rest = behind;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How often everything is posted again.
struct Resend(Duration);

impl Default for Resend {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl Setting for Resend {
    const ACCEPTS: &'static str = "a duration from 1s to 1h";
    fn parse(value: &Value) -> Result<Self, String> {
        let duration: Duration = Setting::parse(value)?;
        let fits = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&duration);
        if fits { Ok(Self(duration)) } else { Err(String::new()) }
    }
    fn show(&self) -> String {
        self.0.show()
    }
}
