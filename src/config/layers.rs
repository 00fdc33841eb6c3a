//! The layers of the configuration, lowest first, and where each value comes from.

use super::section::Errors;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

/// Variables with this prefix are ours: `MTV_SENTINEL__SECTION__KEY`.
pub const ENV_PREFIX: &str = "MTV_SENTINEL__";

/// What the configuration is made of, beside the defaults. It holds secrets and does not print itself.
#[derive(Clone, Default)]
pub struct Layers {
    /// Name and text of the file.
    pub file: Option<(String, String)>,
    /// Variables of the environment; those without our prefix are not looked at.
    pub environment: Vec<(String, String)>,
    /// Flags: the path of a key and its value.
    pub flags: Vec<(&'static str, String)>,
}

struct Layer {
    name: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }
    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

impl Layers {
    /// One figment of all layers; a file that is no YAML is an error and otherwise counts as empty.
    pub(super) fn merge(self) -> (Figment, Errors) {
        let mut errors = Errors::default();
        let mut figment = Figment::new();
        if let Some((name, text)) = self.file {
            match serde_saphyr::from_str::<Option<Dict>>(&text) {
                Ok(dict) => figment = figment.merge(Layer { name, dict: dict.unwrap_or_default() }),
                Err(error) => errors.push("", format!("{name} is no YAML map: {}", error.without_snippet())),
            }
        }
        for (variable, value) in self.environment {
            if let Some(path) = variable.strip_prefix(ENV_PREFIX) {
                let path = path.to_lowercase().replace("__", ".");
                figment = figment.merge(Layer { name: variable, dict: nest(&path, &value) });
            }
        }
        for (path, value) in self.flags {
            figment = figment.merge(Layer { name: "command line".to_owned(), dict: nest(path, &value) });
        }
        (figment, errors)
    }
}

fn nest(path: &str, value: &str) -> Dict {
    // As a text: what it means is up to the key, and a name or a secret may look like a number.
    match figment::util::nest(path, Value::from(value)) {
        Value::Dict(_, dict) => dict,
        _ => Dict::new(),
    }
}
