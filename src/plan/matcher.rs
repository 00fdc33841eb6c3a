//! Matchers in Alertmanager's syntax: `severity="critical"`, `plan=~"web-.*"`, `{namespace!="test", rule!~"Cutover.*"}`.
//!
//! Used by the routes of notifications and by the archive policies. Source of the syntax: Alertmanager's documentation of `matchers`; a label that is missing is empty, and a
//! regular expression has to match the whole value.

use super::Text;
use regex::Regex;
use std::fmt;

closed_enum! {
    /// How a label is compared.
    pub enum Operator {
        /// The whole of it matches.
        Matches = "=~",
        /// The whole of it does not match.
        MatchesNot = "!~",
        /// It is not this.
        NotEqual = "!=",
        /// It is this. The last, as `=~` begins with it.
        Equal = "=",
    }
}

/// A condition on one label.
#[derive(Clone)]
pub struct Matcher {
    label: Text,
    operator: Operator,
    value: Text,
    regex: Option<Regex>,
}

impl Matcher {
    /// The label that it is about.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether a value of the label passes.
    pub fn passes(&self, value: &str) -> bool {
        let matches = |value| self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.operator {
            Operator::Equal => self.value == value,
            Operator::NotEqual => self.value != value,
            Operator::Matches => matches(value),
            Operator::MatchesNot => !matches(value),
        }
    }

    /// The only value that passes, if there is but one.
    pub fn only(&self) -> Option<&str> {
        (self.operator == Operator::Equal).then_some(&*self.value)
    }

    /// Reads one matcher or a list of them, in braces or not.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let trimmed = text.trim();
        let inner = trimmed.strip_prefix('{').map_or(Some(trimmed), |rest| rest.strip_suffix('}'));
        let mut rest = inner.ok_or_else(|| format!("{trimmed} has no closing brace"))?.trim();
        let mut matchers = Vec::new();
        while !rest.is_empty() {
            let (matcher, after) = Self::first(rest)?;
            matchers.push(matcher);
            rest = match after.trim_start() {
                "" => "",
                more => more.strip_prefix(',').ok_or_else(|| format!("a comma is missing before {more}"))?.trim(),
            };
        }
        if matchers.is_empty() { Err("it is empty".to_owned()) } else { Ok(matchers) }
    }

    /// Reads the matcher at the beginning; answers what comes after it.
    fn first(text: &str) -> Result<(Self, &str), String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let (label, rest) = text.split_at(end);
        if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("{text:?} does not begin with the name of a label"));
        }
        let rest = rest.trim_start();
        let operator = Operator::ALL.iter().copied().find(|operator| rest.starts_with(operator.as_str()));
        let operator = operator.ok_or_else(|| format!("after {label} one of = != =~ !~ is missing"))?;
        let (value, after) = value(rest[operator.as_str().len()..].trim_start())?;
        let regex = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::MatchesNot => Some(whole(&value)?),
        };
        Ok((Self { label: label.into(), operator, value: value.into(), regex }, after))
    }
}

/// A regular expression for the whole of a value.
fn whole(text: &str) -> Result<Regex, String> {
    let last_line =
        |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Regex::new(&format!("^(?s:{text})$")).map_err(|error| format!("{text:?} is no regular expression: {}", last_line(error)))
}

/// The value at the beginning, in quotes or not, and what comes after it.
fn value(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', '}', '"', ' ', '\t']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                // As in a regular expression: `\.` needs no second backslash.
                Some((_, c)) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(format!("{text} has no closing quote"))
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_str().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.label, self.operator)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.label, self.operator, &self.value) == (&other.label, other.operator, &other.value)
    }
}

impl Eq for Matcher {}
