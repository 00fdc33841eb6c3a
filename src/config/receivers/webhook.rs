//! The keys of a receiver of type `webhook`.

use super::credential::{Credential, Form};
use super::http::ClientConfig;
use super::keys::{Keys, Shown};
use crate::config::setting::{Setting, structure, text};
use figment::value::Value;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::str::FromStr;

/// Headers that are ours to set: they say what is sent, or prove who sent it.
const OURS: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-mtv-sentinel-signature",
    "x-mtv-sentinel-timestamp",
];

/// A webhook: what is sent is Alertmanager's payload.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where to: a secret.
    pub url: Credential,
    /// Sent as `Authorization: Bearer`, if there is one.
    pub bearer_token: Option<Credential>,
    /// What the payload is signed with, if it is.
    pub hmac_secret: Option<Credential>,
    /// More headers; their values are secrets.
    pub headers: HeaderMap,
    /// How it is spoken to.
    pub client: ClientConfig,
}

impl WebhookConfig {
    pub(super) fn take(keys: &mut Keys<'_>) -> Option<Self> {
        let url = keys.needed("url", Form::Url);
        let bearer_token = keys.secret("bearer_token", Form::Word);
        let hmac_secret = keys.secret("hmac_secret", Form::Text);
        let headers = keys.take::<MoreHeaders>("headers").unwrap_or_default().0;
        let client = ClientConfig::take(keys, None);
        Some(Self { url: url?, bearer_token, hmac_secret, headers, client })
    }

    pub(super) fn show(&self) -> Shown {
        let shown = Shown::default().secret("url", Some(&self.url)).secret("bearer_token", self.bearer_token.as_ref());
        let shown = shown.secret("hmac_secret", self.hmac_secret.as_ref());
        let more = MoreHeaders(self.headers.clone());
        let shown = if self.headers.is_empty() { shown } else { shown.key("headers", &more) };
        self.client.show(shown)
    }
}

#[derive(Default)]
pub(super) struct MoreHeaders(pub(super) HeaderMap);

impl Setting for MoreHeaders {
    const ACCEPTS: &'static str = "a map from names to values of headers, each name once and none that is set anyway, such as \
                                   Content-Type or Authorization";
    const SECRET: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        let value = structure(value);
        let mut headers = HeaderMap::new();
        for (name, value) in value.as_dict().ok_or_else(String::new)? {
            let name = HeaderName::from_str(name).map_err(|_| String::new())?;
            let mut value = HeaderValue::from_str(&text(value)?).map_err(|_| String::new())?;
            // So that nothing prints it.
            value.set_sensitive(true);
            if OURS.contains(&name.as_str()) || headers.insert(name, value).is_some() {
                return Err(String::new());
            }
        }
        Ok(Self(headers))
    }
    fn show(&self) -> String {
        let entries = self.0.keys().map(|name| format!("{}: \"<secret>\"", name.as_str().to_owned().show()));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
    }
}
