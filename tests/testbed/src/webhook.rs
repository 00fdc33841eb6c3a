//! A stand-in for what takes Alertmanager's webhooks, such as a bridge to a ticket system: it keeps the groups that are open.
//!
//! Used by `make cluster-demo`.

use crate::mishap::{Answer, Line, serve};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// A webhook.
pub struct Webhook {
    address: SocketAddr,
}

impl Webhook {
    /// Starts one that says what a person sees, line by line.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start_with(see: impl Fn(&str) + Send + Sync + 'static) -> std::io::Result<Self> {
        let address = serve(Arc::new(Line::default()), move |request| {
            let Some(body) = &request.body else { return Answer::new(400, "no JSON") };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let alerts = body["alerts"].as_array().map_or(0, Vec::len);
            let summary = text(&body["commonAnnotations"]["summary"]);
            see(&format!("{} {summary} [{alerts}]", text(&body["status"])));
            Answer::new(200, "ok")
        })?;
        Ok(Self { address })
    }

    /// Where it takes posts.
    pub fn url(&self) -> String {
        format!("http://{}/alerts", self.address)
    }
}
