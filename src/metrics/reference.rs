//! The reference of all metrics, made from the tables: docs/metrics.md and the `metrics` command.

use super::families::{FAMILIES, Render, Unit};
use super::own::OWN;
use std::fmt::Write;

const INTRODUCTION: &str = "\
<!-- Made by `make docs` from the tables in src/metrics. -->

# Metrics

All families about plans, VMs, providers and the fleet are gauges. Timestamps are seconds since 1970 as values, so `time() - x`
is an age. Every family about a plan carries `plan_namespace` and `plan`, every one about a VM `vm` and `vm_id` too: use only
these, because OpenShift's user-workload monitoring overwrites `namespace`. Names, labels and units of stable families change
only with a major version.

";

const LABELS: &str = "\
`migration_plan_labels` carries one more label, `label_NAME`, for each plan label that `metrics.plan_labels` lists.
";

/// The reference as Markdown.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, wanted) in
        [("Plans", "migration_plan_"), ("VMs", "migration_vm_"), ("Providers", "migration_provider_"), ("Fleet", "")]
    {
        let _ = write!(page, "## {title}\n\n| family | labels | unit | stability | meaning |\n|---|---|---|---|---|\n");
        for family in FAMILIES {
            let fleet = matches!(family.render, Render::Fleet(_));
            if fleet == wanted.is_empty() && family.name.starts_with(wanted) {
                let unit = family.unit.map_or("", Unit::as_str);
                let labels = code_list(family.labels);
                let _ = writeln!(page, "| `{}` | {labels} | {unit} | {} | {} |", family.name, family.stability, family.help);
            }
        }
        page.push('\n');
        if title == "Plans" {
            page.push_str(LABELS);
            page.push('\n');
        }
    }
    page.push_str("## mtv-sentinel itself\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for row in OWN {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {}. |",
            full_name(row.name, row.kind),
            row.kind,
            code_list(row.labels),
            row.help
        );
    }
    page
}

/// The reference as JSON: an array of objects with name, type, unit, labels, stability and help.
pub fn json() -> String {
    let families = FAMILIES.iter().map(|family| {
        serde_json::json!({
            "name": family.name,
            "type": "gauge",
            "unit": family.unit.map(Unit::as_str),
            "labels": family.labels,
            "stability": family.stability.as_str(),
            "help": family.help,
        })
    });
    let own = OWN.iter().map(|row| {
        serde_json::json!({
            "name": full_name(row.name, row.kind),
            "type": row.kind,
            "unit": null,
            "labels": row.labels,
            "stability": "stable",
            "help": format!("{}.", row.help),
        })
    });
    let all: Vec<serde_json::Value> = families.chain(own).collect();
    format!("{:#}\n", serde_json::Value::from(all))
}

fn full_name(name: &str, kind: &str) -> String {
    match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    }
}

fn code_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
