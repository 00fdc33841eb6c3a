//! The two text formats: what tells them apart is their head lines, the samples are the same.

use super::families::{Family, Unit};
use std::fmt::Write;

/// A format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Text,
}

impl Format {
    /// Both.
    pub const ALL: &[Self] = &[Self::OpenMetrics, Self::Text];

    /// The `Content-Type` of the format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Its name in our own metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenMetrics => "openmetrics",
            Self::Text => "text",
        }
    }

    /// What comes last.
    pub fn end(self) -> &'static str {
        match self {
            Self::OpenMetrics => "# EOF\n",
            Self::Text => "",
        }
    }

    /// Writes the head lines of a family; all of ours are gauges. The unit is told in OpenMetrics only.
    pub(super) fn head(self, text: &mut String, family: &Family) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} gauge", family.name, family.help, family.name);
        match (self, family.unit) {
            (Self::OpenMetrics, Some(unit)) => {
                let _ = writeln!(text, "# UNIT {} {}", family.name, unit.as_str());
            }
            (Self::OpenMetrics, None) | (Self::Text, Some(Unit::Seconds | Unit::Bytes | Unit::Ratio) | None) => {}
        }
    }

    /// Our own metrics as prometheus-client prints them (OpenMetrics, without the end), in this format.
    pub(super) fn own(self, openmetrics: String) -> String {
        match self {
            Self::OpenMetrics => openmetrics,
            Self::Text => as_text(&openmetrics),
        }
    }
}

/// The text format knows no units and no info type, and counts `_total` to the name of a counter.
fn as_text(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.split_inclusive('\n') {
        if line.starts_with("# HELP ") {
            help = Some(line);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.trim_end().rsplit_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            let help = help.take().and_then(|line| line.strip_prefix("# HELP ")?.strip_prefix(name)).unwrap_or("\n");
            text.push_str(&format!("# HELP {name}{suffix}{help}# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with("# UNIT ") && !line.starts_with("# EOF") {
            text.push_str(line);
        }
    }
    text
}
