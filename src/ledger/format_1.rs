//! Format 1 of a part: JSON with short names.
//!
//! Used by `codec` alone. The shapes here are what is stored, and are never changed: another form is another format, beside this
//! one. Times are seconds since 1970.

use super::Account;
use crate::alert::{Alert, AlertId, AlertState, Episodes, Identity, Memory, RULES, Scope, Severity};
use crate::dispatch::{Conversation, Intent, Matcher, Reported, Selection, Settled, Standing, ThreadId, Told, Topic, Turn};
use crate::plan::{Key, Text, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Body {
    standing: Option<StandingForm>,
    told: Vec<ConversationForm>,
    settled: Vec<(Text, Text, KeyForm, Vec<usize>)>,
    memory: Vec<MemoryForm>,
    #[serde(skip_serializing_if = "is_default")]
    reported: Vec<ReportedForm>,
}

type KeyForm = (Text, Text);

#[derive(Default, Serialize, Deserialize)]
struct StandingForm {
    /// Names and severities.
    rules: Vec<(Text, Text)>,
    namespaces: Vec<Text>,
    /// Matchers as one text, and receivers.
    routes: Vec<(String, Vec<Text>)>,
}

/// A conversation. What is absent is as in a new one.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ConversationForm {
    receiver: Text,
    topic: TopicForm,
    #[serde(skip_serializing_if = "is_default")]
    episode: u32,
    #[serde(skip_serializing_if = "is_default")]
    opened: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    told: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    known: Vec<AlertForm>,
    #[serde(skip_serializing_if = "is_default")]
    perhaps: Vec<AlertForm>,
    #[serde(skip_serializing_if = "is_default")]
    in_doubt: Option<Text>,
    #[serde(skip_serializing_if = "is_default")]
    silent: Vec<IdForm>,
    #[serde(skip_serializing_if = "is_default")]
    sending: Option<IntentForm>,
    #[serde(skip_serializing_if = "is_default")]
    again: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    failures: u32,
    #[serde(skip_serializing_if = "is_default")]
    ends_silently: bool,
    #[serde(skip_serializing_if = "is_default")]
    scope: Option<ScopeForm>,
    #[serde(skip_serializing_if = "is_default")]
    closed: bool,
    #[serde(skip_serializing_if = "is_default")]
    threads: Vec<ThreadForm>,
    #[serde(skip_serializing_if = "is_default")]
    once: Option<IntentForm>,
    #[serde(skip_serializing_if = "is_default")]
    remote: Text,
    #[serde(skip_serializing_if = "is_default")]
    waiting: Option<u32>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TopicForm {
    Thread(ThreadForm),
    Digest(u32),
    Baseline(u32),
    Over(u32),
    Campaign(u32),
}

impl Default for TopicForm {
    fn default() -> Self {
        Self::Digest(0)
    }
}

/// Receiver; the last report that is dealt with, under way, in doubt, not before.
type ReportedForm = (Text, u32, Option<u32>, Option<u32>, Option<u32>);
/// Uid, attempt, topic, subject, episode.
type ThreadForm = (Text, usize, Text, Text, u32);
/// Uid, attempt, rule, subject, episode.
type IdForm = (Text, usize, Text, Text, u32);
/// Plan or Provider, namespace, name.
type ScopeForm = (Text, Text, Text);

#[derive(PartialEq, Serialize, Deserialize)]
struct AlertForm {
    id: IdForm,
    of: ScopeForm,
    severity: Text,
    since: u32,
    fires: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    over: bool,
    reason: Text,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct IntentForm {
    turn: Text,
    alerts: Vec<AlertForm>,
    #[serde(default, skip_serializing_if = "is_default")]
    ended: Vec<AlertForm>,
}

#[derive(Serialize, Deserialize)]
struct MemoryForm {
    of: ScopeForm,
    /// Uid, attempt, rule, subject; when it was first seen.
    #[serde(default, skip_serializing_if = "is_default")]
    seen: Vec<(Text, usize, Text, Text, u32)>,
    /// Uid, attempt, rule, subject; how often it has fired, and whether it still does.
    #[serde(default, skip_serializing_if = "is_default")]
    fired: Vec<(Text, usize, Text, Text, u32, bool)>,
}

/// Writes an account; reasons are cut at so many characters.
pub(super) fn write(account: &Account, reason: usize) -> String {
    let Account { told: Told { conversations, settled, standing, reported }, memory } = account;
    let body = Body {
        standing: standing.as_ref().map(from_standing),
        told: conversations
            .iter()
            .map(|((receiver, topic), told)| from_conversation(receiver, topic, told, reason))
            .collect(),
        settled: settled
            .iter()
            .map(|((receiver, uid), settled)| {
                let key = (settled.plan.namespace.clone(), settled.plan.name.clone());
                (receiver.clone(), uid.clone(), key, settled.attempts.iter().copied().collect())
            })
            .collect(),
        memory: memory.iter().map(from_memory).collect(),
        reported: reported.iter().map(from_reported).collect(),
    };
    // It has nothing that JSON could not write.
    serde_json::to_string(&body).unwrap_or_default()
}

/// Reads an account.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<Account, String> {
    let body: Body = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut account = Account::default();
    account.told.standing = body.standing.map(to_standing).transpose()?;
    for form in body.told {
        let (key, told) = to_conversation(form)?;
        account.told.conversations.insert(key, told);
    }
    for (receiver, uid, (namespace, name), attempts) in body.settled {
        let settled = Settled { plan: Key { namespace, name }, attempts: attempts.into_iter().collect() };
        account.told.settled.insert((receiver, uid), settled);
    }
    for (receiver, last, sending, in_doubt, again) in body.reported {
        let times = (sending.map(time).transpose()?, in_doubt.map(time).transpose()?, again.map(time).transpose()?);
        let (sending, in_doubt, again) = times;
        account.told.reported.insert(receiver, Reported { last: time(last)?, sending, in_doubt, again });
    }
    for form in body.memory {
        let (scope, memory) = to_memory(form)?;
        account.memory.insert(scope, memory);
    }
    Ok(account)
}

/// The name of a rule. One that this program does not have is kept as it is, so that its end can still be told; that costs a
/// few bytes once, at the start.
fn rule(name: &str) -> &'static str {
    let known = RULES.iter().map(|rule| rule.name).chain([ThreadId::FAILURE]).find(|known| *known == name);
    known.unwrap_or_else(|| Box::leak(name.to_owned().into_boxed_str()))
}

