//! `message`: how notifications read, and what they link to. The templates' variables are in docs/messages.md.

use super::section::section;
use super::setting::{Setting, text, yaml_text};
use crate::message::{BaseUrl, LinkTemplate, Settings, Template};
use figment::value::Value;

section! {
    /// How notifications read.
    pub struct MessageConfig {
        /// Template of the title, as in "{{ rule }}: {{ name }}"; empty for the built-in one.
        title: Option<Template> = "\"\"",
        /// Template of the text; {{ text }} in it is the built-in one. Empty for the built-in one.
        text: Option<Template> = "\"\"",
        /// Address of OpenShift's console, as in https://console.apps.example.com; links lead to the plan. Empty for none.
        console_url: Option<BaseUrl> = "\"\"",
        /// Template of the address of a dashboard, as in "https://grafana/d/mtv?var-plan={{ name }}". Empty for none.
        grafana_url: Option<LinkTemplate> = "\"\"",
        /// Address of the folder of the runbooks (docs/runbooks); /planfailed.md and so on is put behind it. Empty for none.
        runbook_url: Option<BaseUrl> = "\"\"",
    }
}

impl MessageConfig {
    /// In the terms of `message`.
    pub fn settings(&self, cluster: &str) -> Settings {
        Settings {
            cluster: cluster.to_owned(),
            title: self.title.clone(),
            text: self.text.clone(),
            console: self.console_url.clone(),
            grafana: self.grafana_url.clone(),
            runbooks: self.runbook_url.clone(),
        }
    }
}

/// Makes a type that is read from a text and shown as it was written into a setting that may be empty.
macro_rules! from_text {
    ($name:ident, $accepts:literal) => {
        impl Setting for Option<$name> {
            const ACCEPTS: &'static str = $accepts;
            const OPTIONAL: bool = true;
            fn parse(value: &Value) -> Result<Self, String> {
                let text = text(value)?;
                if text.trim().is_empty() { Ok(None) } else { $name::parse(&text).map(Some) }
            }
            fn show(&self) -> String {
                yaml_text(self.as_ref().map($name::as_str).unwrap_or_default())
            }
        }
    };
}

from_text!(Template, "a template (docs/messages.md), or nothing");
from_text!(LinkTemplate, "a template of an http or https URL (docs/messages.md), or nothing");
from_text!(BaseUrl, "an http or https URL, or nothing");
