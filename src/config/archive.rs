//! `archive`: which finished plans are archived, and when.

use super::routes::{Matchers, key};
use super::section::{section, suggest};
use super::setting::{Count, Setting, structure, text, words};
use crate::plan::{Matcher, OF_THE_PLAN, PLAN_LABELS};
use crate::policy::{KeepLast, Mark, Mode, Outcome, Policy, Window, Windows};
use figment::value::{Dict, Value};
use std::time::Duration;

section! {
    /// Which finished plans are archived, and when.
    pub struct ArchiveConfig {
        /// Who is archived when: the first policy counts of which all matchers and the outcome fit, such as {name: done,
        /// matchers: [namespace=~"prod-.*"], after: 30d, keep_last: 3, windows: [Mon-Fri 20:00-06:00]}. A plan that no policy is
        /// about is left alone. In this version policies only tell what they would do (docs/archiving.md).
        policies: Policies = "[]",
    }
}

words!(Outcome, "Succeeded, Canceled or Failed");
words!(Mode, "dry-run");

const KEYS: [&str; 12] = [
    "name",
    "matchers",
    "outcome",
    "acknowledge",
    "without_acknowledgement",
    "after",
    "keep_last",
    "keep_last_per",
    "windows",
    "mode",
    "max_per_hour",
    "max_concurrent",
];

/// What has to be written to archive plans that failed though nobody has looked at them.
const CONSENT: &str = "i-accept-that-targets-are-deleted";

const AFTER: Duration = Duration::from_secs(30 * 86_400);
const MAX_PER_HOUR: u32 = 10;
const MAX_CONCURRENT: u32 = 1;

/// Policies, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies(pub Vec<Policy>);

impl Setting for Policies {
    const ACCEPTS: &'static str = "a list of policies such as {name: done, outcome: Succeeded, after: 30d}";
    fn parse(value: &Value) -> Result<Self, String> {
        let value = structure(value);
        let Value::Array(_, items) = &value else { return Err(String::new()) };
        let mut policies: Vec<Policy> = Vec::new();
        let mut wrong = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match item.as_dict().ok_or_else(|| vec!["it has no keys".to_owned()]).and_then(read) {
                Ok(policy) => {
                    wrong.extend(hidden(&policy, &policies).map(|why| format!("[{at}] {why}")));
                    policies.push(policy);
                }
                Err(why) => wrong.extend(why.into_iter().map(|why| format!("[{at}] {why}"))),
            }
        }
        if wrong.is_empty() { Ok(Self(policies)) } else { Err(wrong.join("; ")) }
    }
    fn show(&self) -> String {
        let policies: Vec<String> = self.0.iter().map(show).collect();
        format!("[{}]", policies.join(", "))
    }
}

/// Why a policy can never count after these, or not be told from them.
fn hidden(policy: &Policy, earlier: &[Policy]) -> Option<String> {
    if earlier.iter().any(|other| other.name == policy.name) {
        return Some(format!("there is another policy {:?}", policy.name));
    }
    let takes_all = |other: &&Policy| {
        other.outcome == policy.outcome && other.matchers.iter().all(|matcher| policy.matchers.contains(matcher))
    };
    let other = earlier.iter().find(takes_all)?;
    Some(format!("it can never count: {:?} comes before it and is about all of its plans", other.name))
}

