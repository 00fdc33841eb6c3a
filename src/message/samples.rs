//! An example of every kind of message: what templates are tried on when the configuration is read, what `preview` shows, and
//! what the tests look at.
//!
//! The plans are made up, but what is said of them is what their rules find.

use super::{Message, Settings};
use crate::alert::{Alert, AlertId, AlertState, Check, Finding, RULES, Rule, Scope};
use crate::dispatch::{Send, ThreadId, Topic, Turn};
use crate::plan::{
    Attempt, Category, Condition, Key, Migration, MigrationType, ObjectRef, Plan, PlanState, Precopy, Provider,
    ProviderPhase, ProviderType, Stage, Step, StepName, StepPhase, Text, Time, Vm, VmError, VmPhase, VmRef, Warm,
};
use std::sync::Arc;
use std::time::Duration;

/// A notification with what is known of its plan or provider.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The notification.
    pub send: Send,
    /// The plan, if it is there.
    pub plan: Option<PlanState>,
    /// The provider, if it is there.
    pub provider: Option<Provider>,
    /// The instant of it.
    pub now: Time,
}

impl Sample {
    /// The message of it.
    pub fn message(&self, settings: &Settings) -> Message {
        Message::of(&self.send, self.plan.as_ref(), self.provider.as_ref(), settings, self.now)
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.send.topic {
            Topic::Thread(_) => write!(f, "{} {}", self.send.alert.id.rule, self.send.turn),
            Topic::Digest(_) | Topic::Over(_) => write!(f, "a digest {}", self.send.turn),
            Topic::Baseline(_) => write!(f, "a baseline"),
            Topic::Campaign(_) => write!(f, "a report"),
        }
    }
}

/// The instant of all samples: 2027-01-15T08:00:00Z.
fn now() -> Time {
    Time::MIN.plus(Duration::from_secs(1_799_999_999))
}

fn ago(minutes: u64) -> Time {
    Time::MIN.plus(Duration::from_secs(1_799_999_999 - minutes * 60))
}

fn ahead(minutes: u64) -> Time {
    now().plus(Duration::from_secs(minutes * 60))
}

/// Every kind of message: each rule with each turn, ends of what is gone, digests and a baseline.
pub fn samples() -> Vec<Sample> {
    let mut all: Vec<Sample> = RULES.iter().flat_map(|rule| Turn::ALL.iter().map(|turn| sample(rule, *turn))).collect();
    let gone = |rule: &Rule| Sample { plan: None, provider: None, ..sample(rule, Turn::Resolved) };
    all.extend(RULES.iter().map(gone));
    let topic = |turn| if turn == Turn::Over { Topic::Over(now()) } else { Topic::Digest(now()) };
    all.extend(Turn::ALL.iter().map(|turn| many(topic(*turn), *turn)));
    all.push(many(Topic::Baseline(now()), Turn::Firing));
    all
}

/// The sample of a rule.
pub fn sample(rule: &Rule, turn: Turn) -> Sample {
    let (state, provider) = match rule.check {
        Check::Plan(_) => (Some(plan(rule.name)), None),
        Check::Provider(_) => (None, Some(broken_provider())),
    };
    let findings = match (rule.check, &state, &provider) {
        (Check::Plan(check), Some(state), _) => check(state),
        (Check::Provider(check), _, Some(provider)) => check(provider, 3),
        (Check::Plan(_) | Check::Provider(_), _, _) => Vec::new(),
    };
    let scope = match &provider {
        Some(provider) => Scope::Provider(provider.key.clone()),
        None => Scope::Plan(Key::new("migrations", "crm")),
    };
    let uid = Text::from(if provider.is_some() { "uid-vcenter" } else { "2f6b8a51-crm" });
    let attempt = state.as_ref().map_or(0, |state| state.plan.attempts.len().saturating_sub(1));
    let mut alerts = findings.into_iter().map(|finding| alert(rule, scope.clone(), &uid, attempt, finding));
    // A rule without a plan that it fires for is found by the tests.
    let first = alerts.next().unwrap_or_else(|| alert(rule, scope.clone(), &uid, attempt, Finding::default()));
    let others = alerts.collect();
    let topic = Topic::Thread(ThreadId::of(&first.id));
    // What ended it: another attempt, or a provider that is back.
    let (state, provider) = match turn {
        Turn::Firing | Turn::Updated | Turn::Reminder => (state, provider),
        Turn::Over | Turn::Resolved => (state.map(|_| plan("PlanRestarted")), provider.map(mended)),
    };
    Sample { send: send(topic, turn, first, others), plan: state, provider, now: now() }
}

