//! `alerts`: which rules hold, and how urgent they are.

use super::section::{section, suggest};
use super::setting::{Setting, structure, text};
use crate::alert::{RULES, Settings, Severity};
use figment::value::Value;
use std::collections::BTreeMap;
use std::time::Duration;

section! {
    /// Which rules hold, and how urgent they are.
    pub struct AlertsConfig {
        /// Rules that are switched on though they are off by default, by name.
        on: RuleNames = "[]",
        /// Rules that are switched off, by name.
        off: RuleNames = "[]",
        /// Severities other than the rules' own, such as {PlanFailed: critical}.
        severity: Severities = "{}",
        /// How long a rule has to hold before it fires, where that is not its own time, such as {PlanStalled: 1h}.
        r#for: Durations = "{}",
    }
}

impl AlertsConfig {
    /// In the terms of `alert`.
    pub fn settings(&self) -> Settings {
        Settings {
            on: self.on.0.clone(),
            off: self.off.0.clone(),
            severities: self.severity.0.clone(),
            holds: self.r#for.0.clone(),
        }
    }
}

/// Names of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleNames(Vec<&'static str>);

/// Severities by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Severities(BTreeMap<&'static str, Severity>);

/// Durations by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations(BTreeMap<&'static str, Duration>);

fn rule(name: &str) -> Result<&'static str, String> {
    // The environment's keys are in lower case.
    let known = RULES.iter().map(|rule| rule.name).find(|known| known.eq_ignore_ascii_case(name));
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    known.ok_or_else(|| format!("there is no rule {name:?}; {}", suggest(name, &names)))
}

impl Setting for RuleNames {
    const ACCEPTS: &'static str = "a list of rules";
    fn parse(value: &Value) -> Result<Self, String> {
        let names: Vec<String> = Setting::parse(value)?;
        names.iter().map(|name| rule(name)).collect::<Result<_, _>>().map(Self)
    }
    fn show(&self) -> String {
        format!("[{}]", self.0.join(", "))
    }
}

impl Setting for Severities {
    const ACCEPTS: &'static str = "a map from rules to critical, warning or info";
    fn parse(value: &Value) -> Result<Self, String> {
        let entry = |(name, value): (&String, &Value)| {
            let word = text(value)?;
            let severity = Severity::ALL.iter().copied().find(|severity| severity.as_str() == word);
            Ok((rule(name)?, severity.ok_or_else(|| format!("there is no severity {word:?}"))?))
        };
        structure(value).as_dict().ok_or_else(String::new)?.iter().map(entry).collect::<Result<_, String>>().map(Self)
    }
    fn show(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(rule, severity)| format!("{rule}: {severity}")).collect();
        format!("{{{}}}", entries.join(", "))
    }
}

impl Setting for Durations {
    const ACCEPTS: &'static str = "a map from rules to durations such as 30m or 24h";
    fn parse(value: &Value) -> Result<Self, String> {
        let entry = |(name, value): (&String, &Value)| Ok((rule(name)?, Duration::parse(value)?));
        structure(value).as_dict().ok_or_else(String::new)?.iter().map(entry).collect::<Result<_, String>>().map(Self)
    }
    fn show(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(rule, duration)| format!("{rule}: {}", duration.show())).collect();
        format!("{{{}}}", entries.join(", "))
    }
}
