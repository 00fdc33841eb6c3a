//! The receiver `log`: a notification is a line of the log. It cannot fail.

use crate::dispatch::{Send, Turn};
use crate::message::Message;

pub(super) fn send(send: &Send, message: &Message) {
    let alert = &send.alert;
    /// The level of a line is a constant to `tracing`.
    macro_rules! write {
        ($level:ident) => {
            tracing::$level!(
                cluster = message.cluster,
                receiver = %send.receiver,
                turn = send.turn.as_str(),
                rule = alert.id.rule,
                severity = message.severity.as_str(),
                namespace = %alert.scope.key().namespace,
                name = %alert.scope.key().name,
                attempt = alert.id.attempt + 1,
                since = message.since,
                repeat = send.is_repeat,
                "{}",
                message.summary()
            )
        };
    }
    match send.turn {
        Turn::Firing | Turn::Updated | Turn::Reminder | Turn::Over => write!(warn),
        Turn::Resolved => write!(info),
    }
}
