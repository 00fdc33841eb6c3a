//! Where the parts of a ledger are: in a folder or in ConfigMaps.
//!
//! Opened by `app`, handed to `keep`. Here is what both can do; what only one can is in its own file.

use super::config_maps::{ConfigMaps, WriteError};
use super::folder::Folder;
use super::recover::Stored;
use std::sync::Arc;

/// A place for the parts.
pub enum Place {
    /// In a folder, which is locked.
    Folder(Arc<Folder>),
    /// In ConfigMaps, whose versions say who writes.
    ConfigMaps(Box<ConfigMaps>),
}

async fn beside<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

impl Place {
    /// Every part that is there; `parts` is how many there should be.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn read(&mut self, parts: u16) -> anyhow::Result<Vec<Stored>> {
        match self {
            Self::Folder(folder) => {
                let folder = Arc::clone(folder);
                beside(move || folder.read()).await
            }
            Self::ConfigMaps(maps) => maps.read(parts).await,
        }
    }

    /// Puts a damaged part aside, for a person to look at; answers where.
    ///
    /// # Errors
    /// If that cannot be done.
    pub async fn set_aside(&mut self, name: &str) -> anyhow::Result<String> {
        match self {
            Self::Folder(folder) => {
                let (folder, name) = (Arc::clone(folder), name.to_owned());
                Ok(beside(move || folder.set_aside(&name)).await?.display().to_string())
            }
            Self::ConfigMaps(maps) => Ok(maps.set_aside(name)),
        }
    }

    /// Writes a part in this term.
    ///
    /// # Errors
    /// [`WriteError::Deposed`] if somebody has written it in a later term.
    pub(super) async fn write(&mut self, part: u16, epoch: u64, text: String) -> Result<(), WriteError> {
        match self {
            Self::Folder(folder) => {
                let folder = Arc::clone(folder);
                Ok(beside(move || folder.write(part, &text)).await?)
            }
            Self::ConfigMaps(maps) => maps.write(part, epoch, &text).await,
        }
    }

    /// Marks a part that was read as one of this term.
    ///
    /// # Errors
    /// If it is another than was read.
    pub(super) async fn mark(&mut self, part: u16, epoch: u64, text: String) -> Result<(), WriteError> {
        match self {
            // The lock keeps everybody else out.
            Self::Folder(_) => self.write(part, epoch, text).await,
            Self::ConfigMaps(maps) => maps.mark(part, epoch, &text).await,
        }
    }

    /// Removes the parts from this number on.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub(super) async fn remove_from(&mut self, part: u16) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => {
                let folder = Arc::clone(folder);
                beside(move || folder.remove_from(part)).await
            }
            Self::ConfigMaps(maps) => maps.remove_from(part).await,
        }
    }

    /// How often somebody else had written since this was last asked.
    pub(super) fn take_conflicts(&mut self) -> u64 {
        match self {
            Self::Folder(_) => 0,
            Self::ConfigMaps(maps) => maps.take_conflicts(),
        }
    }
}
