//! Whether a plan may be archived, and if not, why.
//!
//! Called by the loop for each plan that changed and whenever a [`Decision`] says to look again. Pure: it decides, it does
//! not act. Archiving is destructive (Forklift deletes logs, and the disks of VMs that did not succeed), so every doubt is a
//! reason not to. A policy is what the configuration says, `guards` the table of what speaks against, `groups` which plans are
//! among the last of theirs, `windows` the times at which archiving is allowed, `losses` what would be gone, `reference` makes
//! docs/archiving.md.

#![warn(clippy::wildcard_enum_match_arm)]

mod groups;
mod guards;
mod losses;
mod reference;
mod windows;

pub use groups::Groups;
pub use guards::{Found, GUARDS, Guard, Reason, Stop, objections};
pub use losses::{Loss, Lost, losses};
pub use reference::markdown as reference_markdown;
pub use windows::{Window, Windows};

use crate::plan::{Matcher, PlanState, Text, Time};
use std::time::Duration;

closed_enum! {
    /// How a plan ended, in Forklift's words.
    #[derive(Default)]
    pub enum Outcome {
        /// No VM failed and at least one succeeded.
        #[default]
        Succeeded = "Succeeded",
        /// Nothing failed and nothing succeeded, or the Migration was deleted.
        Canceled = "Canceled",
        /// At least one VM failed, or a blocker outlived the controller's grace.
        Failed = "Failed",
    }
}

impl Outcome {
    /// The outcome of a plan, by its conditions; `None` if it has none. A plan whose Migration was deleted has none of its own:
    /// there the last attempt tells (Forklift, `plan/controller.go`, where a Migration is gone).
    pub fn of(state: &PlanState) -> Option<Self> {
        let plan = &state.plan;
        let told = Self::ALL.iter().copied().find(|outcome| plan.has(outcome.as_str()));
        let last = |kind| plan.attempt().is_some_and(|attempt| attempt.has(kind));
        let deleted = || last("Canceled") && !last("Succeeded") && !last("Failed");
        told.or_else(|| deleted().then_some(Self::Canceled))
    }
}

closed_enum! {
    /// What is done about a plan that a policy archives.
    #[derive(Default)]
    pub enum Mode {
        /// It is told.
        #[default]
        DryRun = "dry-run",
        /// It is archived.
        Enforce = "enforce",
    }
}

/// Which plans are archived, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: Text,
    /// It is about plans whose labels all of these match.
    pub matchers: Vec<Matcher>,
    /// It is about plans that ended like this.
    pub outcome: Outcome,
    /// A plan needs this annotation or label, which a person sets once it is analysed.
    pub acknowledge: Option<Mark>,
    /// Plans that failed are archived without a mark, though that deletes what was made of their VMs.
    pub accepts_losses: bool,
    /// A plan is due this long after the end of its last attempt.
    pub after: Duration,
    /// The youngest plans are not archived.
    pub keep_last: Option<KeepLast>,
    /// When plans are archived; none stands for always.
    pub windows: Windows,
    /// Whether it acts.
    pub mode: Mode,
    /// How many plans it archives in an hour, at most.
    pub max_per_hour: u32,
    /// How many plans it has under way, at most.
    pub max_concurrent: u32,
}

/// An annotation or a label with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Text,
}

/// How many of the youngest finished plans of a group are not archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepLast {
    /// How many.
    pub number: usize,
    /// The label of a plan by which groups are made, such as `namespace` or `label_wave`.
    pub per: Text,
}

impl Policy {
    /// Whether it is about plans with the labels of this one, however they end.
    pub fn selects(&self, state: &PlanState) -> bool {
        self.matchers.iter().all(|matcher| matcher.passes(state.label(matcher.label())))
    }

    /// The first policy that is about this plan; its place tells it from others. Before a plan has ended, its labels alone count.
    pub fn of<'a>(state: &PlanState, policies: &'a [Self]) -> Option<(usize, &'a Self)> {
        let outcome = Outcome::of(state);
        let fits = |policy: &Self| outcome.is_none_or(|outcome| outcome == policy.outcome) && policy.selects(state);
        policies.iter().enumerate().find(|(_, policy)| fits(policy))
    }
}

