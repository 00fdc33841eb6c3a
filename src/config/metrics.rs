//! `metrics`: what is exported.

use super::section::{Errors, section};

section! {
    /// What is exported.
    pub struct MetricsConfig {
        /// Labels of plans that migration_plan_labels shows, such as [app, wave].
        plan_labels: Vec<String> = "[]",
    }
}

impl MetricsConfig {
    /// The labels, as (name in Kubernetes, name in Prometheus).
    pub fn shown_labels(&self) -> Vec<(String, String)> {
        self.plan_labels.iter().map(|label| (label.clone(), label_name(label))).collect()
    }

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

/// The Prometheus name of a Kubernetes label, as kube-state-metrics writes it: `label_` and every other character an
/// underscore. Two labels may get the same name; the configuration refuses that.
fn label_name(label: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("label_{}", label.chars().map(safe).collect::<String>())
}
