//! Links: to the plan in OpenShift's console, to a dashboard, to the runbook.
//!
//! Called by `fields`; the configuration makes the addresses. What stands in an address is encoded, whatever it holds.

use super::fields::is_name;
use super::template::{self, Source};
use super::{About, Link, Message, Settings, samples};

/// Characters of an address: browsers and chats take no longer ones. One that is longer is left out.
const HREF_MAX: usize = 2000;

/// The beginning of addresses, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads it.
    ///
    /// # Errors
    /// If it is no http or https URL, or has a query or fragment: a path is put behind it.
    pub fn parse(text: &str) -> Result<Self, String> {
        check(text)?;
        if text.contains(['?', '#']) {
            return Err("a path is put behind it, so it takes no ? and no #".to_owned());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A template of an address. What it inserts is encoded by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate(String);

impl LinkTemplate {
    /// Reads it, and tries it on every sample.
    ///
    /// # Errors
    /// If it is no template, names something that is not there, or gives no http or https URL; with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let template = Self(text.to_owned());
        for sample in samples() {
            let message = sample.message(&Settings::default());
            template.href(&message).map_err(|why| format!("{why}, for {sample}"))?;
        }
        Ok(template)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn href(&self, message: &Message) -> Result<String, String> {
        let href = template::render(&Source { text: &self.0, is_address: true }, message)?.trim().to_owned();
        check(&href)?;
        Ok(href)
    }
}

/// Whether a text is an http or https URL, by its syntax.
fn check(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("it begins with neither https:// nor http://".to_owned()) };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let in_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || host.starts_with(':') || !host.chars().all(in_host) {
        return Err(format!("{host:?} is no host"));
    }
    match rest.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c)) {
        Some(c) => Err(format!("{c:?} cannot stand in a URL; it has to be encoded")),
        None => Ok(()),
    }
}

/// Encodes a text as one part of an address: what is not a letter, a digit or one of `-._~`.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The links of a message that is complete but for its links, title and text. Many plans have none in common.
pub(super) fn links(message: &Message, settings: &Settings) -> Vec<Link> {
    let mut links = Vec::new();
    if message.about != About::Thread {
        return links;
    }
    // A name that Kubernetes does not allow is in no console.
    if let Some(BaseUrl(base)) = &settings.console
        && is_name(&message.namespace)
        && is_name(&message.name)
    {
        let kind = if message.kind == "plan" { "Plan" } else { "Provider" };
        let href = format!("{base}/k8s/ns/{}/forklift.konveyor.io~v1beta1~{kind}/{}", message.namespace, message.name);
        links.push(Link { text: "Console".to_owned(), href });
    }
    // A dashboard that cannot be named is no reason to say less of what is wrong.
    if let Some(href) = settings.grafana.as_ref().and_then(|template| template.href(message).ok()) {
        links.push(Link { text: "Dashboard".to_owned(), href });
    }
    if let Some(BaseUrl(base)) = &settings.runbooks {
        links.push(Link { text: "Runbook".to_owned(), href: format!("{base}/{}.md", message.rule.to_lowercase()) });
    }
    links.retain(|link| link.href.len() <= HREF_MAX);
    links
}