fn word<T: Copy + 'static>(all: &[T], as_str: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    all.iter().copied().find(|known| as_str(*known) == text).ok_or_else(|| format!("{text:?} is no such word"))
}

fn time(seconds: u32) -> Result<Time, String> {
    Time::from_unix(seconds.into()).ok_or_else(|| format!("{seconds} is no time"))
}

fn from_standing(standing: &Standing) -> StandingForm {
    let route = |route: &Selection| {
        let matchers: Vec<String> = route.matchers.iter().map(Matcher::to_string).collect();
        (matchers.join(","), route.receivers.clone())
    };
    StandingForm {
        rules: standing.rules.iter().map(|(rule, severity)| (rule.clone(), severity.as_str().into())).collect(),
        namespaces: standing.namespaces.iter().cloned().collect(),
        routes: standing.routes.iter().map(route).collect(),
    }
}

fn to_standing(form: StandingForm) -> Result<Standing, String> {
    let route = |(matchers, receivers): (String, Vec<Text>)| {
        let matchers = if matchers.is_empty() { Ok(Vec::new()) } else { Matcher::list(&matchers) };
        matchers.map(|matchers| Selection { matchers, receivers })
    };
    let severity = |(rule, text): (Text, Text)| Ok((rule, word(Severity::ALL, Severity::as_str, &text)?));
    Ok(Standing {
        rules: form.rules.into_iter().map(severity).collect::<Result<_, String>>()?,
        namespaces: form.namespaces.into_iter().collect(),
        routes: form.routes.into_iter().map(route).collect::<Result<_, _>>()?,
    })
}

