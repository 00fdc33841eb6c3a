//! The labels of a plan, by which archive policies and, beside those of an alert, routes choose.
//!
//! They are read from the objects as they are now, and nothing is copied.

use super::PlanState;

/// Every label of a plan with what it says; beside these, each label of the object as `label_NAME`.
pub const PLAN_LABELS: &[(&str, &str)] = &[
    ("namespace", "namespace of the plan"),
    ("plan", "name of the plan"),
    ("provider", "name of its source provider"),
    ("source_type", "type of that provider: vsphere, ovirt, …; empty while it is not known"),
    ("type", "cold, warm, live or conversion"),
    ("target_namespace", "where the VMs go"),
];

/// Prefix of the labels that are the object's own, as in `migration_plan_labels`.
pub const OF_THE_PLAN: &str = "label_";

impl PlanState {
    /// The value of one of [`PLAN_LABELS`] or of a label of the object; empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        match name {
            "namespace" => &self.plan.key.namespace,
            "plan" => &self.plan.key.name,
            "provider" => &self.plan.source.name,
            "source_type" => self.source.as_ref().map_or("", |provider| provider.kind.as_str()),
            "type" => self.plan.migration_type().as_str(),
            "target_namespace" => &self.plan.target_namespace,
            name => self.own_label(name),
        }
    }

    /// A label of the object by its Prometheus name: `label_` and the name, of which every character that is no ASCII letter
    /// or digit has become `_`.
    pub fn own_label(&self, name: &str) -> &str {
        let Some(name) = name.strip_prefix(OF_THE_PLAN) else { return "" };
        let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let found = self.plan.labels.iter().find(|(key, _)| key.chars().map(safe).eq(name.chars()));
        found.map_or("", |(_, value)| value)
    }
}
