//! A message as Slack takes it: the title, and the text beside a bar whose colour says how bad it is.
//!
//! Called by `slack`. Pure. Source of the limits: docs.slack.dev, "Block Kit: blocks" (50 blocks, 3,000 characters in a
//! section); that all blocks together may have about 13,200 is not documented (bolt-js, issue 2509).

use crate::alert::Severity;
use crate::dispatch::Turn;
use crate::message::{Message, Notification};
use serde_json::{Value, json};

/// Characters of a section: below Slack's 3,000.
const SECTION_MAX: usize = 2900;
/// Characters of all sections: below Slack's 13,200.
const ALL_MAX: usize = 12_000;
/// Characters of a title: what a phone shows is far less.
const TITLE_MAX: usize = 1000;

/// What is posted, but for the channel.
pub fn payload(notification: &Notification) -> Value {
    let message = &notification.message;
    let title: String = pieces(super::title(message), TITLE_MAX).into_iter().next().unwrap_or_default();
    let block = |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}});
    let blocks: Vec<Value> = sections(message).into_iter().map(block).collect();
    let attachment = json!({"color": colour(message), "fallback": title, "blocks": blocks});
    // An edit without attachments would leave the old ones.
    let attachments = if blocks.is_empty() { json!([]) } else { json!([attachment]) };
    json!({"text": title, "attachments": attachments, "unfurl_links": false, "unfurl_media": false})
}

fn colour(message: &Message) -> &'static str {
    match (message.turn, message.severity) {
        (Turn::Resolved, _) => "#2eb67d",
        (Turn::Over, _) => "#8d8d8d",
        (Turn::Firing | Turn::Updated | Turn::Reminder, Severity::Critical) => "#a30200",
        (Turn::Firing | Turn::Updated | Turn::Reminder, Severity::Warning) => "#ecb22e",
        (Turn::Firing | Turn::Updated | Turn::Reminder, Severity::Info) => "#439fe0",
    }
}

/// The text, cut at the ends of lines into what a section takes.
fn sections(message: &Message) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    let mut left = ALL_MAX;
    for line in message.text.lines().flat_map(|line| shown(line, message)) {
        let size = size(&line) + 1;
        if size > left {
            sections.extend(Some("…".to_owned()));
            break;
        }
        left -= size;
        match sections.last_mut() {
            Some(last) if self::size(last) + size <= SECTION_MAX => {
                last.push('\n');
                last.push_str(&line);
            }
            Some(_) | None => sections.push(line),
        }
    }
    sections.retain(|section| !section.trim().is_empty());
    sections
}

/// A line of the text, in pieces that fit into a section. Where it names the command or a link as the built-in text does, it is
/// a block of code or a link; an own text that leaves them out is left as it is.
fn shown(line: &str, message: &Message) -> Vec<String> {
    let link = message.links.iter().find(|link| line == format!("{}: {}", link.text, link.href));
    let command = message.command.as_ref().filter(|command| line.trim_start() == command.line);
    let special = match (command, link) {
        (Some(command), _) => Some(format!("```\n{}\n```", escape(&command.line))),
        // A bar ends the address.
        (None, Some(link)) => Some(format!("<{}|{}>", escape(&link.href).replace('|', "%7C"), escape(&link.text))),
        (None, None) => None,
    };
    match special.filter(|special| size(special) < SECTION_MAX) {
        Some(special) => vec![special],
        None => pieces(line, SECTION_MAX - 1),
    }
}

/// A line in pieces of at most so many characters, escaped; an empty line is a piece.
fn pieces(line: &str, most: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut length = 0;
    for c in line.chars() {
        let mut buffer = [0; 4];
        let escaped = escape(c.encode_utf8(&mut buffer));
        let more = size(&escaped);
        if length + more > most {
            pieces.push(String::new());
            length = 0;
        }
        length += more;
        if let Some(last) = pieces.last_mut() {
            last.push_str(&escaped);
        }
        // Nobody reads more, and a text may have no end of a line at all.
        if pieces.len() * most > ALL_MAX + most {
            break;
        }
    }
    pieces
}

/// Slack's three characters: what is left of `<!channel>` or `<@U123>` after this calls nobody.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The size of a text by the count that gives the most for one.
fn size(text: &str) -> usize {
    text.encode_utf16().count()
}
