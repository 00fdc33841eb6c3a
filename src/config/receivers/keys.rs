//! Takes the keys of one receiver so that every error is found at once, and shows them again.
//!
//! Used by the types of receiver. A key is known once it has been taken; what nobody took is an error. No error has a value in
//! it: any of them may be a secret.

use super::credential::{Credential, Form, Place};
use crate::config::section::suggest;
use crate::config::setting::{Secret, Setting, yaml_text};
use figment::value::Dict;
use std::path::PathBuf;

/// The keys of a receiver that are read.
pub(super) struct Keys<'a> {
    dict: &'a Dict,
    known: Vec<String>,
    errors: Vec<String>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(dict: &'a Dict) -> Self {
        Self { dict, known: vec!["type".to_owned()], errors: Vec::new() }
    }

    /// Notes what is wrong with a key, or with several together.
    pub(super) fn refuse(&mut self, why: impl Into<String>) {
        self.errors.push(why.into());
    }

    /// A key, if it is there and right.
    pub(super) fn take<T: Setting>(&mut self, name: &str) -> Option<T> {
        self.known.push(name.to_owned());
        match T::parse(self.dict.get(name)?) {
            Ok(value) => Some(value),
            Err(_) => {
                self.refuse(format!("{name} takes {}", T::ACCEPTS));
                None
            }
        }
    }

    /// Whether a key, or its `_file`, is written down.
    pub(super) fn has(&self, name: &str) -> bool {
        self.dict.contains_key(name) || self.dict.contains_key(&format!("{name}_file"))
    }

    /// A secret: under its name, or in the file under `NAME_file`.
    pub(super) fn secret(&mut self, name: &str, form: Form) -> Option<Credential> {
        let file_name = format!("{name}_file");
        let here: Option<String> = self.take::<Secret>(name).and_then(|secret| secret.expose().map(str::to_owned));
        let file = self.take::<Option<PathBuf>>(&file_name).flatten();
        let place = match (here, file) {
            (Some(_), Some(_)) => {
                self.refuse(format!("it has both {name} and {file_name}"));
                return None;
            }
            (None, None) => return None,
            (Some(secret), None) => {
                if let Err(why) = form.check(&secret) {
                    self.refuse(format!("its {name} {why}"));
                    return None;
                }
                Place::Here(secret.into())
            }
            (None, Some(path)) => Place::File(path),
        };
        Some(Credential { form, place })
    }

    /// A secret that has to be there.
    pub(super) fn needed(&mut self, name: &str, form: Form) -> Option<Credential> {
        let before = self.errors.len();
        let secret = self.secret(name, form);
        if secret.is_none() && self.errors.len() == before {
            self.refuse(format!("it has neither {name} nor {name}_file"));
        }
        secret
    }

    /// What was made of the keys, unless something is wrong.
    pub(super) fn finish<T>(mut self, made: Option<T>) -> Result<T, Vec<String>> {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let unknown = self.dict.keys().filter(|key| !known.contains(&key.as_str()));
        let unknown = unknown.map(|key| format!("there is no such key as {key}; {}", suggest(key, &known)));
        self.errors.extend(unknown.collect::<Vec<_>>());
        made.filter(|_| self.errors.is_empty()).ok_or(self.errors)
    }
}

/// Keys as they are shown.
#[derive(Default)]
pub(super) struct Shown(Vec<String>);

impl Shown {
    /// A key.
    pub(super) fn key(mut self, name: &str, value: &impl Setting) -> Self {
        self.0.push(format!("{name}: {}", value.show()));
        self
    }

    /// A key with a value that is YAML.
    pub(super) fn yaml(mut self, name: &str, value: &str) -> Self {
        self.0.push(format!("{name}: {value}"));
        self
    }

    /// A secret, if there is one: where it is kept, and that it is there.
    pub(super) fn secret(self, name: &str, secret: Option<&Credential>) -> Self {
        match secret.map(|secret| &secret.place) {
            None => self,
            Some(Place::Here(_)) => self.yaml(name, &yaml_text("<secret>")),
            Some(Place::File(path)) => self.yaml(&format!("{name}_file"), &yaml_text(&path.display().to_string())),
        }
    }

    /// All of them after a first one, as a map of YAML.
    pub(super) fn after(self, name: &str, value: &str) -> String {
        let first = format!("{name}: {value}");
        format!("{{{}}}", std::iter::once(first).chain(self.0).collect::<Vec<_>>().join(", "))
    }
}
