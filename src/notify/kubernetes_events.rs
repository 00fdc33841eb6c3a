//! The receiver `kubernetes_events`: an Event on the plan or provider of each alert, where `kubectl describe` shows it.
//!
//! `events` says which ones and `judge` what became of them all; both are pure. `send` has them made by `kube_events`.

use super::backoff::LONGEST;
use super::client::Sent;
use super::client::longest_wait;
use super::{Reason, Receipt, Verdict, Why};
use crate::alert::{Alert, RULES, Severity};
use crate::dispatch::{Topic, Turn};
use crate::kube_events::{Event, Events, Failure, Regarding};
use crate::message::Notification;
use futures_util::StreamExt;
use futures_util::stream;

/// So many Events are made for a notification.
const MOST: usize = 100;
/// So many of them at once.
const AT_ONCE: usize = 8;

/// A cluster that is told.
pub(super) struct Sender {
    events: Events,
}

impl Sender {
    pub(super) fn new(events: Option<Events>) -> Result<Self, String> {
        Ok(Self { events: events.ok_or("kubernetes_events needs the source cluster")? })
    }

    pub(super) async fn send(&self, notification: &Notification) -> Sent {
        let is_retry = notification.message.is_repeat;
        let make = |(about, event)| async move { self.events.publish(&about, &event, is_retry).await };
        let made: Vec<_> = stream::iter(events(notification)).map(make).buffer_unordered(AT_ONCE).collect().await;
        let verdict = judge(made);
        // A right that is missing in one namespace may be there in another.
        let is_of_this_alone = matches!(&verdict, Verdict::NotSent(_, why) if why.reason == Reason::Denied);
        Ok(Receipt { verdict, remote: None, is_of_this_alone })
    }
}

/// The Events of a notification. A report is about no object, and a baseline is no news: neither makes any.
pub fn events(notification: &Notification) -> Vec<(Regarding, Event)> {
    let turn = match notification.topic {
        Topic::Campaign(_) | Topic::Baseline(_) => return Vec::new(),
        Topic::Thread(_) | Topic::Digest(_) | Topic::Over(_) => notification.message.turn,
    };
    let alerts = notification.alerts.iter().map(|alert| (alert, turn));
    let ended = notification.ended.iter().map(|alert| (alert, Turn::Resolved));
    // What has ended is said once.
    ended.chain(alerts).take(MOST).map(|(alert, turn)| (regarding(alert), event(alert, turn))).collect()
}

/// What an alert is about.
pub(super) fn regarding(alert: &Alert) -> Regarding {
    let key = alert.scope.key();
    // An object without a uid is known by its name.
    let uid = if alert.id.uid == key.to_string() { Default::default() } else { alert.id.uid.clone() };
    Regarding { kind: alert.scope.kind(), key: key.clone(), uid }
}

fn event(alert: &Alert, turn: Turn) -> Event {
    let rule = alert.id.rule;
    let meaning = || RULES.iter().find(|row| row.name == rule).map_or(rule, |row| row.summary);
    let what = if alert.reason.is_empty() { meaning() } else { alert.reason.as_str() };
    let (is_warning, reason, note) = match turn {
        Turn::Firing | Turn::Updated | Turn::Reminder => (true, rule.to_owned(), what.to_owned()),
        Turn::Over => (true, rule.to_owned(), format!("This was over before it could be told: {what}")),
        Turn::Resolved => (false, format!("{rule}Resolved"), format!("This is over: {what}")),
    };
    Event { is_warning: is_warning && alert.severity != Severity::Info, reason, action: "Alert", note }
}

/// What became of a notification by what became of its Events. If some were made and others may be yet, all of it is tried
/// again: those that are there stay as they are.
pub fn judge(made: Vec<Result<(), Failure>>) -> Verdict {
    let is_partly_made = made.iter().any(|made| matches!(made, Ok(()) | Err(Failure::Unknown(_))));
    let (mut later, mut never) = (None, None);
    for failure in made.into_iter().filter_map(Result::err) {
        match failure {
            Failure::Never(why) => never = never.or(Some(Why::new(Reason::Rejected, why))),
            Failure::Later(wait, why) => {
                later = later.or(Some((wait.map(longest_wait), Why::new(Reason::Busy, why))));
            }
            Failure::Denied(why) => later = later.or(Some((Some(LONGEST), Why::new(Reason::Denied, why)))),
            Failure::Unknown(why) => later = later.or(Some((None, Why::new(Reason::Server, why)))),
        }
    }
    match (later, never) {
        (Some((_, why)), _) if is_partly_made => Verdict::Unknown(why),
        (Some((wait, why)), _) => Verdict::NotSent(wait, why),
        (None, Some(why)) if !is_partly_made => Verdict::Refused(why),
        // Of a digest: the others were told.
        (None, Some(why)) => {
            tracing::warn!("an Event will never be made: {why}");
            Verdict::Delivered
        }
        (None, None) => Verdict::Delivered,
    }
}
