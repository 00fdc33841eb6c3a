//! The architecture's rules, read from the sources: what pure modules may name, who may import whom, and where outside crates
//! are confined. `use` lines, grouped ones too, and paths in the middle of code count alike. Each rule has a test that it
//! catches a violation.

use crate::support::repository;
use std::path::Path;

/// What a pure module must not name, as the beginning of a path: IO, the log, the environment, clocks.
const IMPURE: &[&str] = &[
    "tokio",
    "kube",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "tokio_rustls",
    "tracing",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// What it must not name anywhere in a path: clocks that come in by another name.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

/// Modules without IO.
const PURE: &[&str] =
    &["plan", "forklift", "store", "alert", "policy", "dispatch", "ledger", "message", "metrics", "config", "lease"];

/// Files with IO in modules that are pure beside them.
const IMPURE_FILES: &[&str] =
    &["ledger/config_maps.rs", "ledger/folder.rs", "ledger/keep.rs", "ledger/place.rs", "lease/mod.rs", "lease/elector.rs"];

/// For each module, the modules of ours that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("forklift", &["plan"]),
    ("store", &["plan", "forklift"]),
    ("alert", &["plan", "store"]),
    ("policy", &["plan", "store"]),
    ("dispatch", &["plan", "store", "alert", "policy"]),
    ("ledger", &["plan", "store", "alert", "dispatch", "metrics"]),
    ("message", &["plan", "alert", "dispatch"]),
    ("metrics", &["plan", "store", "alert", "policy", "dispatch"]),
    ("config", &["plan", "alert", "policy", "dispatch", "message"]),
    ("watch", &["plan", "forklift", "store", "config"]),
    ("lease", &["plan", "metrics"]),
    ("notify", &["plan", "store", "alert", "policy", "dispatch", "message", "metrics", "config", "lease", "kube_events"]),
    ("archive", &["plan", "forklift", "store", "alert", "policy", "dispatch", "metrics", "config", "lease", "kube_events"]),
    ("http", &["plan", "store", "alert", "policy", "dispatch", "metrics", "config"]),
    ("kube_events", &["plan"]),
    (
        "app",
        &[
            "plan",
            "forklift",
            "store",
            "alert",
            "policy",
            "dispatch",
            "message",
            "metrics",
            "config",
            "watch",
            "notify",
            "archive",
            "ledger",
            "lease",
            "http",
            "kube_events",
        ],
    ),
    (
        "cli",
        &[
            "plan", "forklift", "store", "alert", "policy", "dispatch", "message", "metrics", "config", "watch", "notify",
            "archive", "ledger", "lease", "http", "app",
        ],
    ),
];

