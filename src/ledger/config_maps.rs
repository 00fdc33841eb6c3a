//! The ledger in ConfigMaps: one for each part, which nobody writes who has not read what is there.
//!
//! Opened by `app` for a term of office, written by `keep`. Each write names the version that it replaces, so that of two
//! processes that both believe to be in office only one succeeds; the other finds the higher epoch and stops. It reads and
//! writes these objects by their names and no other ones.

use super::recover::Stored;
use super::{Damage, decode_head};
use anyhow::Context;
use flate2::Compression;
use flate2::read::GzEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use std::collections::BTreeMap;
use std::future::Future;
use std::io::Read;
use std::time::Duration;

/// The key of the account.
const ACCOUNT: &str = "account";
/// The key of an account that could not be read, for a person to look at.
const DAMAGED: &str = "damaged.gz";
/// So many bytes of it are kept, beside an account of any size.
const DAMAGED_MAX: usize = 64 * 1024;
/// How long the API server may take with one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Somebody else may write at the same time, but not for ever.
const MOST_CONFLICTS: usize = 5;

/// Why a part was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody with a later term has written it: we are not in office any more.
    #[error("{0} was written by another replica in a later term ({1})")]
    Deposed(String, String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// What is known of the object of a part.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Its metadata, with the version that the next write replaces.
    metadata: ObjectMeta,
    /// An account that was put aside.
    damaged: Option<Vec<u8>>,
}

/// The ConfigMaps of a ledger.
pub struct ConfigMaps {
    api: Api<ConfigMap>,
    name: String,
    known: BTreeMap<u16, Known>,
    /// The texts that were read, until they are put aside or replaced.
    read: BTreeMap<String, (u16, String)>,
    conflicts: u64,
}

async fn patiently<T>(request: impl Future<Output = kube::Result<T>>) -> anyhow::Result<kube::Result<T>> {
    tokio::time::timeout(PATIENCE, request).await.with_context(|| format!("no answer within {PATIENCE:?}"))
}

fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

