//! Where samples go: a family's function gives label values and a value, a [`Sink`] writes them.
//!
//! [`TextSink`] is the fast path of the exposition; the tests have another one that hands the same samples to prometheus-client.

use super::families::Family;

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Counts, bytes and timestamps.
    Int(u64),
    /// Ratios.
    Float(f64),
}

/// Takes the samples of one family.
pub trait Sink {
    /// Takes a sample; `names` and `values` of its labels have the same length.
    fn sample(&mut self, family: &Family, names: &[&str], values: &[&str], value: Value);
}

/// What a family's function writes to.
pub struct Out<'a> {
    /// The family.
    pub family: &'a Family,
    /// Where its samples go.
    pub sink: &'a mut dyn Sink,
}

impl Out<'_> {
    /// A sample with the labels of the family, in their order.
    pub fn put(&mut self, values: &[&str], value: Value) {
        self.sink.sample(self.family, self.family.labels, values, value);
    }

    /// A sample of the value 1.
    pub fn one(&mut self, values: &[&str]) {
        self.put(values, Value::Int(1));
    }

    /// A sample, if there is a value.
    pub fn maybe(&mut self, values: &[&str], value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.put(values, Value::Int(value.into()));
        }
    }

    /// A sample with label names beyond those of the family, for the one family whose labels the user chooses.
    pub fn put_named(&mut self, names: &[&str], values: &[&str], value: Value) {
        self.sink.sample(self.family, names, values, value);
    }
}

/// Writes samples as text, the same in OpenMetrics 1.0 and in the text format 0.0.4.
#[derive(Debug, Default)]
pub struct TextSink {
    /// The lines.
    pub text: String,
    /// How many there are.
    pub samples: u32,
}

impl Sink for TextSink {
    fn sample(&mut self, family: &Family, names: &[&str], values: &[&str], value: Value) {
        debug_assert_eq!(names.len(), values.len(), "{}", family.name);
        self.samples += 1;
        let text = &mut self.text;
        text.push_str(family.name);
        let mut separator = '{';
        for (name, value) in names.iter().zip(values) {
            text.push(separator);
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
            separator = ',';
        }
        text.push_str(if separator == ',' { "} " } else { " " });
        match value {
            Value::Int(value) => text.push_str(itoa::Buffer::new().format(value)),
            Value::Float(value) => text.push_str(dtoa::Buffer::new().format(value)),
        }
        text.push('\n');
    }
}

/// Escapes a label value: backslash, quote and newline, as both formats ask.
fn escape(text: &mut String, value: &str) {
    let mut plain = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escaped = match byte {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            b'\n' => "\\n",
            _ => continue,
        };
        text.push_str(&value[plain..at]);
        text.push_str(escaped);
        plain = at + 1;
    }
    text.push_str(&value[plain..]);
}
