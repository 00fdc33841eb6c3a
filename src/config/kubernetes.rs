//! `kubernetes`: the source cluster.

use super::section::section;
use super::setting::{Count, Interval};
use std::path::PathBuf;

section! {
    /// The source cluster.
    pub struct KubernetesConfig {
        /// A kubeconfig; nothing for that of KUBECONFIG, ~/.kube/config, or the pod's service account.
        kubeconfig: Option<PathBuf> = "\"\"",
        /// A context of the kubeconfig; nothing for its current one.
        context: String = "\"\"",
        /// Namespaces to watch, so that Roles are enough; none for the whole cluster.
        namespaces: Vec<String> = "[]",
        /// Objects in a page of a list.
        page_size: Count = "50",
        /// How long the server may keep a watch open; a connection that is silent for 5s longer is taken for dead.
        watch_timeout: Interval = "50s",
        /// How long the server may take to begin an answer.
        request_timeout: Interval = "30s",
        /// The longest pause between two attempts.
        longest_backoff: Interval = "30s",
        /// How long a watch may be broken before the daemon is not ready any more.
        stale_after: Interval = "2m",
        /// Try lists as streams first, which take less memory; servers that do not know them get pages.
        streaming_lists: bool = "true",
    }
}
