//! TLS, headers and users of the listener, as the file of `http.web_config_file` says; read anew when something in it, or in
//! a file that it names, changes.
//!
//! Asked by `server` for each connection and by `routes` for each request. A new version that is wrong changes nothing: what
//! was loaded before stays in use. It must not write a secret anywhere.

mod client;
mod files;
mod tls;
mod users;

use crate::config::{Errors, HttpConfig, Problem, WebConfig};
use crate::metrics::Own;
use files::{Digest, Files};
use hyper::header::{HeaderName, HeaderValue};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_rustls::TlsAcceptor;
pub(super) use users::Users;

/// One version of everything.
#[derive(Clone, Default)]
pub(super) struct Loaded {
    /// TLS; plain text without it.
    pub(super) tls: Option<TlsAcceptor>,
    /// What is added to answers.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Who may ask by name and password.
    pub(super) users: Users,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("tls", &self.tls.is_some()).field("users", &self.users).finish_non_exhaustive()
    }
}

/// The web configuration, as it is on disk now.
#[derive(Clone, Debug)]
pub struct Web {
    path: Option<PathBuf>,
    state: Arc<Mutex<State>>,
}

/// What was seen last, and what is in use: the same, unless what was seen last is wrong.
#[derive(Debug)]
struct State {
    text: Digest,
    parsed: Result<WebConfig, Errors>,
    files: Digest,
    loaded: Arc<Loaded>,
}

impl Web {
    /// Reads the file that the configuration names, if any, and the files that it names.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn open(config: &HttpConfig) -> Result<Self, Errors> {
        let mut state = State {
            text: Digest::default(),
            parsed: Err(Errors::default()),
            files: Digest::default(),
            loaded: Arc::default(),
        };
        if let Some(path) = &config.web_config_file {
            state.look(path).transpose()?;
        }
        Ok(Self { path: config.web_config_file.clone(), state: Arc::new(Mutex::new(state)) })
    }

    /// Whether the listener speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.state().loaded.tls.is_some()
    }

    /// What counts now. Files are read each time and compared by what is in them: times and sizes miss changes.
    pub(super) async fn now(&self, own: &Arc<Own>) -> Arc<Loaded> {
        let Some(path) = self.path.clone() else { return Arc::clone(&self.state().loaded) };
        let (this, own) = (self.clone(), Arc::clone(own));
        let looked = tokio::task::spawn_blocking(move || {
            // Held while files are read, so that nobody puts an older version back.
            let mut state = this.state();
            if let Some(news) = state.look(&path) {
                own.set_web_config_stale(news.is_err());
                match news {
                    Ok(()) => tracing::info!(path = %path.display(), "the web configuration was read anew"),
                    Err(errors) => {
                        let errors = errors.to_string().replace('\n', "; ");
                        tracing::error!(path = %path.display(), errors, "the new web configuration is wrong: the old one stays in use");
                    }
                }
            }
            Arc::clone(&state.loaded)
        });
        // It fails when the program stops.
        looked.await.unwrap_or_else(|_| Arc::clone(&self.state().loaded))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads everything; `None` if it is as it was, else whether it could be taken.
    fn look(&mut self, path: &Path) -> Option<Result<(), Errors>> {
        let text = std::fs::read(path);
        let digest = Digest::of([&text]);
        let is_new = digest != self.text;
        if is_new {
            self.text = digest;
            self.parsed = parse(path, text);
        }
        let parsed = match &self.parsed {
            Ok(parsed) => parsed,
            Err(errors) => return is_new.then(|| Err(errors.clone())),
        };
        let files = Files::read(parsed, path.parent().unwrap_or(Path::new("")));
        let digest = files.digest();
        if !is_new && digest == self.files {
            return None;
        }
        self.files = digest;
        Some(Loaded::new(parsed, &files).and_then(|new| self.loaded.may_become(&new).map(|()| new)).map(|new| {
            self.loaded = Arc::new(new);
        }))
    }
}

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem { path: path.to_owned(), message: message.into() }
}

fn parse(path: &Path, text: std::io::Result<Vec<u8>>) -> Result<WebConfig, Errors> {
    let name = path.display().to_string();
    let unreadable = |why: String| Errors(vec![problem("http.web_config_file", format!("{name} cannot be read: {why}"))]);
    let text = text.map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|_| unreadable("it is no UTF-8".to_owned()))?;
    WebConfig::parse(&name, &text)
}

impl Loaded {
    fn new(config: &WebConfig, files: &Files) -> Result<Self, Errors> {
        let mut problems = Vec::new();
        let tls = match &config.tls {
            None => None,
            Some(wanted) => tls::server(wanted, files, &mut problems).map(|tls| TlsAcceptor::from(Arc::new(tls))),
        };
        let users = Users::new(&config.general.basic_auth_users, &mut problems);
        let header = |(name, value): (&crate::config::Header, &String)| {
            Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::try_from(value).ok()?))
        };
        let headers = config.http.headers.0.iter().filter_map(header).collect();
        if problems.is_empty() { Ok(Self { tls, headers, users }) } else { Err(Errors(problems)) }
    }

    /// A file that is cut short, or about to be written, must not open the listener.
    fn may_become(&self, new: &Self) -> Result<(), Errors> {
        let mut problems = Vec::new();
        if self.tls.is_some() && new.tls.is_none() {
            problems.push(problem("tls_server_config", "is gone: TLS is switched off by a restart only"));
        }
        if !self.users.is_empty() && new.users.is_empty() {
            problems.push(problem("basic_auth_users", "is gone: basic auth is switched off by a restart only"));
        }
        if problems.is_empty() { Ok(()) } else { Err(Errors(problems)) }
    }
}
