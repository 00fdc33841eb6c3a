//! The reference of all rules, made from the table: docs/alerts.md.

use super::rules::RULES;
use std::fmt::Write;
use std::time::Duration;

const INTRODUCTION: &str = "\
<!-- Made by `make docs` from the table in src/alert/rules.rs. -->

# Alerts

Each rule is evaluated when a plan or provider changes and when its time comes; nothing is polled. An alert is pending until its
condition has held for the time in the table, then it fires, and it is resolved when the condition holds no more. It belongs to
one attempt of a plan: a retry is another one. `alerts.on`, `alerts.off`, `alerts.severity` and `alerts.for` change what the
table says. *Since*: *object* is a time in the object itself, the same after a restart; *seen* is when this program first saw it,
because Forklift keeps no time for it. PlanStalled, QueueStuck and CutoverMissing are not shown while they are pending: it is
the usual thing for a plan that is well.

";

const BY_ITSELF: &str = "
## What happens next

What Forklift does if nobody does anything, and the command that messages show. A message has the names in the places of
`{namespace}`, `{name}` and so on; it leaves out a command whose names it does not know for sure.

| rule | by itself | command |
|---|---|---|
";

/// The reference as Markdown.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| rule | severity | for | on | since | meaning | resolved by |\n|---|---|---|---|---|---|---|\n");
    for rule in RULES {
        let _ = writeln!(
            page,
            "| [{}](runbooks/{}.md) | {} | {} | {} | {} | {} | {} |",
            rule.name,
            rule.name.to_lowercase(),
            rule.severity,
            duration(rule.hold),
            if rule.on { "yes" } else { "no" },
            rule.since,
            rule.summary,
            rule.resolved_by
        );
    }
    page.push_str(BY_ITSELF);
    for rule in RULES {
        let command = rule.command.map_or_else(String::new, |command| {
            // A bar would end the cell.
            format!("{}: `{}`", command.to, command.line.replace('|', "\\|"))
        });
        let _ = writeln!(page, "| {} | {} | {command} |", rule.name, rule.next);
    }
    page.push_str("\n## In PromQL\n\nWhat can be said over the families of docs/metrics.md; the time of the table goes into `for`.\n\n");
    page.push_str("| rule | expression |\n|---|---|\n");
    for rule in RULES {
        if let Some(promql) = rule.promql {
            let _ = writeln!(page, "| {} | `{}` |", rule.name, promql.replace('|', "\\|"));
        }
    }
    page
}

fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "0".to_owned(),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds => format!("{}m", seconds / 60),
    }
}
