//! `notify`: who is told.

use super::section::section;

section! {
    /// Who is told.
    pub struct NotifyConfig {
        /// Write each notification to the log, under the receiver name log.
        log: bool = "true",
    }
}
