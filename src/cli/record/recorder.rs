//! From what a watch shows to the events of a recording: what is new is ADDED, what is the same again is left out, and what a
//! new list does not show any more is DELETED.

use crate::watch::cluster::RawEvent;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What was recorded of each object, by kind, namespace and name.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    objects: BTreeMap<Name, Value>,
    /// For each kind and namespace that is being listed: what the list has shown.
    listing: BTreeMap<(String, String), BTreeSet<Name>>,
}

type Name = (String, String, String);

impl Recorder {
    /// The lines that follow from an event.
    pub(super) fn take(&mut self, event: RawEvent) -> Vec<Value> {
        match event {
            RawEvent::ListBegins { kind, namespace } => {
                self.listing.insert((kind, namespace), BTreeSet::new());
                Vec::new()
            }
            RawEvent::ListEnds { kind, namespace, time } => {
                let Some(listed) = self.listing.remove(&(kind.clone(), namespace.clone())) else { return Vec::new() };
                let covered = |name: &Name| name.0 == kind && (namespace.is_empty() || name.1 == namespace);
                let gone: Vec<Name> =
                    self.objects.keys().filter(|name| covered(name) && !listed.contains(*name)).cloned().collect();
                gone.iter()
                    .filter_map(|name| self.objects.remove(name))
                    .map(|object| line(&time, "DELETED", object))
                    .collect()
            }
            RawEvent::Object { deleted, json, time } => self.object(deleted, &json, &time).into_iter().collect(),
        }
    }

    fn object(&mut self, deleted: bool, json: &[u8], time: &str) -> Option<Value> {
        let mut object: Value = serde_json::from_slice(json).ok()?;
        // Who wrote which field: more than half of an object, and never read.
        object.get_mut("metadata")?.as_object_mut()?.remove("managedFields");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let name = (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]));
        for scope in [String::new(), name.1.clone()] {
            if let Some(listed) = self.listing.get_mut(&(name.0.clone(), scope)) {
                listed.insert(name.clone());
            }
        }
        if deleted {
            self.objects.remove(&name);
            return Some(line(time, "DELETED", object));
        }
        let kind = match self.objects.get(&name) {
            Some(known) if known["metadata"]["resourceVersion"] == object["metadata"]["resourceVersion"] => return None,
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        self.objects.insert(name, object.clone());
        Some(line(time, kind, object))
    }
}

fn line(time: &str, kind: &str, object: Value) -> Value {
    json!({"time": time, "type": kind, "object": object})
}

#[cfg(test)]
mod tests {
    use super::Recorder;
    use crate::watch::cluster::RawEvent;
    use serde_json::{Value, json};

    fn object(name: &str, version: u32, deleted: bool) -> RawEvent {
        let json = json!({"kind": "Plan", "metadata": {"namespace": "ns", "name": name, "resourceVersion": version.to_string(), "managedFields": []}});
        RawEvent::Object { deleted, json: json.to_string().into_bytes(), time: "t".to_owned() }
    }

    fn begins() -> RawEvent {
        RawEvent::ListBegins { kind: "Plan".to_owned(), namespace: String::new() }
    }

    fn ends() -> RawEvent {
        RawEvent::ListEnds { kind: "Plan".to_owned(), namespace: String::new(), time: "t".to_owned() }
    }

    #[test]
    fn a_new_list_adds_what_is_new_repeats_nothing_and_deletes_what_is_gone() {
        let mut recorder = Recorder::default();
        let mut said = |event| {
            let short = |line: Value| {
                format!("{} {}", line["type"].as_str().unwrap_or_default(), line["object"]["metadata"]["name"])
            };
            recorder.take(event).into_iter().map(short).collect::<Vec<_>>().join(",")
        };
        let steps = [
            begins(),
            object("a", 1, false),
            object("b", 2, false),
            ends(),
            object("a", 3, false),
            begins(),
            object("a", 3, false),
            object("c", 4, false),
            ends(),
            object("c", 5, true),
        ];
        let said: Vec<String> = steps.into_iter().map(&mut said).filter(|line| !line.is_empty()).collect();
        assert_eq!(said, ["ADDED \"a\"", "ADDED \"b\"", "MODIFIED \"a\"", "ADDED \"c\"", "DELETED \"b\"", "DELETED \"c\""]);
    }
}
