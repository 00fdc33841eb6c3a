//! `basic_auth_users`: names and the bcrypt hashes of passwords. A hash is a secret: it is shown nowhere.

use crate::config::setting::{Secret, Setting, structure};
use figment::value::Value;
use std::collections::BTreeMap;

/// The highest cost: a check takes seconds, and one more doubles it.
const HIGHEST_COST: u8 = 18;

/// Users and the hashes of their passwords.
#[derive(Clone, Debug, Default)]
pub struct Users(pub BTreeMap<String, Secret>);

/// Whether a text has the form of a bcrypt hash, and what is wrong with it otherwise; without the text.
fn check(hash: &str) -> Result<(), String> {
    let (head, rest) = hash.split_at_checked(7).ok_or("is no bcrypt hash")?;
    let cost =
        head.get(4..6).filter(|cost| cost.bytes().all(|digit| digit.is_ascii_digit())).and_then(|cost| cost.parse().ok());
    let kind = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| head.starts_with(kind)) && head.ends_with('$');
    let body = rest.len() == 53 && rest.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'/'));
    match cost {
        Some(cost) if kind && body && (4..=HIGHEST_COST).contains(&cost) => Ok(()),
        Some(cost) if kind && body && cost > HIGHEST_COST => {
            Err(format!("has the cost {cost}, which takes too long; {HIGHEST_COST} is the highest"))
        }
        Some(_) | None => Err("is no bcrypt hash".to_owned()),
    }
}

fn user((name, value): (&String, &Value)) -> Result<(String, Secret), String> {
    // A name ends at the first colon of what a client sends.
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err(format!("{name:?} is no name of a user"));
    }
    let hash = Secret::parse(value).map_err(|_| format!("the hash of {name:?} is no text"))?;
    check(hash.expose().unwrap_or_default()).map_err(|why| format!("the hash of {name:?} {why}"))?;
    Ok((name.clone(), hash))
}

impl Setting for Users {
    const ACCEPTS: &'static str = "a map from users to bcrypt hashes of passwords";
    const SECRET: bool = true;
    fn parse(value: &Value) -> Result<Self, String> {
        let value = structure(value);
        let entries = value.as_dict().ok_or_else(String::new)?.iter().map(user);
        let (good, bad): (Vec<_>, Vec<_>) = entries.partition(Result::is_ok);
        let bad: Vec<String> = bad.into_iter().filter_map(Result::err).collect();
        if bad.is_empty() { Ok(Self(good.into_iter().flatten().collect())) } else { Err(bad.join("; ")) }
    }
    fn show(&self) -> String {
        let names: Vec<String> = self.0.keys().map(|name| format!("{}: <secret>", name.show())).collect();
        format!("{{{}}}", names.join(", "))
    }
}
