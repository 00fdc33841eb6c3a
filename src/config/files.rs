//! `files`: the source files:PATH.

use super::section::section;
use super::setting::Interval;

section! {
    /// The source files:PATH.
    pub struct FilesConfig {
        /// How often to look whether a file has changed.
        poll_interval: Interval = "2s",
    }
}
