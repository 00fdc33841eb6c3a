//! Where the tools are that `make tools` builds.

use std::path::PathBuf;

/// The folder of all tools.
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = || std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("mtv-sentinel/tools");
    std::env::var_os("MTV_SENTINEL_TOOLS").map_or_else(cache, PathBuf::from)
}

/// A tool, as `etcd/etcd`.
///
/// # Panics
/// If it is not there.
pub fn tool(path: &str) -> PathBuf {
    let tool = cache().join(path);
    assert!(tool.exists(), "{} is missing: run `make tools`", tool.display());
    tool
}