fn mended(provider: Provider) -> Provider {
    let ready = condition("Ready", Category::Required, "The provider is ready.");
    Provider { phase: ProviderPhase::Ready, conditions: [ready].into(), ..provider }
}

/// The sample of a rule, about a plan that is there.
pub fn sample_on(rule: &Rule, turn: Turn, state: &PlanState, now: Time) -> Sample {
    let Sample { send: made_up, .. } = sample(rule, turn);
    let (key, uid) = (&state.plan.key, &state.plan.uid);
    let uid = if uid.is_empty() { key.to_string().into() } else { uid.clone() };
    let attempt = state.plan.attempts.len().saturating_sub(1);
    let finding = Finding { reason: made_up.alert.reason, from: Some(now), ..Finding::default() };
    let alert = alert(rule, Scope::Plan(key.clone()), &uid, attempt, finding);
    let topic = Topic::Thread(ThreadId::of(&alert.id));
    Sample { send: send(topic, turn, alert, Vec::new()), plan: Some(state.clone()), provider: None, now }
}

fn send(topic: Topic, turn: Turn, alert: Alert, others: Vec<Alert>) -> Send {
    let (receiver, remote, ended) = ("log".into(), Text::new(), Vec::new());
    Send { receiver, topic, episode: 0, turn, is_repeat: false, failures: 0, remote, alert, others, ended }
}

fn alert(rule: &Rule, scope: Scope, uid: &Text, attempt: usize, finding: Finding) -> Alert {
    Alert {
        id: AlertId { uid: uid.clone(), attempt, rule: rule.name, subject: finding.subject, episode: 0 },
        scope,
        severity: rule.severity,
        state: AlertState::Firing,
        since: finding.from.unwrap_or_else(|| ago(2)),
        fires: finding.from.unwrap_or_else(|| ago(2)),
        reason: finding.reason,
        causes: finding.causes,
    }
}

/// A digest or a baseline of one alert of each rule.
fn many(topic: Topic, turn: Turn) -> Sample {
    let mut alerts: Vec<Alert> = RULES.iter().map(|rule| sample(rule, turn).send.alert).collect();
    alerts.sort_by_key(|alert| alert.severity);
    let ended = if turn == Turn::Updated { alerts.split_off(20) } else { Vec::new() };
    let mut alerts = alerts.into_iter();
    let first = alerts.next().unwrap_or_else(|| sample(&RULES[0], turn).send.alert);
    let mut send = send(topic, turn, first, alerts.collect());
    send.ended = ended;
    Sample { send, plan: None, provider: None, now: now() }
}

fn broken_provider() -> Provider {
    let condition =
        condition("ConnectionTestFailed", Category::Critical, "dial tcp 192.0.2.10:443: connect: connection refused");
    Provider {
        key: Key::new("openshift-mtv", "vcenter"),
        uid: "uid-vcenter".into(),
        kind: ProviderType::VSphere,
        phase: ProviderPhase::ConnectionFailed,
        conditions: [condition].into(),
    }
}

fn condition(kind: &str, category: Category, message: &str) -> Condition {
    Condition { kind: kind.into(), category, message: message.into(), since: Some(ago(2)), ..Condition::default() }
}

/// What a sample plan is made of: conditions, the phases of its VMs, and whether it is warm.
type Parts = (&'static [(&'static str, Category, &'static str)], &'static [VmPhase], bool);

const EXECUTING: (&str, Category, &str) = ("Executing", Category::Advisory, "The plan is EXECUTING.");
const SUCCEEDED: (&str, Category, &str) = ("Succeeded", Category::Advisory, "The plan execution has SUCCEEDED.");
const LOST: (&str, Category, &str) =
    ("SourceProviderNotReady", Category::Critical, "The source provider does not have the Ready condition.");
