//! The HTTP client of all receivers, and what an answer means for what was sent.
//!
//! Used by the receivers. It follows no redirect, waits for nobody without end, reads no more of an answer than it has to, and
//! never shows a secret: neither the URL, which is one for many, nor what a server says of it.

use super::backoff::LONGEST;
use super::secret::{self, hide};
use super::{Reason, Receipt, Verdict, Why};
use crate::config::ClientConfig;
use crate::plan::Time;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Proxy, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use tokio::time::Instant;

/// Characters of an answer that are shown.
const SHOWN: usize = 200;
/// Bytes of an answer that are read: Slack repeats the whole message.
const ANSWER_MAX: usize = 256 * 1024;
/// The part of the time that a connection may take to be made. What has no connection was not sent, for certain; so a server
/// that does not answer at all should be found out before the time is over.
const CONNECT: f64 = 0.6;
/// A server that asks for more patience gets this much: nobody is told a day late because of one header.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// What a sender gives back early: a verdict that ends it.
pub(super) type Sent = Result<Receipt, Verdict>;

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    timeout: Duration,
    /// What must not be seen of an answer of the proxy's.
    proxy: Option<SecretString>,
}

/// A request.
pub(super) struct Post<'a> {
    pub(super) url: &'a str,
    pub(super) headers: HeaderMap,
    /// JSON.
    pub(super) body: String,
    /// When it has to be over.
    pub(super) until: Instant,
    /// What must not be seen of the answer.
    pub(super) secrets: &'a [&'a SecretString],
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The body, as far as it came.
    pub(super) body: String,
    /// How long it wants to be left alone.
    pub(super) wait: Option<Duration>,
    /// Status and body as a person may see them.
    pub(super) said: String,
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// If TLS cannot be set up, or a file cannot be read or holds something else; each names its key.
    pub(super) fn new(config: &ClientConfig) -> Result<Self, String> {
        // It takes the process' provider of cryptography, which is set once; kube sets the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mtv-sentinel/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A connection that was idle may be dead, which is only known when the message is out: it would be told twice.
            .pool_max_idle_per_host(0)
            .connect_timeout(config.timeout.mul_f64(CONNECT))
            .timeout(config.timeout);
        if let Some(path) = &config.ca_file {
            let shown = path.display();
            let pem = std::fs::read(path).map_err(|error| format!("ca_file: {shown}: {error}"))?;
            // What a reader of PEM says is not passed on: it can hold parts of a key.
            let authorities = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
            builder =
                builder.tls_certs_merge(authorities.ok_or(format!("ca_file: {shown}: there is no certificate in it"))?);
        }
        let proxy = config.proxy.as_ref().map(secret::look).transpose().map_err(|why| format!("proxy: {why}"))?;
        if let Some(url) = &proxy {
            let proxy = Proxy::all(url.expose_secret()).map_err(|_| "proxy: it is no http or https URL".to_owned())?;
            builder = builder.proxy(proxy);
        }
        let http = builder.build().map_err(|error| format!("TLS cannot be set up: {}", causes(&error.without_url())))?;
        Ok(Self { http, timeout: config.timeout, proxy })
    }

    /// When a message that is begun now has to be sent.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends a request; what became of it if there is no answer. `now` is for answers that name a date.
    pub(super) async fn post(&self, post: Post<'_>, now: Time) -> Result<Answer, Verdict> {
        let Post { url, headers, body, until, secrets } = post;
        let secrets: Vec<&SecretString> = secrets.iter().copied().chain(&self.proxy).collect();
        let secrets = secrets.as_slice();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Verdict::NotSent(None, Why::new(Reason::Timeout, "there was no time left for it")));
        }
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let request = self.http.post(url).headers(headers).header(CONTENT_TYPE, json).timeout(left).body(body);
        match request.send().await {
            Ok(response) => Ok(Answer::of(response, secrets, now).await),
            Err(error) => {
                let (is_connect, is_builder, is_timeout) = (error.is_connect(), error.is_builder(), error.is_timeout());
                let said = hide(&causes(&error.without_url()), secrets);
                // If there was a connection the body went out, or may have.
                let why = Why::new(if is_timeout { Reason::Timeout } else { Reason::Connection }, said);
                Err(if is_connect || is_builder { Verdict::NotSent(None, why) } else { Verdict::Unknown(why) })
            }
        }
    }
}

impl Answer {
    async fn of(mut response: Response, secrets: &[&SecretString], now: Time) -> Self {
        let (status, wait) = (response.status(), retry_after(response.headers(), now));
        let mut bytes = Vec::new();
        while bytes.len() < ANSWER_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let line = body.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        // Hidden before it is cut: the half of a secret would not be known again.
        let line = hide(&line.collect::<Vec<_>>().join(" "), secrets);
        let line: String = line.chars().take(SHOWN).collect();
        let said = if line.is_empty() { status.to_string() } else { format!("{status}: {line}") };
        Self { status, body, wait, said }
    }

    /// What the status means. 408, 429 and 503 say that nothing was done. So do statuses that speak of the URL, the token or
    /// the proxy, which a person can mend meanwhile: these are tried again, but rarely. Other 5xx leave open whether it was
    /// done, and the rest says that this message will never be taken.
    pub(super) fn verdict(&self) -> Verdict {
        let why = |reason| Why::new(reason, self.said.clone());
        match self.status.as_u16() {
            200..=299 => Verdict::Delivered,
            408 | 429 | 503 => Verdict::NotSent(self.wait, why(Reason::Busy)),
            300..=399 | 401 | 403 | 404 | 407 | 410 => self.to_be_mended(),
            500..=599 => Verdict::Unknown(why(Reason::Server)),
            _ => Verdict::Refused(why(Reason::Rejected)),
        }
    }

    /// Nothing was done, and nothing will be until somebody has mended something: the longest pause.
    pub(super) fn to_be_mended(&self) -> Verdict {
        let why = Why::new(Reason::Denied, self.said.clone());
        Verdict::NotSent(Some(LONGEST.max(self.wait.unwrap_or_default())), why)
    }
}

/// `Authorization: Bearer` with a token.
pub(super) fn bearer(token: &SecretString) -> Result<HeaderValue, Verdict> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Verdict::NotSent(None, Why::new(Reason::Secret, "its token cannot stand in a header")))?;
    value.set_sensitive(true);
    Ok(value)
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
    Some(longest_wait(wait))
}

/// As long as a server asks for, within reason.
pub(super) fn longest_wait(wait: Duration) -> Duration {
    wait.min(LONGEST_WAIT)
}

/// An error with its causes.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
