//! All current objects, each plan joined with its Migrations and Providers, and what changed.
//!
//! Owned by the loop (`app::engine`), which feeds it one observation at a time; readers get a [`Snapshot`]. Pure: no lock,
//! no clock. Objects may come in any order: a Migration before its plan, or after the plan is gone.

#![warn(clippy::wildcard_enum_match_arm)]

mod health;

pub use health::{Broken, Health, Report, Trouble, WatchHealth, WatchId};

use crate::forklift::Object;
use crate::plan::{self, Event, Key, Kind, Migration, Plan, PlanState, Provider, Text, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Current objects. Everything is keyed by namespace and name, as a watch is.
#[derive(Debug, Default)]
pub struct Store {
    plans: imbl::OrdMap<Key, Arc<PlanState>>,
    providers: imbl::OrdMap<Key, Arc<Provider>>,
    migrations: BTreeMap<Key, Arc<Migration>>,
    /// Which Migrations name a plan, known or not.
    migrations_of: BTreeMap<Key, BTreeSet<Key>>,
    /// Which plans name a provider, known or not.
    plans_of: BTreeMap<Key, BTreeSet<Key>>,
    /// Objects whose latest version could not be decoded. What was known of them before stays.
    unreadable: BTreeSet<(Kind, Key)>,
    /// For each kind and namespace (empty for all) that is being listed anew: what the list has shown so far.
    relists: BTreeMap<(Kind, Text), BTreeSet<Key>>,
}

/// A consistent view of the store. Cloning it costs the same whatever its size.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every plan.
    pub plans: imbl::OrdMap<Key, Arc<PlanState>>,
    /// Every provider.
    pub providers: imbl::OrdMap<Key, Arc<Provider>>,
    /// How many Migrations there are.
    pub migrations: usize,
    /// Objects whose latest version could not be decoded.
    pub unreadable: usize,
}

/// What an observation changed.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Plans whose state is new or gone.
    pub plans: BTreeSet<Key>,
    /// Providers that are new, different or gone.
    pub providers: BTreeSet<Key>,
    /// What happened to the plans.
    pub events: Vec<Event>,
}

impl Store {
    /// Takes the current version of an object, as observed at `at`.
    pub fn apply(&mut self, object: Object, at: Time) -> Changes {
        let (kind, key) = (object.kind(), object.key().clone());
        let was_unreadable = self.unreadable.remove(&(kind, key.clone()));
        self.note_listed(kind, &key);
        let mut changes = Changes::default();
        if kind == Kind::Plan && was_unreadable {
            changes.plans.insert(key);
        }
        match object {
            Object::Plan(plan) => self.put_plan(plan, at, &mut changes),
            Object::Migration(migration) => self.put_migration(migration, at, &mut changes),
            Object::Provider(provider) => self.put_provider(provider, at, &mut changes),
        }
        changes
    }

    /// Takes note of an object that exists but cannot be decoded. What was known of it stays; a plan that was not known is
    /// shown with nothing but its name, in phase Unknown.
    pub fn unreadable(&mut self, kind: Kind, key: Key, at: Time) -> Changes {
        self.note_listed(kind, &key);
        self.unreadable.insert((kind, key.clone()));
        let mut changes = Changes::default();
        if kind == Kind::Plan && !self.plans.contains_key(&key) {
            self.put_plan(Plan { key, ..Plan::default() }, at, &mut changes);
        } else if kind == Kind::Plan {
            // What is concluded from it may depend on whether it is known as it is now.
            changes.plans.insert(key);
        }
        changes
    }

    /// Whether the latest version of an object could not be decoded.
    pub fn is_unreadable(&self, kind: Kind, key: &Key) -> bool {
        self.unreadable.contains(&(kind, key.clone()))
    }

    /// Forgets an object.
    pub fn delete(&mut self, kind: Kind, key: &Key, at: Time) -> Changes {
        let mut changes = Changes::default();
        self.remove(kind, key, at, &mut changes);
        changes
    }

    /// A new listing of all objects of a kind, in a namespace or (empty) in all, begins: nothing is forgotten until it ends.
    pub fn relist_begins(&mut self, kind: Kind, namespace: &str) {
        self.relists.insert((kind, namespace.into()), BTreeSet::new());
    }

    /// The listing is complete: objects that it did not show are gone. Without a beginning it does nothing.
    pub fn relist_ends(&mut self, kind: Kind, namespace: &str, at: Time) -> Changes {
        let mut changes = Changes::default();
        if let Some(listed) = self.relists.remove(&(kind, namespace.into())) {
            let covered = |key: &Key| namespace.is_empty() || key.namespace == namespace;
            let gone: Vec<Key> = self.keys(kind).into_iter().filter(|key| covered(key) && !listed.contains(key)).collect();
            for key in gone {
                self.remove(kind, &key, at, &mut changes);
            }
        }
        changes
    }

    /// The state of a plan.
    pub fn plan(&self, key: &Key) -> Option<&Arc<PlanState>> {
        self.plans.get(key)
    }

    /// A provider.
    pub fn provider(&self, key: &Key) -> Option<&Arc<Provider>> {
        self.providers.get(key)
    }

    /// How many plans use a provider.
    pub fn plans_using(&self, provider: &Key) -> usize {
        self.plans_of.get(provider).map_or(0, BTreeSet::len)
    }

