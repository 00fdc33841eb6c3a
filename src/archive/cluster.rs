//! What the archiver asks of the API server: a plan as it is at this moment, with all that decides about it, and the patch that
//! archives it, first as a dry run.
//!
//! Used by the archiver. It decides nothing and tries nothing again: a write whose outcome is unknown has to be looked at
//! before anything else is done.

use super::compare::beside_archived;
use crate::forklift::{self, Object};
use crate::lease::Permit;
use crate::plan::{Key, PlanState, Time};
use crate::store::Store;
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "/apis/forklift.konveyor.io/v1beta1";
/// The name under which the API server notes what was written by us.
const MANAGER: &str = "mtv-sentinel-archiver";
/// How long the API server may take to be read from, or to try a patch out: its webhooks have time in it too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a plan was not archived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It has changed since it was read: it is decided about anew.
    #[error("it has changed meanwhile: {0}")]
    Conflict(String),
    /// It is not there any more, or is another one by that name.
    #[error("it is gone")]
    Gone,
    /// An admission webhook, or the schema, does not allow it; in their words.
    #[error("refused: {0}")]
    Refused(String),
    /// We have not the right, which is named.
    #[error("not allowed: {0}")]
    Denied(String),
    /// Nothing was done.
    #[error("nothing was done: {0}")]
    NotDone(String),
    /// It may have been done: it has to be read before anything else.
    #[error("it is not known whether it was done: {0}")]
    Unknown(String),
    /// More would change than `spec.archived`: at these paths. Nothing was done.
    #[error("the patch would also change {}", .0.join(", "))]
    WouldChange(Vec<String>),
    /// More has changed than `spec.archived`: at these paths. It is archived.
    #[error("the patch has also changed {}", .0.join(", "))]
    HasChanged(Vec<String>),
}

/// A plan as it is at this moment.
#[derive(Clone, Debug)]
pub struct Live {
    /// What the API server has of it.
    pub object: Value,
    /// What follows from that and from its Migrations and providers, read at the same time.
    pub state: Arc<PlanState>,
    /// The maps that it names and that are not there.
    pub missing_maps: Vec<Key>,
}

impl Live {
    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The uid that a patch is for.
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// The version that a patch is for.
    pub fn version(&self) -> &str {
        self.text("/metadata/resourceVersion")
    }
}

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
}

fn path(key: &Key, plural: &str) -> String {
    format!("{GROUP}/namespaces/{}/{plural}/{}", key.namespace, key.name)
}

async fn within<T>(patience: Duration, asked: impl Future<Output = kube::Result<T>>) -> Option<kube::Result<T>> {
    tokio::time::timeout(patience, asked).await.ok()
}

impl Cluster {
    /// The API server of a client that tries nothing again by itself.
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// Reads a plan, its Migrations, its providers and its maps, as of `now`.
    ///
    /// # Errors
    /// Whatever keeps from knowing all of it.
    pub async fn read(&self, key: &Key, now: Time) -> Result<Live, Failure> {
        let object = self.get(&path(key, "plans")).await?.ok_or(Failure::Gone)?;
        let mut store = Store::default();
        store.apply(decode(&object)?, now);
        let migrations = format!("{GROUP}/namespaces/{}/migrations", key.namespace);
        let list = self.get(&migrations).await?.unwrap_or_default();
        for item in list["items"].as_array().into_iter().flatten() {
            // The items of a list do not say what they are.
            let mut item = item.clone();
            item["kind"] = "Migration".into();
            item["apiVersion"] = list["apiVersion"].clone();
            store.apply(decode(&item)?, now);
        }
        let mut missing_maps = Vec::new();
        for (pointer, plural) in [
            ("/spec/provider/source", "providers"),
            ("/spec/provider/destination", "providers"),
            ("/spec/map/network", "networkmaps"),
            ("/spec/map/storage", "storagemaps"),
        ] {
            let Some(named) = reference(&object, pointer) else { continue };
            match self.get(&path(&named, plural)).await? {
                Some(found) if plural == "providers" => drop(store.apply(decode(&found)?, now)),
                None if plural != "providers" => missing_maps.push(named),
                Some(_) | None => {}
            }
        }
        let state = store.plan(key).cloned().ok_or(Failure::Gone)?;
        Ok(Live { object, state, missing_maps })
    }

