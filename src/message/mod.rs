//! A notification as people read it: what happened where, how bad it is, what happens next, and what can be done.
//!
//! Made from a [`Send`] and what is known of its plan or provider now, for the one who delivers it and for `preview`. Pure:
//! it takes `now`. `fields` gathers what a message holds, `campaign` what a report says, `text` writes the built-in title and text, `template` the user's own,
//! `link` what leads on, `notice` an alert by itself for who is shown it all the time, `plain` makes texts of others fit to be shown, `samples` has an example of everything. A text is plain:
//! what a receiver has to escape is its own business, and so is splitting what is too long for it.

#![warn(clippy::wildcard_enum_match_arm)]

mod campaign;
mod fields;
mod link;
mod notice;
mod plain;
mod samples;
mod template;
mod text;

pub use link::{BaseUrl, LinkTemplate};
pub use notice::Notice;
pub use samples::{Sample, sample, sample_on, samples};
pub use template::Template;

use crate::alert::{Alert, Severity};
use crate::dispatch::{CampaignReport, Receiver, Send, Topic, Turn};
use crate::plan::{PlanState, Provider, Text, Time};
use serde::{Serialize, Serializer};

/// Characters of a title: what mail, PagerDuty and a phone show in one piece.
pub const TITLE_MAX: usize = 200;
/// Characters of a text: a message that chats and services for phones take whole (the smallest of them take 4,096 bytes to
/// 4,096 characters), and more than anybody reads at night.
pub const TEXT_MAX: usize = 4000;
/// Characters of a reason: ten VMs with a sentence each.
pub const REASON_MAX: usize = 1000;
/// Characters of a name: Kubernetes has none that is longer, but files may.
const NAME_MAX: usize = 253;
/// Characters of another value.
const VALUE_MAX: usize = 200;
/// So many VMs or alerts are named; the rest is counted.
const MOST_NAMED: usize = 10;

/// What the configuration says about messages.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Name of the cluster; empty for none.
    pub cluster: String,
    /// The user's own title.
    pub title: Option<Template>,
    /// The user's own text.
    pub text: Option<Template>,
    /// Where OpenShift's console is.
    pub console: Option<BaseUrl>,
    /// A dashboard.
    pub grafana: Option<LinkTemplate>,
    /// Where the runbooks are.
    pub runbooks: Option<BaseUrl>,
}

/// What is sent: to whom and about what, and how it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// To this receiver.
    pub receiver: Receiver,
    /// About this.
    pub topic: Topic,
    /// How often the topic was resolved and began again before. Topic and episode name one incident.
    pub episode: u32,
    /// How often in a row it has not arrived.
    pub failures: u32,
    /// What the receiver calls the conversation; empty if it has no name there.
    pub remote: Text,
    /// In which term of office it was decided: the account of another one knows nothing of it.
    pub term: u64,
    /// The alerts that it tells of, the worst first; none in a report.
    pub alerts: Vec<Alert>,
    /// Of a conversation that goes on: the alerts that have ended since it was last told of.
    pub ended: Vec<Alert>,
    /// How it reads.
    pub message: Message,
}

impl Notification {
    /// What `dispatch` wants to be sent, in these words.
    pub fn of(send: Send, message: Message) -> Self {
        let Send { receiver, topic, episode, failures, remote, alert, others, ended, .. } = send;
        let alerts = std::iter::once(alert).chain(others).collect();
        Self { receiver, topic, episode, failures, remote, term: 0, alerts, ended, message }
    }

    /// A report, in these words.
    pub fn of_report(report: CampaignReport, message: Message) -> Self {
        let CampaignReport { receiver, at, .. } = report;
        let (topic, remote) = (Topic::Campaign(at), Text::new());
        let (alerts, ended) = (Vec::new(), Vec::new());
        Self { receiver, topic, episode: 0, failures: 0, remote, term: 0, alerts, ended, message }
    }
}

closed_enum! {
    /// What a message is about.
    pub enum About {
        /// One plan or provider.
        Thread = "thread",
        /// Many that began together.
        Digest = "digest",
        /// What fired before its receiver, rule or route was in force.
        Baseline = "baseline",
        /// How a campaign stands, at a fixed time.
        Campaign = "campaign",
    }
}

