//! `headers`: those that the toolkit allows to be added to answers.

use crate::config::section::suggest;
use crate::config::setting::{Setting, structure, text};
use figment::value::Value;
use std::collections::BTreeMap;

closed_enum! {
    /// A header that may be added.
    pub enum Header {
        /// What a page may load.
        ContentSecurityPolicy = "Content-Security-Policy",
        /// That the host is asked by TLS only.
        StrictTransportSecurity = "Strict-Transport-Security",
        /// That types of content are not guessed.
        ContentTypeOptions = "X-Content-Type-Options",
        /// Who may show a page in a frame.
        FrameOptions = "X-Frame-Options",
        /// What old browsers do about scripts from elsewhere.
        XssProtection = "X-XSS-Protection",
    }
}

impl Header {
    /// The values that it takes; any if there are none.
    fn values(self) -> &'static [&'static str] {
        match self {
            Self::ContentTypeOptions => &["nosniff"],
            Self::FrameOptions => &["deny", "sameorigin"],
            Self::ContentSecurityPolicy | Self::StrictTransportSecurity | Self::XssProtection => &[],
        }
    }
}

/// Headers and their values; those without a value are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub BTreeMap<Header, String>);

fn header((name, value): (&String, &Value)) -> Result<(Header, String), String> {
    let known: Vec<&str> = Header::ALL.iter().map(|header| header.as_str()).collect();
    let header = Header::ALL.iter().copied().find(|header| header.as_str().eq_ignore_ascii_case(name));
    let header = header.ok_or_else(|| format!("{name:?} is no header that can be set; {}", suggest(name, &known)))?;
    let written = match value {
        Value::Num(_, number) => serde_json::to_string(number).unwrap_or_default(),
        other => text(other).map_err(|_| format!("{header} takes a text"))?,
    };
    if !written.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(format!("{header} takes printable ASCII characters only"));
    }
    if !written.is_empty() && !header.values().is_empty() && !header.values().contains(&written.as_str()) {
        return Err(format!("{header} takes {}", header.values().join(" or ")));
    }
    Ok((header, written))
}

impl Setting for Headers {
    const ACCEPTS: &'static str = "a map from headers to values";
    fn parse(value: &Value) -> Result<Self, String> {
        let value = structure(value);
        let entries = value.as_dict().ok_or_else(String::new)?.iter().map(header);
        let (good, bad): (Vec<_>, Vec<_>) = entries.partition(Result::is_ok);
        let bad: Vec<String> = bad.into_iter().filter_map(Result::err).collect();
        if !bad.is_empty() {
            return Err(bad.join("; "));
        }
        Ok(Self(good.into_iter().flatten().filter(|(_, value)| !value.is_empty()).collect()))
    }
    fn show(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(header, value)| format!("{header}: {}", value.show())).collect();
        format!("{{{}}}", entries.join(", "))
    }
}
