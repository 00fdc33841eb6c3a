//! Carries out what the archive policies decide; in dry-run, the only mode there is, it tells what it would do.
//!
//! Run by `app` as one task, fed by the loop, which never waits for it. It never imports `http`, `watch` or `notify`.

mod cluster;
mod compare;

pub use cluster::{Cluster, Failure, Live};
pub use compare::beside_archived;

use crate::plan::Key;
use crate::policy::Decision;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The decision about a plan has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The plan.
    pub plan: Key,
    /// What the policies say of it now.
    pub decision: Arc<Decision>,
}

/// Tells what would be archived, until the sender is gone.
pub async fn dry_run(mut decisions: mpsc::UnboundedReceiver<Decided>) {
    while let Some(Decided { plan, decision }) = decisions.recv().await {
        let (namespace, plan, reason) = (plan.namespace.as_str(), plan.name.as_str(), decision.reason().as_str());
        let policy = decision.policy().map(|name| name.as_str()).unwrap_or_default();
        let says = decision.says();
        match &*decision {
            Decision::Archive(_) => tracing::info!(namespace, plan, policy, reason, "would archive (dry run): {says}"),
            Decision::Wait(_) => tracing::debug!(namespace, plan, policy, reason, "would not archive yet: {says}"),
            Decision::Never(_) => tracing::debug!(namespace, plan, policy, reason, "would not archive: {says}"),
        }
    }
}
