//! Our definitions of Forklift's kinds, for API servers that do not have them.

use anyhow::{Context, Result};
use serde_json::Value;

/// All of them, as YAML.
pub const ALL: [&str; 7] = [
    include_str!("../../crds/plans.yaml"),
    include_str!("../../crds/migrations.yaml"),
    include_str!("../../crds/providers.yaml"),
    include_str!("../../crds/networkmaps.yaml"),
    include_str!("../../crds/storagemaps.yaml"),
    include_str!("../../crds/hooks.yaml"),
    include_str!("../../crds/hosts.yaml"),
];

/// All of them, as objects.
pub fn objects() -> Result<Vec<Value>> {
    ALL.iter().map(|text| serde_saphyr::from_str(text).context("a CRD is no YAML")).collect()
}
