//! The user's own templates: tried on every sample when the configuration is read, so that a mistake is found then.
//!
//! Called by the configuration and by `Message::of`. A template cannot loop for ever and cannot give more than there is room
//! for; the engine counts what it does.

use super::plain::line;
use super::{Message, Settings, link, samples};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

/// Instructions and bytes that a template may cost: a hundred times what a long message needs, and milliseconds.
const FUEL: u64 = 200_000;

/// A template of a title or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Reads it, and tries it on every sample.
    ///
    /// # Errors
    /// If it is no template, names something that is not there, does too much, or gives nothing; with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let template = Self(text.to_owned());
        for sample in samples() {
            let message = sample.message(&Settings::default());
            template.render(&message).map_err(|why| format!("{why}, for {sample}"))?;
        }
        Ok(template)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn render(&self, message: &Message) -> Result<String, String> {
        let text = render(&Source { text: &self.0, is_address: false }, message)?;
        if text.trim().is_empty() { Err("it gives nothing".to_owned()) } else { Ok(text) }
    }
}

/// A template, and what it gives.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    /// Whether it gives an address: then what is inserted is encoded.
    pub(super) is_address: bool,
}

/// Renders a template; the error is for people.
pub(super) fn render(source: &Source<'_>, message: &Message) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    // A line with nothing but a tag leaves no line behind.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    if source.is_address {
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("address".into()));
        environment.set_formatter(|out, _, value| {
            let text = value.to_string();
            // What came out of another expression is not encoded twice: `{{ a | safe }}`.
            let text = if value.is_safe() { text } else { link::encode(&text) };
            out.write_str(&text).map_err(minijinja::Error::from)
        });
    }
    environment.render_str(source.text, Serde(message)).map_err(|error| explain(&error, source.text))
}

/// What is wrong and where.
fn explain(error: &minijinja::Error, text: &str) -> String {
    let at = error.line().map_or_else(String::new, |line| format!("line {line}: "));
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("{at}it does too much: a loop that does not end?");
    }
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let near = error.range().and_then(|range| text.get(range)).unwrap_or_default();
    let near = if near.is_empty() || what.contains(near) { String::new() } else { format!(" at {:?}", line(near, 60)) };
    format!("{at}{}{near}", line(&what, 200))
}
