//! What the archive policies say of each plan: the decisions, the groups of plans that `keep_last` needs, and their counts.
//!
//! A part of the engine, which tells it of each plan that changed. It decides nothing itself: that is `policy`.

use crate::metrics::Own;
use crate::plan::{Key, Kind, PlanState, Text, Time};
use crate::policy::{Context, Decision, Groups, Policy, Reason, decide};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Policy, decision and reason, as the metric counts them.
type Count = (Text, &'static str, Reason);

/// The decisions.
pub(super) struct Archiving {
    policies: Vec<Policy>,
    groups: Groups,
    decisions: imbl::OrdMap<Key, Arc<Decision>>,
    counts: BTreeMap<Count, usize>,
    /// The plans that each policy would archive, by the time at which they were due.
    candidates: BTreeMap<Text, BTreeSet<(Time, Key)>>,
    own: Arc<Own>,
}

impl Archiving {
    pub(super) fn new(policies: &[Policy], own: Arc<Own>) -> Self {
        let mut archiving = Self {
            policies: Vec::new(),
            groups: Groups::default(),
            decisions: imbl::OrdMap::new(),
            counts: BTreeMap::new(),
            candidates: BTreeMap::new(),
            own,
        };
        archiving.configure(policies, &Store::default());
        archiving
    }

    /// Takes other policies. All plans are to be decided about anew.
    pub(super) fn configure(&mut self, policies: &[Policy], store: &Store) {
        self.policies = policies.to_vec();
        self.groups = Groups::default();
        self.decisions = imbl::OrdMap::new();
        self.counts.clear();
        self.candidates = self.policies.iter().map(|policy| (policy.name.clone(), BTreeSet::new())).collect();
        self.own.clear_archive();
        for policy in &self.policies {
            self.own.set_archive_candidates(&policy.name, 0, None);
        }
        for (key, state) in &store.snapshot().plans {
            self.groups.put(key, Some(state), &self.policies);
        }
    }

    /// Forgets all plans.
    pub(super) fn restart(&mut self) {
        let policies = std::mem::take(&mut self.policies);
        self.configure(&policies, &Store::default());
    }

    /// Whether there are policies.
    pub(super) fn is_on(&self) -> bool {
        !self.policies.is_empty()
    }

    /// Takes note of a plan as it is now. Answers about which other plans to decide anew.
    pub(super) fn note(&mut self, key: &Key, store: &Store) -> BTreeSet<Key> {
        self.groups.put(key, store.plan(key).map(|state| &**state), &self.policies)
    }

    /// Decides about a plan. Answers the decision, and whether it is another one than before; nothing without policies.
    pub(super) fn decide(
        &mut self,
        state: &PlanState,
        store: &Store,
        synced: bool,
        now: Time,
    ) -> Option<(Arc<Decision>, bool)> {
        if !self.is_on() {
            return None;
        }
        let key = &state.plan.key;
        let context = Context {
            synced,
            unreadable: store.is_unreadable(Kind::Plan, key),
            among_last: self.groups.is_among_last(key),
            archived_before: false,
        };
        let decision = decide(state, &context, &self.policies, now);
        match self.decisions.get(key) {
            Some(before) if **before == decision => Some((Arc::clone(before), false)),
            Some(_) | None => {
                let decision = Arc::new(decision);
                self.set(key, Some(Arc::clone(&decision)));
                Some((decision, true))
            }
        }
    }

    /// Forgets a plan.
    pub(super) fn forget(&mut self, key: &Key) {
        self.set(key, None);
    }

    /// What is said of each plan.
    pub(super) fn decisions(&self) -> imbl::OrdMap<Key, Arc<Decision>> {
        self.decisions.clone()
    }

    /// How many plans would be archived; nothing without policies.
    pub(super) fn candidates(&self) -> Option<usize> {
        self.is_on().then(|| self.candidates.values().map(BTreeSet::len).sum())
    }

    fn set(&mut self, key: &Key, decision: Option<Arc<Decision>>) {
        let old = match &decision {
            Some(decision) => self.decisions.insert(key.clone(), Arc::clone(decision)),
            None => self.decisions.remove(key),
        };
        for (decision, is_new) in [(old, false), (decision, true)] {
            let Some(decision) = decision else { continue };
            self.count(&decision, is_new);
            if let Decision::Archive(evidence) = &*decision {
                let of_policy = self.candidates.entry(evidence.policy.clone()).or_default();
                let entry = (evidence.due, key.clone());
                if is_new {
                    of_policy.insert(entry)
                } else {
                    of_policy.remove(&entry)
                };
                let oldest = of_policy.first().map(|(due, _)| *due);
                self.own.set_archive_candidates(&evidence.policy, of_policy.len(), oldest);
            }
        }
    }

    fn count(&mut self, decision: &Decision, is_new: bool) {
        let policy = decision.policy().cloned().unwrap_or_default();
        let count = self.counts.entry((policy.clone(), decision.as_str(), decision.reason())).or_default();
        *count = if is_new { *count + 1 } else { count.saturating_sub(1) };
        self.own.set_archive_decisions(&policy, decision.as_str(), decision.reason().as_str(), *count);
    }
}
