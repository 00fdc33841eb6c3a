//! `metrics`: what is exported.

use super::section::{Errors, section};
use crate::metrics::label_name;

section! {
    /// What is exported.
    pub struct MetricsConfig {
        /// Labels of plans that migration_plan_labels shows, such as [app, wave].
        plan_labels: Vec<String> = "[]",
    }
}

impl MetricsConfig {
    pub(super) fn check(&self, errors: &mut Errors) {
        for (at, label) in self.plan_labels.iter().enumerate() {
            if let Some(other) = self.plan_labels[..at].iter().find(|other| label_name(other) == label_name(label)) {
                let message =
                    format!("{other:?} and {label:?} would both be shown as {}; keep one of them", label_name(label));
                errors.push("metrics.plan_labels", message);
            }
        }
    }
}
