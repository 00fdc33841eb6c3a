//! The receiver `log`: a notification is a line of the log. It cannot fail.

use crate::dispatch::{Send, Turn};

pub(super) fn send(cluster: &str, send: &Send) {
    let alert = &send.alert;
    match send.turn {
        Turn::Firing | Turn::Updated | Turn::Reminder | Turn::Over => tracing::warn!(
            cluster,
            receiver = %send.receiver,
            rule = alert.id.rule,
            severity = alert.severity.as_str(),
            namespace = %alert.scope.key().namespace,
            name = %alert.scope.key().name,
            attempt = alert.id.attempt + 1,
            since = %alert.since,
            reason = send.reason(),
            "{}",
            send.turn
        ),
        Turn::Resolved => tracing::info!(
            cluster,
            receiver = %send.receiver,
            rule = alert.id.rule,
            namespace = %alert.scope.key().namespace,
            name = %alert.scope.key().name,
            attempt = alert.id.attempt + 1,
            "resolved"
        ),
    }
}