fn read(dict: &Dict) -> Result<Policy, Vec<String>> {
    let unknown = dict.keys().filter(|key| !KEYS.contains(&key.as_str()));
    let mut wrong: Vec<String> =
        unknown.map(|key| format!("there is no such key as {key}; {}", suggest(key, &KEYS))).collect();
    let name: String = key(dict, "name", &mut wrong).unwrap_or_default();
    if name.is_empty() && !wrong.iter().any(|why| why.starts_with("name:")) {
        wrong.push("name is missing".to_owned());
    }
    let matchers = key(dict, "matchers", &mut wrong).map(|Matchers(matchers)| matchers).unwrap_or_default();
    wrong.extend(matchers.iter().filter_map(|matcher| unknown_label("matchers", matcher.label())));
    let outcome: Outcome = key(dict, "outcome", &mut wrong).unwrap_or_default();
    let acknowledge: Option<Acknowledgement> = key(dict, "acknowledge", &mut wrong);
    let consent: Option<String> = key(dict, "without_acknowledgement", &mut wrong);
    if let Some(said) = consent.as_ref().filter(|said| *said != CONSENT) {
        wrong.push(format!("without_acknowledgement: {said:?} is not {CONSENT}"));
    }
    match (outcome, dict.contains_key("acknowledge"), dict.contains_key("without_acknowledgement")) {
        (_, true, true) => wrong.push("acknowledge is set beside without_acknowledgement; keep one of them".to_owned()),
        (Outcome::Failed, false, false) => wrong.push(format!(
            "outcome Failed needs acknowledge: NAME=VALUE, an annotation or label that a person sets after the analysis, or \
             without_acknowledgement: {CONSENT}"
        )),
        (Outcome::Succeeded | Outcome::Canceled, _, true) => {
            wrong.push("without_acknowledgement is for outcome Failed only".to_owned());
        }
        (Outcome::Succeeded | Outcome::Canceled | Outcome::Failed, _, _) => {}
    }
    let keep_last: Option<Count> = key(dict, "keep_last", &mut wrong);
    let per: Option<String> = key(dict, "keep_last_per", &mut wrong);
    if let Some(per) = &per {
        let is_group = per == "namespace" || per.strip_prefix(OF_THE_PLAN).is_some_and(|name| !name.is_empty());
        if !is_group {
            wrong.push(format!("keep_last_per: {per:?} is no group; it takes namespace or {OF_THE_PLAN}NAME"));
        } else if !dict.contains_key("keep_last") {
            wrong.push("keep_last_per is set, and keep_last is not".to_owned());
        }
    }
    let windows: Vec<String> = key(dict, "windows", &mut wrong).unwrap_or_default();
    let windows: Vec<Result<Window, String>> = windows.iter().map(|text| Window::parse(text)).collect();
    wrong.extend(windows.iter().filter_map(|window| Some(format!("windows: {}", window.as_ref().err()?))));
    let mode: Mode = key(dict, "mode", &mut wrong).unwrap_or_default();
    if mode == Mode::Enforce {
        wrong.push("mode: enforce is not in this version, which only tells what it would archive: use dry-run".to_owned());
    }
    let per_hour = key(dict, "max_per_hour", &mut wrong).map_or(MAX_PER_HOUR, |Count(number)| number);
    let concurrent = key(dict, "max_concurrent", &mut wrong).map_or(MAX_CONCURRENT, |Count(number)| number);
    let after = key(dict, "after", &mut wrong).unwrap_or(AFTER);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Policy {
        name: name.into(),
        matchers,
        outcome,
        acknowledge: acknowledge.and_then(|Acknowledgement(mark)| mark),
        accepts_losses: consent.is_some(),
        after,
        keep_last: keep_last.map(|Count(number)| KeepLast {
            number: number as usize,
            per: per.unwrap_or_else(|| "namespace".to_owned()).into(),
        }),
        windows: Windows(windows.into_iter().flatten().collect()),
        mode,
        max_per_hour: per_hour,
        max_concurrent: concurrent,
    })
}

fn show(policy: &Policy) -> String {
    let texts = |items: Vec<String>| format!("[{}]", items.iter().map(Setting::show).collect::<Vec<_>>().join(", "));
    let mut parts = vec![format!("name: {}", policy.name.to_string().show())];
    parts.push(format!("matchers: {}", texts(policy.matchers.iter().map(Matcher::to_string).collect())));
    parts.push(format!("outcome: {}", policy.outcome));
    parts.extend(policy.acknowledge.as_ref().map(|Mark { name, value }| {
        let mark = format!("{name}={value}");
        format!("acknowledge: {}", mark.show())
    }));
    parts.extend(policy.accepts_losses.then(|| format!("without_acknowledgement: {CONSENT}")));
    parts.push(format!("after: {}", policy.after.show()));
    if let Some(KeepLast { number, per }) = &policy.keep_last {
        parts.push(format!("keep_last: {number}, keep_last_per: {per}"));
    }
    parts.push(format!("windows: {}", texts(policy.windows.0.iter().map(Window::to_string).collect())));
    parts.push(format!("mode: {}, max_per_hour: {}", policy.mode, policy.max_per_hour));
    parts.push(format!("max_concurrent: {}", policy.max_concurrent));
    format!("{{{}}}", parts.join(", "))
}

/// A misspelt label is empty everywhere: with != it would match every plan.
fn unknown_label(key: &str, name: &str) -> Option<String> {
    let known: Vec<&str> = PLAN_LABELS.iter().map(|(name, _)| *name).collect();
    let own = name.strip_prefix(OF_THE_PLAN).is_some_and(|name| !name.is_empty());
    (!own && !known.contains(&name)).then(|| {
        let meant = suggest(name, &known);
        format!("{key}: plans have no label {name:?}; {meant}; a label of the object is {OF_THE_PLAN}NAME")
    })
}

/// The value of `acknowledge`.
#[derive(Clone, Debug, Default)]
struct Acknowledgement(Option<Mark>);

impl Setting for Acknowledgement {
    const ACCEPTS: &'static str = "an annotation or label with its value, such as example.com/analysed=yes";
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let (name, value) = text.split_once('=').ok_or_else(String::new)?;
        // Longer values are not kept of a plan.
        if name.is_empty() || value.is_empty() || value.len() > 256 {
            return Err(String::new());
        }
        Ok(Self(Some(Mark { name: name.into(), value: value.into() })))
    }
    fn show(&self) -> String {
        String::new()
    }
}