    /// Lets the API server and its webhooks try the patch out, without doing it.
    ///
    /// # Errors
    /// What keeps from archiving it, or what else it would change.
    pub async fn try_out(&self, live: &Live) -> Result<(), Failure> {
        let tried = self.patch(live, true, PATIENCE).await;
        // Nothing is done in a dry run, whatever becomes of the answer.
        let after = tried.map_err(|failure| match failure {
            Failure::Unknown(why) => Failure::NotDone(why),
            other => other,
        })?;
        let changed = beside_archived(&live.object, &after);
        if changed.is_empty() { Ok(()) } else { Err(Failure::WouldChange(changed)) }
    }

    /// Archives a plan, if it is still what was read; with leave to, and within the time of that.
    ///
    /// # Errors
    /// What became of it instead. Of [`Failure::Unknown`] nobody knows.
    pub async fn archive(&self, live: &Live, permit: Permit) -> Result<(), Failure> {
        let after = self.patch(live, false, permit.left()).await?;
        let changed = beside_archived(&live.object, &after);
        if changed.is_empty() { Ok(()) } else { Err(Failure::HasChanged(changed)) }
    }

    async fn patch(&self, live: &Live, dry_run: bool, patience: Duration) -> Result<Value, Failure> {
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": live.uid()},
            {"op": "test", "path": "/metadata/resourceVersion", "value": live.version()},
            {"op": "add", "path": "/spec/archived", "value": true},
        ]);
        let query = if dry_run { "&dryRun=All" } else { "" };
        let url = format!("{}?fieldManager={MANAGER}{query}", path(&live.state.plan.key, "plans"));
        let request = Request::patch(url).header(CONTENT_TYPE, "application/json-patch+json").body(patch.to_string());
        let request = request.map_err(|error| Failure::NotDone(error.to_string()))?.map(String::into_bytes);
        match within(patience, self.client.request::<Value>(request)).await {
            None => Err(Failure::Unknown(format!("no answer within {patience:?}"))),
            Some(Ok(after)) => Ok(after),
            Some(Err(kube::Error::Api(status))) => Err(self.refused(live, status.code, &status.message).await),
            Some(Err(error)) => Err(Failure::Unknown(error.to_string())),
        }
    }

    /// What a refusal of a patch means.
    async fn refused(&self, live: &Live, code: u16, message: &str) -> Failure {
        let said = format!("{code} {message}");
        let is_webhook = message.contains("admission webhook");
        match code {
            404 => Failure::Gone,
            409 => Failure::Conflict(said),
            // A test of the patch that failed, or something that will fail again: the version says which.
            422 => match self.get(&path(&live.state.plan.key, "plans")).await {
                Ok(None) => Failure::Gone,
                Ok(Some(now)) if now.pointer("/metadata/uid") != live.object.pointer("/metadata/uid") => Failure::Gone,
                Ok(Some(now))
                    if now.pointer("/metadata/resourceVersion").and_then(Value::as_str) == Some(live.version()) =>
                {
                    Failure::Refused(said)
                }
                Ok(Some(_)) => Failure::Conflict(said),
                Err(failure) => failure,
            },
            401 => Failure::Denied(said),
            403 if !is_webhook => Failure::Denied(said),
            408 | 429 | 503 => Failure::NotDone(said),
            // A webhook that does not answer keeps the write from being done; anything else may have come after it.
            500..=599 if message.contains("failed calling webhook") => Failure::NotDone(said),
            500..=599 => Failure::Unknown(said),
            _ => Failure::Refused(said),
        }
    }

    /// Reads something; nothing if it is not there.
    async fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let request = Request::get(path).body(Vec::new()).map_err(|error| Failure::NotDone(error.to_string()))?;
        match within(PATIENCE, self.client.request::<Value>(request)).await {
            None => Err(Failure::NotDone(format!("{path}: no answer within {PATIENCE:?}"))),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Some(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
                Err(Failure::Denied(format!("{} {}", status.code, status.message)))
            }
            Some(Err(error)) => Err(Failure::NotDone(format!("{path}: {error}"))),
        }
    }
}

fn decode(object: &Value) -> Result<Object, Failure> {
    let bytes = serde_json::to_vec(object).map_err(|error| Failure::NotDone(error.to_string()))?;
    let decoded = forklift::decode(&bytes).map_err(|error| Failure::NotDone(format!("it cannot be decoded: {error:?}")))?;
    Ok(decoded.object)
}

/// What an object names at this place.
fn reference(object: &Value, pointer: &str) -> Option<Key> {
    let named = object.pointer(pointer)?;
    let text = |name: &str| named.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let own = object.pointer("/metadata/namespace").and_then(Value::as_str);
    Some(Key::new(text("namespace").or(own)?, text("name")?))
}
