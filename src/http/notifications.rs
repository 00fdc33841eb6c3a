//! `/api/v1/notifications`: what receivers know, what is on its way to them, and what can never be delivered. docs/api.md tells
//! every field.

use super::Server;
use super::answer::Answer;
use super::api::{Instant, instant, json};
use crate::alert::Scope;
use crate::dispatch::{DeadLetter, Line, ThreadId, Topic};
use hyper::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Page<'a> {
    cluster: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Instant>,
    /// Whether this replica tells; another one does, else.
    acts: bool,
    notifications: Vec<ConversationOf<'a>>,
    dead_letters: Vec<DeadLetterOf<'a>>,
}

#[derive(Serialize)]
struct ConversationOf<'a> {
    receiver: &'a str,
    about: &'static str,
    stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<usize>,
    episode: u32,
    known: BTreeMap<&'a str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_since: Option<Instant>,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Instant>,
}

#[derive(Serialize)]
struct DeadLetterOf<'a> {
    receiver: &'a str,
    at: Option<Instant>,
    title: &'a str,
    reason: &'a str,
}

impl<'a> DeadLetterOf<'a> {
    fn of(letter: &'a DeadLetter) -> Self {
        let DeadLetter { receiver, at, title, why } = letter;
        Self { receiver, at: instant(Some(*at)), title, reason: why }
    }
}

impl<'a> ConversationOf<'a> {
    fn of(line: &'a Line) -> Self {
        let Line { receiver, topic, episode, stage, scope, known, opened, told, waiting, failures, again } = line;
        let (about, attempt) = match topic {
            Topic::Thread(ThreadId { attempt, .. }) => ("thread", Some(attempt + 1)),
            Topic::Digest(_) => ("digest", None),
            Topic::Baseline(_) => ("baseline", None),
            Topic::Over(_) => ("over", None),
            Topic::Campaign(_) => ("campaign", None),
        };
        let key = scope.as_ref().map(Scope::key);
        let is_plan = matches!(scope, Some(Scope::Plan(_)));
        Self {
            receiver,
            about,
            stage: stage.as_str(),
            kind: scope.as_ref().map(|_| if is_plan { "plan" } else { "provider" }),
            namespace: key.map_or("", |key| &key.namespace),
            name: key.map_or("", |key| &key.name),
            attempt: attempt.filter(|_| is_plan),
            episode: *episode,
            known: known.iter().map(|(rule, number)| (rule.as_str(), *number)).collect(),
            opened: instant(*opened),
            told: instant(*told),
            waiting_since: instant(*waiting),
            failures: *failures,
            retry_at: instant(*again),
        }
    }
}

/// Every conversation that is open, and the latest dead letters.
pub(super) fn notifications(server: &Server) -> Answer {
    let view = server.view();
    let page = Page {
        cluster: &server.cluster,
        at: instant(view.at),
        acts: view.acts,
        notifications: view.notifications.iter().map(ConversationOf::of).collect(),
        dead_letters: view.dead_letters.iter().map(DeadLetterOf::of).collect(),
    };
    json(StatusCode::OK, &page)
}
