//! The bearer token, if one is asked for. Compared in constant time; a token in a file is read anew at each request, so that
//! a rotated one counts at once.

use crate::config::{HttpConfig, Secret};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use subtle::ConstantTimeEq;

/// Who may ask.
#[derive(Debug)]
pub(super) enum Auth {
    /// Everybody.
    Open,
    /// Whoever knows this token.
    Token(Secret),
    /// Whoever knows the token in this file; and whether it was said that there is none.
    File(PathBuf, AtomicBool),
}

impl Auth {
    pub(super) fn new(config: &HttpConfig) -> Self {
        match (&config.bearer_token_file, config.bearer_token.expose()) {
            (Some(path), _) => Self::File(path.clone(), AtomicBool::new(false)),
            (None, Some(_)) => Self::Token(config.bearer_token.clone()),
            (None, None) => Self::Open,
        }
    }

    /// Whether a token is asked for.
    pub(super) fn is_asked(&self) -> bool {
        !matches!(self, Self::Open)
    }

    /// Whether a request with these headers may be answered. Nobody may while the file cannot be read.
    pub(super) async fn allows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
        match self {
            Self::Open => true,
            Self::Token(token) => same(token.expose(), given),
            Self::File(path, said) => {
                let token = match tokio::fs::read_to_string(path).await {
                    Ok(token) if !token.trim().is_empty() => Ok(token),
                    Ok(_) => Err("it is empty".to_owned()),
                    Err(error) => Err(error.to_string()),
                };
                // Said once, not at each request: anybody can send requests.
                match &token {
                    Ok(_) => said.store(false, Relaxed),
                    Err(error) if !said.swap(true, Relaxed) => {
                        tracing::error!(path = %path.display(), error, "there is no bearer token: every request is refused");
                    }
                    Err(_) => {}
                }
                same(token.as_deref().map(str::trim).ok(), given)
            }
        }
    }
}

fn same(wanted: Option<&str>, given: Option<&str>) -> bool {
    match (wanted, given) {
        (Some(wanted), Some(given)) => !wanted.is_empty() && wanted.as_bytes().ct_eq(given.trim().as_bytes()).into(),
        (Some(_) | None, _) => false,
    }
}
