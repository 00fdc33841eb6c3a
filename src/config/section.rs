//! What a section is made of, and how it is read so that every error is found at once.

use super::setting::Setting;
use figment::Figment;
use figment::value::{Dict, Value};
use std::fmt;

/// Something wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key, as `http.listen`; empty for a whole file.
    pub path: String,
    /// What is wrong and what is accepted.
    pub message: String,
}

/// Everything wrong with the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Errors(pub Vec<Problem>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Problem { path, message }) in self.0.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            let colon = if path.is_empty() { "" } else { ": " };
            write!(f, "{line}{path}{colon}{message}")?;
        }
        Ok(())
    }
}

impl Errors {
    pub(super) fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key of a section, as it is documented.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
}

/// The name of a field that is a word of Rust's.
pub(super) const fn plain(name: &str) -> &str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// A section of the configuration.
pub(super) trait Section: Sized {
    /// Its keys, in order.
    const KEYS: &'static [Key];
    /// Takes its keys out of the reader; what is wrong is noted there, and the default taken.
    fn read(from: &mut Reader<'_>) -> Self;
    /// The value of each key as YAML, in the order of `KEYS`.
    fn values(&self) -> Vec<String>;
}

/// Declares a section: each field is a key, with its documentation, type, and default in YAML.
macro_rules! section {
    (
        $(#[$meta:meta])* pub struct $name:ident {
            $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name { $($(#[doc = $doc])+ pub $field: $type),+ }

        impl $crate::config::section::Section for $name {
            const KEYS: &'static [$crate::config::section::Key] =
                &[$($crate::config::section::Key { name: $crate::config::section::plain(stringify!($field)), doc: &[$($doc),+] }),+];

            fn read(from: &mut $crate::config::section::Reader<'_>) -> Self {
                let section = Self { $($field: from.take($crate::config::section::plain(stringify!($field)), $default)),+ };
                from.refuse_the_rest(Self::KEYS);
                section
            }

            fn values(&self) -> Vec<String> {
                vec![$($crate::config::setting::Setting::show(&self.$field)),+]
            }
        }
    };
}
pub(super) use section;

/// The keys of one section that are not read yet.
pub(super) struct Reader<'a> {
    path: String,
    dict: Dict,
    figment: &'a Figment,
    errors: &'a mut Errors,
    /// Names of the sections, at the top level.
    sections: Vec<&'static str>,
}

/// A section that was found, or not, at the top level.
pub(super) struct Found {
    name: &'static str,
    value: Option<Value>,
}

impl Found {
    /// Whether anything stands in it.
    pub(super) fn is_given(&self) -> bool {
        self.value.as_ref().and_then(Value::as_dict).is_some_and(|dict| !dict.is_empty())
    }

    pub(super) fn open<'a>(&mut self, figment: &'a Figment, errors: &'a mut Errors) -> Reader<'a> {
        let dict = match self.value.take() {
            Some(Value::Dict(_, dict)) => dict,
            None | Some(Value::Empty(..)) => Dict::new(),
            Some(other) => {
                let message = format!("{} is a section: it takes keys below it{}", quote(&other), origin(figment, &other));
                errors.push(self.name, message);
                Dict::new()
            }
        };
        Reader { path: format!("{}.", self.name), dict, figment, errors, sections: Vec::new() }
    }
}

impl<'a> Reader<'a> {
    /// The top level.
    pub(super) fn root(figment: &'a Figment, errors: &'a mut Errors) -> Self {
        let dict = figment.extract::<Dict>().unwrap_or_else(|error| {
            errors.push("", error.to_string());
            Dict::new()
        });
        Self { path: String::new(), dict, figment, errors, sections: Vec::new() }
    }

    /// Takes out a section.
    pub(super) fn section(&mut self, name: &'static str) -> Found {
        self.sections.push(name);
        Found { name, value: self.find(name) }
    }

    /// Takes out a key; `default` is YAML.
    pub(super) fn take<T: Setting>(&mut self, name: &str, default: &str) -> T {
        let path = format!("{}{name}", self.path);
        match self.find(name) {
            None => {}
            Some(Value::Empty(..)) if !T::OPTIONAL => {}
            Some(value) => match T::parse(&value) {
                Ok(parsed) => return parsed,
                Err(why) => {
                    let shown = if T::SECRET { "<secret>".to_owned() } else { quote(&value) };
                    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                    let origin = origin(self.figment, &value);
                    self.errors.push(&path, format!("{shown} is not accepted{why}; it takes {}{origin}", T::ACCEPTS));
                }
            },
        }
        self.default(&path, default)
    }

    fn default<T: Setting>(&mut self, path: &str, default: &str) -> T {
        let value = serde_saphyr::from_str::<Value>(default).unwrap_or_else(|_| Value::from(default));
        T::parse(&value).unwrap_or_else(|why| {
            self.errors.push(path, format!("the default {default} is not accepted ({why}): this is a bug"));
            T::default()
        })
    }

    fn find(&mut self, name: &str) -> Option<Value> {
        // `extract` makes new values; those in the figment know where they come from.
        self.dict.remove(name)?;
        self.figment.find_value(&format!("{}{name}", self.path)).ok()
    }

    /// Notes each key that is left as unknown.
    pub(super) fn refuse_the_rest(&mut self, keys: &[Key]) {
        let known: Vec<&str> = keys.iter().map(|key| key.name).chain(self.sections.iter().copied()).collect();
        for name in std::mem::take(&mut self.dict).into_keys() {
            let path = format!("{}{name}", self.path);
            let origin = self.figment.find_value(&path).map(|value| origin(self.figment, &value)).unwrap_or_default();
            let message = format!("there is no such key; {}{origin}", suggest(&name, &known));
            self.errors.push(path, message);
        }
    }

    pub(super) fn finish(self) {}
}

/// What was meant, or what there is.
pub(crate) fn suggest(name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, known)) if likeness > 0.8 => format!("did you mean {known}?"),
        Some(_) | None if known.len() == 1 => format!("there is {}", known.join("")),
        Some(_) | None => format!("there are {}", known.join(", ")),
    }
}

/// Where a value comes from, as " [file.yaml]"; nothing for a default.
fn origin(figment: &Figment, value: &Value) -> String {
    figment.get_metadata(value.tag()).map_or_else(String::new, |metadata| format!(" [{}]", metadata.name))
}

/// A value as a person would write it, cut at 64 characters.
fn quote(value: &Value) -> String {
    let text = match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, c) => format!("{c:?}"),
        Value::Empty(..) => "nothing".to_owned(),
        other => serde_json::to_string(other).unwrap_or_default(),
    };
    if text.chars().count() <= 64 { text } else { text.chars().take(63).chain(['…']).collect() }
}

/// The paths of the keys that have other values. Secrets are shown alike, and so they are compared.
pub(super) fn differences<S: Section>(prefix: &str, one: &S, other: &S) -> Vec<String> {
    let values = one.values().into_iter().zip(other.values());
    let keys = S::KEYS.iter().zip(values).filter(|(_, (one, other))| one != other);
    keys.map(|(key, _)| format!("{prefix}{}", key.name)).collect()
}

/// Writes a section as YAML.
pub(super) fn show<S: Section>(page: &mut String, indent: &str, section: &S, with_docs: bool) {
    for (key, value) in S::KEYS.iter().zip(section.values()) {
        if with_docs {
            for line in key.doc {
                page.push_str(&format!("{indent}#{line}\n"));
            }
        }
        page.push_str(&format!("{indent}{}: {value}\n", key.name));
    }
}
