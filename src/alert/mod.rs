//! What deserves a person's attention: the rules, and the life of what they find.
//!
//! Called by the loop for each plan that changed. Pure: it takes `now`. An alert is a condition with a life (firing, then
//! resolved), found anew at each evaluation from the current objects alone; whom it was told to is no business of this module.

#![warn(clippy::wildcard_enum_match_arm)]

mod evaluate;
mod rules;

pub use evaluate::{Alert, AlertId, Alerts, Settings};
pub use rules::{Finding, RULES, Rule, Severity, Since};
