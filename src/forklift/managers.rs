//! The GitOps tools that write an object back, and by which marks they are known. Used by `convert`.
//!
//! Sources: Argo CD, "Annotations and Labels used by Argo CD" and its field manager `argocd-controller`; Flux' kustomize- and
//! helm-controller, which label what they apply and name themselves as field managers; Open Cluster Management's subscriptions;
//! Rancher Fleet (Wrangler's `objectset` marks); Config Sync. `app.kubernetes.io/instance` is no mark: Helm and people set it too.

/// A tool, the prefixes of its labels and annotations, and how the names of its field managers begin.
const TOOLS: &[(&str, &[&str], &[&str])] = &[
    ("Argo CD", &["argocd.argoproj.io/"], &["argocd"]),
    (
        "Flux",
        &["kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/"],
        &["kustomize-controller", "helm-controller", "flux"],
    ),
    (
        "Open Cluster Management",
        &["apps.open-cluster-management.io/"],
        &["multicluster-operators-subscription", "work-agent"],
    ),
    ("Fleet", &["objectset.rio.cattle.io/"], &["fleetagent", "fleet-agent"]),
    ("Config Sync", &["configsync.gke.io/", "configmanagement.gke.io/"], &["configsync"]),
];

/// The tool that manages an object with labels and annotations of these names, whose fields were written by these; empty if
/// none of those that are known does.
pub(super) fn manager<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    writers: impl Iterator<Item = &'a str> + Clone,
) -> &'static str {
    let manages = |(_, marks, managers): &&(&str, &[&str], &[&str])| {
        let marked = names.clone().any(|name| marks.iter().any(|mark| name.starts_with(mark)));
        marked || writers.clone().any(|writer| managers.iter().any(|manager| writer.starts_with(manager)))
    };
    TOOLS.iter().find(manages).map_or("", |(tool, _, _)| tool)
}
