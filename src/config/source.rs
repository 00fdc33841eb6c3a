//! `source`: where objects come from.

use super::setting::{Setting, text};
use figment::value::Value;
use std::path::PathBuf;

/// Where objects come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// A live cluster.
    #[default]
    Cluster,
    /// What `kubectl get -o yaml` or `-o json` printed: a file, a folder of files, or `-` for standard input.
    Files(PathBuf),
    /// A recording of watch events, played at its own pace.
    Replay(PathBuf),
}

impl Setting for Source {
    const ACCEPTS: &'static str = "cluster, files:PATH or replay:PATH";
    fn parse(value: &Value) -> Result<Self, String> {
        match text(value)?.split_once(':') {
            None if text(value)? == "cluster" => Ok(Self::Cluster),
            Some(("files", path)) if !path.is_empty() => Ok(Self::Files(path.into())),
            Some(("replay", path)) if !path.is_empty() => Ok(Self::Replay(path.into())),
            Some(_) | None => Err(String::new()),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Cluster => "cluster".to_owned(),
            Self::Files(path) => format!("files:{}", path.display()).show(),
            Self::Replay(path) => format!("replay:{}", path.display()).show(),
        }
    }
}
