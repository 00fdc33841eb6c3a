//! The landing page, readiness, and the configuration.

use super::Server;
use super::answer::Answer;
use hyper::StatusCode;

/// What there is, with links.
pub(super) fn landing(server: &Server) -> String {
    let view = server.view();
    let cluster = if server.cluster.is_empty() { String::new() } else { format!(" of {}", escape(&server.cluster)) };
    let config =
        if server.shows_config { "<li><a href=\"/config\">/config</a> the effective configuration</li>" } else { "" };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>mtv-sentinel</title></head><body>\n\
         <h1>mtv-sentinel {version}</h1>\n<p>Watches the Forklift migration plans{cluster}: {plans} plans, {providers} providers, \
         {samples} samples.</p>\n<ul>\n\
         <li><a href=\"/metrics\">/metrics</a> for Prometheus</li>\n\
         <li><a href=\"/api/v1/alerts\">/api/v1/alerts</a> every alert as JSON</li>\n\
         <li><a href=\"/api/v1/notifications\">/api/v1/notifications</a> what receivers know, as JSON</li>\n\
         <li><a href=\"/api/v1/plans\">/api/v1/plans</a> every plan as JSON; /api/v1/plans/NAMESPACE/NAME one with its VMs</li>\n\
         <li><a href=\"/readyz?verbose\">/readyz?verbose</a> and <a href=\"/livez\">/livez</a> for probes</li>\n{config}\
         </ul>\n</body></html>\n",
        version = server.version,
        plans = view.snapshot.plans.len(),
        providers = view.snapshot.providers.len(),
        samples = view.exposition.samples(),
    )
}

/// Ready once everything that was there at the start has been shown, and while no watch has been broken for too long.
pub(super) fn ready(server: &Server, verbose: bool) -> Answer {
    let view = server.view();
    let now = (server.now)();
    let fresh = view.health.is_fresh(now, server.stale_after);
    let mark = |good: bool| if good { "[+]" } else { "[-]" };
    let at = view.at.map_or_else(|| "nothing observed".to_owned(), |at| format!("last observation {at}"));
    let mut details = format!(
        "{} source: {plans} plans, {migrations} migrations, {providers} providers, {unreadable} unreadable; {at}\n",
        mark(view.synced),
        plans = view.snapshot.plans.len(),
        migrations = view.snapshot.migrations,
        providers = view.snapshot.providers.len(),
        unreadable = view.snapshot.unreadable,
    );
    for (watch, health) in view.health.watches() {
        let state = match &health.broken {
            Some(broken) => format!("broken since {} ({}): {}", broken.since, broken.trouble, broken.message),
            None if health.synced => "works".to_owned(),
            None => "lists".to_owned(),
        };
        let contact = health.last_contact.map_or_else(|| "no answer yet".to_owned(), |at| format!("last answer {at}"));
        let line = format!("{} watch of {watch}: {state}; {contact}\n", mark(health.broken.is_none() && health.synced));
        details.push_str(&line);
    }
    if !view.leads.is_empty() {
        // One that does not lead is as ready as one that does: it exports, or another one does.
        details.push_str(&format!("[+] lease: {}\n", view.leads));
    }
    let (code, verdict) = match (view.synced, fresh) {
        (true, true) => (StatusCode::OK, "ok\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the source has not shown everything yet\n"),
        (true, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: a watch has been broken for too long\n"),
    };
    Answer::text(code, if verbose { details + verdict } else { verdict.to_owned() })
}

/// The effective configuration, where it is served.
pub(super) fn config(server: &Server) -> Answer {
    match server.shows_config {
        true => Answer::new(StatusCode::OK, "application/yaml; charset=utf-8", server.view().config.to_string()),
        false => Answer::text(StatusCode::NOT_FOUND, "the configuration is not served; http.expose_config switches it on\n"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
