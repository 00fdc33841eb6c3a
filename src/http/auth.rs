//! The bearer token, if one is asked for. Compared in constant time; a token in a file is read anew at each request, so that
//! a rotated one counts at once.

use crate::config::{HttpConfig, Secret};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use std::path::PathBuf;
use subtle::ConstantTimeEq;

/// Who may ask.
#[derive(Debug)]
pub(super) enum Auth {
    /// Everybody.
    Open,
    /// Whoever knows this token.
    Token(Secret),
    /// Whoever knows the token in this file.
    File(PathBuf),
}

impl Auth {
    pub(super) fn new(config: &HttpConfig) -> Self {
        match (&config.bearer_token_file, config.bearer_token.expose()) {
            (Some(path), _) => Self::File(path.clone()),
            (None, Some(_)) => Self::Token(config.bearer_token.clone()),
            (None, None) => Self::Open,
        }
    }

    /// Whether a request with these headers may be answered. Nobody may while the file cannot be read.
    pub(super) async fn allows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
        match self {
            Self::Open => true,
            Self::Token(token) => same(token.expose(), given),
            Self::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(token) => same(Some(token.trim()), given),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the bearer token cannot be read: every request is refused");
                    false
                }
            },
        }
    }
}

fn same(wanted: Option<&str>, given: Option<&str>) -> bool {
    match (wanted, given) {
        (Some(wanted), Some(given)) => !wanted.is_empty() && wanted.as_bytes().ct_eq(given.trim().as_bytes()).into(),
        (Some(_) | None, _) => false,
    }
}
