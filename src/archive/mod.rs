//! Carries out what the archive policy decides; in dry-run, the only mode there is, it tells what it would do.
//!
//! Run by `app` as one task, fed by the loop, which never waits for it. It never imports `http`, `watch` or `notify`.

mod cluster;
mod compare;

pub use cluster::{Cluster, Failure, Live};
pub use compare::beside_archived;

use crate::plan::Key;
use crate::policy::Decision;
use tokio::sync::mpsc;

/// The decision about a plan has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The plan.
    pub plan: Key,
    /// What the policy says of it now.
    pub decision: Decision,
}

/// Tells what would be archived, until the sender is gone.
pub async fn dry_run(mut decisions: mpsc::UnboundedReceiver<Decided>) {
    while let Some(Decided { plan, decision }) = decisions.recv().await {
        let reason = decision.reason().as_str();
        match decision {
            Decision::Archive(_) => {
                tracing::info!(namespace = %plan.namespace, plan = %plan.name, reason, "would archive (dry run)");
            }
            Decision::Wait(_, again) => {
                let again = again.map(|at| at.to_string()).unwrap_or_default();
                tracing::debug!(namespace = %plan.namespace, plan = %plan.name, reason, again, "would not archive yet");
            }
            Decision::Never(_) => {
                tracing::debug!(namespace = %plan.namespace, plan = %plan.name, reason, "would not archive")
            }
        }
    }
}