const ARCHIVED: (&str, Category, &str) = ("Archived", Category::Advisory, "The migration plan has been archived.");

fn parts(rule: &str) -> Parts {
    use VmPhase::{AwaitingCutover, Canceled, CutoverScheduled, Failed, Pending, Precopying, Running, Succeeded};
    match rule {
        "PlanFailed" => (&[("Failed", Category::Advisory, "The plan execution has FAILED.")], &[Succeeded, Failed], false),
        "VmFailed" => (&[EXECUTING], &[Running, Failed], false),
        "VmsCanceledInSucceededPlan" => (&[SUCCEEDED], &[Succeeded, Canceled], false),
        "PlanBlocked" => (&[EXECUTING, LOST], &[Running, Pending], false),
        "StartBlocked" => (&[("StorageMapNotReady", Category::Critical, "The storage map is not ready.")], &[], false),
        "CutoverApproaching" => (&[EXECUTING], &[CutoverScheduled, CutoverScheduled], true),
        "CutoverOverdue" | "PrecopyFailing" => (&[EXECUTING], &[Precopying, Succeeded], true),
        "CutoverMissing" | "PrecopyOverdue" => (&[EXECUTING], &[AwaitingCutover, Succeeded], true),
        "QueueStuck" => (
            &[EXECUTING, ("Ready", Category::Required, "1 VM(s) waiting to start migration (in-flight limit: 20).")],
            &[Running, Pending],
            false,
        ),
        "ZombiePlan" => (&[EXECUTING, ARCHIVED], &[Running, Succeeded], false),
        "ControllerStuck" => (&[EXECUTING], &[Succeeded, Failed], false),
        "LeftoverAfterArchive" => (&[SUCCEEDED, ARCHIVED, LOST], &[Succeeded], false),
        "PlanSucceeded" => (&[SUCCEEDED], &[Succeeded, Succeeded], false),
        "PlanCanceled" => (&[("Canceled", Category::Advisory, "The plan execution has been CANCELED.")], &[Canceled], false),
        "PlanNotReady" => (&[("VMNotFound", Category::Critical, "VM not found.")], &[], false),
        // What runs: PlanStalled, CancelIgnored, PlanRestarted, VmsNotCovered, PlanStarted.
        _ => (&[EXECUTING], &[Running, Pending], false),
    }
}

/// A plan for which a rule fires.
fn plan(rule: &str) -> PlanState {
    let (conditions, phases, warm) = parts(rule);
    let conditions: Box<[Condition]> =
        conditions.iter().map(|(kind, category, text)| condition(kind, *category, text)).collect();
    let vms: Box<[Vm]> = phases.iter().enumerate().map(|(number, phase)| vm(number, *phase, warm)).collect();
    let mut wanted: Vec<VmRef> = vms.iter().map(|vm| VmRef { id: vm.id.clone(), name: vm.name.clone() }).collect();
    if rule == "VmsNotCovered" {
        wanted.push(VmRef { id: "vm-231".into(), name: "crm-web-09".into() });
    }
    let run = ObjectRef { key: Key::new("migrations", "crm-7k2xp"), uid: "9d1c-run".into() };
    let attempt =
        |kind: &str| Attempt { migration: run.clone(), conditions: [condition(kind, Category::Advisory, "")].into() };
    let is_executing = conditions.iter().any(|condition| condition.kind == "Executing");
    let attempts: Box<[Attempt]> = match (rule, phases) {
        (_, []) => Box::default(),
        ("PlanRestarted", _) => [attempt("Failed"), attempt("Executing")].into(),
        (_, _) => [attempt(if is_executing { "Executing" } else { "Succeeded" })].into(),
    };
    let cutover = match rule {
        "CutoverApproaching" => Some(ahead(30)),
        "CutoverOverdue" => Some(ago(20)),
        _ => None,
    };
    let cancels: Box<[VmRef]> = match (rule, wanted.first()) {
        ("CancelIgnored", Some(first)) => [first.clone()].into(),
        (_, _) => Box::default(),
    };
    let migration = Migration {
        key: run.key.clone(),
        uid: run.uid.clone(),
        plan: Key::new("migrations", "crm"),
        created: Some(ago(90)),
        cutover,
        cancels,
        conditions: if is_executing || phases.is_empty() {
            Box::default()
        } else {
            [condition("Succeeded", Category::Advisory, "")].into()
        },
        ..Migration::default()
    };
    let plan = Plan {
        key: Key::new("migrations", "crm"),
        uid: "2f6b8a51-crm".into(),
        archived: conditions.iter().any(|condition| condition.kind == "Archived"),
        spec_type: if warm { MigrationType::Warm } else { MigrationType::Cold },
        source: Key::new("openshift-mtv", "vcenter"),
        destination: Key::new("openshift-mtv", "host"),
        target_namespace: "crm-prod".into(),
        wanted: wanted.into(),
        conditions,
        started: (!phases.is_empty()).then(|| ago(85)),
        completed: (!phases.is_empty() && !is_executing).then(|| ago(5)),
        attempts,
        vms,
        ..Plan::default()
    };
    let provider = |name: &str, kind| {
        let ready = condition("Ready", Category::Required, "");
        let (key, uid, phase) = (Key::new("openshift-mtv", name), Text::from(name), ProviderPhase::Ready);
        Some(Arc::new(Provider { key, uid, kind, phase, conditions: [ready].into() }))
    };
    let (source, destination) = (provider("vcenter", ProviderType::VSphere), provider("host", ProviderType::OpenShift));
    PlanState::derive(plan, [Arc::new(migration)].into(), source, destination, None, now())
}

