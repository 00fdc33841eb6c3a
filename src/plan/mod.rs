//! The model of Forklift's objects and everything that follows from them alone.
//!
//! Called by every other module; calls none of them. Pure: no clock, no IO, no log. What the objects
//! say is in `model`, what follows from them in `phase`, `flags`, `progress` and `cutover`, gathered in
//! [`PlanState`]; `events` tells the difference between two states of one plan.

#![warn(clippy::wildcard_enum_match_arm)]

#[macro_use]
mod words;

mod cutover;
mod events;
mod flags;
mod labels;
mod matcher;
mod model;
mod phase;
mod progress;
mod state;
mod time;

pub use cutover::effective_cutover;
pub use events::{Event, Fact, diff};
pub use flags::{Flag, Flags};
pub use labels::{OF_THE_PLAN, PLAN_LABELS};
pub use matcher::{Matcher, Operator};
pub use model::{
    Attempt, Condition, Key, MOST_LABELS, Migration, OURS, ObjectRef, Plan, Precopy, Provider, Step, Task, Text, Vm,
    VmError, VmRef, Warm,
};
pub use phase::{PlanPhase, VmOutcome, VmPhase, plan_phase, vm_phase};
pub use progress::{VmProgress, current_step, plan_ratio, vm_progress};
pub use state::{PlanState, VmState};
pub use time::Time;
pub use words::{Category, Kind, MigrationType, ProviderPhase, ProviderType, Stage, StepName, StepPhase};
