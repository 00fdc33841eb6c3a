//! From the loose shapes to the model: every wrong field and unknown word is noted, none is fatal.

use super::intern::Interner;
use super::loose::{Entries, List, Loose};
use super::{Decoded, Issue, Object, conditions, managers, shapes};
use crate::plan::{
    Attempt, Category, Condition, Key, Kind, MOST_LABELS, Migration, MigrationType, OURS, ObjectRef, Plan, Precopy,
    Provider, ProviderPhase, ProviderType, Stage, Step, StepName, StepPhase, Task, Text, Time, Vm, VmError, VmRef, Warm,
};
use std::collections::HashSet;

/// Annotations with a longer value are not kept, unless they are addressed to us: tools keep whole objects in them.
const LONGEST_ANNOTATION: usize = 256;

pub(super) fn decode(kind: Kind, key: Key, json: &[u8]) -> serde_json::Result<Decoded> {
    let mut reader = Reader::default();
    let object = match kind {
        Kind::Plan => Object::Plan(reader.plan(key, serde_json::from_slice(json)?)),
        Kind::Migration => Object::Migration(reader.migration(key, serde_json::from_slice(json)?)),
        Kind::Provider => Object::Provider(reader.provider(key, serde_json::from_slice(json)?)),
    };
    let mut issues = reader.issues;
    issues.sort();
    issues.dedup();
    Ok(Decoded { object, issues })
}

#[derive(Default)]
struct Reader {
    issues: Vec<Issue>,
    texts: Interner,
}

impl Reader {
    /// The value of a field; a wrong one is noted and taken as absent.
    fn take<T>(&mut self, field: &'static str, value: Loose<T>) -> Option<T> {
        if matches!(value, Loose::Wrong) {
            self.issues.push(Issue::WrongType { field });
        }
        value.value()
    }

    fn text(&mut self, field: &'static str, value: Loose<Text>) -> Text {
        let text = self.take(field, value).unwrap_or_default();
        self.texts.share(text)
    }

    fn number(&mut self, field: &'static str, value: Loose<u32>) -> u32 {
        self.take(field, value).unwrap_or_default()
    }

    /// The items of a list that have the right type.
    fn list<T>(&mut self, field: &'static str, list: List<T>) -> Vec<T> {
        let items = self.take(field, list).unwrap_or_default();
        items.into_iter().filter_map(|item| self.take(field, item)).collect()
    }

    /// A word of a vocabulary; `parse` gives `unknown` for one that it does not have.
    fn word<T: PartialEq>(&mut self, field: &'static str, value: Loose<Text>, parse: fn(&str) -> T, unknown: T) -> T {
        let Some(word) = self.take(field, value).filter(|word| !word.is_empty()) else { return parse("") };
        let parsed = parse(&word);
        if parsed == unknown {
            self.unknown(field, &word);
        }
        parsed
    }

    fn unknown(&mut self, field: &'static str, word: &str) {
        self.issues.push(Issue::UnknownWord { field, word: word.chars().take(64).collect() });
    }

    fn step_phase(&mut self, field: &'static str, value: Loose<Text>) -> StepPhase {
        self.word(field, value, StepPhase::parse, StepPhase::Unknown)
    }

