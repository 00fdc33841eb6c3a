//! The source `files`: what `kubectl get plans,migrations,providers -A -o yaml` prints, in a file, a folder or on standard
//! input.
//!
//! [`read`] gives everything once; [`follow`] looks again whenever a file has changed and rests. A file that is empty or cannot
//! be read is named, and while there is one nothing is taken as gone.

use super::{Clock, Observation, Seen, documents, seen};
use crate::plan::{Kind, Text};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// Everything at `path`: a file, every file of a folder with a telling ending, or standard input for `-`.
///
/// # Errors
/// If there is nothing at `path`, or a folder cannot be listed. A file that cannot be read is an observation.
pub fn read(path: &Path) -> std::io::Result<Vec<Observation>> {
    let at = Clock::wall();
    let mut found: Vec<Seen> = Kind::ALL.iter().map(|kind| Seen::RelistBegins(*kind, Text::new())).collect();
    let mut whole = true;
    for file in list(path)? {
        let shown = read_file(&file);
        whole &= !shown.iter().any(|seen| matches!(seen, Seen::BadInput(..)));
        found.extend(shown);
    }
    if whole {
        found.extend(Kind::ALL.iter().map(|kind| Seen::RelistEnds(*kind, Text::new())));
    }
    found.push(Seen::Synced);
    Ok(found.into_iter().map(|what| Observation::new(at, what)).collect())
}

/// Reads `path`, and again whenever something about its files changes, until the receiver is gone.
///
/// # Errors
/// If `path` cannot be read the first time. Later failures are observations.
pub async fn follow(path: PathBuf, poll: Duration, to: mpsc::Sender<Observation>) -> std::io::Result<()> {
    // What was read last, and what was there at the last look: a file that is being written is not read until it rests.
    let (mut before, mut seen) = (None, None);
    loop {
        let now = fingerprint(&path);
        let rests = before.is_none() || seen.as_ref() == Some(&now);
        seen = Some(now.clone());
        if rests && before.as_ref() != Some(&now) {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || read(&path)).await.map_err(std::io::Error::other)?;
            let observations = match read {
                Ok(observations) => observations,
                Err(error) if before.is_none() => return Err(error),
                Err(error) => {
                    let what = Seen::BadInput(String::new(), error.to_string());
                    vec![Observation::new(Clock::wall(), what)]
                }
            };
            for observation in observations {
                if to.send(observation).await.is_err() {
                    return Ok(());
                }
            }
            before = Some(now);
        }
        tokio::select! {
            () = to.closed() => return Ok(()),
            () = tokio::time::sleep(poll) => {}
        }
    }
}

/// The files at `path`, in order of name.
pub(super) fn list(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.as_os_str() == "-" || !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        if [".yaml", ".yml", ".json", ".ndjson", ".jsonl"].iter().any(|ending| name.ends_with(ending)) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The bytes of a file, unpacked, or why there are none.
pub(super) fn load(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    bytes.map_err(|error| error.to_string()).and_then(documents::unpack)
}

/// What a file is called in messages.
pub(super) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

fn read_file(path: &Path) -> Vec<Seen> {
    let name = name(path);
    let bytes = match load(path) {
        Ok(bytes) => bytes,
        Err(reason) => return vec![Seen::BadInput(name, reason)],
    };
    let documents = documents::documents(&bytes);
    if documents.is_empty() {
        // kubectl prints an empty list, not nothing: somebody is about to write it.
        return vec![Seen::BadInput(name, "it is empty".to_owned())];
    }
    let mut found = Vec::new();
    for document in documents {
        let origin = format!("{name}:{}", document.line);
        match document.json {
            Err(reason) => found.push(Seen::BadInput(origin, reason)),
            Ok(json) if json.starts_with(b"[") => match documents::items(&json) {
                Ok(items) => items.into_iter().for_each(|item| found.extend(seen(item, &origin))),
                Err(reason) => found.push(Seen::BadInput(origin, reason)),
            },
            Ok(json) if documents::is_object(&json) => found.extend(seen(&json, &origin)),
            Ok(_) => found.push(Seen::BadInput(origin, "it is neither an object nor a list of objects".to_owned())),
        }
    }
    found
}

type Fingerprint = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// Names, times and sizes of the files: what changes when somebody writes them.
fn fingerprint(path: &Path) -> Fingerprint {
    let files = list(path).unwrap_or_default().into_iter();
    files
        .map(|file| {
            let metadata = std::fs::metadata(&file).ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            (file, modified, metadata.map_or(0, |metadata| metadata.len()))
        })
        .collect()
}