/// For each outside crate that is confined, the modules that may name it.
const CONFINED: &[(&str, &[&str])] = &[
    ("kube", &["watch", "ledger", "archive", "lease", "kube_events", "app", "cli"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("reqwest", &["notify"]),
    ("prometheus_client", &["metrics"]),
    ("minijinja", &["message"]),
    ("clap", &["cli"]),
    ("figment", &["config"]),
    ("rustls", &["http", "notify"]),
    ("tokio_rustls", &["http"]),
    ("ring", &["http", "notify"]),
    ("bcrypt", &["http"]),
    ("x509_cert", &["http"]),
    ("rustix", &["lease"]),
];

/// A source file: the module that it belongs to, its name, and every path that it names.
struct Source {
    module: String,
    name: String,
    paths: Vec<String>,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&repository("src"), &mut found);
    assert!(found.len() > 50, "{}", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(repository("src")).unwrap().display().to_string();
            found.push(source(&name, &std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn source(name: &str, text: &str) -> Source {
    let module = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    Source { module, name: name.to_owned(), paths: paths(&tokens(text)) }
}

/// Words, `::`, and single other characters; comments and texts are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut characters = line.chars().peekable();
        let mut in_text = false;
        let mut word = String::new();
        while let Some(c) = characters.next() {
            if !in_text && (c.is_ascii_alphanumeric() || c == '_') {
                word.push(c);
                continue;
            }
            tokens.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            match c {
                '\\' if in_text => drop(characters.next()),
                '"' => in_text = !in_text,
                '/' if !in_text && characters.peek() == Some(&'/') => break,
                ':' if !in_text && characters.peek() == Some(&':') => {
                    characters.next();
                    tokens.push("::".to_owned());
                }
                _ if in_text || c.is_whitespace() => {}
                _ => tokens.push(c.to_string()),
            }
        }
        tokens.extend((!word.is_empty()).then_some(word));
    }
    tokens
}

/// Every path: those of `use` trees in full, and in other code every word with the words joined to it by `::`.
fn paths(tokens: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            at = tree(tokens, at + 1, "", &mut found);
        } else if is_word(&tokens[at]) {
            let mut path = tokens[at].clone();
            while tokens.get(at + 1).is_some_and(|token| token == "::")
                && tokens.get(at + 2).is_some_and(|token| is_word(token))
            {
                path = format!("{path}::{}", tokens[at + 2]);
                at += 2;
            }
            at += 1;
            // A lone word is no path: it may be a field or a variable.
            found.extend(path.contains("::").then_some(path));
        } else {
            at += 1;
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reads a `use` tree whose paths begin with `prefix`; answers where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_owned();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            "::" if path.is_empty() => {}
            "::" => path.push_str("::"),
            word if is_word(word) && word != "as" => path.push_str(word),
            // A star, a new name, or the end.
            _ => break,
        }
        at += 1;
    }
    found.push(path);
    while tokens.get(at).is_some_and(|token| !matches!(token.as_str(), ";" | "," | "}")) {
        at += 1;
    }
    at
}

/// Whether a path begins with another, by whole words.
fn begins(path: &str, with: &str) -> bool {
    path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn impurities(source: &Source) -> Vec<String> {
    if !PURE.contains(&source.module.as_str()) || IMPURE_FILES.contains(&source.name.as_str()) {
        return Vec::new();
    }
    let impure =
        |path: &&String| IMPURE.iter().any(|with| begins(path, with)) || CLOCKS.iter().any(|clock| path.ends_with(clock));
    source.paths.iter().filter(impure).map(|path| format!("{} names {path}", source.name)).collect()
}

fn wrong_imports(source: &Source) -> Vec<String> {
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == source.module) else {
        let root = matches!(source.name.as_str(), "main.rs" | "lib.rs");
        return if root { Vec::new() } else { vec![format!("{} is in no known module", source.name)] };
    };
    let ours = |name: &&str| MAY_IMPORT.iter().any(|(module, _)| module == name);
    let imports = source.paths.iter().filter_map(|path| path.strip_prefix("crate::")?.split("::").next());
    let wrong = imports.filter(ours).filter(|name| *name != source.module && !allowed.contains(name));
    wrong.map(|name| format!("{} imports {name}", source.name)).collect()
}

fn escapes(source: &Source) -> Vec<String> {
    let outside = |path: &String| {
        CONFINED.iter().find(|(outside, modules)| begins(path, outside) && !modules.contains(&source.module.as_str()))
    };
    source.paths.iter().filter_map(outside).map(|(outside, _)| format!("{} names {outside}", source.name)).collect()
}

fn assert_none(check: fn(&Source) -> Vec<String>) {
    let found: Vec<String> = sources().iter().flat_map(check).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn pure_modules_name_no_io_no_clock_no_log_and_no_environment() {
    assert_none(impurities);
}

#[test]
fn modules_import_only_what_lies_below_them() {
    assert_none(wrong_imports);
}

#[test]
fn outside_crates_stay_where_they_belong() {
    assert_none(escapes);
}

#[test]
fn a_pure_module_that_names_io_is_caught_however_it_is_written() {
    for line in [
        "use tokio::sync::mpsc;",
        "use std::fs;",
        "use std::{collections::BTreeMap, fs};",
        "use std::{fs::{self, File}, io};",
        "fn f() { std::env::var(\"A\"); }",
        "let now = jiff::Timestamp::now();",
        "let a = std :: fs :: read(p);",
        "tracing::info!(\"x\");",
        "use std::time::{Duration, SystemTime};",
        "use tracing;",
        "let t = Instant::now();",
        "use std::fs as disk;",
        "use ::tokio::spawn;",
        "use std::\n    process;",
        "pub use std::net::{IpAddr, TcpStream};",
    ] {
        assert!(!impurities(&source("plan/x.rs", line)).is_empty(), "{line}");
        assert_eq!(impurities(&source("watch/x.rs", line)), Vec::<String>::new(), "{line} in a module with IO");
    }
    for line in [
        "// use tokio::sync::mpsc;",
        "let text = \"tokio::spawn\";",
        "struct S { kube: u32 }",
        "let x = self.hyper;",
        "use figment::Figment;",
        "use std::time::Duration;",
        "use std::net::SocketAddr;",
        "mine::tokio::x();",
    ] {
        assert_eq!(impurities(&source("plan/x.rs", line)), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn an_import_that_points_up_is_caught_however_it_is_written() {
    for line in [
        "use crate::store::Store;",
        "use crate::{plan::Key, store::Store};",
        "use crate::{plan::{Key, Plan}, store};",
        "fn f(s: &crate::store::Store) {}",
        "use crate::\n    store::Store;",
    ] {
        assert_eq!(wrong_imports(&source("plan/x.rs", line)), ["plan/x.rs imports store"], "{line}");
        assert_eq!(wrong_imports(&source("metrics/x.rs", line)), Vec::<String>::new(), "{line}");
    }
    assert_eq!(wrong_imports(&source("http/x.rs", "use crate::notify;")), ["http/x.rs imports notify"]);
    assert_eq!(wrong_imports(&source("metrics/x.rs", "use crate::config::Config;")), ["metrics/x.rs imports config"]);
    assert_eq!(wrong_imports(&source("stray/x.rs", "")), ["stray/x.rs is in no known module"]);
}

#[test]
fn an_outside_crate_in_the_wrong_room_is_caught() {
    let inline = "fn f(r: prometheus_client::registry::Registry) {}";
    for line in ["use prometheus_client::registry::Registry;", inline] {
        assert_eq!(escapes(&source("http/x.rs", line)), ["http/x.rs names prometheus_client"], "{line}");
        assert_eq!(escapes(&source("metrics/x.rs", line)), Vec::<String>::new());
    }
}

#[test]
fn every_file_opens_with_what_it_is_and_stays_within_its_length() {
    /// Tables may be long.
    const TABLES: &[&str] = &["metrics/families.rs"];
    let mut found = Vec::new();
    for Source { name, .. } in sources() {
        let text = std::fs::read_to_string(repository("src").join(&name)).unwrap();
        if !text.starts_with("//! ") {
            found.push(format!("{name} does not say what it is"));
        }
        let lines = text.lines().count();
        if lines > 500 && !TABLES.contains(&name.as_str()) {
            found.push(format!("{name} has {lines} lines"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
