//! The simulator against a real API server: watches in, statuses out, scenarios carried out beside it.
//!
//! All decisions are in `core` and `scenario`. This file knows the clock and the network.

use crate::core::{Key, Kind, Settings, Sim, Span, Write, after};
use crate::scenario::{Operation, Runner, Scenario};
use anyhow::{Context, Result, bail};
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, Preconditions,
};
use kube::runtime::WatchStreamExt;
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::time::Duration;

/// Rather than at any speed, plans are looked at this often.
const SHORTEST: Duration = Duration::from_millis(20);
/// Scenarios that shall end are given up when nothing has been seen to move for so long.
const PATIENCE: Span = Span::seconds(120);
/// Time moves on by at least this much.
const STEP: Span = Span::millis(10);
/// After something that the API server did not take.
const PAUSE: Duration = Duration::from_millis(500);
/// Writes under way at a time. Those of a plan and its Migrations stay in order.
const WRITERS: usize = 16;
/// How often a conflict is answered by another try.
const TRIES: usize = 5;

/// What to simulate.
#[derive(Debug)]
pub struct Options {
    /// How much faster than a real cluster time runs.
    pub speed: f64,
    /// Scenarios that are carried out beside.
    pub scenarios: Vec<Scenario>,
    /// Whether to stop when all of them have ended.
    pub once: bool,
}

/// The wall clock: the only place that reads it.
#[expect(clippy::disallowed_methods, reason = "the driver is where time comes from")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Puts our definitions of Forklift's kinds in place and waits until the API server serves them.
pub async fn apply_crds(client: &kube::Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in crate::crds::objects()? {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let params = PatchParams::apply("forklift-sim").force();
        api.patch(&name, &params, &Patch::Apply(&crd)).await.with_context(|| format!("CRD {name}"))?;
        let established = await_condition(api.clone(), &name, is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established)
            .await
            .with_context(|| format!("CRD {name} is not served"))??;
    }
    Ok(())
}

/// Simulates until `stop` resolves, or until all scenarios have ended if that is asked for.
pub async fn run(client: kube::Client, options: Options, stop: impl Future<Output = ()>) -> Result<()> {
    let mut driver = Driver::new(client, &options);
    let mut events = driver.watch();
    tokio::pin!(stop);
    let mut calm_since = None;
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            event = events.next() => match event {
                Some((kind, Ok(event))) => {
                    driver.moved = now();
                    driver.seen(kind, event);
                }
                Some((kind, Err(error))) => tracing::warn!(kind = kind.name(), %error, "watch"),
                None => bail!("all watches ended"),
            },
            () = tokio::time::sleep(driver.wait()) => driver.turn().await?,
        }
        if options.once && driver.operations.is_empty() && driver.runners.iter().all(|runner| runner.has_ended(&driver.sim))
        {
            // The last statuses are written; whoever watches gets a moment to see them.
            let since = *calm_since.get_or_insert_with(now);
            if now() >= after(since, Span::seconds(1)) {
                return Ok(());
            }
        } else {
            calm_since = None;
        }
        if options.once && now() >= after(driver.moved, PATIENCE) {
            let waits = |runner: &Runner| Some(format!("{}: {}", runner.scenario().name, runner.waits_for()?));
            bail!("nothing moves any more; {:?}", driver.runners.iter().filter_map(waits).collect::<Vec<_>>());
        }
    }
}

struct Driver {
    client: kube::Client,
    sim: Sim,
    runners: Vec<Runner>,
    /// Objects as they were seen last, for their versions.
    objects: BTreeMap<(Kind, Key), DynamicObject>,
    /// What a list that is under way has shown.
    listed: BTreeMap<Kind, BTreeSet<Key>>,
    /// Kinds whose first list has ended.
    synced: BTreeSet<Kind>,
    namespaces: BTreeSet<String>,
    /// What people did and the API server has not taken yet.
    operations: VecDeque<Operation>,
    last_turn: Timestamp,
    /// When something was seen last.
    moved: Timestamp,
}

