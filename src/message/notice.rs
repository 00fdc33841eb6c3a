//! An alert by itself, in words that stay the same for as long as nothing about it changes: for who is shown what fires again
//! and again, and would take another word for news.
//!
//! Made for the mirrors. The user's own templates are not used here: they may tell the time, and such a service has its own.

use super::{Link, Notification, REASON_MAX, Settings, fields, plain, text};
use crate::alert::{Alert, RULES};
use crate::dispatch::{Send, ThreadId, Topic, Turn};
use crate::plan::Text;

/// An alert as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The alert.
    pub alert: Alert,
    /// Name of the cluster, or empty.
    pub cluster: String,
    /// One line.
    pub title: String,
    /// What is wrong.
    pub reason: String,
    /// What its rule means, in a sentence.
    pub meaning: &'static str,
    /// What happens next if nobody does anything.
    pub next: &'static str,
    /// What leads on.
    pub links: Vec<Link>,
}

impl Notice {
    /// An alert that fires.
    pub fn of(alert: &Alert, settings: &Settings) -> Self {
        let send = Send {
            receiver: Text::new(),
            topic: Topic::Thread(ThreadId::of(&alert.id)),
            episode: 0,
            turn: Turn::Firing,
            is_repeat: false,
            failures: 0,
            remote: Text::new(),
            alert: alert.clone(),
            others: Vec::new(),
            ended: Vec::new(),
        };
        // By itself: how its plan stands now would change all the time.
        let message = fields::gather(&send, None, None, settings, alert.fires);
        Self::with(send.alert, text::title(&message), message.cluster, message.links)
    }

    /// The alerts of a notification, under its title: for a test of a receiver.
    pub fn all_of(notification: &Notification) -> Vec<Self> {
        let message = &notification.message;
        let notice =
            |alert: &Alert| Self::with(alert.clone(), message.title.clone(), message.cluster.clone(), message.links.clone());
        notification.alerts.iter().map(notice).collect()
    }

    fn with(alert: Alert, title: String, cluster: String, links: Vec<Link>) -> Self {
        let rule = RULES.iter().find(|rule| rule.name == alert.id.rule);
        let reason = plain::line(&alert.reason, REASON_MAX);
        Self {
            cluster,
            title,
            reason,
            meaning: rule.map_or("", |rule| rule.summary),
            next: rule.map_or("", |rule| rule.next),
            links,
            alert,
        }
    }
}