impl ConfigMaps {
    /// The ledger of this name in a namespace.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), known: BTreeMap::new(), read: BTreeMap::new(), conflicts: 0 }
    }

    fn object(&self, part: u16) -> String {
        format!("{}-ledger-{part}", self.name)
    }

    /// How often somebody else had written since this was last asked.
    pub fn take_conflicts(&mut self) -> u64 {
        std::mem::take(&mut self.conflicts)
    }

    /// Every part that is there; `parts` is how many there should be.
    ///
    /// # Errors
    /// If the API server does not answer, or does not allow it.
    pub async fn read(&mut self, parts: u16) -> anyhow::Result<Vec<Stored>> {
        let mut stored = Vec::new();
        let mut parts = parts;
        let mut part = 0;
        while part < parts {
            if let Some(text) = self.fetch(part).await? {
                // One that was cut into more parts is read whole.
                parts = parts.max(decode_head(&text).map_or(0, |head| head.parts));
                let name = format!("ConfigMap {}", self.object(part));
                self.read.insert(name.clone(), (part, text.clone()));
                stored.push(Stored { name, text });
            }
            part += 1;
        }
        Ok(stored)
    }

    /// Reads a part and remembers its version; nothing if it is not there.
    async fn fetch(&mut self, part: u16) -> anyhow::Result<Option<String>> {
        let name = self.object(part);
        let found = patiently(self.api.get_opt(&name)).await.and_then(|found| Ok(found?));
        let Some(object) = found.with_context(|| format!("ConfigMap {name} cannot be read"))? else {
            self.known.remove(&part);
            return Ok(None);
        };
        let damaged = object.binary_data.unwrap_or_default().remove(DAMAGED).map(|ByteString(bytes)| bytes);
        let metadata = ObjectMeta { managed_fields: None, ..object.metadata };
        self.known.insert(part, Known { metadata, damaged });
        // One without an account is damaged, not absent: there was one.
        Ok(Some(object.data.unwrap_or_default().remove(ACCOUNT).unwrap_or_default()))
    }

    /// Keeps a damaged account beside the one that is written next.
    pub fn set_aside(&mut self, name: &str) -> String {
        if let Some((part, text)) = self.read.remove(name) {
            let mut bytes = Vec::new();
            // Reading from memory cannot fail.
            let _ = GzEncoder::new(text.as_bytes(), Compression::default()).read_to_end(&mut bytes);
            bytes.truncate(DAMAGED_MAX);
            self.known.entry(part).or_default().damaged = Some(bytes);
        }
        format!("{name}, binaryData {DAMAGED}")
    }

    /// Writes a part in this term.
    ///
    /// # Errors
    /// [`WriteError::Deposed`] if somebody has written it in a later term.
    pub async fn write(&mut self, part: u16, epoch: u64, text: &str) -> Result<(), WriteError> {
        self.put(part, epoch, text, MOST_CONFLICTS).await
    }

    /// Marks a part that was read as one of this term. What somebody has written since is not replaced: it has not been read.
    ///
    /// # Errors
    /// If it is another than was read; also [`WriteError::Deposed`].
    pub async fn mark(&mut self, part: u16, epoch: u64, text: &str) -> Result<(), WriteError> {
        self.put(part, epoch, text, 1).await
    }

    async fn put(&mut self, part: u16, epoch: u64, text: &str, tries: usize) -> Result<(), WriteError> {
        let name = self.object(part);
        for _ in 0..tries {
            let known = self.known.get(&part).cloned();
            let known = known.unwrap_or_default();
            let is_new = known.metadata.resource_version.is_none();
            let object = self.make(&name, known, text);
            let (post, api) = (PostParams::default(), &self.api);
            let sent = if is_new {
                patiently(api.create(&post, &object)).await
            } else {
                patiently(api.replace(&name, &post, &object)).await
            };
            match sent.with_context(|| format!("ConfigMap {name} cannot be written"))? {
                Ok(written) => {
                    let metadata = ObjectMeta { managed_fields: None, ..written.metadata };
                    self.known.entry(part).or_default().metadata = metadata;
                    self.read.retain(|_, (read, _)| *read != part);
                    return Ok(());
                }
                // It is another than we know: written, made, or deleted and perhaps made again.
                Err(error) if has_code(&error, 409) || has_code(&error, 404) => {
                    self.conflicts += 1;
                    if let Some(there) = self.fetch(part).await? {
                        is_ours(&name, &there, epoch)?;
                    }
                }
                Err(error) => {
                    return Err(anyhow::Error::new(error).context(format!("ConfigMap {name} cannot be written")).into());
                }
            }
        }
        Err(anyhow::anyhow!("ConfigMap {name} is written by somebody else at the same time").into())
    }

    fn make(&self, name: &str, known: Known, text: &str) -> ConfigMap {
        let Known { mut metadata, damaged } = known;
        metadata.name = Some(name.to_owned());
        let labels = metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/name".to_owned(), "mtv-sentinel".to_owned());
        labels.insert("app.kubernetes.io/component".to_owned(), "ledger".to_owned());
        let binary_data = damaged.map(|bytes| BTreeMap::from([(DAMAGED.to_owned(), ByteString(bytes))]));
        let data = Some(BTreeMap::from([(ACCOUNT.to_owned(), text.to_owned())]));
        ConfigMap { metadata, data, binary_data, ..ConfigMap::default() }
    }

    /// Removes the parts from this number on, of those that were read.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub async fn remove_from(&mut self, part: u16) -> anyhow::Result<()> {
        for part in self.known.range(part..).map(|(part, _)| *part).collect::<Vec<_>>() {
            let name = self.object(part);
            let version = self.known.get(&part).and_then(|known| known.metadata.resource_version.clone());
            let only = DeleteParams {
                preconditions: Some(Preconditions { resource_version: version, uid: None }),
                ..DeleteParams::default()
            };
            match patiently(self.api.delete(&name, &only)).await? {
                Err(error) if !has_code(&error, 404) => {
                    return Err(anyhow::Error::new(error).context(format!("ConfigMap {name} cannot be removed")));
                }
                Ok(_) | Err(_) => drop(self.known.remove(&part)),
            }
        }
        Ok(())
    }
}

/// Whether what is there is to be replaced by one who writes in this term: what a person has broken is, what a later term has
/// written is not.
fn is_ours(name: &str, there: &str, epoch: u64) -> Result<(), WriteError> {
    match decode_head(there) {
        Ok(head) if head.epoch > epoch => Err(WriteError::Deposed(name.to_owned(), format!("{} > {epoch}", head.epoch))),
        Err(newer @ Damage::Newer(_)) => Err(WriteError::Deposed(name.to_owned(), newer.to_string())),
        Ok(_) | Err(Damage::Corrupt(_)) => Ok(()),
    }
}