impl Driver {
    fn new(client: kube::Client, options: &Options) -> Self {
        let speed = options.speed;
        let mut sim = Sim::new(Settings::default().at_speed(speed));
        for scenario in &options.scenarios {
            sim.set_settings(scenario.namespace(), scenario.settings.clone().at_speed(speed));
        }
        let runners = options.scenarios.iter().map(|scenario| Runner::new(scenario.clone(), speed)).collect();
        Self {
            client,
            sim,
            runners,
            objects: BTreeMap::new(),
            listed: BTreeMap::new(),
            synced: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            operations: VecDeque::new(),
            last_turn: now(),
            moved: now(),
        }
    }

    fn watch(&self) -> impl StreamExt<Item = (Kind, watcher::Result<Event<DynamicObject>>)> + Unpin + use<> {
        let watch = |kind: Kind| -> BoxStream<'static, (Kind, watcher::Result<Event<DynamicObject>>)> {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource(kind));
            watcher(api, watcher::Config::default()).default_backoff().map(move |event| (kind, event)).boxed()
        };
        stream::select_all(Kind::ALL.map(watch))
    }

    fn seen(&mut self, kind: Kind, event: Event<DynamicObject>) {
        match event {
            Event::Init => drop(self.listed.insert(kind, BTreeSet::new())),
            Event::InitApply(object) => {
                self.listed.entry(kind).or_default().insert(key(&object));
                self.applied(kind, object);
            }
            Event::InitDone => {
                let listed = self.listed.remove(&kind).unwrap_or_default();
                let known = self.objects.keys().filter(|(known, _)| *known == kind).map(|(_, key)| key.clone());
                for gone in known.filter(|key| !listed.contains(key)).collect::<Vec<_>>() {
                    self.deleted(kind, &gone);
                }
                self.synced.insert(kind);
            }
            Event::Apply(object) => self.applied(kind, object),
            Event::Delete(object) => {
                let key = key(&object);
                let known = self.objects.get(&(kind, key.clone()));
                // There may be another one of that name already.
                if known.is_some_and(|known| known.metadata.uid == object.metadata.uid) {
                    self.deleted(kind, &key);
                }
            }
        }
    }

    /// What a watch shows or a write has answered. Only the first word about a version counts: the other comes later and may be
    /// older.
    fn applied(&mut self, kind: Kind, object: DynamicObject) {
        let id = (kind, key(&object));
        let version =
            |object: &DynamicObject| object.metadata.resource_version.as_deref().and_then(|text| text.parse::<u64>().ok());
        if self.objects.get(&id).is_some_and(|known| version(known) >= version(&object)) {
            return;
        }
        let mut value = serde_json::to_value(&object).unwrap_or_default();
        // Items of a list do not say what they are.
        value["kind"] = json!(kind.name());
        self.sim.applied(&value, now());
        self.objects.insert(id, object);
    }

    fn deleted(&mut self, kind: Kind, key: &Key) {
        self.objects.remove(&(kind, key.clone()));
        self.sim.deleted(kind, key, now());
    }

    /// How long until something is due.
    fn wait(&self) -> Duration {
        if self.synced.len() < Kind::ALL.len() {
            return Duration::from_millis(100);
        }
        let dues = self.runners.iter().filter_map(Runner::due).chain(self.sim.next());
        let soon = after(now(), Span::millis(500));
        let due = dues.min().unwrap_or(soon).min(soon);
        let since_last = Duration::try_from(now().duration_since(self.last_turn)).unwrap_or(SHORTEST);
        Duration::try_from(due.duration_since(now())).unwrap_or_default().max(SHORTEST.saturating_sub(since_last))
    }

    /// One turn: what the controller does, then what people do.
    async fn turn(&mut self) -> Result<()> {
        if self.synced.len() < Kind::ALL.len() {
            // A plan that runs must not be seen before its Migration.
            return Ok(());
        }
        let writes = self.catch_up(now());
        self.write_all(writes).await;
        while let Some(operation) = self.operations.front().cloned() {
            match self.operate(operation).await {
                Ok(()) => drop(self.operations.pop_front()),
                Err(error) if is_passing(&error) => {
                    tracing::warn!(error = format!("{error:#}"), "tried again");
                    tokio::time::sleep(PAUSE).await;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Moves the controller on to the present, step by step: a turn may be late, and who waits for a state that lasts a moment must
    /// not miss it. Stops where people have something to do.
    fn catch_up(&mut self, end: Timestamp) -> Vec<Write> {
        let mut writes: Vec<Write> = Vec::new();
        while self.operations.is_empty() && self.last_turn < end {
            let soon = after(self.last_turn, STEP).min(end);
            let at = self.sim.next().unwrap_or(end).clamp(soon, end);
            self.last_turn = at;
            for write in self.sim.tick(at) {
                // Of the statuses of an object in one turn the last one is enough.
                let is_status = |write: &Write| matches!(write, Write::Status { .. });
                if is_status(&write) {
                    writes.retain(|earlier| !is_status(earlier) || target(earlier) != target(&write));
                }
                writes.push(write);
            }
            for runner in &mut self.runners {
                self.operations.extend(runner.next(&self.sim, at));
            }
        }
        writes
    }

    async fn write_all(&mut self, writes: Vec<Write>) {
        let mut lanes: BTreeMap<Key, Vec<Write>> = BTreeMap::new();
        for write in writes {
            lanes.entry(self.lane(&write)).or_default().push(write);
        }
        let this = &*self;
        let lane = |writes: Vec<Write>| async move {
            let mut written: BTreeMap<(Kind, Key), Result<DynamicObject>> = BTreeMap::new();
            for write in writes {
                let (kind, key, _) = target(&write);
                let newest = written.get(&(kind, key.clone())).and_then(|written| written.as_ref().ok());
                match this.write(write, newest.cloned()).await {
                    Ok(Some(object)) => drop(written.insert((kind, key), Ok(object))),
                    Ok(None) => {}
                    Err(error) => drop(written.insert((kind, key), Err(error))),
                }
            }
            written.into_iter().collect::<Vec<_>>()
        };
        let written: Vec<_> = stream::iter(lanes.into_values().map(lane)).buffer_unordered(WRITERS).concat().await;
        if written.iter().any(|(_, outcome)| outcome.is_err()) {
            tokio::time::sleep(PAUSE).await;
        }
        for ((kind, key), outcome) in written {
            match outcome {
                Ok(object) => self.applied(kind, object),
                Err(error) => {
                    tracing::warn!(kind = kind.name(), %key, %error, "not written");
                    self.sim.not_written(kind, &key, now());
                }
            }
        }
    }

    /// Writes of one lane keep their order: a Migration goes with its plan.
    fn lane(&self, write: &Write) -> Key {
        let (kind, key, _) = target(write);
        let plan = self.sim.migration(&key).filter(|_| kind == Kind::Migration).map(|migration| migration.spec.plan.clone());
        plan.unwrap_or(key)
    }

    fn api(&self, kind: Kind, key: &Key) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &resource(kind))
    }

    /// Writes, knowing the newest version of the object if there was a write in this turn. The answer is the next version.
    async fn write(&self, write: Write, newest: Option<DynamicObject>) -> Result<Option<DynamicObject>> {
        let (kind, key, uid) = target(&write);
        let api = self.api(kind, &key);
        match write {
            Write::Status { status, gained, lost, .. } => {
                if !gained.is_empty() || !lost.is_empty() {
                    tracing::info!(kind = kind.name(), %key, ?gained, ?lost, "conditions");
                }
                let newest = newest.or_else(|| self.objects.get(&(kind, key.clone())).cloned());
                write_status(&api, &key.name, &uid, newest, status).await
            }
            Write::Owner { owner, .. } => {
                // The uid makes it a conflict if the object is another one by now.
                let patch = json!({ "metadata": { "uid": uid, "ownerReferences": [owner] } });
                found(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(&patch)).await)
            }
            Write::Delete { .. } => {
                let only = Preconditions { uid: Some(uid), resource_version: None };
                found(api.delete(&key.name, &DeleteParams::default().preconditions(only)).await).map(|_| None)
            }
        }
    }

    async fn operate(&mut self, operation: Operation) -> Result<()> {
        match operation {
            Operation::Create(object) => {
                let Some(kind) = object["kind"].as_str().and_then(Kind::from_name) else {
                    bail!("unknown kind in {object}")
                };
                let object: DynamicObject = serde_json::from_value(object)?;
                let key = key(&object);
                self.namespace(&key.namespace).await?;
                // Scenarios may share providers and maps. A plan that is there already has a history of its own.
                let shared = matches!(kind, Kind::Provider | Kind::NetworkMap | Kind::StorageMap);
                match self.api(kind, &key).create(&PostParams::default(), &object).await {
                    Err(kube::Error::Api(error)) if error.code == 409 && shared => {}
                    made => self.applied(kind, made.with_context(|| format!("making {} {key}", kind.name()))?),
                }
            }
            Operation::Patch { kind, key, patch } => {
                let patched = self.api(kind, &key).patch(&key.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
                self.applied(kind, patched.with_context(|| format!("changing {} {key}", kind.name()))?);
            }
            Operation::Delete { kind, key } => {
                let deleted = self.api(kind, &key).delete(&key.name, &DeleteParams::default()).await;
                found(deleted).with_context(|| format!("deleting {} {key}", kind.name()))?;
                self.deleted(kind, &key);
            }
        }
        Ok(())
    }

    async fn namespace(&mut self, name: &str) -> Result<()> {
        if !self.namespaces.contains(name) {
            let api: Api<Namespace> = Api::all(self.client.clone());
            let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            match api.create(&PostParams::default(), &namespace).await {
                Err(kube::Error::Api(error)) if error.code == 409 => {}
                other => drop(other.with_context(|| format!("making the namespace {name}"))?),
            }
            self.namespaces.insert(name.to_owned());
        }
        Ok(())
    }
}

/// Replaces a status as a controller does, and tries again on the newest object if that has changed.
async fn write_status(
    api: &Api<DynamicObject>,
    name: &str,
    uid: &str,
    mut newest: Option<DynamicObject>,
    status: Value,
) -> Result<Option<DynamicObject>> {
    for _ in 0..TRIES {
        let current = match newest.take() {
            Some(current) => Some(current),
            None => api.get_opt(name).await?,
        };
        let Some(mut current) = current.filter(|current| current.metadata.uid.as_deref() == Some(uid)) else {
            return Ok(None);
        };
        current.data["status"] = status.clone();
        match api.replace_status(name, &PostParams::default(), &current).await {
            Err(kube::Error::Api(error)) if error.code == 409 => {}
            other => return found(other),
        }
    }
    bail!("it changed {TRIES} times while it was written")
}

/// Whether the API server may take it another time: it is not there, or has too much to do.
fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(error)) => error.code >= 500 || error.code == 429,
        Some(_) => true,
        None => false,
    }
}

/// An object that is gone, or another one by now, is nothing to write to.
fn found<T>(result: kube::Result<T>) -> Result<Option<T>> {
    match result {
        Err(kube::Error::Api(error)) if error.code == 404 || error.code == 409 => Ok(None),
        other => Ok(Some(other?)),
    }
}

fn target(write: &Write) -> (Kind, Key, String) {
    match write {
        Write::Status { kind, key, uid, .. } => (*kind, key.clone(), uid.clone()),
        Write::Owner { key, uid, .. } | Write::Delete { key, uid } => (Kind::Migration, key.clone(), uid.clone()),
    }
}

fn key(object: &DynamicObject) -> Key {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Key { namespace: text(&object.metadata.namespace), name: text(&object.metadata.name) }
}

fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk("forklift.konveyor.io", "v1beta1", kind.name());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}
