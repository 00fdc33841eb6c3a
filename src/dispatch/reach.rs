//! Routes that can never match: what a person who wrote one has overlooked.
//!
//! Called by `config` when it is checked. It finds what can be told from the routes alone: it may miss one, and never
//! accuses one that can match.

use super::route::Selection;
use crate::alert::{RULES, Severity};
use crate::plan::{MigrationType, ProviderType};

/// Why a route can never match, given those before it and the rules that are on with their severities; `None` if it may.
pub fn unreachable(route: &Selection, before: &[Selection], rules: &[(&str, Severity)]) -> Option<String> {
    let takes_all_of_it = |earlier: &Selection| earlier.matchers.iter().all(|matcher| route.matchers.contains(matcher));
    if let Some(earlier) = before.iter().position(takes_all_of_it) {
        return Some(format!("routes[{earlier}] takes all of it"));
    }
    let passes = |label: &str, value: &str| route.matchers.iter().filter(|m| m.label() == label).all(|m| m.passes(value));
    let is_rule = |(rule, severity): &(&str, Severity)| {
        passes("rule", rule) && passes("alertname", rule) && passes("severity", severity.as_str())
    };
    if !rules.iter().any(is_rule) {
        return Some(no_rule(route));
    }
    let closed = [
        ("type", MigrationType::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
        ("source_type", ProviderType::ALL.iter().map(|word| word.as_str()).collect()),
    ];
    for (label, mut values) in closed {
        // A provider has no type of migration, and a provider that is not known no type at all.
        values.push("");
        if !values.iter().any(|value| passes(label, value)) {
            return Some(format!("{label} is one of {} or empty", values[..values.len() - 1].join(", ")));
        }
    }
    let mut fixed = route.matchers.iter().filter_map(|matcher| Some((matcher, matcher.only()?)));
    let (matcher, _) = fixed.find(|(matcher, value)| !passes(matcher.label(), value))?;
    Some(format!("{matcher} and another matcher contradict each other"))
}

/// Why no rule passes.
fn no_rule(route: &Selection) -> String {
    let names = route.matchers.iter().filter(|matcher| matches!(matcher.label(), "rule" | "alertname"));
    let mut wanted = names.filter_map(super::Matcher::only);
    match wanted.next() {
        Some(name) if RULES.iter().all(|rule| rule.name != name) => format!("there is no rule {name:?}"),
        Some(name) => format!("{name} is off (alerts.on switches it on), or has another severity"),
        None => "no rule that is on has such a name and severity".to_owned(),
    }
}