    /// A view for readers.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            plans: self.plans.clone(),
            providers: self.providers.clone(),
            migrations: self.migrations.len(),
            unreadable: self.unreadable.len(),
        }
    }

    fn note_listed(&mut self, kind: Kind, key: &Key) {
        for scope in [&Text::new(), &key.namespace] {
            if let Some(listed) = self.relists.get_mut(&(kind, scope.clone())) {
                listed.insert(key.clone());
            }
        }
    }

    fn keys(&self, kind: Kind) -> BTreeSet<Key> {
        let unreadable = self.unreadable.iter().filter(|(of, _)| *of == kind).map(|(_, key)| key.clone());
        let known: Box<dyn Iterator<Item = &Key>> = match kind {
            Kind::Plan => Box::new(self.plans.keys()),
            Kind::Migration => Box::new(self.migrations.keys()),
            Kind::Provider => Box::new(self.providers.keys()),
        };
        known.cloned().chain(unreadable).collect()
    }

    fn remove(&mut self, kind: Kind, key: &Key, at: Time, changes: &mut Changes) {
        self.unreadable.remove(&(kind, key.clone()));
        match kind {
            Kind::Plan => {
                if let Some(old) = self.plans.remove(key) {
                    self.forget_providers_of(&old);
                    changes.plans.insert(key.clone());
                    changes.events.extend(plan::diff(Some(&old), None, at));
                }
            }
            Kind::Migration => {
                if let Some(old) = self.migrations.remove(key) {
                    forget(&mut self.migrations_of, &old.plan, key);
                    self.rejoin(&old.plan, at, changes);
                }
            }
            Kind::Provider => {
                if self.providers.remove(key).is_some() {
                    changes.providers.insert(key.clone());
                    self.rejoin_plans_of(key, at, changes);
                }
            }
        }
    }

    fn put_plan(&mut self, plan: Plan, at: Time, changes: &mut Changes) {
        let key = plan.key.clone();
        let old = self.plans.get(&key).cloned();
        if let Some(old) = &old {
            self.forget_providers_of(old);
        }
        for provider in [&plan.source, &plan.destination] {
            self.plans_of.entry(provider.clone()).or_default().insert(key.clone());
        }
        let (migrations, source, destination) = self.belongings(&plan);
        let state = PlanState::derive(plan, migrations, source, destination, old.as_deref(), at);
        self.replace(key, old, state, at, changes);
    }

    fn put_migration(&mut self, migration: Migration, at: Time, changes: &mut Changes) {
        let (key, plan) = (migration.key.clone(), migration.plan.clone());
        match self.migrations.get(&key) {
            // A Migration is written as often as its plan, with a copy of the VMs that is not read.
            Some(old) if **old == migration => return,
            Some(old) if old.plan != plan => {
                let before = old.plan.clone();
                forget(&mut self.migrations_of, &before, &key);
                self.migrations.remove(&key);
                self.rejoin(&before, at, changes);
            }
            Some(_) | None => {}
        }
        self.migrations_of.entry(plan.clone()).or_default().insert(key.clone());
        self.migrations.insert(key, Arc::new(migration));
        self.rejoin(&plan, at, changes);
    }

    fn put_provider(&mut self, provider: Provider, at: Time, changes: &mut Changes) {
        let key = provider.key.clone();
        if self.providers.get(&key).is_some_and(|old| **old == provider) {
            return;
        }
        self.providers.insert(key.clone(), Arc::new(provider));
        changes.providers.insert(key.clone());
        self.rejoin_plans_of(&key, at, changes);
    }

    fn rejoin_plans_of(&mut self, provider: &Key, at: Time, changes: &mut Changes) {
        for plan in self.plans_of.get(provider).cloned().unwrap_or_default() {
            self.rejoin(&plan, at, changes);
        }
    }

    /// Draws the conclusions about a plan anew, because something beside it changed.
    fn rejoin(&mut self, key: &Key, at: Time, changes: &mut Changes) {
        let Some(old) = self.plans.get(key).cloned() else { return };
        let (migrations, source, destination) = self.belongings(&old.plan);
        let state = old.with(migrations, source, destination);
        self.replace(key.clone(), Some(old), state, at, changes);
    }

    fn replace(&mut self, key: Key, old: Option<Arc<PlanState>>, state: PlanState, at: Time, changes: &mut Changes) {
        if old.as_ref().is_some_and(|old| **old == state) {
            return;
        }
        changes.events.extend(plan::diff(old.as_deref(), Some(&state), at));
        changes.plans.insert(key.clone());
        self.plans.insert(key, Arc::new(state));
    }

    #[allow(clippy::type_complexity)]
    fn belongings(&self, plan: &Plan) -> (Box<[Arc<Migration>]>, Option<Arc<Provider>>, Option<Arc<Provider>>) {
        let keys = self.migrations_of.get(&plan.key);
        let mut migrations: Vec<Arc<Migration>> =
            keys.into_iter().flatten().filter_map(|key| self.migrations.get(key).cloned()).collect();
        migrations.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
        (migrations.into(), self.providers.get(&plan.source).cloned(), self.providers.get(&plan.destination).cloned())
    }

    fn forget_providers_of(&mut self, old: &PlanState) {
        for provider in [&old.plan.source, &old.plan.destination] {
            forget(&mut self.plans_of, provider, &old.plan.key);
        }
    }
}

/// Takes `member` out of the set at `of`, and the set with it when it is empty.
fn forget(index: &mut BTreeMap<Key, BTreeSet<Key>>, of: &Key, member: &Key) {
    if let Some(members) = index.get_mut(of) {
        members.remove(member);
        if members.is_empty() {
            index.remove(of);
        }
    }
}
