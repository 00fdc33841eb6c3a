//! The types of value that a key can have: what each accepts, and how it is written.

use figment::value::Value;
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The type of a key.
pub(super) trait Setting: Sized + Default {
    /// What it accepts, in words that complete "it takes …".
    const ACCEPTS: &'static str;
    /// Whether the value must not be shown.
    const SECRET: bool = false;
    /// Whether an empty value means something.
    const OPTIONAL: bool = false;
    /// The value; the error says more than `ACCEPTS`, or nothing.
    fn parse(value: &Value) -> Result<Self, String>;
    /// The value as YAML.
    fn show(&self) -> String;
}

/// A value that is written as a text. A number is none: YAML has lost how it was written.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(_, text) => Ok(text.clone()),
        Value::Char(_, c) => Ok(c.to_string()),
        Value::Bool(_, flag) => Ok(flag.to_string()),
        Value::Empty(..) => Ok(String::new()),
        Value::Num(..) => Err("put it in quotes".to_owned()),
        Value::Dict(..) | Value::Array(..) => Err(String::new()),
    }
}

/// A number, or a text that is one, as the environment gives it.
fn number<T: std::str::FromStr>(value: &Value) -> Result<T, String> {
    let written = match value {
        Value::Num(_, number) => serde_json::to_string(number).unwrap_or_default(),
        other => text(other)?,
    };
    written.trim().parse().map_err(|_| String::new())
}

/// A list or a map, or a text that is one in YAML's flow style, as the environment gives it.
pub(super) fn structure(value: &Value) -> Value {
    match value {
        Value::String(_, text) if text.trim_start().starts_with(['[', '{']) => {
            serde_saphyr::from_str(text).unwrap_or_else(|_| value.clone())
        }
        other => other.clone(),
    }
}

pub(super) fn yaml_text(text: &str) -> String {
    // A JSON text is a YAML text.
    serde_json::Value::from(text).to_string()
}

/// A text as YAML, in quotes only where it would be read as something else.
fn plain_yaml(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    let word =
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && text.chars().all(plain) && !text.ends_with(':');
    let read_back = serde_saphyr::from_str::<serde_json::Value>(text).ok();
    if word && read_back == Some(serde_json::Value::from(text)) { text.to_owned() } else { yaml_text(text) }
}

impl Setting for String {
    const ACCEPTS: &'static str = "a text";
    fn parse(value: &Value) -> Result<Self, String> {
        text(value)
    }
    fn show(&self) -> String {
        plain_yaml(self)
    }
}

impl Setting for bool {
    const ACCEPTS: &'static str = "true or false";
    fn parse(value: &Value) -> Result<Self, String> {
        text(value)?.parse().map_err(|_| String::new())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// A count above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub u32);

impl Setting for Count {
    const ACCEPTS: &'static str = "a whole number from 1 to 1000000";
    fn parse(value: &Value) -> Result<Self, String> {
        let number = number(value)?;
        if (1..=1_000_000).contains(&number) { Ok(Self(number)) } else { Err(String::new()) }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A count, or zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count0(pub usize);

impl Setting for Count0 {
    const ACCEPTS: &'static str = "a whole number from 0 to 1000000";
    fn parse(value: &Value) -> Result<Self, String> {
        let number = number(value)?;
        if number <= 1_000_000 { Ok(Self(number)) } else { Err(String::new()) }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A factor above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factor(pub f64);

impl Setting for Factor {
    const ACCEPTS: &'static str = "a number above 0, at most 1000000";
    fn parse(value: &Value) -> Result<Self, String> {
        let number = number(value)?;
        if number > 0.0 && number <= 1e6 { Ok(Self(number)) } else { Err(String::new()) }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Setting for Duration {
    const ACCEPTS: &'static str = "a duration such as 30s, 5m, 12h, 30d or 1h 30m";
    fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Num(..) => Err("it needs a unit".to_owned()),
            other => humantime::parse_duration(&text(other)?).map_err(|error| error.to_string()),
        }
    }
    fn show(&self) -> String {
        let seconds = self.as_secs();
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (u64::from(self.subsec_millis()), "ms"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
        let shown = parts.collect::<Vec<_>>().join(" ");
        if shown.is_empty() { "0s".to_owned() } else { shown }
    }
}

/// A duration above zero: how often something is done, or how long somebody may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl Setting for Interval {
    const ACCEPTS: &'static str = "a duration of at least 10ms, such as 2s or 1m";
    fn parse(value: &Value) -> Result<Self, String> {
        let duration: Duration = Setting::parse(value)?;
        if duration >= Duration::from_millis(10) { Ok(Self(duration)) } else { Err(String::new()) }
    }
    fn show(&self) -> String {
        self.0.show()
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Default for Address {
    fn default() -> Self {
        Self(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl Setting for Address {
    const ACCEPTS: &'static str = "an address with a port, such as 0.0.0.0:8497, [::]:8497 or :8497";
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.replace("localhost", "127.0.0.1") };
        full.parse().map(Self).map_err(|_| String::new())
    }
    fn show(&self) -> String {
        plain_yaml(&self.0.to_string())
    }
}

impl Setting for Vec<String> {
    const ACCEPTS: &'static str = "a list of texts";
    fn parse(value: &Value) -> Result<Self, String> {
        match &structure(value) {
            Value::Array(_, items) => items.iter().map(text).collect(),
            Value::Empty(..) => Ok(Vec::new()),
            Value::String(_, text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
            _ => Err(String::new()),
        }
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(|item| plain_yaml(item)).collect::<Vec<_>>().join(", "))
    }
}

impl Setting for Option<PathBuf> {
    const ACCEPTS: &'static str = "the path of a file, or nothing";
    const OPTIONAL: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        Ok(Some(text(value)?).filter(|path| !path.is_empty()).map(PathBuf::from))
    }
    fn show(&self) -> String {
        yaml_text(&self.as_ref().map(|path| path.display().to_string()).unwrap_or_default())
    }
}

/// A secret, or none. It is never shown; a secret in a file is better than one in the configuration.
#[derive(Clone, Debug, Default)]
pub struct Secret(Option<SecretString>);

impl Secret {
    /// The secret, for the one who compares or sends it.
    pub fn expose(&self) -> Option<&str> {
        self.0.as_ref().map(ExposeSecret::expose_secret)
    }
}

impl Setting for Secret {
    const ACCEPTS: &'static str = "a secret text, or nothing";
    const SECRET: bool = true;
    const OPTIONAL: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        Ok(Self(Some(text(value)?).filter(|secret| !secret.is_empty()).map(SecretString::from)))
    }
    fn show(&self) -> String {
        yaml_text(if self.0.is_some() { "<secret>" } else { "" })
    }
}

/// Makes a closed enum of words into a setting.
macro_rules! words {
    ($name:ident, $accepts:literal) => {
        impl $crate::config::setting::Setting for $name {
            const ACCEPTS: &'static str = $accepts;
            fn parse(value: &figment::value::Value) -> Result<Self, String> {
                // YAML 1.1 readers take `off` for a boolean; a person who writes it means the word.
                let word = match value.to_bool() {
                    Some(false) => "off".to_owned(),
                    Some(true) | None => $crate::config::setting::text(value)?,
                };
                let mut words = Self::ALL.iter().copied();
                words.find(|known| known.as_str().eq_ignore_ascii_case(&word)).ok_or_else(String::new)
            }
            fn show(&self) -> String {
                self.as_str().to_owned()
            }
        }
    };
}
pub(super) use words;
