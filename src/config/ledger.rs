//! `ledger`: where it is kept what was told to whom.

use super::section::{Errors, section};
use super::setting::{Count, words};
use super::source::Source;
use std::path::PathBuf;

/// Each part is read at the start of a term and written at least once a minute.
const MOST_PARTS: u32 = 256;

closed_enum! {
    /// Where the ledger is.
    #[derive(Default)]
    pub enum LedgerStore {
        /// In the folder, if one is named; in ConfigMaps, where there is a lease; else in memory.
        #[default]
        Auto = "auto",
        /// In a folder.
        Folder = "folder",
        /// In ConfigMaps.
        ConfigMaps = "configmaps",
        /// In memory.
        Memory = "memory",
    }
}

words!(LedgerStore, "auto, folder, configmaps or memory");

section! {
    /// Where it is kept what was told to whom.
    pub struct LedgerConfig {
        /// Where: folder, configmaps (in the namespace of the lease), memory (each start begins anew, with a baseline), or auto: the
        /// folder if path names one, ConfigMaps where there is a lease, else memory. A replay keeps nothing.
        store: LedgerStore = "auto",
        /// The folder, for this program alone; it outlives a restart.
        path: Option<PathBuf> = "\"\"",
        /// The ConfigMaps are called NAME-ledger-0, NAME-ledger-1 and so on.
        name: String = "mtv-sentinel",
        /// Of how many files or ConfigMaps it is; more of them where there are very many alerts at once.
        parts: Count = "8",
    }
}

impl LedgerConfig {
    pub(super) fn check(&self, source: &Source, errors: &mut Errors) {
        match self.store {
            LedgerStore::Folder if self.path.is_none() => {
                errors.push("ledger.path", "is missing; ledger.store: folder needs one");
            }
            LedgerStore::ConfigMaps | LedgerStore::Memory if self.path.is_some() => {
                errors.push("ledger.path", format!("is not used; ledger.store is {}", self.store));
            }
            LedgerStore::ConfigMaps if *source != Source::Cluster => {
                errors.push("ledger.store", "configmaps need the source cluster");
            }
            LedgerStore::Auto | LedgerStore::Folder | LedgerStore::ConfigMaps | LedgerStore::Memory => {}
        }
        if self.parts.0 > MOST_PARTS {
            errors.push("ledger.parts", format!("is {}; it takes 1 to {MOST_PARTS}", self.parts.0));
        }
        if self.name.is_empty() {
            errors.push("ledger.name", "is empty; ConfigMaps have a name");
        }
    }
}
