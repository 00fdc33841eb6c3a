//! Secrets of receivers: read anew for each message, so that a changed file is used at once, and hidden in what is said.
//!
//! Used by the receivers and when the program starts. An error names the file and never what is in it.

use super::{Reason, Verdict, Why};
use crate::config::{Credential, Form, Place};
use base64::prelude::{BASE64_STANDARD, Engine};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use tokio::time::Instant;

/// Parts of a URL of at least so many characters are hidden one by one: a server may answer with a part of its path.
const HIDDEN_PART: usize = 8;

/// A secret as it is now. Without it nothing is sent; somebody can mend the file meanwhile.
pub(super) async fn read(credential: &Credential, until: Instant) -> Result<SecretString, Verdict> {
    let why = match &credential.place {
        Place::Here(secret) => return Ok(secret.clone()),
        Place::File(path) => match tokio::time::timeout_at(until, tokio::fs::read_to_string(path)).await {
            Ok(read) => match taken(path, credential.form, read) {
                Ok(secret) => return Ok(secret),
                Err(why) => why,
            },
            Err(_) => format!("{}: it takes too long to read", path.display()),
        },
    };
    Err(Verdict::NotSent(None, Why::new(Reason::Secret, why)))
}

/// The same for one that may be there or not.
pub(super) async fn read_if(credential: Option<&Credential>, until: Instant) -> Result<Option<SecretString>, Verdict> {
    match credential {
        None => Ok(None),
        Some(credential) => read(credential, until).await.map(Some),
    }
}

/// A secret as it is now, for who may wait: when the program starts.
pub(super) fn look(credential: &Credential) -> Result<SecretString, String> {
    match &credential.place {
        Place::Here(secret) => Ok(secret.clone()),
        Place::File(path) => taken(path, credential.form, std::fs::read_to_string(path)),
    }
}

fn taken(path: &Path, form: Form, read: std::io::Result<String>) -> Result<SecretString, String> {
    let shown = path.display();
    let text = read.map_err(|error| format!("{shown}: {error}"))?;
    form.check(text.trim()).map_err(|why| format!("{shown}: what is in it {why}"))?;
    Ok(text.trim().into())
}

/// What stands in `Authorization: Basic` for the user of a URL, in either case, for servers repeat heads as they like; and the
/// password.
fn user(url: &str) -> Vec<String> {
    let Some((user, _)) = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@')) else {
        return Vec::new();
    };
    let decoded = percent_decode_str(user).decode_utf8_lossy().into_owned();
    let encoded = BASE64_STANDARD.encode(if decoded.contains(':') { decoded.clone() } else { format!("{decoded}:") });
    let password = decoded.split_once(':').map(|(_, password)| password.to_owned());
    [encoded.to_lowercase(), encoded].into_iter().chain(password).collect()
}

/// A text without secrets and without parts of them.
pub(super) fn hide(text: &str, secrets: &[&SecretString]) -> String {
    let users: Vec<String> = secrets.iter().flat_map(|secret| user(secret.expose_secret())).collect();
    let mut hidden: Vec<&str> = users.iter().map(String::as_str).collect();
    for secret in secrets.iter().map(|secret| secret.expose_secret()) {
        hidden.push(secret);
        if let Some((_, rest)) = secret.split_once("://") {
            let path = rest.find('/').map_or("", |at| rest.split_at(at).1);
            hidden.extend([path, path.trim_start_matches('/')].iter().filter(|path| path.len() >= HIDDEN_PART));
            let parts = rest.split(['/', '?', '&', '=', '@', ':', '#']).skip(1);
            hidden.extend(parts.filter(|part| part.len() >= HIDDEN_PART));
        }
    }
    // A letter or two are in every text.
    hidden.retain(|secret| secret.len() >= 4);
    // A part of another one would leave the rest of it.
    hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "<secret>"))
}