fn from_scope(scope: &Scope) -> ScopeForm {
    (scope.kind().as_str().into(), scope.key().namespace.clone(), scope.key().name.clone())
}

fn to_scope((kind, namespace, name): ScopeForm) -> Result<Scope, String> {
    match kind.as_str() {
        "Plan" => Ok(Scope::Plan(Key { namespace, name })),
        "Provider" => Ok(Scope::Provider(Key { namespace, name })),
        _ => Err(format!("there are no alerts of a {kind}")),
    }
}

fn from_id(id: &AlertId) -> IdForm {
    (id.uid.clone(), id.attempt, id.rule.into(), id.subject.clone(), id.episode)
}

fn to_id((uid, attempt, name, subject, episode): IdForm) -> AlertId {
    AlertId { uid, attempt, rule: rule(&name), subject, episode }
}

fn from_thread(thread: &ThreadId) -> ThreadForm {
    (thread.uid.clone(), thread.attempt, thread.topic.into(), thread.subject.clone(), thread.episode)
}

fn to_thread((uid, attempt, topic, subject, episode): ThreadForm) -> ThreadId {
    ThreadId { uid, attempt, topic: rule(&topic), subject, episode }
}

fn from_topic(topic: &Topic) -> TopicForm {
    match topic {
        Topic::Thread(thread) => TopicForm::Thread(from_thread(thread)),
        Topic::Digest(at) => TopicForm::Digest(at.unix()),
        Topic::Baseline(at) => TopicForm::Baseline(at.unix()),
        Topic::Over(at) => TopicForm::Over(at.unix()),
        Topic::Campaign(at) => TopicForm::Campaign(at.unix()),
    }
}

fn to_topic(form: TopicForm) -> Result<Topic, String> {
    Ok(match form {
        TopicForm::Thread(thread) => Topic::Thread(to_thread(thread)),
        TopicForm::Digest(at) => Topic::Digest(time(at)?),
        TopicForm::Baseline(at) => Topic::Baseline(time(at)?),
        TopicForm::Over(at) => Topic::Over(time(at)?),
        TopicForm::Campaign(at) => Topic::Campaign(time(at)?),
    })
}

/// The beginning of a text, of at most so many characters.
fn cut(text: &Text, most: usize) -> Text {
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].into(),
        None => text.clone(),
    }
}

fn from_alert(alert: &Alert, reason: usize) -> AlertForm {
    AlertForm {
        id: from_id(&alert.id),
        of: from_scope(&alert.scope),
        severity: alert.severity.as_str().into(),
        since: alert.since.unix(),
        fires: alert.fires.unix(),
        over: alert.state == AlertState::Over,
        reason: cut(&alert.reason, reason),
    }
}

fn to_alert(form: AlertForm) -> Result<Alert, String> {
    Ok(Alert {
        id: to_id(form.id),
        scope: to_scope(form.of)?,
        severity: word(Severity::ALL, Severity::as_str, &form.severity)?,
        state: if form.over { AlertState::Over } else { AlertState::Firing },
        since: time(form.since)?,
        fires: time(form.fires)?,
        reason: form.reason,
        // What causes an alert is asked of one that fires, not of one that is remembered.
        causes: Vec::new(),
    })
}

fn from_alerts<'a>(alerts: impl IntoIterator<Item = &'a Alert>, reason: usize) -> Vec<AlertForm> {
    alerts.into_iter().map(|alert| from_alert(alert, reason)).collect()
}

fn to_alerts(forms: Vec<AlertForm>) -> Result<Vec<Alert>, String> {
    forms.into_iter().map(to_alert).collect()
}

fn from_intent(intent: &Intent, reason: usize) -> IntentForm {
    let Intent { turn, alerts, ended } = intent;
    IntentForm { turn: turn.as_str().into(), alerts: from_alerts(alerts, reason), ended: from_alerts(ended, reason) }
}

