//! `/api/v1/plans` and `/api/v1/alerts`: the derived model as JSON. docs/api.md tells every field.
//!
//! Times are RFC 3339, sizes bytes, ratios 0 to 1; a field without a value is left out.

use super::answer::Answer;
use super::archiving::ArchiveOf;
use super::{Server, View};
use crate::alert::{Alert, Scope, worst_first};
use crate::plan::{Condition, Key, PlanState, Step, Time, Vm, VmPhase, VmState};
use hyper::StatusCode;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Every plan, without its VMs.
pub(super) fn plans(server: &Server) -> Answer {
    #[derive(Serialize)]
    struct Plans<'a> {
        cluster: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Instant>,
        plans: Vec<Summary<'a>>,
    }
    let view = server.view();
    let plans = view.snapshot.plans.values().map(|state| Summary::of(state, &view)).collect();
    json(StatusCode::OK, &Plans { cluster: &server.cluster, at: instant(view.at), plans })
}

/// One plan, with everything.
pub(super) fn plan(server: &Server, namespace: &str, name: &str) -> Answer {
    let view = server.view();
    match view.snapshot.plans.get(&Key::new(namespace, name)) {
        Some(state) => json(StatusCode::OK, &Detail::of(state, &view)),
        None => {
            let error = format!("there is no plan {name:?} in namespace {namespace:?}");
            json(StatusCode::NOT_FOUND, &BTreeMap::from([("error", error)]))
        }
    }
}

/// Every alert, as `/api/v1/alerts` and the command `alerts` print them.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn alerts_json(cluster: &str, view: &View) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Alerts<'a> {
        cluster: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Instant>,
        alerts: Vec<AlertOf<'a>>,
    }
    let alerts = worst_first(&view.alerts).into_iter().map(AlertOf::of).collect();
    Ok(serde_json::to_string(&Alerts { cluster, at: instant(view.at), alerts })? + "\n")
}

/// Every alert.
pub(super) fn alerts(server: &Server) -> Answer {
    match alerts_json(&server.cluster, &server.view()) {
        Ok(text) => Answer::new(StatusCode::OK, "application/json", text.into_bytes()),
        Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {error}\n")),
    }
}

pub(super) fn json(code: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            Answer::new(code, "application/json", bytes)
        }
        Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {error}\n")),
    }
}

/// An instant, written as RFC 3339.
#[derive(Clone, Copy)]
pub(super) struct Instant(pub(super) Time);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A size; 0 stands for one that is not known.
fn known(bytes: u64) -> Option<u64> {
    Some(bytes).filter(|bytes| *bytes > 0)
}

pub(super) fn instant(time: Option<Time>) -> Option<Instant> {
    time.map(Instant)
}

