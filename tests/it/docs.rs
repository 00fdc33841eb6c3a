//! Generated files are what the code generates, and written ones name what there is.

use crate::support::repository;
use mtv_sentinel::config::Config;
use mtv_sentinel::metrics::{FAMILIES, OWN, reference_markdown};
use std::collections::BTreeSet;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_generated_files_are_up_to_date() {
    for (path, generated) in [
        ("docs/metrics.md", reference_markdown()),
        ("docs/alerts.md", mtv_sentinel::alert::reference_markdown()),
        ("docs/archiving.md", mtv_sentinel::policy::reference_markdown()),
        ("config/mtv-sentinel.yaml", Config::sample()),
    ] {
        assert!(read(path) == generated, "{path} is not what the code generates: run `make docs`");
    }
}

/// Names of fields as the structs of the API declare them.
fn fields_of_the_api() -> BTreeSet<String> {
    let source = read("src/http/api.rs") + &read("src/http/archiving.rs") + &read("src/http/notifications.rs");
    let mut fields = BTreeSet::new();
    for block in source.split("struct ").skip(1) {
        let Some((name, body)) = block.split_once('{') else { continue };
        // A struct without named fields.
        if name.contains('(') {
            continue;
        }
        let Some((body, _)) = body.split_once('}') else { continue };
        for part in body.split([',', ';', '\n']) {
            let name = part.trim().split(':').next().unwrap().trim().trim_start_matches("r#");
            if !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                fields.insert(name.to_owned());
            }
        }
    }
    assert!(fields.len() > 40, "{fields:?}");
    fields
}

#[test]
fn the_api_page_tells_every_field() {
    let page = read("docs/api.md");
    let missing: Vec<String> = fields_of_the_api()
        .into_iter()
        .filter(|field| field != "summary" && !page.contains(&format!("`{field}`")))
        .collect();
    assert!(missing.is_empty(), "docs/api.md does not tell {missing:?}");
}

#[test]
fn written_pages_name_only_families_that_there_are() {
    let mut checked = 0;
    for path in ["README.md", "CHANGELOG.md", "ARCHITECTURE.md"] {
        for word in read(path).split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("migration_") && word.len() > "migration_plan_".len() && !word.ends_with('_') {
                checked += 1;
                assert!(FAMILIES.iter().any(|family| family.name == word), "{path} names {word}, which is no family");
            }
        }
    }
    assert!(checked > 10, "{checked}");
}

#[test]
fn the_changelog_names_every_metric_and_every_rule() {
    let page = read("CHANGELOG.md");
    for row in OWN {
        let total = if row.kind == "counter" { "_total" } else { "" };
        let info = if row.kind == "info" { "_info" } else { "" };
        let name = format!("`{}{total}{info}`", row.name);
        assert!(page.contains(&name), "CHANGELOG.md lacks {name}");
    }
    for name in FAMILIES.iter().map(|family| family.name).chain(mtv_sentinel::alert::RULES.iter().map(|rule| rule.name)) {
        assert!(page.contains(&format!("`{name}`")), "CHANGELOG.md lacks {name}");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for path in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs/api.md",
        "docs/metrics.md",
        "docs/alerts.md",
        "docs/archiving.md",
        "docs/messages.md",
        "docs/notifications.md",
        "docs/runbooks/README.md",
    ] {
        let folder = repository(path).parent().unwrap().to_owned();
        for link in read(path).split("](").skip(1) {
            let target = link.split(')').next().unwrap().split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(folder.join(target).exists(), "{path} links to {target}");
            }
        }
    }
}

#[test]
fn the_page_on_notifications_has_every_label_and_every_key() {
    let page = read("docs/notifications.md");
    for (label, meaning) in mtv_sentinel::dispatch::LABELS {
        let row = format!("| `{label}` | {meaning} |");
        assert!(page.contains(&row), "docs/notifications.md lacks {row}");
    }
    let sample = read("config/mtv-sentinel.yaml");
    let keys = sample.split("\nnotify:\n").nth(1).unwrap().lines().take_while(|line| line.starts_with("  "));
    let keys: Vec<&str> = keys.filter(|line| !line.contains('#')).filter_map(|line| line.trim().split(':').next()).collect();
    assert!(keys.len() > 8, "{keys:?}");
    for key in keys {
        assert!(page.contains(key), "docs/notifications.md lacks {key}");
    }
}

#[test]
fn the_page_on_archiving_has_every_key_of_a_policy_and_every_metric() {
    let page = read("docs/archiving.md");
    let config = Config::load(mtv_sentinel::config::Layers {
        environment: vec![("MTV_SENTINEL__ARCHIVE__POLICIES".to_owned(), POLICY.to_owned())],
        ..Default::default()
    });
    let shown = config.unwrap().show();
    let keys = shown.lines().find_map(|line| line.strip_prefix("  policies: [{")).unwrap().split(", ");
    let keys: Vec<&str> = keys.filter_map(|part| part.split_once(": ")).map(|(key, _)| key).collect();
    assert!(keys.len() > 10, "{keys:?}");
    for key in keys.into_iter().chain(["without_acknowledgement", "i-accept-that-targets-are-deleted"]) {
        assert!(page.contains(&format!("`{key}`")), "docs/archiving.md lacks {key}");
    }
    for row in OWN.iter().filter(|row| row.name.contains("_archive_")) {
        assert!(page.contains(row.name), "docs/archiving.md lacks {}", row.name);
    }
    let guards = format!("{} guards", mtv_sentinel::policy::GUARDS.len());
    for path in ["README.md", "CHANGELOG.md"] {
        assert!(read(path).contains(&guards), "{path} does not speak of {guards}");
    }
}

/// A policy that has every key that is shown.
const POLICY: &str = "[{name: x, outcome: Failed, acknowledge: a=b, keep_last: 1}]";
