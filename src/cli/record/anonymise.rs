//! Takes names out of a recording, so that it can be shown to strangers.
//!
//! The same name becomes the same alias everywhere, so that objects still belong together. What is not known to be harmless
//! is replaced: a new field of Forklift's cannot give anything away.

use serde_json::Value;
use std::collections::BTreeMap;

/// Fields whose texts are words of Forklift's or of Kubernetes', numbers or times.
const HARMLESS: &[&str] = &[
    "apiVersion",
    "kind",
    "phase",
    "type",
    "status",
    "category",
    "unit",
    "Precopy",
    "time",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "lastTransitionTime",
    "started",
    "completed",
    "start",
    "end",
    "nextPrecopyAt",
    "cutover",
    "restorePowerState",
    "targetPowerState",
    "firmware",
];

/// Fields that hold sentences: names are taken out of them, the words stay.
const SENTENCES: &[&str] = &["message", "reason", "reasons", "items", "description", "suggestion"];

/// Aliases, by what they stand for.
#[derive(Debug, Default)]
pub(super) struct Anonymiser {
    aliases: BTreeMap<String, String>,
}

impl Anonymiser {
    /// Replaces every name in an object.
    pub(super) fn object(&mut self, object: &mut Value) {
        self.value("", "", object);
    }

    fn value(&mut self, parent: &str, field: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                // The values of these are whatever people write; what settings there are is nobody's business.
                if matches!(field, "annotations" | "settings") && parent != "pipeline" && parent != "tasks" {
                    fields.retain(|name, _| name.starts_with("mtv-sentinel.io/"));
                }
                let by_vm = field == "vmCutover";
                let entries = std::mem::take(fields);
                for (name, mut inner) in entries {
                    // What is in a list is in a field of the list's name.
                    self.value(field, &name, &mut inner);
                    let name = if by_vm { self.alias("id", &name) } else { name };
                    fields.insert(name, inner);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| match item {
                Value::String(_) => self.value(parent, field, item),
                _ => self.value(field, field, item),
            }),
            Value::String(text) => *text = self.text(parent, field, text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, parent: &str, field: &str, text: &str) -> String {
        if text.is_empty() || (field == "name" && parent == "pipeline") {
            return text.to_owned();
        }
        if field == "type" {
            // Two types of condition carry the id of a VM.
            return match text.split_once('-') {
                Some((base, id)) if base.starts_with("Shared") => format!("{base}-{}", self.alias("id", id)),
                Some(_) | None => text.to_owned(),
            };
        }
        if HARMLESS.contains(&field) {
            return text.to_owned();
        }
        if SENTENCES.contains(&field) {
            return self.sentence(text);
        }
        self.alias(field, text)
    }

    /// The alias of a text; a new one is named by the field in which it was first seen.
    fn alias(&mut self, field: &str, text: &str) -> String {
        let kind = match field {
            "uid" | "id" | "name" | "namespace" | "newName" | "url" => field,
            "targetNamespace" => "namespace",
            _ => "text",
        };
        let number = self.aliases.len() + 1;
        self.aliases.entry(text.to_owned()).or_insert_with(|| format!("{}-{number}", kind.to_lowercase())).clone()
    }

    /// A sentence without known names, quoted parts and addresses.
    fn sentence(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut known: Vec<(&String, &String)> = self.aliases.iter().filter(|(name, _)| name.len() > 2).collect();
        known.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, alias) in known {
            text = text.replace(name.as_str(), alias);
        }
        for (open, close) in [('\'', '\''), ('"', '"'), ('`', '`'), ('[', ']'), ('{', '}')] {
            text = self.quoted(&text, open, close);
        }
        let words = text.split(' ').map(|word| if is_address(word) { self.alias("text", word) } else { word.to_owned() });
        words.collect::<Vec<_>>().join(" ")
    }

    fn quoted(&mut self, text: &str, open: char, close: char) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(open) {
            let Some((inside, behind)) = after.split_once(close) else { break };
            result.push_str(before);
            result.push(open);
            result.push_str(&if inside.is_empty() { String::new() } else { self.alias("text", inside) });
            result.push(close);
            rest = behind;
        }
        result + rest
    }
}

/// Whether a word looks like an address, a path or a host: it has a dot, slash or at sign between letters or digits, or is an
/// id of a vCenter.
fn is_address(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let joined =
        word.char_indices().any(|(at, c)| matches!(c, '.' | '/' | '@' | '\\' | ':') && at > 0 && at + 1 < word.len());
    let moref = word.split_once('-').is_some_and(|(kind, number)| {
        !kind.is_empty() && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) && !is_alias(kind)
    });
    joined || moref
}

fn is_alias(kind: &str) -> bool {
    matches!(kind, "uid" | "id" | "name" | "namespace" | "newname" | "url" | "text")
}

#[cfg(test)]
mod tests {
    use super::Anonymiser;
    use serde_json::json;

    #[test]
    fn names_become_aliases_the_same_everywhere_and_words_stay() {
        let mut object = json!({"kind": "Plan", "metadata": {"name": "payroll", "namespace": "finance", "uid": "u-1",
                "annotations": {"note": "call Bob", "mtv-sentinel.io/keep": "true"}, "labels": {"team": "blue"}},
            "spec": {"type": "warm", "vms": [{"id": "vm-12", "name": "bob-pc"}]},
            "status": {"conditions": [{"type": "SharedDisks-vm-12", "status": "True", "category": "Critical",
                "message": "VM bob-pc in payroll cannot reach 10.1.2.3 at 'dc1/host 7'."}],
                "migration": {"started": "2026-01-01T00:00:00Z", "vms": [{"id": "vm-12", "name": "bob-pc", "phase": "CopyDisks",
                    "pipeline": [{"name": "DiskTransfer", "tasks": [{"name": "[ds1] bob-pc/bob-pc.vmdk", "annotations": {"unit": "MB"}}]}]}]}}});
        Anonymiser::default().object(&mut object);
        let text = object.to_string();
        for secret in ["payroll", "finance", "bob", "Bob", "blue", "vm-12", "10.1.2.3", "dc1", "ds1", "u-1"] {
            assert!(!text.contains(secret), "{secret} is left in {text}");
        }
        for word in [
            "Plan",
            "warm",
            "DiskTransfer",
            "CopyDisks",
            "SharedDisks-id-",
            "\"unit\":\"MB\"",
            "2026-01-01T00:00:00Z",
            "cannot reach",
        ] {
            assert!(text.contains(word), "{word} is missing in {text}");
        }
        assert_eq!(object["spec"]["vms"][0]["id"], object["status"]["migration"]["vms"][0]["id"]);
    }
}
