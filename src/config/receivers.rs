//! The type of `notify.receivers`: each has a type, and the keys of that type. What is secret is never shown.

use super::section::suggest;
use super::setting::{Interval, Secret, Setting, structure, text};
use figment::value::{Dict, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How long a request may take, if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A receiver.
#[derive(Clone, Debug)]
pub enum ReceiverConfig {
    /// A line of the log.
    Log,
    /// A webhook.
    Webhook(WebhookConfig),
}

/// A webhook: what is sent is Alertmanager's payload.
#[derive(Clone, Debug, Default)]
pub struct WebhookConfig {
    /// Where to, if it stands here; a secret.
    pub url: Secret,
    /// Else the file that says where to.
    pub url_file: Option<PathBuf>,
    /// The file of a token that is sent along.
    pub bearer_token_file: Option<PathBuf>,
    /// How long a request may take.
    pub timeout: Interval,
}

/// Receivers by name.
#[derive(Clone, Debug, Default)]
pub struct Receivers(pub BTreeMap<String, ReceiverConfig>);

impl Receivers {
    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Whether a text is the URL of a webhook; without the text, which is a secret.
pub fn check_url(text: &str) -> Result<(), String> {
    let uri = text.parse::<http::Uri>().ok();
    let is_http = uri.as_ref().and_then(http::Uri::scheme_str).is_some_and(|scheme| matches!(scheme, "http" | "https"));
    if is_http { Ok(()) } else { Err("its url is no http or https URL".to_owned()) }
}

fn key<T: Setting>(dict: &Dict, name: &str) -> Result<Option<T>, String> {
    let Some(value) = dict.get(name) else { return Ok(None) };
    T::parse(value).map(Some).map_err(|_| format!("{name} takes {}", T::ACCEPTS))
}

fn receiver(value: &Value) -> Result<ReceiverConfig, String> {
    let dict = value.as_dict().ok_or("it has no keys")?;
    let kind = dict.get("type").map(text).transpose()?.ok_or("it has no type")?;
    let keys: &[&str] = match kind.as_str() {
        "log" => &["type"],
        "webhook" => &["type", "url", "url_file", "bearer_token_file", "timeout"],
        other => return Err(format!("there is no type {other:?}; {}", suggest(other, &["log", "webhook"]))),
    };
    if let Some(unknown) = dict.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(format!("there is no such key as {unknown}; {}", suggest(unknown, keys)));
    }
    if kind == "log" {
        return Ok(ReceiverConfig::Log);
    }
    let webhook = WebhookConfig {
        url: key(dict, "url")?.unwrap_or_default(),
        url_file: key::<Option<PathBuf>>(dict, "url_file")?.flatten(),
        bearer_token_file: key::<Option<PathBuf>>(dict, "bearer_token_file")?.flatten(),
        timeout: key(dict, "timeout")?.unwrap_or(Interval(TIMEOUT)),
    };
    match (webhook.url.expose(), &webhook.url_file) {
        (Some(_), Some(_)) => return Err("it has both url and url_file".to_owned()),
        (None, None) => return Err("it has neither url nor url_file".to_owned()),
        (Some(url), None) => check_url(url)?,
        (None, Some(_)) => {}
    }
    Ok(ReceiverConfig::Webhook(webhook))
}

impl Setting for Receivers {
    const ACCEPTS: &'static str = "a map from names to receivers such as {type: log} or {type: webhook, url_file: /path}";
    const SECRET: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        let value = structure(value);
        let entry = |(name, value): (&String, &Value)| match receiver(value) {
            Ok(receiver) => Ok((name.clone(), receiver)),
            Err(why) => Err(format!("{name}: {why}")),
        };
        let entries = value.as_dict().ok_or_else(String::new)?.iter().map(entry);
        let (good, bad): (Vec<_>, Vec<_>) = entries.partition(Result::is_ok);
        let bad: Vec<String> = bad.into_iter().filter_map(Result::err).collect();
        if bad.is_empty() { Ok(Self(good.into_iter().flatten().collect())) } else { Err(bad.join("; ")) }
    }
    fn show(&self) -> String {
        let show = |receiver: &ReceiverConfig| match receiver {
            ReceiverConfig::Log => "{type: log}".to_owned(),
            ReceiverConfig::Webhook(WebhookConfig { url, url_file, bearer_token_file, timeout }) => {
                let mut keys = vec!["type: webhook".to_owned()];
                keys.extend(url.expose().map(|_| format!("url: {}", url.show())));
                keys.extend(url_file.is_some().then(|| format!("url_file: {}", url_file.show())));
                keys.extend(bearer_token_file.is_some().then(|| format!("bearer_token_file: {}", bearer_token_file.show())));
                keys.push(format!("timeout: {}", timeout.show()));
                format!("{{{}}}", keys.join(", "))
            }
        };
        let entries = self.0.iter().map(|(name, receiver)| format!("{}: {}", name.show(), show(receiver)));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
    }
}
