//! Which format and encoding a client gets, by the q-values of its `Accept` and `Accept-Encoding` (RFC 9110 §12.5).
//!
//! Prometheus sends long lists with q-values and parameters; a search for substrings would get them wrong.

use crate::metrics::Format;

/// What a scrape gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The format.
    pub format: Format,
    /// Whether it is packed.
    pub gzip: bool,
}

/// Chooses what the client likes best. A client that takes none of our formats gets the text format all the same: an answer
/// helps more than a 406.
pub fn negotiate(accept: Option<&str>, accept_encoding: Option<&str>) -> Negotiated {
    Negotiated { format: format(accept), gzip: gzip(accept_encoding) }
}

fn format(accept: Option<&str>) -> Format {
    let Some(accept) = accept else { return Format::Text };
    let mut best = (0.0, Format::Text);
    for range in split(accept, ',') {
        let mut parts = split(range, ';');
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(String, String)> = parts.map(parameter).collect();
        let value = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let format = match (kind.as_str(), value("version")) {
            ("application/openmetrics-text", Some("1.0.0") | None) => Format::OpenMetrics,
            ("text/plain", Some("0.0.4") | None) | ("text/*" | "*/*", _) => Format::Text,
            // Other versions are formats that we do not write.
            _ => continue,
        };
        let quality = quality(value("q"));
        // The first of equals wins: clients put what they prefer first.
        if quality > best.0 {
            best = (quality, format);
        }
    }
    best.1
}

fn gzip(accept_encoding: Option<&str>) -> bool {
    let Some(header) = accept_encoding else { return false };
    let quality_of = |wanted: &str| {
        split(header, ',').find_map(|item| {
            let mut parts = split(item, ';');
            let name = parts.next()?.to_ascii_lowercase();
            let q = parts.map(parameter).find(|(key, _)| key == "q").map(|(_, value)| value);
            (name == wanted).then(|| quality(q.as_deref()))
        })
    };
    let any = quality_of("*");
    let gzip = quality_of("gzip").or(quality_of("x-gzip")).or(any).unwrap_or(0.0);
    // Without a word about it, identity is as good as anything named.
    let identity = quality_of("identity");
    gzip > 0.0 && identity.is_none_or(|identity| gzip >= identity)
}

/// A q-value: 1 if there is none, 0 if it is none.
fn quality(text: Option<&str>) -> f64 {
    text.map_or(1.0, |text| text.parse::<f64>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0))
}

fn parameter(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned())
}

fn split(text: &str, by: char) -> impl Iterator<Item = &str> {
    text.split(by).map(str::trim).filter(|part| !part.is_empty())
}
