//! A secret of a receiver: what it looks like, and where it is kept.
//!
//! Read by `notify`, anew for each message, so that a changed file is used at once. No error here has the secret in it.

use secrecy::SecretString;
use std::path::PathBuf;

/// A secret that stands in the configuration or in a file.
#[derive(Clone, Debug)]
pub struct Credential {
    /// What it has to look like.
    pub form: Form,
    /// Where it is.
    pub place: Place,
}

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the configuration.
    Here(SecretString),
    /// In this file; spaces and line ends around it do not count.
    File(PathBuf),
}

/// What a secret has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The URL of a server.
    Url,
    /// A word that can stand in the head of a request.
    Word,
    /// Any text.
    Text,
}

impl Form {
    /// Whether a secret looks like that; what is wrong completes "the file …".
    ///
    /// # Errors
    /// If it does not.
    pub fn check(self, secret: &str) -> Result<(), &'static str> {
        let fits = match self {
            _ if secret.is_empty() => return Err("is empty"),
            Self::Url => check_url(secret).is_ok(),
            Self::Word => secret.bytes().all(|byte| byte.is_ascii_graphic()),
            Self::Text => true,
        };
        match self {
            Self::Url if !fits => Err("is no http or https URL"),
            Self::Word if !fits => Err("has a character that no token has, such as a space or a line end"),
            Self::Url | Self::Word | Self::Text => Ok(()),
        }
    }
}

/// Whether a text is the URL of a server, and may be shown.
///
/// # Errors
/// If it is not, or has a password in it.
pub(super) fn check_open_url(text: &str) -> Result<(), &'static str> {
    check_url(text)?;
    let uri = text.parse::<http::Uri>().ok();
    let has_user = uri.as_ref().and_then(http::Uri::authority).is_some_and(|authority| authority.as_str().contains('@'));
    if has_user { Err("has a user in it, and it is shown") } else { Ok(()) }
}

/// Whether a text is the URL of a server; without the text, which may be a secret.
///
/// # Errors
/// If it is not.
pub(super) fn check_url(text: &str) -> Result<(), &'static str> {
    let uri = text.parse::<http::Uri>().ok();
    // The type takes any number for a port.
    let has_port = |uri: &http::Uri| match uri.authority().map(|authority| authority.as_str().rsplit_once(':')) {
        Some(Some((_, port))) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() => {
            port.parse::<u16>().is_ok()
        }
        Some(_) | None => true,
    };
    let is_http =
        |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && has_port(uri);
    if uri.as_ref().is_some_and(is_http) { Ok(()) } else { Err("is no http or https URL") }
}
