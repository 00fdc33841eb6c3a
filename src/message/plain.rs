//! Texts of others made fit to be shown anywhere, and amounts as people read them.
//!
//! Called by everything in this module: no text of an object gets into a message but through here.

use crate::plan::Time;
use std::time::Duration;

/// Whether a character must not reach a receiver: it controls a terminal or the direction of what follows.
fn speaks(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of somebody else's as one line of at most `most` characters. One line, because a text with lines of its own could
/// look like ours, such as a command to run.
pub(super) fn line(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for word in text.split(|c: char| c.is_whitespace()).filter(|word| !word.is_empty()) {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.extend(word.chars().map(|c| if speaks(c) { '\u{fffd}' } else { c }));
        if shown.len() > most * 4 {
            break;
        }
    }
    cut(&shown, most)
}

/// A text with lines, as a template gives it: what is no plain text is replaced.
pub(super) fn lines(text: &str, most: usize) -> String {
    let text = text.replace("\r\n", "\n");
    let shown: String = text.chars().map(|c| if c != '\n' && speaks(c) { '\u{fffd}' } else { c }).collect();
    cut(shown.trim(), most)
}

/// At most so many characters; what is cut off is marked.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A duration by its two largest units: `3h 12m`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let from = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    let shown = units.iter().skip(from).take(2).filter(|(count, _)| *count > 0);
    let shown: Vec<String> = shown.map(|(count, unit)| format!("{count}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

/// An instant, and how far it is from now.
pub(super) fn moment(at: Time, now: Time) -> String {
    if at > now {
        format!("{at} (in {})", duration(at.since(now)))
    } else {
        format!("{at} ({} ago)", duration(now.since(at)))
    }
}

/// Bytes in the unit that leaves at most four digits.
#[allow(clippy::cast_precision_loss)]
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}
