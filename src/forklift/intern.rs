//! One copy of each text within an object: disk names, reasons and references repeat in every step and list.

use crate::plan::Text;
use std::collections::HashSet;

/// The texts of one object.
#[derive(Default)]
pub(super) struct Interner(HashSet<Text>);

impl Interner {
    /// The same text, sharing memory with its equals. Short ones are stored inline and need no sharing.
    pub(super) fn share(&mut self, text: Text) -> Text {
        if text.len() <= Text::INLINE_LIMIT {
            return text;
        }
        match self.0.get(&text) {
            Some(known) => known.clone(),
            None => {
                // A fresh copy is as long as its text; the one at hand may have room to spare.
                let text = Text::from(text.as_str());
                self.0.insert(text.clone());
                text
            }
        }
    }
}
