//! What the archive policies say of plans, as JSON: at `archive` of a plan, and for the command `archive`.

use super::View;
use super::api::{Instant, instant};
use crate::plan::{Key, PlanState};
use crate::policy::{Decision, Loss, Outcome, losses};
use serde::Serialize;
use std::sync::Arc;

/// A decision.
#[derive(Serialize)]
pub(super) struct ArchiveOf<'a> {
    decision: &'static str,
    reason: &'static str,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceOf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    losses: Vec<LossOf>,
}

#[derive(Serialize)]
struct EvidenceOf {
    outcome: &'static str,
    ended: Instant,
    due: Instant,
    attempts: usize,
    vm_count: usize,
    generation: u32,
}

#[derive(Serialize)]
struct LossOf {
    what: &'static str,
    data: bool,
    vm_names: Vec<String>,
    says: String,
}

impl<'a> ArchiveOf<'a> {
    pub(super) fn of(state: &PlanState, decision: &'a Decision) -> Self {
        let evidence = match decision {
            Decision::Archive(evidence) => Some(EvidenceOf {
                outcome: evidence.outcome.as_str(),
                ended: Instant(evidence.ended),
                due: Instant(evidence.due),
                attempts: evidence.attempts,
                vm_count: evidence.vms,
                generation: evidence.generation,
            }),
            Decision::Wait(_) | Decision::Never(_) => None,
        };
        Self {
            decision: decision.as_str(),
            reason: decision.reason().as_str(),
            says: decision.says(),
            policy: decision.policy().map(|name| name.as_str()),
            until: instant(decision.until()),
            evidence,
            losses: losses_to_come(state, decision).iter().map(LossOf::of).collect(),
        }
    }
}

impl LossOf {
    fn of(loss: &Loss) -> Self {
        Self {
            what: loss.what.as_str(),
            data: loss.what.is_data(),
            vm_names: loss.vms.iter().map(ToString::to_string).collect(),
            says: loss.to_string(),
        }
    }
}

/// What would be deleted of a plan that is, or comes to be, a candidate; nothing of others.
pub fn losses_to_come(state: &PlanState, decision: &Decision) -> Vec<Loss> {
    match decision {
        Decision::Archive(_) => losses(state),
        Decision::Wait(_) if Outcome::of(state).is_some() => losses(state),
        Decision::Wait(_) | Decision::Never(_) => Vec::new(),
    }
}

/// Every plan with its decision: first those that would be archived, the one that is due the longest first, then those that
/// wait, the one that waits the shortest first, and those that wait for no time last; then the rest, by reason.
pub fn in_order(view: &View) -> Vec<(&Key, &Arc<PlanState>, &Decision)> {
    let found = view.decisions.iter().filter_map(|(key, decision)| Some((key, view.snapshot.plans.get(key)?, &**decision)));
    let mut plans: Vec<_> = found.collect();
    // The sort is stable, and the plans come by namespace and name.
    plans.sort_by_key(|(_, _, decision)| match decision {
        Decision::Archive(evidence) => (0, Some(evidence.due), None),
        Decision::Wait(objection) => (1 + u8::from(objection.until.is_none()), objection.until, Some(objection.reason)),
        Decision::Never(objection) => (3, None, Some(objection.reason)),
    });
    plans
}

/// What the command `archive` prints: every plan in that order, or without those that are never archived.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn archive_json(cluster: &str, view: &View, all: bool) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Decisions<'a> {
        cluster: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Instant>,
        plans: Vec<PlanOf<'a>>,
    }
    #[derive(Serialize)]
    struct PlanOf<'a> {
        namespace: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        completed: Option<Instant>,
        archive: ArchiveOf<'a>,
    }
    let plans = in_order(view).into_iter().filter(|(_, _, decision)| all || !matches!(decision, Decision::Never(_)));
    let plans = plans.map(|(key, state, decision)| PlanOf {
        namespace: &key.namespace,
        name: &key.name,
        outcome: Outcome::of(state).map(Outcome::as_str),
        completed: instant(state.plan.completed),
        archive: ArchiveOf::of(state, decision),
    });
    Ok(serde_json::to_string(&Decisions { cluster, at: instant(view.at), plans: plans.collect() })? + "\n")
}