/// Defines structs that are JSON objects: optional fields are left out when they have no value, texts when they are empty.
macro_rules! object {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty,)+ ; $($optional:ident: $optional_type:ty,)* ; $($text:ident,)* }) => {
        $(#[$doc])*
        #[derive(Serialize)]
        struct $name<'a> {
            $($field: $type,)+
            $(#[serde(skip_serializing_if = "Option::is_none")] $optional: Option<$optional_type>,)*
            $(#[serde(skip_serializing_if = "str::is_empty")] $text: &'a str,)*
        }
    };
}

object! {
    /// A plan.
    struct Summary {
        namespace: &'a str, name: &'a str, uid: &'a str, phase: &'static str, flags: Vec<&'static str>, ready: bool,
        r#type: &'static str, source: ProviderOf<'a>, destination: ProviderOf<'a>, attempts: usize, vms_by_phase: BTreeMap<&'static str, u32>, labels: BTreeMap<&'a str, &'a str>,
        conditions: Vec<ConditionOf<'a>>, ;
        progress_ratio: f64, disk_bytes: u64, transferred_bytes: u64, created: Instant, started: Instant, completed: Instant, cutover: Instant, last_progress: Instant,
        archive: ArchiveOf<'a>, ;
        target_namespace,
    }
}

object! { struct ProviderOf { namespace: &'a str, name: &'a str, ; ready: bool, r#type: &'static str, ; } }
object! { struct ConditionOf { r#type: &'a str, category: &'static str, ; since: Instant, ; reason, message, } }

/// A plan with its VMs and attempts.
#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    history: Vec<AttemptOf<'a>>,
    vms: Vec<VmOf<'a>>,
}

object! { struct AttemptOf { migration: &'a str, conditions: Vec<ConditionOf<'a>>, ; ; } }

object! {
    /// An alert.
    struct AlertOf {
        rule: &'static str, severity: &'static str, state: &'static str, since: Instant, kind: &'static str, namespace: &'a str, name: &'a str,
        episode: u32, ;
        attempt: usize, ;
        subject, reason,
    }
}

impl<'a> AlertOf<'a> {
    fn of(alert: &'a Alert) -> Self {
        let key = alert.scope.key();
        Self {
            rule: alert.id.rule,
            severity: alert.severity.as_str(),
            state: alert.state.as_str(),
            since: Instant(alert.since),
            kind: alert.scope.kind().as_str(),
            namespace: &key.namespace,
            name: &key.name,
            episode: alert.id.episode,
            attempt: matches!(alert.scope, Scope::Plan(_)).then_some(alert.id.attempt + 1),
            subject: &alert.id.subject,
            reason: &alert.reason,
        }
    }
}

object! {
    /// A VM.
    struct VmOf {
        phase: &'static str, stage: &'static str, progress_ratio: f64, conditions: Vec<ConditionOf<'a>>, steps: Vec<StepOf<'a>>, ;
        step: &'static str, started: Instant, completed: Instant, cutover: Instant, last_progress: Instant,
        cutover_downtime_seconds: u64, disk_bytes: u64, transferred_bytes: u64, error: ErrorOf<'a>, warm: WarmOf, ;
        name, id, new_name,
    }
}

object! { struct ErrorOf { reasons: &'a str, ; ; phase, } }

#[derive(Serialize)]
struct WarmOf {
    precopies: usize,
    successes: u32,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_precopy: Option<Instant>,
}

object! {
    /// A step; amounts are MiB or plain counts, as `unit` says.
    struct StepOf {
        name: &'static str, phase: &'static str, failed: bool, done: u32, total: u32, unit: &'static str, tasks: Vec<TaskOf<'a>>, ;
        started: Instant, completed: Instant, ;
        note,
    }
}

object! { struct TaskOf { name: &'a str, phase: &'static str, done: u32, total: u32, ; precopy: u16, ; } }

impl<'a> Summary<'a> {
    fn of(state: &'a PlanState, view: &'a View) -> Self {
        let plan = &*state.plan;
        let counts = VmPhase::ALL.iter().zip(state.vm_counts()).filter(|(_, count)| *count > 0);
        Self {
            namespace: &plan.key.namespace,
            name: &plan.key.name,
            uid: &plan.uid,
            phase: state.phase.as_str(),
            flags: state.flags.iter().map(|flag| flag.as_str()).collect(),
            ready: plan.has("Ready"),
            r#type: plan.migration_type().as_str(),
            source: ProviderOf::of(&plan.source, state.source.as_deref()),
            destination: ProviderOf::of(&plan.destination, state.destination.as_deref()),
            target_namespace: &plan.target_namespace,
            attempts: plan.attempts.len(),
            progress_ratio: state.ratio,
            disk_bytes: known(state.disk_bytes()),
            transferred_bytes: known(state.disk_bytes()).map(|_| state.transferred_bytes()),
            vms_by_phase: counts.map(|(phase, count)| (phase.as_str(), count)).collect(),
            labels: plan.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            conditions: conditions(&plan.conditions),
            created: instant(plan.created),
            started: instant(plan.started),
            completed: instant(plan.completed),
            cutover: instant(state.cutover()),
            last_progress: instant(state.last_progress()),
            archive: view.decisions.get(&plan.key).map(|decision| ArchiveOf::of(state, decision)),
        }
    }
}

impl<'a> ProviderOf<'a> {
    fn of(key: &'a Key, provider: Option<&crate::plan::Provider>) -> Self {
        Self {
            namespace: &key.namespace,
            name: &key.name,
            ready: provider.map(crate::plan::Provider::is_ready),
            r#type: provider.map(|provider| provider.kind.as_str()),
        }
    }
}

impl<'a> Detail<'a> {
    fn of(state: &'a PlanState, view: &'a View) -> Self {
        let attempts = state.plan.attempts.iter();
        Self {
            summary: Summary::of(state, view),
            history: attempts
                .map(|attempt| AttemptOf {
                    migration: &attempt.migration.key.name,
                    conditions: conditions(&attempt.conditions),
                })
                .collect(),
            vms: state.plan.vms.iter().zip(&state.vms).map(|(vm, state)| VmOf::of(vm, state)).collect(),
        }
    }
}

impl<'a> VmOf<'a> {
    fn of(vm: &'a Vm, state: &VmState) -> Self {
        Self {
            name: &vm.name,
            id: &vm.id,
            new_name: &vm.new_name,
            phase: state.phase.as_str(),
            stage: vm.stage.as_str(),
            step: state.step.map(|step| step.as_str()),
            progress_ratio: state.progress.ratio,
            disk_bytes: known(state.progress.disk_bytes),
            transferred_bytes: known(state.progress.disk_bytes).map(|_| state.progress.transferred_bytes),
            started: instant(vm.started),
            completed: instant(vm.completed),
            cutover: instant(state.cutover),
            last_progress: instant(vm.last_progress),
            cutover_downtime_seconds: state.downtime.map(|downtime| downtime.as_secs()),
            error: vm.error.as_ref().map(|error| ErrorOf { phase: &error.phase, reasons: &error.reasons }),
            conditions: conditions(&vm.conditions),
            steps: vm.steps.iter().map(StepOf::of).collect(),
            warm: vm.warm.as_ref().map(|warm| WarmOf {
                precopies: warm.precopies.len(),
                successes: warm.successes,
                failures: warm.failures,
                next_precopy: instant(warm.next_precopy),
            }),
        }
    }
}

impl<'a> StepOf<'a> {
    fn of(step: &'a Step) -> Self {
        let tasks = step.tasks.iter();
        Self {
            name: step.name.as_str(),
            phase: step.phase.as_str(),
            failed: step.failed,
            done: step.done,
            total: step.total,
            unit: if step.in_mib { "MiB" } else { "count" },
            tasks: tasks
                .map(|task| TaskOf {
                    name: &task.name,
                    phase: task.phase.as_str(),
                    done: task.done,
                    total: task.total,
                    precopy: (task.precopy > 0).then_some(task.precopy),
                })
                .collect(),
            started: instant(step.started),
            completed: instant(step.completed),
            note: &step.note,
        }
    }
}

fn conditions(conditions: &[Condition]) -> Vec<ConditionOf<'_>> {
    let conditions = conditions.iter();
    conditions
        .map(|condition| ConditionOf {
            r#type: &condition.kind,
            category: condition.category.as_str(),
            reason: &condition.reason,
            message: &condition.message,
            since: instant(condition.since),
        })
        .collect()
}