/// A message. Its fields are the variables of templates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// One line.
    pub title: String,
    /// What a person reads.
    pub text: String,
    /// One plan or provider, a digest, or a baseline.
    #[serde(serialize_with = "word")]
    pub about: About,
    /// What it says of that.
    #[serde(serialize_with = "word")]
    pub turn: Turn,
    /// Whether the receiver may know it already. Title and text say so, whoever wrote them.
    pub is_repeat: bool,
    /// The rule of the alert that says the most.
    pub rule: &'static str,
    /// The highest severity in it.
    #[serde(serialize_with = "word")]
    pub severity: Severity,
    /// What the rule means, in a sentence.
    pub meaning: &'static str,
    /// Name of the cluster, or empty.
    pub cluster: String,
    /// `plan` or `provider`; empty in a digest and a baseline, like namespace and name.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which attempt of the plan, from 1; 0 for a provider, a digest and a baseline.
    pub attempt: usize,
    /// What is wrong, in Forklift's words where it has some. At the end, what was.
    pub reason: String,
    /// Since when, in RFC 3339.
    pub since: String,
    /// How long it has lasted.
    pub lasted: String,
    /// The same in seconds.
    pub lasted_seconds: u64,
    /// How the plan or provider stands now; says so if it is gone.
    pub now: String,
    /// What is known of it, by name.
    pub facts: Vec<Fact>,
    /// The VMs that it is about; the first ten.
    pub vms: Vec<VmLine>,
    /// How many more there are.
    pub more_vms: usize,
    /// How far the attempt is.
    pub progress: Option<Progress>,
    /// What happens next if nobody does anything; empty once it is over.
    pub next: &'static str,
    /// A command for who wants to act.
    pub command: Option<CommandLine>,
    /// What leads on.
    pub links: Vec<Link>,
    /// In a digest and a baseline: how many alerts, by rule and severity, the worst first.
    pub counts: Vec<Count>,
    /// In them: the worst alerts; the first ten.
    pub worst: Vec<Item>,
    /// How many more there are.
    pub more: usize,
    /// How many alerts of a digest have ended since it was last told of.
    pub ended: usize,
    /// Why a template of the user's was not used, if one failed.
    pub fallback: Option<String>,
}

/// A fact about a plan or provider.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// What it is.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// A VM that a message is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VmLine {
    /// Its name, or its id if it has none.
    pub name: String,
    /// Its phase.
    pub phase: &'static str,
    /// The step that it is or was in, or empty.
    pub step: &'static str,
    /// What went wrong with it, or empty.
    pub error: String,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// VMs that have ended, however.
    pub ended: usize,
    /// VMs of the attempt.
    pub total: usize,
    /// 0 to 1, if it is known.
    pub ratio: Option<f64>,
    /// Bytes copied.
    pub transferred_bytes: u64,
    /// Bytes to copy; 0 if unknown.
    pub disk_bytes: u64,
}

/// A command for who wants to act.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandLine {
    /// What it is for.
    pub to: &'static str,
    /// The command. Never cut, and only made of names that a shell takes as they are.
    pub line: String,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it leads to.
    pub text: String,
    /// Where.
    pub href: String,
}

/// A number of alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Count {
    /// Of this rule.
    pub rule: &'static str,
    /// Of this severity.
    #[serde(serialize_with = "word")]
    pub severity: Severity,
    /// So many.
    pub alerts: usize,
}

/// An alert of a digest or a baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Its rule.
    pub rule: &'static str,
    /// Its severity.
    #[serde(serialize_with = "word")]
    pub severity: Severity,
    /// `plan` or `provider`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

fn word<T: std::fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl Message {
    /// The message of a notification, with what is known of its plan or provider now; both are `None` if it is gone, and for
    /// a digest and a baseline. A template that fails is replaced by the built-in text and leaves a word in `fallback`.
    pub fn of(send: &Send, plan: Option<&PlanState>, provider: Option<&Provider>, settings: &Settings, now: Time) -> Self {
        let mut message = fields::gather(send, plan, provider, settings, now);
        message.title = text::title(&message);
        message.text = text::text(&message);
        // Both templates see the built-in title and text.
        let own = |template: &Option<Template>| template.as_ref().map(|template| template.render(&message)).transpose();
        let (own_title, own_text) = (own(&settings.title), own(&settings.text));
        for (name, own) in [("title", &own_title), ("text", &own_text)] {
            if let Err(why) = own {
                message.fallback.get_or_insert_with(|| format!("the template of the {name} failed: {why}"));
            }
        }
        if let Ok(Some(own)) = own_title {
            message.title = own;
        }
        if let Ok(Some(own)) = own_text {
            message.text = own;
        }
        text::finish(&mut message);
        message
    }

    /// The message in one line, for a log or a list.
    pub fn summary(&self) -> String {
        text::summary(self)
    }
}
