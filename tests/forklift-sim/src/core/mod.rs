//! The controller without any IO: events of objects and ticks in, writes of statuses out.
//!
//! The driver and the player feed it; tests do too. It reads no clock and knows no chance: the same events at the same times
//! lead to the same writes.

mod attempt;
mod conditions;
mod copy;
mod itinerary;
mod migration;
mod model;
mod plan;
mod provider;
mod queue;
mod settings;
mod time;
mod vm;
mod world;

pub use conditions::{Condition, Conditions};
pub use itinerary::{Phase, Shape, Way};
pub use migration::Migration;
pub use model::{
    Delta, Failure, MigrationStatus, PlainStatus, PlanMigration, PlanStatus, Precopy, Progress, Reference, Snapshot, Step,
    Task, VmStatus, Warm,
};
pub use plan::Plan;
pub use provider::Object;
pub use settings::Settings;
pub use time::{Span, Stamp, after};
pub use vm::Run;
pub use world::{
    ANSWERS, Disk, Fails, Finding, Key, Kind, MapSpec, Meta, MigrationSpec, PLAN, PlanSpec, PlanWorld, ProviderSpec,
    VmReference, VmWorld,
};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the controller wants written.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new status, whole.
    Status {
        /// Kind of the object.
        kind: Kind,
        /// The object.
        key: Key,
        /// Its uid: one of the same name that was made since must not get this status.
        uid: String,
        /// The status.
        status: Value,
        /// Types of conditions that are new in it.
        gained: Vec<String>,
        /// Types of conditions that are gone from it.
        lost: Vec<String>,
    },
    /// A Migration belongs to its plan.
    Owner {
        /// The Migration.
        key: Key,
        /// Its uid.
        uid: String,
        /// The reference to its plan.
        owner: Value,
    },
    /// A Migration whose plan is gone.
    Delete {
        /// The Migration.
        key: Key,
        /// Its uid.
        uid: String,
    },
}

/// All objects, and what the controller knows about them.
#[derive(Debug, Default)]
pub struct Sim {
    settings: Settings,
    /// Settings of single namespaces.
    own: BTreeMap<String, Settings>,
    plans: BTreeMap<Key, Plan>,
    migrations: BTreeMap<Key, Migration>,
    providers: BTreeMap<Key, Object>,
    network_maps: BTreeMap<Key, Object>,
    storage_maps: BTreeMap<Key, Object>,
    /// When plans are looked at next.
    due: BTreeMap<Key, Timestamp>,
    /// Migrations to look at in the next tick.
    touched: BTreeSet<Key>,
    /// Statuses as they were written last.
    written: BTreeMap<(Kind, Key), Value>,
    /// Migrations of plans that are gone.
    orphans: Vec<(Key, String)>,
}

impl Sim {
    /// An empty cluster.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The durations and limits for plans and maps of a namespace.
    pub fn settings(&self, namespace: &str) -> &Settings {
        self.own.get(namespace).unwrap_or(&self.settings)
    }

    /// Durations and limits of a namespace of their own. What is under way goes on with them.
    pub fn set_settings(&mut self, namespace: &str, settings: Settings) {
        self.own.insert(namespace.to_owned(), settings);
    }

    /// A status did not reach the object: it is written again in the next tick.
    pub fn not_written(&mut self, kind: Kind, key: &Key, now: Timestamp) {
        self.written.remove(&(kind, key.clone()));
        let object = match kind {
            Kind::Provider => self.providers.get_mut(key),
            Kind::NetworkMap => self.network_maps.get_mut(key),
            Kind::StorageMap => self.storage_maps.get_mut(key),
            Kind::Plan => return self.due.extend(self.plans.contains_key(key).then(|| (key.clone(), now))),
            Kind::Migration => return self.touched.extend(self.migrations.contains_key(key).then(|| key.clone())),
        };
        if let Some(object) = object {
            object.next = Some(now);
        }
    }

    /// A plan.
    pub fn plan(&self, key: &Key) -> Option<&Plan> {
        self.plans.get(key)
    }