/// A VM in a phase.
fn vm(number: usize, phase: VmPhase, warm: bool) -> Vm {
    let is_over = phase.is_over();
    let is_paused = matches!(phase, VmPhase::AwaitingCutover | VmPhase::CutoverScheduled);
    let copied = if is_over || is_paused { 40_960 } else { 17_408 };
    let step = |name, phase, total, done| Step { name, phase, in_mib: total > 1, total, done, ..Step::default() };
    let mut copy = step(
        StepName::DiskTransfer,
        if copied == 40_960 { StepPhase::Completed } else { StepPhase::Running },
        40_960,
        copied,
    );
    copy.started = Some(ago(60));
    let mut convert = step(StepName::ImageConversion, StepPhase::Pending, 1, 0);
    let mut vm = Vm {
        name: format!("crm-db-{:02}", number + 1).into(),
        id: format!("vm-{}", number + 214).into(),
        stage: match phase {
            VmPhase::Pending => Stage::Started,
            VmPhase::AwaitingCutover | VmPhase::CutoverScheduled => Stage::CopyingPaused,
            VmPhase::Running | VmPhase::Precopying | VmPhase::CuttingOver | VmPhase::Unknown => Stage::CopyDisks,
            VmPhase::Succeeded | VmPhase::Failed | VmPhase::Canceled => Stage::Completed,
        },
        started: (phase != VmPhase::Pending).then(|| ago(80)),
        completed: is_over.then(|| ago(12)),
        ..Vm::default()
    };
    if is_over {
        vm.conditions = [condition(phase.as_str(), Category::Advisory, "")].into();
    }
    if phase == VmPhase::Failed {
        convert.phase = StepPhase::Running;
        convert.failed = true;
        let reasons = "Guest conversion failed. See pod logs for details.".into();
        vm.error = Some(Box::new(VmError { phase: "Running".into(), reasons }));
    }
    if phase == VmPhase::Precopying {
        copy.note = "Unable to process data: nbdkit: vddk: error: VixDiskLib_Read: connection lost".into();
    }
    if warm {
        let precopies = [Precopy { start: Some(ago(75)), end: Some(ago(50)) }, Precopy { start: Some(ago(45)), end: None }];
        let (successes, failures, next_precopy) = (1, if phase == VmPhase::Precopying { 3 } else { 0 }, Some(ago(20)));
        vm.warm = Some(Box::new(Warm { successes, failures, next_precopy, precopies: precopies.into() }));
    }
    if phase != VmPhase::Pending {
        vm.steps = [copy, convert].into();
    }
    vm
}