    /// The conditions whose status is True.
    fn conditions(&mut self, field: &'static str, list: List<shapes::Condition>) -> Box<[Condition]> {
        let mut conditions = Vec::new();
        for shape in self.list(field, list) {
            let kind = self.text(field, shape.r#type);
            if self.take(field, shape.status).is_none_or(|status| status != "True") || kind.is_empty() {
                continue;
            }
            let condition = Condition {
                category: self.word(field, shape.category, Category::parse, Category::Unknown),
                reason: self.text(field, shape.reason),
                message: self.text(field, shape.message),
                since: self.take(field, shape.last_transition_time),
                kind,
            };
            if !conditions::is_known(condition.label()) {
                self.unknown(field, condition.label());
            }
            conditions.push(condition);
        }
        conditions.into()
    }

    fn reference(&mut self, field: &'static str, value: Loose<shapes::Reference>) -> ObjectRef {
        let shape = self.take(field, value).unwrap_or_default();
        ObjectRef {
            key: Key { namespace: self.text(field, shape.namespace), name: self.text(field, shape.name) },
            uid: self.text(field, shape.uid),
        }
    }

    fn vm_refs(&mut self, field: &'static str, shapes: Vec<shapes::Reference>) -> Box<[VmRef]> {
        let shapes = shapes.into_iter();
        shapes.map(|shape| VmRef { id: self.text(field, shape.id), name: self.text(field, shape.name) }).collect()
    }

    fn entries(&mut self, field: &'static str, value: Loose<Entries<Text>>) -> Vec<(Text, Text)> {
        let entries = self.take(field, value).map_or_else(Vec::new, |entries| entries.0);
        entries.into_iter().map(|(key, value)| (key, self.text(field, value))).collect()
    }

    fn plan(&mut self, key: Key, shape: shapes::Object<shapes::PlanSpec, shapes::PlanStatus>) -> Plan {
        let metadata = self.take("metadata", shape.metadata).unwrap_or_default();
        let spec = self.take("spec", shape.spec).unwrap_or_default();
        let status = self.take("status", shape.status).unwrap_or_default();
        let latest = self.take("status.migration", status.migration).unwrap_or_default();
        let providers = self.take("spec.provider", spec.provider).unwrap_or_default();

        let mut labels = self.entries("metadata.labels", metadata.labels);
        let mut annotations = self.entries("metadata.annotations", metadata.annotations);
        let writers = self.list("metadata.managedFields", metadata.managed_fields).into_iter();
        let writers: Vec<Text> = writers.filter_map(|writer| writer.manager.value()).collect();
        let names = labels.iter().chain(&annotations).map(|(name, _)| name.as_str());
        let manager = managers::manager(names, writers.iter().map(Text::as_str));
        labels.sort();
        labels.truncate(MOST_LABELS);
        annotations.retain(|(name, value)| value.len() <= LONGEST_ANNOTATION || name.starts_with(OURS));
        annotations.sort();
        let wanted = self.list("spec.vms", spec.vms);
        let own: Vec<bool> = wanted.iter().map(|vm| vm.delete_vm_on_fail_migration == Loose::Is(true)).collect();
        let wanted = self.vm_refs("spec.vms", wanted);
        let mut vms = self.vms(latest.vms);
        let delete_failed = self.take("spec.deleteVmOnFailMigration", spec.delete_vm_on_fail_migration).unwrap_or(true);
        // What the plan says counts for all of its VMs.
        for (wanted, _) in wanted.iter().zip(own).filter(|(_, own)| *own && !delete_failed) {
            vms.iter_mut().filter(|vm| wanted.names(vm)).for_each(|vm| vm.delete_failed = true);
        }

        Plan {
            key,
            uid: self.text("metadata.uid", metadata.uid),
            generation: self.number("metadata.generation", metadata.generation),
            observed_generation: self.take("status.observedGeneration", status.observed_generation),
            created: self.take("metadata.creationTimestamp", metadata.creation_timestamp),
            labels: labels.into(),
            annotations: annotations.into(),
            owner: self.owner(metadata.owner_references),
            manager: manager.into(),
            deleting: !matches!(metadata.deletion_timestamp, Loose::Absent),
            delete_failed,
            spec_type: self.migration_type(spec.r#type),
            spec_warm: self.take("spec.warm", spec.warm).unwrap_or_default(),
            archived: self.take("spec.archived", spec.archived).unwrap_or_default(),
            source: self.reference("spec.provider.source", providers.source).key,
            destination: self.reference("spec.provider.destination", providers.destination).key,
            target_namespace: self.text("spec.targetNamespace", spec.target_namespace),
            wanted,
            conditions: self.conditions("status.conditions", status.conditions),
            started: self.take("status.migration.started", latest.started),
            completed: self.take("status.migration.completed", latest.completed),
            attempts: self.attempts(latest.history),
            vms,
        }
    }

    /// The first of the owners, as `Kind name`.
    fn owner(&mut self, owners: List<shapes::Owner>) -> Text {
        const FIELD: &str = "metadata.ownerReferences";
        // One that cannot be read is an owner all the same: who asks is to leave the plan alone.
        let is_owned = match &owners {
            Loose::Absent => false,
            Loose::Is(owners) => !owners.is_empty(),
            Loose::Wrong => true,
        };
        let names = |owner: &shapes::Owner| match (&owner.kind, &owner.name) {
            (Loose::Is(kind), Loose::Is(name)) => Some(format!("{kind} {name}").into()),
            (Loose::Is(_) | Loose::Absent | Loose::Wrong, _) => None,
        };
        let named = self.list(FIELD, owners).iter().find_map(names);
        named.unwrap_or_else(|| if is_owned { "an object".into() } else { Text::new() })
    }

    /// A plan without a type is cold, unless it is warm by the older field.
    fn migration_type(&mut self, value: Loose<Text>) -> MigrationType {
        match value {
            Loose::Absent => MigrationType::Cold,
            Loose::Is(word) if word.is_empty() => MigrationType::Cold,
            word @ (Loose::Is(_) | Loose::Wrong) => {
                self.word("spec.type", word, MigrationType::parse, MigrationType::Unknown)
            }
        }
    }

    fn attempts(&mut self, history: List<shapes::Snapshot>) -> Box<[Attempt]> {
        let snapshots = self.list("status.migration.history", history).into_iter();
        snapshots
            .map(|snapshot| Attempt {
                migration: self.reference("status.migration.history[].migration", snapshot.migration),
                conditions: self.conditions("status.migration.history[].conditions", snapshot.conditions),
            })
            .collect()
    }

    fn vms(&mut self, list: List<shapes::Vm>) -> Box<[Vm]> {
        const FIELD: &str = "status.migration.vms";
        let mut seen = HashSet::new();
        let mut vms = Vec::new();
        for shape in self.list(FIELD, list) {
            let vm = self.vm(shape);
            if seen.insert((vm.id.clone(), vm.name.clone())) {
                vms.push(vm);
            } else {
                self.issues.push(Issue::Twice { field: FIELD });
            }
        }
        vms.into()
    }

    fn vm(&mut self, shape: shapes::Vm) -> Vm {
        Vm {
            name: self.text("status.migration.vms[].name", shape.name),
            id: self.text("status.migration.vms[].id", shape.id),
            new_name: self.text("status.migration.vms[].newName", shape.new_name),
            delete_failed: shape.delete_vm_on_fail_migration.value().unwrap_or_default(),
            stage: self.word("status.migration.vms[].phase", shape.phase, Stage::parse, Stage::Unknown),
            started: self.take("status.migration.vms[].started", shape.started),
            completed: self.take("status.migration.vms[].completed", shape.completed),
            conditions: self.conditions("status.migration.vms[].conditions", shape.conditions),
            steps: self.steps(shape.pipeline),
            error: self.error("status.migration.vms[].error", shape.error).map(Box::new),
            warm: self.take("status.migration.vms[].warm", shape.warm).map(|warm| Box::new(self.warm(warm))),
            last_progress: None,
        }
    }

    fn error(&mut self, field: &'static str, value: Loose<shapes::Error>) -> Option<VmError> {
        let shape = self.take(field, value)?;
        let reasons = self.list(field, shape.reasons);
        let reasons: Vec<&str> = reasons.iter().map(Text::as_str).collect();
        Some(VmError { phase: self.text(field, shape.phase), reasons: self.texts.share(reasons.join("; ").into()) })
    }

    fn steps(&mut self, pipeline: List<shapes::Step>) -> Box<[Step]> {
        let steps = self.list("status.migration.vms[].pipeline", pipeline).into_iter();
        steps.map(|step| self.step(step)).collect()
    }

    fn step(&mut self, shape: shapes::Step) -> Step {
        const PROGRESS: &str = "status.migration.vms[].pipeline[].progress";
        let progress = self.take(PROGRESS, shape.progress).unwrap_or_default();
        let annotations = self.take("status.migration.vms[].pipeline[].annotations", shape.annotations).unwrap_or_default();
        let error = self.error("status.migration.vms[].pipeline[].error", shape.error);
        let own_reason = self.text("status.migration.vms[].pipeline[].reason", shape.reason);
        let (tasks, task_reason) = self.tasks(shape.tasks);
        let failed = error.is_some();
        Step {
            name: self.word("status.migration.vms[].pipeline[].name", shape.name, StepName::parse, StepName::Unknown),
            phase: self.step_phase("status.migration.vms[].pipeline[].phase", shape.phase),
            in_mib: annotations.unit.value().is_some_and(|unit| unit == "MB"),
            failed,
            done: self.number(PROGRESS, progress.completed),
            total: self.number(PROGRESS, progress.total),
            started: self.take("status.migration.vms[].pipeline[].started", shape.started),
            completed: self.take("status.migration.vms[].pipeline[].completed", shape.completed),
            tasks,
            note: match error {
                Some(error) => error.reasons,
                None if own_reason.is_empty() => task_reason,
                None => own_reason,
            },
        }
    }

    /// The tasks, and what the first unfinished one that says something says.
    fn tasks(&mut self, list: List<shapes::Task>) -> (Box<[Task]>, Text) {
        const FIELD: &str = "status.migration.vms[].pipeline[].tasks";
        let mut says = Text::new();
        let tasks = self.list(FIELD, list).into_iter().map(|shape| {
            let progress = self.take(FIELD, shape.progress).unwrap_or_default();
            let annotations = self.take(FIELD, shape.annotations).unwrap_or_default();
            let reason = self.text(FIELD, shape.reason);
            let task = Task {
                name: self.text(FIELD, shape.name),
                phase: self.step_phase("status.migration.vms[].pipeline[].tasks[].phase", shape.phase),
                done: self.number(FIELD, progress.completed),
                total: self.number(FIELD, progress.total),
                precopy: annotations.precopy.value().and_then(|number| number.parse().ok()).unwrap_or_default(),
            };
            if says.is_empty() && task.phase != StepPhase::Completed {
                says = reason;
            }
            task
        });
        (tasks.collect(), says)
    }

    fn warm(&mut self, shape: shapes::Warm) -> Warm {
        const PRECOPIES: &str = "status.migration.vms[].warm.precopies";
        let precopies = self.list(PRECOPIES, shape.precopies).into_iter();
        let precopies =
            precopies.map(|p| Precopy { start: self.take(PRECOPIES, p.start), end: self.take(PRECOPIES, p.end) }).collect();
        Warm {
            successes: self.number("status.migration.vms[].warm.successes", shape.successes),
            failures: self.number("status.migration.vms[].warm.failures", shape.failures),
            next_precopy: self.take("status.migration.vms[].warm.nextPrecopyAt", shape.next_precopy_at),
            precopies,
        }
    }

    fn migration(&mut self, key: Key, shape: shapes::Object<shapes::MigrationSpec, shapes::MigrationStatus>) -> Migration {
        const CUTOVERS: &str = "spec.vmCutover";
        let metadata = self.take("metadata", shape.metadata).unwrap_or_default();
        let spec = self.take("spec", shape.spec).unwrap_or_default();
        let status = self.take("status", shape.status).unwrap_or_default();
        let cutovers = self.take(CUTOVERS, spec.vm_cutover).map_or_else(Vec::new, |cutovers| cutovers.0);
        let mut cutovers: Vec<(Text, Time)> =
            cutovers.into_iter().filter_map(|(id, at)| Some((id, self.take(CUTOVERS, at)?))).collect();
        cutovers.sort();
        Migration {
            key,
            uid: self.text("metadata.uid", metadata.uid),
            plan: self.reference("spec.plan", spec.plan).key,
            created: self.take("metadata.creationTimestamp", metadata.creation_timestamp),
            cutover: self.take("spec.cutover", spec.cutover),
            vm_cutovers: cutovers.into(),
            cancels: {
                let cancels = self.list("spec.cancel", spec.cancel);
                self.vm_refs("spec.cancel", cancels)
            },
            conditions: self.conditions("status.conditions", status.conditions),
            completed: self.take("status.completed", status.completed),
        }
    }

    fn provider(&mut self, key: Key, shape: shapes::Object<shapes::ProviderSpec, shapes::ProviderStatus>) -> Provider {
        let metadata = self.take("metadata", shape.metadata).unwrap_or_default();
        let spec = self.take("spec", shape.spec).unwrap_or_default();
        let status = self.take("status", shape.status).unwrap_or_default();
        Provider {
            key,
            uid: self.text("metadata.uid", metadata.uid),
            kind: self.word("spec.type", spec.r#type, ProviderType::parse, ProviderType::Unknown),
            phase: self.word("status.phase", status.phase, ProviderPhase::parse, ProviderPhase::Unknown),
            conditions: self.conditions("status.conditions", status.conditions),
        }
    }
}
