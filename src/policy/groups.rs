//! Which finished plans are the youngest of their group, for policies that keep the last ones.
//!
//! Owned by the loop, which tells it of each plan that changed or is gone, and decides anew about those that it names. So a plan
//! that ends pushes another one out of the last ones, and one that is deleted lets another one back in, at the cost of those.

use super::{KeepLast, Outcome, Policy};
use crate::plan::{Key, PlanState, Text, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The place of a policy, and the value of the label by which it makes groups.
type Group = (usize, Text);

/// The finished plans of each group.
#[derive(Debug, Default)]
pub struct Groups {
    /// By the end of their last attempt, oldest first.
    members: BTreeMap<Group, BTreeSet<(Time, Key)>>,
    of: BTreeMap<Key, (Group, Time, usize)>,
}

impl Groups {
    /// Takes a plan as it is now, or `None` if it is gone. Answers which other plans have come to be among the last ones of
    /// their group, or are it no more.
    pub fn put(&mut self, key: &Key, state: Option<&PlanState>, policies: &[Policy]) -> BTreeSet<Key> {
        let place = state.and_then(|state| place(state, policies));
        if self.of.get(key) == place.as_ref() {
            return BTreeSet::new();
        }
        let mut touched = BTreeMap::new();
        let old = self.of.get(key).cloned();
        for (group, _, number) in [&old, &place].into_iter().flatten() {
            touched.insert(group.clone(), (*number, self.last(group, *number)));
        }
        if let Some((group, end, _)) = old {
            self.of.remove(key);
            if let Some(members) = self.members.get_mut(&group) {
                members.remove(&(end, key.clone()));
                if members.is_empty() {
                    self.members.remove(&group);
                }
            }
        }
        if let Some((group, end, number)) = place {
            self.members.entry(group.clone()).or_default().insert((end, key.clone()));
            self.of.insert(key.clone(), (group, end, number));
        }
        let mut others = BTreeSet::new();
        for (group, (number, before)) in touched {
            others.extend(before.symmetric_difference(&self.last(&group, number)).cloned());
        }
        others.remove(key);
        others
    }

    /// Whether a plan is among the last ones of its group.
    pub fn is_among_last(&self, key: &Key) -> bool {
        self.of.get(key).is_some_and(|(group, end, number)| {
            let youngest = self.members.get(group).into_iter().flat_map(|members| members.iter().rev());
            youngest.take(*number).any(|(at, member)| at == end && member == key)
        })
    }

    fn last(&self, group: &Group, number: usize) -> BTreeSet<Key> {
        let youngest = self.members.get(group).into_iter().flat_map(|members| members.iter().rev());
        youngest.take(number).map(|(_, key)| key.clone()).collect()
    }
}

/// The group of a plan, its end, and how many of the group are kept. Plans that are archived are in none: what is kept are plans
/// that a person can still look into.
fn place(state: &PlanState, policies: &[Policy]) -> Option<(Group, Time, usize)> {
    Outcome::of(state)?;
    let end = state.plan.completed?;
    let (at, policy) = Policy::of(state, policies)?;
    let KeepLast { number, per } = policy.keep_last.as_ref()?;
    let is_archived = state.plan.archived || state.plan.has("Archived");
    (!is_archived).then(|| ((at, state.label(per).into()), end, *number))
}
