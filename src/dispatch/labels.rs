//! The labels of an alert, by which routes choose.
//!
//! Used by `route`. They are read from the objects as they are now, and nothing is copied.

use crate::alert::{Alert, Scope, Severity};
use crate::plan::{PlanState, Provider};
use crate::store::Store;

/// Every label with what it says; beside these, each label of the plan as `label_NAME`.
pub const LABELS: &[(&str, &str)] = &[
    ("rule", "name of the rule"),
    ("alertname", "the same, as Alertmanager calls it"),
    ("severity", "critical, warning or info"),
    ("namespace", "namespace of the plan or provider"),
    ("plan", "name of the plan; empty for an alert of a provider"),
    ("provider", "name of the provider; of a plan, its source"),
    ("source_type", "type of that provider: vsphere, ovirt, …"),
    ("type", "cold, warm, live or conversion; empty for an alert of a provider"),
    ("target_namespace", "where the VMs go; empty for an alert of a provider"),
];

/// An alert with the objects that it is about.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    alert: &'a Alert,
    severity: Severity,
    plan: Option<&'a PlanState>,
    provider: Option<&'a Provider>,
}

impl<'a> Labels<'a> {
    /// The labels of an alert.
    pub fn of(alert: &'a Alert, store: &'a Store) -> Self {
        let (plan, provider) = match &alert.scope {
            Scope::Plan(key) => {
                let plan = store.plan(key).map(|plan| &**plan);
                (plan, plan.and_then(|plan| plan.source.as_deref()))
            }
            Scope::Provider(key) => (None, store.provider(key).map(|provider| &**provider)),
        };
        Self { alert, severity: alert.severity, plan, provider }
    }

    /// The same with another severity.
    pub fn with_severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The plan, if it is about one that is there.
    pub fn plan(&self) -> Option<&'a PlanState> {
        self.plan
    }

    /// The value of a label; empty if there is none.
    pub fn get(&self, name: &str) -> &'a str {
        let of_plan = |get: fn(&'a PlanState) -> &'a str| self.plan.map_or("", get);
        match (name, &self.alert.scope) {
            ("rule" | "alertname", _) => self.alert.id.rule,
            ("severity", _) => self.severity.as_str(),
            ("namespace", scope) => &scope.key().namespace,
            ("plan", Scope::Plan(key)) | ("provider", Scope::Provider(key)) => &key.name,
            ("provider", Scope::Plan(_)) => of_plan(|state| &state.plan.source.name),
            ("source_type", _) => self.provider.map_or("", |provider| provider.kind.as_str()),
            ("type", _) => of_plan(|state| state.plan.migration_type().as_str()),
            ("target_namespace", _) => of_plan(|state| &state.plan.target_namespace),
            (name, _) => self.plan.map_or("", |state| state.own_label(name)),
        }
    }
}
