//! `files`: the source files:PATH.

use super::section::section;
use std::time::Duration;

section! {
    /// The source files:PATH.
    pub struct FilesConfig {
        /// How often to look whether a file has changed.
        poll_interval: Duration = "2s",
    }
}
