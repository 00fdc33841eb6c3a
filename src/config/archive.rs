//! `archive`: what happens to plans that have succeeded.

use super::section::section;
use super::setting::words;
use crate::policy::Policy;
use std::time::Duration;

closed_enum! {
    /// What archiving does.
    #[derive(Default)]
    pub enum ArchiveMode {
        /// Nothing.
        #[default]
        Off = "off",
        /// It tells which plans it would archive, and why not the others.
        DryRun = "dry-run",
    }
}

words!(ArchiveMode, "off or dry-run");

section! {
    /// What happens to plans that have succeeded.
    pub struct ArchiveConfig {
        /// off, or dry-run: tell which plans would be archived, and why not the others.
        mode: ArchiveMode = "off",
        /// A plan that succeeded is due this long after its end.
        succeeded_older_than: Duration = "30d",
    }
}

impl ArchiveConfig {
    /// The policy; `None` while archiving is off.
    pub fn policy(&self) -> Option<Policy> {
        match self.mode {
            ArchiveMode::Off => None,
            ArchiveMode::DryRun => Some(Policy { succeeded_older_than: self.succeeded_older_than }),
        }
    }
}
