//! `ledger`: where it is kept what was told to whom.

use super::section::section;
use super::setting::Count;
use std::path::PathBuf;

section! {
    /// Where it is kept what was told to whom.
    pub struct LedgerConfig {
        /// A folder, for this program alone, in which it is kept what was told to whom; it outlives a restart. Empty for none:
        /// then each start begins anew, with a baseline. A replay keeps nothing.
        path: Option<PathBuf> = "\"\"",
        /// Of how many files it is; more of them where there are very many alerts at once.
        parts: Count = "8",
    }
}
