//! What deserves a person's attention: the rules, and the life of what they find.
//!
//! Called by the loop for each plan and provider that changed, and when a time comes that an evaluation named. Pure: it takes
//! `now`. `rules` is the table, `checks` what each row looks at, `evaluate` the life of an alert, `memory` what the objects do not
//! say about it, `reference` its documentation.
//! Whom an alert was told to is no business of this module.

#![warn(clippy::wildcard_enum_match_arm)]

mod checks;
mod evaluate;
mod memory;
mod reference;
mod rules;

pub(crate) use checks::list;
pub use evaluate::{Alert, AlertId, AlertState, Alerts, Evaluated, PLAN_FAILED, Scope, Settings, uid_of, worst_first};
pub use memory::{Episodes, Identity, Memory};
pub use reference::markdown as reference_markdown;
pub use rules::{Check, Command, Finding, RULES, Rule, Severity, Since};
