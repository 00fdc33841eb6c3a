//! The HTTP client of all receivers, and what an answer means for what was sent.
//!
//! Used by the receivers. It follows no redirect, waits for nobody without end, reads no more of an answer than a person would,
//! and never names a URL: that of a webhook is a secret.

use super::Verdict;
use crate::plan::Time;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use std::time::Duration;

/// Characters of an answer that are shown.
const SHOWN: usize = 200;
/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 16 * 1024;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that asks for more patience gets this much: nobody is told a day late because of one header.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// Makes a client; a request with its answer may take so long.
///
/// # Errors
/// If TLS cannot be set up.
pub(super) fn client(timeout: Duration) -> reqwest::Result<Client> {
    // It takes the process' provider of cryptography, which is set once; kube sets the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("mtv-sentinel/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(timeout)
        .build()
}

/// What became of a request, by its answer at `now`: a status with the beginning of the body, or an error.
pub(super) async fn verdict(sent: reqwest::Result<Response>, now: Time) -> Verdict {
    match sent {
        Ok(response) => {
            let (status, wait) = (response.status(), retry_after(response.headers(), now));
            by_status(status, wait, &beginning(response).await)
        }
        // The body went out, or may have.
        Err(error) if !error.is_connect() && !error.is_builder() => Verdict::Unknown(said(error)),
        Err(error) => Verdict::NotSent(None, said(error)),
    }
}

/// What a status means: 408, 429 and 503 say that nothing was done, other 5xx leave open whether it was, and the rest says no.
pub(super) fn by_status(status: StatusCode, wait: Option<Duration>, body: &str) -> Verdict {
    let said = if body.is_empty() { status.to_string() } else { format!("{status}: {body}") };
    match status.as_u16() {
        200..=299 => Verdict::Delivered,
        408 | 429 | 503 => Verdict::NotSent(wait, said),
        500..=599 => Verdict::Unknown(said),
        _ => Verdict::Refused(said),
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), within reason.
fn retry_after(headers: &HeaderMap, now: Time) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Time::from_unix(at.as_second())?.since(now)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The beginning of an answer, as one line without control characters.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    line.collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

/// An error with its causes and without the URL.
fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