    /// All plans.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.values()
    }

    /// A Migration.
    pub fn migration(&self, key: &Key) -> Option<&Migration> {
        self.migrations.get(key)
    }

    /// A provider.
    pub fn provider(&self, key: &Key) -> Option<&Object> {
        self.providers.get(key)
    }

    /// Whether a provider or a map is ready. Plans and Migrations are not asked here.
    pub fn is_ready(&self, kind: Kind, key: &Key) -> bool {
        let object = match kind {
            Kind::Provider => self.providers.get(key),
            Kind::NetworkMap => self.network_maps.get(key),
            Kind::StorageMap => self.storage_maps.get(key),
            Kind::Plan | Kind::Migration => None,
        };
        object.is_some_and(Object::is_ready)
    }

    /// An object was made or changed. Of its status only that of an object that is new here is read.
    pub fn applied(&mut self, object: &Value, now: Timestamp) {
        let Some(kind) = object["kind"].as_str().and_then(Kind::from_name) else { return };
        let meta: Meta = part(&object["metadata"]);
        let key = meta.key();
        match kind {
            Kind::Plan => self.plan_applied(object, meta, now),
            Kind::Migration => self.migration_applied(object, meta, now),
            Kind::Provider => {
                let spec: ProviderSpec = part(&object["spec"]);
                let answers = meta.annotations.get(ANSWERS).is_none_or(|answers| answers != "false");
                let known = self.providers.get(&key).filter(|known| known.meta.uid == meta.uid);
                let due = known.is_none_or(|known| known.meta.generation != meta.generation);
                let provider = Object {
                    next: if due { Some(now) } else { known.and_then(|known| known.next) },
                    status: known.map_or_else(|| part(&object["status"]), |known| known.status.clone()),
                    vddk: spec.settings.contains_key("vddkInitImage"),
                    kind: spec.kind,
                    url: spec.url,
                    providers: Vec::new(),
                    answers,
                    meta,
                };
                self.providers.insert(key.clone(), provider);
                self.wake_users(&key, now);
            }
            Kind::NetworkMap | Kind::StorageMap => {
                let spec: MapSpec = part(&object["spec"]);
                let maps = if kind == Kind::NetworkMap { &mut self.network_maps } else { &mut self.storage_maps };
                let known = maps.get(&key).filter(|known| known.meta.uid == meta.uid);
                let map = Object {
                    next: known.map_or(Some(now), |known| known.next),
                    status: known.map_or_else(|| part(&object["status"]), |known| known.status.clone()),
                    providers: ["source", "destination"]
                        .iter()
                        .filter_map(|side| spec.provider.get(*side).cloned())
                        .collect(),
                    kind: String::new(),
                    url: String::new(),
                    vddk: false,
                    answers: true,
                    meta,
                };
                maps.insert(key.clone(), map);
                self.wake_users(&key, now);
            }
        }
        if let Some(status) = object.get("status") {
            self.written.entry((kind, Meta::key(&part(&object["metadata"])))).or_insert_with(|| status.clone());
        }
    }

    fn plan_applied(&mut self, object: &Value, meta: Meta, now: Timestamp) {
        let key = meta.key();
        let spec: PlanSpec = part(&object["spec"]);
        let world: PlanWorld =
            meta.annotations.get(PLAN).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let world = world.at_speed(self.settings(&key.namespace).speed);
        match self.plans.get_mut(&key).filter(|known| known.meta.uid == meta.uid) {
            Some(known) => {
                let same = known.spec == spec && known.world == world && known.meta.generation == meta.generation;
                (known.meta, known.spec, known.world) = (meta, spec, world);
                if same {
                    return;
                }
            }
            None => {
                let status: PlanStatus = part(&object["status"]);
                // A plan that was run before the simulator was has been validated.
                let vddk = (!status.conditions.is_empty() && !status.conditions.has("ValidatingVDDK")).then_some(now);
                let runs = BTreeMap::new();
                let plan = Plan { meta, spec, world, status, appeared: now, vddk, runs, wrecked: false, stuck: false };
                self.written.remove(&(Kind::Plan, key.clone()));
                self.plans.insert(key.clone(), plan);
                let mine = self.migrations.iter().filter(|(_, migration)| migration.spec.plan == key);
                self.touched.extend(mine.map(|(migration, _)| migration.clone()));
            }
        }
        self.due.insert(key, now);
    }

    fn migration_applied(&mut self, object: &Value, meta: Meta, now: Timestamp) {
        let key = meta.key();
        let spec: MigrationSpec = part(&object["spec"]);
        let plan = spec.plan.clone();
        match self.migrations.get_mut(&key).filter(|known| known.meta.uid == meta.uid) {
            Some(known) => {
                let same = known.spec == spec && known.meta.generation == meta.generation;
                (known.meta, known.spec) = (meta, spec);
                if same {
                    return;
                }
            }
            None => {
                self.written.remove(&(Kind::Migration, key.clone()));
                self.migrations.insert(key.clone(), Migration { meta, spec, status: part(&object["status"]) });
            }
        }
        self.touched.insert(key);
        if self.plans.contains_key(&plan) {
            self.due.insert(plan, now);
        }
    }

    /// An object is gone.
    pub fn deleted(&mut self, kind: Kind, key: &Key, now: Timestamp) {
        self.written.remove(&(kind, key.clone()));
        match kind {
            Kind::Plan => {
                self.plans.remove(key);
                self.due.remove(key);
                let mine = self.migrations.iter().filter(|(_, migration)| migration.spec.plan == *key);
                self.orphans.extend(mine.map(|(key, migration)| (key.clone(), migration.meta.uid.clone())));
            }
            Kind::Migration => {
                let migration = self.migrations.remove(key);
                self.touched.remove(key);
                if let Some(plan) =
                    migration.map(|migration| migration.spec.plan).filter(|plan| self.plans.contains_key(plan))
                {
                    self.due.insert(plan, now);
                }
            }
            Kind::Provider | Kind::NetworkMap | Kind::StorageMap => {
                let objects = match kind {
                    Kind::Provider => &mut self.providers,
                    Kind::NetworkMap => &mut self.network_maps,
                    _ => &mut self.storage_maps,
                };
                objects.remove(key);
                self.wake_users(key, now);
            }
        }
    }

    /// Plans that use a provider or a map are looked at in the next tick.
    fn wake_users(&mut self, key: &Key, now: Timestamp) {
        let uses = |plan: &Plan| plan.spec.provider.values().chain(plan.spec.map.values()).any(|used| used == key);
        let users = self.plans.iter().filter(|(_, plan)| uses(plan)).map(|(key, _)| (key.clone(), now));
        self.due.extend(users.collect::<Vec<_>>());
    }

    /// When [`Sim::tick`] has something to do, if nothing happens before.
    pub fn next(&self) -> Option<Timestamp> {
        let objects = self.providers.values().chain(self.network_maps.values()).chain(self.storage_maps.values());
        let now = (!self.touched.is_empty() || !self.orphans.is_empty()).then_some(Timestamp::MIN);
        self.due.values().copied().chain(objects.filter_map(|object| object.next)).chain(now).min()
    }

    /// Reconciles what is due, in the order in which a controller would get to it.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Write> {
        let mut writes: Vec<Write> = self.orphans.drain(..).map(|(key, uid)| Write::Delete { key, uid }).collect();
        self.tick_providers(now, &mut writes);
        self.tick_maps(now, &mut writes);
        self.tick_migrations(now, &mut writes);
        let due: Vec<Key> = self.due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.due.remove(&key);
            // Taken out, so that it can be changed while the others are read.
            let Some(mut plan) = self.plans.remove(&key) else { continue };
            let next = plan::reconcile(self, &mut plan, now);
            self.due.extend(next.map(|next| (key.clone(), next)));
            let wrote = self.write(Kind::Plan, &plan.meta, &plan.status, &mut writes);
            self.plans.insert(key.clone(), plan);
            if wrote {
                let mine = self.migrations.iter().filter(|(_, migration)| migration.spec.plan == key);
                self.touched.extend(mine.map(|(migration, _)| migration.clone()));
                self.tick_migrations(now, &mut writes);
            }
        }
        writes
    }

    fn tick_providers(&mut self, now: Timestamp, writes: &mut Vec<Write>) {
        let is_due = |object: &Object| object.next.is_some_and(|next| next <= now);
        let due: Vec<Key> = self.providers.iter().filter(|(_, object)| is_due(object)).map(|(key, _)| key.clone()).collect();
        for key in due {
            let Some(mut object) = self.providers.remove(&key) else { continue };
            provider::provider(&mut object, &self.settings, now);
            let wrote = self.write(Kind::Provider, &object.meta, &object.status, writes);
            self.providers.insert(key.clone(), object);
            if wrote {
                self.wake_users(&key, now);
            }
        }
    }

    fn tick_maps(&mut self, now: Timestamp, writes: &mut Vec<Write>) {
        for kind in [Kind::NetworkMap, Kind::StorageMap] {
            let network = kind == Kind::NetworkMap;
            let mut maps = std::mem::take(if network { &mut self.network_maps } else { &mut self.storage_maps });
            let mut changed = Vec::new();
            for (key, object) in &mut maps {
                let ready = |place: usize| {
                    let provider = object.providers.get(place).and_then(|key| self.providers.get(key));
                    provider.is_some_and(Object::is_ready)
                };
                let settings = self.settings(&key.namespace);
                let lag = if network { settings.network_map_lag } else { settings.storage_map_lag };
                provider::map(object, [ready(0), ready(1)], lag, now);
                if self.write(kind, &object.meta, &object.status, writes) {
                    changed.push(key.clone());
                }
            }
            *(if network { &mut self.network_maps } else { &mut self.storage_maps }) = maps;
            for key in changed {
                self.wake_users(&key, now);
            }
        }
    }

    fn tick_migrations(&mut self, now: Timestamp, writes: &mut Vec<Write>) {
        for key in std::mem::take(&mut self.touched) {
            let Some(mut migration) = self.migrations.remove(&key) else { continue };
            if let Some(plan) = self.plans.get(&migration.spec.plan).filter(|_| migration.meta.owner_references.is_empty()) {
                let owner = json!({
                    "apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Plan",
                    "name": plan.meta.name, "uid": plan.meta.uid,
                });
                migration.meta.owner_references.push(owner.clone());
                writes.push(Write::Owner { key: key.clone(), uid: migration.meta.uid.clone(), owner });
            }
            migration::reconcile(self, &mut migration, now);
            self.write(Kind::Migration, &migration.meta, &migration.status, writes);
            self.migrations.insert(key, migration);
        }
    }

    /// Asks for a status to be written if it differs from what is there.
    fn write<S: serde::Serialize>(&mut self, kind: Kind, meta: &Meta, status: &S, writes: &mut Vec<Write>) -> bool {
        let (id, status) = ((kind, meta.key()), serde_json::to_value(status).unwrap_or_default());
        let before = self.written.get(&id);
        if before == Some(&status) {
            return false;
        }
        let types = |status: Option<&Value>| -> Vec<String> {
            let list = status.and_then(|status| status["conditions"].as_array()).into_iter().flatten();
            list.filter_map(|condition| condition["type"].as_str()).map(str::to_owned).collect()
        };
        let (old, new) = (types(before), types(Some(&status)));
        let gained = new.iter().filter(|kind| !old.contains(kind)).cloned().collect();
        let lost = old.iter().filter(|kind| !new.contains(kind)).cloned().collect();
        self.written.insert(id, status.clone());
        writes.push(Write::Status { kind, key: meta.key(), uid: meta.uid.clone(), status, gained, lost });
        true
    }
}

/// A part of an object. What is not there or of a wrong type is as if it were empty.
fn part<T: DeserializeOwned + Default>(value: &Value) -> T {
    match value {
        Value::Null => T::default(),
        other => T::deserialize(other).unwrap_or_default(),
    }
}
