//! docs/archiving.md: the page as it is written in `archiving.md` beside this file, with the guards from their table.

use super::{GUARDS, losses};
use std::fmt::Write;

/// The page as Markdown.
pub fn markdown() -> String {
    let mut guards = "| reason | decision | meaning | source or why |\n|---|---|---|---|\n".to_owned();
    for guard in GUARDS {
        let _ = writeln!(guards, "| `{}` | {} | {} | {} |", guard.reason, guard.stops, guard.says, guard.source);
    }
    let mut labels = "| label | what it says |\n|---|---|\n".to_owned();
    for (name, says) in crate::plan::PLAN_LABELS {
        let _ = writeln!(labels, "| `{name}` | {says} |");
    }
    let mut lost = "| loss | what is deleted |\n|---|---|\n".to_owned();
    for what in losses::Lost::ALL {
        let _ = writeln!(lost, "| `{what}` | {} |", what.says());
    }
    include_str!("archiving.md").replace("{guards}\n", &guards).replace("{labels}\n", &labels).replace("{losses}\n", &lost)
}