fn to_intent(form: IntentForm) -> Result<Intent, String> {
    let turn = word(Turn::ALL, Turn::as_str, &form.turn)?;
    Ok(Intent { turn, alerts: to_alerts(form.alerts)?, ended: to_alerts(form.ended)? })
}

fn from_conversation(receiver: &Text, topic: &Topic, told: &Conversation, reason: usize) -> ConversationForm {
    ConversationForm {
        receiver: receiver.clone(),
        topic: from_topic(topic),
        episode: told.episode,
        opened: told.opened.map(Time::unix),
        told: told.told.map(Time::unix),
        known: from_alerts(&told.known, reason),
        perhaps: from_alerts(&told.perhaps, reason),
        in_doubt: told.in_doubt.map(|turn| turn.as_str().into()),
        silent: told.silent.iter().map(from_id).collect(),
        sending: told.sending.as_ref().map(|intent| from_intent(intent, reason)),
        again: told.again.map(Time::unix),
        failures: told.failures,
        ends_silently: told.ends_silently,
        scope: told.scope.as_ref().map(from_scope),
        closed: told.closed,
        threads: told.threads.iter().map(from_thread).collect(),
        once: told.once.as_ref().map(|intent| from_intent(intent, reason)),
        remote: told.remote.clone(),
        waiting: told.waiting.map(Time::unix),
    }
}

fn to_conversation(form: ConversationForm) -> Result<((Text, Topic), Conversation), String> {
    let told = Conversation {
        episode: form.episode,
        opened: form.opened.map(time).transpose()?,
        told: form.told.map(time).transpose()?,
        known: to_alerts(form.known)?.into_iter().collect(),
        perhaps: to_alerts(form.perhaps)?.into_iter().collect(),
        in_doubt: form.in_doubt.map(|text| word(Turn::ALL, Turn::as_str, &text)).transpose()?,
        silent: form.silent.into_iter().map(to_id).collect(),
        sending: form.sending.map(to_intent).transpose()?,
        again: form.again.map(time).transpose()?,
        failures: form.failures,
        ends_silently: form.ends_silently,
        scope: form.scope.map(to_scope).transpose()?,
        closed: form.closed,
        threads: form.threads.into_iter().map(to_thread).collect::<BTreeSet<_>>(),
        once: form.once.map(to_intent).transpose()?.map(Box::new),
        remote: form.remote,
        waiting: form.waiting.map(time).transpose()?,
    };
    Ok(((form.receiver, to_topic(form.topic)?), told))
}

fn from_reported((receiver, reported): (&Text, &Reported)) -> ReportedForm {
    let Reported { last, sending, in_doubt, again } = reported;
    (receiver.clone(), last.unix(), sending.map(Time::unix), in_doubt.map(Time::unix), again.map(Time::unix))
}

fn from_memory((scope, memory): (&Scope, &Memory)) -> MemoryForm {
    let Memory { seen, fired } = memory;
    let parts = |of: &Identity| (of.uid.clone(), of.attempt, Text::from(of.rule), of.subject.clone());
    let seen = seen.iter().map(|(of, at)| {
        let (uid, attempt, rule, subject) = parts(of);
        (uid, attempt, rule, subject, at.unix())
    });
    let fired = fired.iter().map(|(of, episodes)| {
        let (uid, attempt, rule, subject) = parts(of);
        (uid, attempt, rule, subject, episodes.begun, episodes.lasts)
    });
    MemoryForm { of: from_scope(scope), seen: seen.collect(), fired: fired.collect() }
}

fn to_memory(form: MemoryForm) -> Result<(Scope, Memory), String> {
    let identity = |uid, attempt, name: Text, subject| Identity { uid, attempt, rule: rule(&name), subject };
    let mut memory = Memory::default();
    for (uid, attempt, name, subject, at) in form.seen {
        memory.seen.insert(identity(uid, attempt, name, subject), time(at)?);
    }
    for (uid, attempt, name, subject, begun, lasts) in form.fired {
        memory.fired.insert(identity(uid, attempt, name, subject), Episodes { begun, lasts });
    }
    Ok((to_scope(form.of)?, memory))
}
