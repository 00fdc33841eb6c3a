//! The receiver `log`: a notification is a line of the log. It cannot fail.

use crate::dispatch::Turn;
use crate::message::{About, Notification};

pub(super) fn send(notification: &Notification) {
    let message = &notification.message;
    /// The level of a line is a constant to `tracing`.
    macro_rules! write {
        ($level:ident) => {
            tracing::$level!(
                cluster = message.cluster,
                receiver = %notification.receiver,
                about = message.about.as_str(),
                turn = message.turn.as_str(),
                rule = message.rule,
                severity = message.severity.as_str(),
                namespace = message.namespace,
                name = message.name,
                attempt = message.attempt,
                since = message.since,
                repeat = message.is_repeat,
                "{}",
                message.summary()
            )
        };
    }
    // A report and a baseline are for information: nobody has to act at once.
    if matches!(message.about, About::Campaign | About::Baseline) {
        return write!(info);
    }
    match message.turn {
        Turn::Firing | Turn::Updated | Turn::Reminder | Turn::Over => write!(warn),
        Turn::Resolved => write!(info),
    }
}
