//! The parts of Forklift's CRDs that are read. Everything is optional; what is not named here is skipped unread.
//!
//! Field names and meanings: Forklift `pkg/apis/forklift/v1beta1`. Used by `convert` only.

use super::loose::{self, Entries, List, Loose};
use crate::plan::{Text, Time};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Object<S, T>
where
    Loose<S>: for<'a> Deserialize<'a>,
    Loose<T>: for<'a> Deserialize<'a>,
{
    pub(super) metadata: Loose<Metadata>,
    pub(super) spec: Loose<S>,
    pub(super) status: Loose<T>,
}

/// Declares structs that are JSON objects with the given loose fields.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),+ $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        pub(super) struct $name { $($(#[$attr])* pub(super) $field: $type),+ })+
        loose::map!($($name),+);
    };
}

shapes! {
    Metadata {
        uid: Loose<Text>,
        generation: Loose<u32>,
        creation_timestamp: Loose<Time>,
        labels: Loose<Entries<Text>>,
        annotations: Loose<Entries<Text>>,
        owner_references: List<Owner>,
        deletion_timestamp: Loose<Text>,
        managed_fields: List<FieldManager>,
    }

    Owner { kind: Loose<Text>, name: Loose<Text> }

    /// Who wrote fields of an object, without the fields.
    FieldManager { manager: Loose<Text> }

    Reference {
        namespace: Loose<Text>,
        name: Loose<Text>,
        uid: Loose<Text>,
        id: Loose<Text>,
        /// Of a VM of a plan only.
        delete_vm_on_fail_migration: Loose<bool>,
    }

    Condition {
        r#type: Loose<Text>,
        status: Loose<Text>,
        category: Loose<Text>,
        reason: Loose<Text>,
        message: Loose<Text>,
        last_transition_time: Loose<Time>,
    }

    PlanSpec {
        r#type: Loose<Text>,
        warm: Loose<bool>,
        archived: Loose<bool>,
        provider: Loose<Providers>,
        target_namespace: Loose<Text>,
        delete_vm_on_fail_migration: Loose<bool>,
        vms: List<Reference>,
    }

    Providers { source: Loose<Reference>, destination: Loose<Reference> }

    PlanStatus { conditions: List<Condition>, observed_generation: Loose<u32>, migration: Loose<MigrationStatusInPlan> }

    MigrationStatusInPlan { started: Loose<Time>, completed: Loose<Time>, history: List<Snapshot>, vms: List<Vm> }

    Snapshot { conditions: List<Condition>, migration: Loose<Reference> }

    Vm {
        id: Loose<Text>,
        name: Loose<Text>,
        new_name: Loose<Text>,
        delete_vm_on_fail_migration: Loose<bool>,
        phase: Loose<Text>,
        started: Loose<Time>,
        completed: Loose<Time>,
        conditions: List<Condition>,
        pipeline: List<Step>,
        error: Loose<Error>,
        warm: Loose<Warm>,
    }

    Error { phase: Loose<Text>, reasons: List<Text> }

    Step {
        name: Loose<Text>,
        phase: Loose<Text>,
        reason: Loose<Text>,
        progress: Loose<Progress>,
        annotations: Loose<Annotations>,
        error: Loose<Error>,
        started: Loose<Time>,
        completed: Loose<Time>,
        tasks: List<Task>,
    }

    Progress { completed: Loose<u32>, total: Loose<u32> }

    /// The only annotations that are read of steps and tasks.
    Annotations {
        unit: Loose<Text>,
        #[serde(rename = "Precopy")]
        precopy: Loose<Text>,
    }

    Task {
        name: Loose<Text>,
        phase: Loose<Text>,
        reason: Loose<Text>,
        progress: Loose<Progress>,
        annotations: Loose<Annotations>,
    }

    Warm {
        successes: Loose<u32>,
        failures: Loose<u32>,
        next_precopy_at: Loose<Time>,
        precopies: List<Precopy>,
    }

    Precopy { start: Loose<Time>, end: Loose<Time> }

    MigrationSpec {
        plan: Loose<Reference>,
        cutover: Loose<Time>,
        vm_cutover: Loose<VmCutovers>,
        cancel: List<Reference>,
    }

    MigrationStatus { conditions: List<Condition>, completed: Loose<Time> }

    ProviderSpec { r#type: Loose<Text> }

    ProviderStatus { phase: Loose<Text>, conditions: List<Condition> }

    /// One VM's cutover where they come as a list.
    VmCutover { id: Loose<Text>, cutover: Loose<Time> }
}

/// `spec.vmCutover`: a map from VM id to time; a list of both is taken too, for no capture shows the field.
pub(super) struct VmCutovers(pub(super) Vec<(Text, Loose<Time>)>);

impl loose::Field for VmCutovers {
    fn map<'de, A: serde::de::MapAccess<'de>>(map: A) -> Result<Loose<Self>, A::Error> {
        Ok(match <Entries<Time> as loose::Field>::map(map)? {
            Loose::Is(Entries(entries)) => Loose::Is(Self(entries)),
            Loose::Absent | Loose::Wrong => Loose::Wrong,
        })
    }

    fn list<'de, A: serde::de::SeqAccess<'de>>(list: A) -> Result<Loose<Self>, A::Error> {
        let entry = |item: Loose<VmCutover>| match item.value() {
            Some(VmCutover { id: Loose::Is(id), cutover }) => (id, cutover),
            Some(VmCutover { id: Loose::Absent | Loose::Wrong, .. }) | None => (Text::new(), Loose::Wrong),
        };
        Ok(match <Vec<Loose<VmCutover>> as loose::Field>::list(list)? {
            Loose::Is(items) => Loose::Is(Self(items.into_iter().map(entry).collect())),
            Loose::Absent | Loose::Wrong => Loose::Wrong,
        })
    }
}
