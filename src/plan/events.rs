//! What happened to a plan between two observations, as facts for the log, the demo and the notifications.
//!
//! Called by the store. A fact is instant; a condition with a life is an alert and lives in `alert`.

use super::{Flag, Key, PlanPhase, PlanState, Text, Time, VmPhase};

/// A fact about a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was observed.
    pub at: Time,
    /// The plan.
    pub plan: Key,
    /// What happened.
    pub fact: Fact,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The plan was seen for the first time, or made anew under its name.
    Appeared {
        /// Its phase.
        phase: PlanPhase,
    },
    /// The plan is gone.
    Gone {
        /// Its last phase.
        phase: PlanPhase,
    },
    /// Its phase changed.
    Phase {
        /// From this one.
        from: PlanPhase,
        /// To this one.
        to: PlanPhase,
    },
    /// An attempt began; the number counts from 1.
    Attempt {
        /// Its number.
        number: usize,
    },
    /// A flag was raised.
    Raised {
        /// Which one.
        flag: Flag,
    },
    /// A flag was lowered.
    Lowered {
        /// Which one.
        flag: Flag,
    },
    /// The phase of a VM changed.
    Vm {
        /// Its name, or its id if it has none.
        vm: Text,
        /// From this one; `None` for a VM that is new in the plan.
        from: Option<VmPhase>,
        /// To this one.
        to: VmPhase,
        /// What went wrong, for one that failed.
        reason: Text,
    },
    /// The cutover was set, moved or taken back.
    Cutover {
        /// The new time.
        at: Option<Time>,
    },
}

/// The facts that lead from `old` to `new`, those about VMs before those about the plan; at least one of them is given.
pub fn diff(old: Option<&PlanState>, new: Option<&PlanState>, at: Time) -> Vec<Event> {
    let Some(plan) = new.or(old).map(|state| state.plan.key.clone()) else { return Vec::new() };
    let facts = match (old, new) {
        (None, None) => Vec::new(),
        (Some(old), None) => vec![Fact::Gone { phase: old.phase }],
        (None, Some(new)) => vec![Fact::Appeared { phase: new.phase }],
        (Some(old), Some(new)) if old.plan.uid != new.plan.uid => {
            vec![Fact::Gone { phase: old.phase }, Fact::Appeared { phase: new.phase }]
        }
        (Some(old), Some(new)) => changes(old, new),
    };
    facts.into_iter().map(|fact| Event { at, plan: plan.clone(), fact }).collect()
}

fn changes(old: &PlanState, new: &PlanState) -> Vec<Fact> {
    let mut facts = Vec::new();
    let attempts = new.plan.attempts.len();
    if attempts > old.plan.attempts.len() {
        facts.push(Fact::Attempt { number: attempts });
    }
    for (position, (vm, state)) in new.plan.vms.iter().zip(&new.vms).enumerate() {
        let same = |other: &super::Vm| other.id == vm.id && other.name == vm.name;
        let position = match old.plan.vms.get(position) {
            Some(other) if same(other) => Some(position),
            Some(_) | None => old.plan.vms.iter().position(same),
        };
        let from = position.and_then(|position| old.vms.get(position)).map(|vm| vm.phase);
        if from != Some(state.phase) {
            facts.push(Fact::Vm {
                vm: if vm.name.is_empty() { vm.id.clone() } else { vm.name.clone() },
                from,
                to: state.phase,
                reason: match (&vm.error, state.phase) {
                    (Some(error), VmPhase::Failed) => error.reasons.clone(),
                    (Some(_) | None, _) => Text::new(),
                },
            });
        }
    }
    if old.phase != new.phase {
        facts.push(Fact::Phase { from: old.phase, to: new.phase });
    }
    for flag in Flag::ALL.iter().copied() {
        match (old.flags.has(flag), new.flags.has(flag)) {
            (false, true) => facts.push(Fact::Raised { flag }),
            (true, false) => facts.push(Fact::Lowered { flag }),
            (true, true) | (false, false) => {}
        }
    }
    if old.cutover() != new.cutover() && new.phase.is_executing() {
        facts.push(Fact::Cutover { at: new.cutover() });
    }
    facts
}
