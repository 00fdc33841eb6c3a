//! `http`: the listener.

use super::section::{Errors, section};
use super::setting::{Address, Count, Interval, Secret};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// The HTTP listener.
    pub struct HttpConfig {
        /// Address and port; port 0 takes any free one and logs it.
        listen: Address = "0.0.0.0:8497",
        /// Connections at a time; more wait.
        max_connections: Count = "256",
        /// How long a client may take for the TLS handshake, and to send the head of a request; a connection that is idle for
        /// longer is closed.
        header_timeout: Interval = "30s",
        /// How long a client may take to receive an answer.
        write_timeout: Interval = "60s",
        /// How long answers that are under way may take when the program stops.
        stop_timeout: Duration = "5s",
        /// Serve the effective configuration, without secrets, at /config.
        expose_config: bool = "false",
        /// Ask every request but the probes for this bearer token; nothing for none.
        bearer_token: Secret = "\"\"",
        /// File that holds the token, read anew when it changes.
        bearer_token_file: Option<PathBuf> = "\"\"",
        /// File that says TLS, headers and users (basic auth), as for Prometheus' exporters; read anew when it changes.
        web_config_file: Option<PathBuf> = "\"\"",
    }
}

impl HttpConfig {
    pub(super) fn check(&self, errors: &mut Errors) {
        if self.bearer_token.expose().is_some() && self.bearer_token_file.is_some() {
            errors.push("http.bearer_token", "is set beside http.bearer_token_file; keep one of them");
        }
    }
}
