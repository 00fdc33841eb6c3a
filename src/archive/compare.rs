//! What a patch has done beside what it was to do: archiving may change `spec.archived` and nothing else.
//!
//! Called by `cluster` with the reply of a dry run and of the real patch. Pure. A mutating webhook may write the whole spec anew
//! and turn `deleteVmOnFailMigration: false` into true on the way, and then archiving deletes disks: that was seen with a real
//! Forklift, whose webhook does so for plans without a transfer network.

use serde_json::{Map, Value};

/// What the API server moves on its own at every write.
const MOVES: [&str; 3] = ["/metadata/generation", "/metadata/managedFields", "/metadata/resourceVersion"];

/// The paths at which an object differs from what it was before it was archived, but for `spec.archived` and for what moves by
/// itself. With `spec.archived` itself, if that is not true now.
pub fn beside_archived(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if after.pointer("/spec/archived") != Some(&Value::Bool(true)) {
        found.push("/spec/archived".to_owned());
    }
    compare("", before, after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if path == "/spec/archived" || MOVES.contains(&path) || before == after {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return found.push(path.to_owned());
    };
    // Where there was nothing at all, each of what is there now is named.
    let nothing = Value::Object(Map::new());
    let either =
        |is_object: Option<&Value>| if is_object.is_some_and(Value::is_object) { nothing.clone() } else { Value::Null };
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        let (was, is) = (before.get(name), after.get(name));
        let (missing_before, missing_after) = (either(is), either(was));
        compare(&path, was.unwrap_or(&missing_before), is.unwrap_or(&missing_after), found);
    }
}
