//! An API server in memory, and scenarios played against it on a clock that jumps from one event to the next.
//!
//! What comes out are the events that a watch would have seen, in the form of a recording.

use crate::core::{Key, Kind, Settings, Sim, Span, Stamp, Write, after};
use crate::scenario::{Operation, Runner, Scenario};
use anyhow::{Result, bail};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One event of a watch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When it was seen.
    pub time: Timestamp,
    /// ADDED, MODIFIED or DELETED.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The whole object.
    pub object: Value,
}

/// Objects, with the marks that an API server puts on them.
#[derive(Debug, Default)]
pub struct Memory {
    objects: BTreeMap<(Kind, Key), Value>,
    version: u64,
    uids: u64,
    /// All that a watch has seen.
    pub events: Vec<Event>,
}

impl Memory {
    /// An object.
    pub fn get(&self, kind: Kind, key: &Key) -> Option<&Value> {
        self.objects.get(&(kind, key.clone()))
    }

    fn see(&mut self, kind: &'static str, id: (Kind, Key), mut object: Value, now: Timestamp) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if kind == "DELETED" {
            self.objects.remove(&id);
        } else {
            self.objects.insert(id, object.clone());
        }
        self.events.push(Event { time: now, kind, object });
    }

    /// Makes an object. A provider or a map that is there already stays.
    pub fn create(&mut self, mut object: Value, now: Timestamp) -> Result<()> {
        let Some(kind) = object["kind"].as_str().and_then(Kind::from_name) else { bail!("unknown kind in {object}") };
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = Key { namespace: text("namespace"), name: text("name") };
        if self.objects.contains_key(&(kind, key.clone())) {
            if matches!(kind, Kind::Plan | Kind::Migration) {
                bail!("{} {key} is there already", kind.name());
            }
            return Ok(());
        }
        self.uids += 1;
        let meta = &mut object["metadata"];
        meta["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.uids));
        meta["generation"] = json!(1);
        meta["creationTimestamp"] = json!(Stamp(now).to_string());
        if kind == Kind::Plan {
            default_plan(&mut object["spec"]);
        }
        self.see("ADDED", (kind, key), object, now);
        Ok(())
    }

    /// Does what a person does.
    pub fn operate(&mut self, operation: Operation, now: Timestamp) -> Result<()> {
        match operation {
            Operation::Create(object) => self.create(object, now)?,
            Operation::Patch { kind, key, patch } => {
                let Some(before) = self.get(kind, &key).cloned() else { bail!("there is no {} {key}", kind.name()) };
                let mut object = before.clone();
                merge(&mut object, &patch);
                if object["spec"] != before["spec"] {
                    let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
                    object["metadata"]["generation"] = json!(generation + 1);
                }
                if object != before {
                    self.see("MODIFIED", (kind, key), object, now);
                }
            }
            Operation::Delete { kind, key } => {
                let Some(object) = self.get(kind, &key).cloned() else { bail!("there is no {} {key}", kind.name()) };
                self.see("DELETED", (kind, key), object, now);
            }
        }
        Ok(())
    }

    /// Does what the controller wants written.
    pub fn write(&mut self, write: Write, now: Timestamp) {
        let (kind, key, uid) = match &write {
            Write::Status { kind, key, uid, .. } => (*kind, key.clone(), uid.clone()),
            Write::Owner { key, uid, .. } | Write::Delete { key, uid } => (Kind::Migration, key.clone(), uid.clone()),
        };
        let Some(mut object) = self.get(kind, &key).cloned() else { return };
        if object["metadata"]["uid"] != uid.as_str() {
            return;
        }
        match write {
            Write::Status { status, .. } => object["status"] = status,
            Write::Owner { owner, .. } => object["metadata"]["ownerReferences"] = json!([owner]),
            Write::Delete { .. } => return self.see("DELETED", (kind, key), object, now),
        }
        self.see("MODIFIED", (kind, key), object, now);
    }
}

/// What the API server adds to every plan's spec.
fn default_plan(spec: &mut Value) {
    let defaults = [
        ("deleteVmOnFailMigration", true),
        ("migrateSharedDisks", true),
        ("preserveStaticIPs", true),
        ("runPreflightInspection", true),
        ("useCompatibilityMode", true),
        ("skipGuestConversion", false),
        ("xfsCompatibility", false),
    ];
    for (field, value) in defaults {
        if spec.get(field).is_none() {
            spec[field] = json!(value);
        }
    }
}

/// A merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(name);
            }
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// A scenario that is played.
#[derive(Debug)]
pub struct Player {
    /// The cluster.
    pub memory: Memory,
    /// The controller.
    pub sim: Sim,
    runner: Runner,
    seen: usize,
    now: Timestamp,
}

impl Player {
    /// A scenario that has not begun, at a time.
    pub fn new(scenario: Scenario, speed: f64, now: Timestamp) -> Self {
        let settings: Settings = scenario.settings.clone().at_speed(speed);
        let runner = Runner::new(scenario, speed);
        Self { memory: Memory::default(), sim: Sim::new(settings), runner, seen: 0, now }
    }

    /// The time of the player.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Plays on until the scenario has ended and for a while longer.
    pub fn play(&mut self, at_most: Span, longer: Span) -> Result<()> {
        let end = after(self.now, at_most);
        while !self.runner.has_ended(&self.sim) {
            if self.now >= end {
                bail!("the scenario {} still waits for {:?}", self.runner.scenario().name, self.runner.waits_for());
            }
            self.step(end)?;
        }
        let end = after(self.now, longer);
        while self.now < end {
            self.step(end)?;
        }
        Ok(())
    }

    /// All that happens at one time, then on to the next time at which something does.
    fn step(&mut self, end: Timestamp) -> Result<()> {
        for operation in self.runner.next(&self.sim, self.now) {
            self.memory.operate(operation, self.now)?;
        }
        self.listen();
        for write in self.sim.tick(self.now) {
            self.memory.write(write, self.now);
        }
        self.listen();
        // Time always moves, if only a little: a watch would not tell all at once either.
        let soon = after(self.now, Span::millis(10));
        let next = self.sim.next().into_iter().chain(self.runner.due()).min();
        self.now = next.unwrap_or(end).clamp(soon, end.max(soon));
        Ok(())
    }

    fn listen(&mut self) {
        for event in &self.memory.events[self.seen..] {
            if event.kind == "DELETED" {
                let text = |field: &str| event.object["metadata"][field].as_str().unwrap_or_default().to_owned();
                let key = Key { namespace: text("namespace"), name: text("name") };
                if let Some(kind) = event.object["kind"].as_str().and_then(Kind::from_name) {
                    self.sim.deleted(kind, &key, self.now);
                }
            } else {
                self.sim.applied(&event.object, self.now);
            }
        }
        self.seen = self.memory.events.len();
    }
}

/// Plays a scenario to its end. The answer is all that a watch would have seen.
pub fn play(scenario: Scenario, speed: f64, from: Timestamp, at_most: Span) -> Result<Vec<Event>> {
    let mut player = Player::new(scenario, speed, from);
    player.play(at_most, Span::seconds(4))?;
    Ok(player.memory.events)
}