/// What a decision needs to know beside the plan. By default nothing is known, and nothing is archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Whether the source has shown everything: else a Migration or provider may only not have been seen yet.
    pub synced: bool,
    /// Whether the latest version of the plan could not be decoded, so that an older one is looked at.
    pub unreadable: bool,
    /// Whether it is among the youngest plans of its group that its policy keeps: see [`Groups`].
    pub among_last: bool,
    /// Whether this program has archived this very plan before, by its account. Nobody keeps one yet.
    pub archived_before: bool,
}

/// What is to be done about a plan. It stays the same while nothing happens, however often it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Archive it.
    Archive(Evidence),
    /// Not now.
    Wait(Objection),
    /// Not while it is as it is.
    Never(Objection),
}

/// Why a plan is to be archived: what was looked at, so that whoever acts can tell whether it still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Name of the policy.
    pub policy: Text,
    /// How the plan ended.
    pub outcome: Outcome,
    /// Uid of the plan.
    pub uid: Text,
    /// Its generation, which the controller has seen.
    pub generation: u32,
    /// How often it was run.
    pub attempts: usize,
    /// How many VMs the last attempt has.
    pub vms: usize,
    /// When the last attempt ended.
    pub ended: Time,
    /// Since when it is old enough.
    pub due: Time,
    /// When the window closes, if it does.
    pub until: Option<Time>,
}

/// Why a plan is not archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Name of the policy that the plan is subject to, if there is one.
    pub policy: Option<Text>,
    /// Which guard stops it.
    pub reason: Reason,
    /// What was found, for people.
    pub found: Text,
    /// Until when, if that is known.
    pub until: Option<Time>,
}

impl Decision {
    /// The name of the decision, as a label shows it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Archive(_) => "Archive",
            Self::Wait(_) => Stop::Wait.as_str(),
            Self::Never(_) => Stop::Never.as_str(),
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Archive(_) => Reason::Due,
            Self::Wait(objection) | Self::Never(objection) => objection.reason,
        }
    }

    /// The policy that the plan is subject to, if there is one.
    pub fn policy(&self) -> Option<&Text> {
        match self {
            Self::Archive(evidence) => Some(&evidence.policy),
            Self::Wait(objection) | Self::Never(objection) => objection.policy.as_ref(),
        }
    }

    /// Until when it holds though nothing changes: then it is to be made again.
    pub fn until(&self) -> Option<Time> {
        match self {
            Self::Archive(evidence) => evidence.until,
            Self::Wait(objection) | Self::Never(objection) => objection.until,
        }
    }

    /// Why, in a sentence.
    pub fn says(&self) -> String {
        match self {
            Self::Archive(evidence) => format!("it {} and was due at {}", ended(evidence.outcome), evidence.due),
            Self::Wait(objection) | Self::Never(objection) => objection.found.to_string(),
        }
    }
}

fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Canceled => "was canceled",
        Outcome::Failed => "failed",
    }
}

/// Decides about a plan: the first guard that stops it counts, in the order of [`GUARDS`].
pub fn decide(state: &PlanState, context: &Context, policies: &[Policy], now: Time) -> Decision {
    let first = objections(state, context, policies, now).next();
    let policy = Policy::of(state, policies).map(|(_, policy)| policy);
    let objection = |reason, found: Found| Objection {
        policy: policy.map(|policy| policy.name.clone()),
        reason,
        found: found.what,
        until: found.until,
    };
    match (first, policy, Outcome::of(state), state.plan.completed) {
        (Some((guard, found)), ..) => match guard.stops {
            Stop::Wait => Decision::Wait(objection(guard.reason, found)),
            Stop::Never => Decision::Never(objection(guard.reason, found)),
        },
        (None, Some(policy), Some(outcome), Some(ended)) => Decision::Archive(Evidence {
            policy: policy.name.clone(),
            outcome,
            uid: state.plan.uid.clone(),
            generation: state.plan.generation,
            attempts: state.plan.attempts.len(),
            vms: state.plan.vms.len(),
            ended,
            due: ended.plus(policy.after),
            until: policy.windows.closes(now),
        }),
        // The guards leave nothing without a policy, an outcome or an end; were one of them wrong, nothing is archived.
        (None, ..) => Decision::Never(objection(Reason::NoPolicy, Found::new("it has no policy, no outcome or no end"))),
    }
}
