//! The configuration: defaults, then a YAML file, then the environment, then flags.
//!
//! Called by `cli`, which reads the file and the environment. Pure: text in, a [`Config`] or **all** errors out. One file per
//! section; a new key is one field of one `section!`, from which its default, its documentation, its check and the sample
//! file come.

mod alerts;
mod archive;
mod files;
mod http;
mod kubernetes;
mod layers;
mod lease;
mod ledger;
mod log;
mod message;
mod metrics;
mod notify;
mod receivers;
mod replay;
mod routes;
mod section;
mod setting;
mod source;
mod web;

pub use alerts::AlertsConfig;
pub use archive::{ArchiveConfig, Policies};
pub use files::FilesConfig;
pub use http::HttpConfig;
pub use kubernetes::KubernetesConfig;
pub use layers::{ENV_PREFIX, Layers};
pub use lease::{LONGEST_ACTION, LeaseConfig, LeaseMode};
pub use ledger::{LedgerConfig, LedgerStore};
pub use log::{LogConfig, LogFormat, LogLevel};
pub use message::MessageConfig;
pub use metrics::MetricsConfig;
pub use notify::NotifyConfig;
pub use receivers::{
    AlertmanagerConfig, ClientConfig, Credential, Form, PagerDutyConfig, Place, Rate, ReceiverConfig, Receivers, Region,
};
pub use receivers::{KubernetesEventsConfig, Server, SlackConfig, SlackWay, WebhookConfig};
pub use replay::ReplayConfig;
pub use routes::{RouteConfig, Routes, Times};
pub(crate) use section::suggest;
pub use section::{Errors, Problem};
pub use setting::Secret;
pub use source::Source;
pub use web::{CipherSuite, ClientAuth, Curve, Header, Headers, HttpServerConfig, NoRateLimit};
pub use web::{TlsServerConfig, TlsVersion, Users, WebConfig, WebGeneral};

use section::{Reader, Section, section};

section! {
    /// The keys that stand in no section.
    pub struct General {
        /// Name of the cluster, told in every message; empty for none.
        cluster: String = "\"\"",
        /// Where objects come from: cluster, files:PATH (a file, a folder, or - for standard input) or replay:PATH.
        source: Source = "cluster",
    }
}

macro_rules! config {
    ($($when:ident $field:ident: $type:ty, $doc:literal;)+) => {
        /// The effective configuration.
        #[derive(Clone, Debug)]
        pub struct Config {
            /// The keys that stand in no section.
            pub general: General,
            $(#[doc = $doc] pub $field: $type,)+
        }

        impl Config {
            /// Merges the layers and checks everything.
            ///
            /// # Errors
            /// All that is wrong, each with its path, the value, where it comes from and what is accepted.
            pub fn load(layers: Layers) -> Result<Self, Errors> {
                let (figment, mut errors) = layers.merge();
                let mut root = Reader::root(&figment, &mut errors);
                $(let mut $field = root.section(stringify!($field));)+
                let general = General::read(&mut root);
                root.finish();
                $(let $field = { let section = <$type>::read(&mut $field.open(&figment, &mut errors)); section };)+
                let config = Self { general, $($field),+ };
                config.check(&mut errors);
                if errors.is_empty() { Ok(config) } else { Err(errors) }
            }

            /// The configuration as YAML, with every key; secrets are not shown.
            pub fn show(&self) -> String {
                let mut page = String::new();
                section::show(&mut page, "", &self.general, false);
                $(page.push_str(concat!(stringify!($field), ":\n")); section::show(&mut page, "  ", &self.$field, false);)+
                page
            }

            /// The keys that differ and take effect at a start only.
            pub fn fixed_differences(&self, other: &Self) -> Vec<String> {
                let mut found = section::differences("", &self.general, &other.general);
                $(
                    if stringify!($when) == "fixed" {
                        found.extend(section::differences(concat!(stringify!($field), "."), &self.$field, &other.$field));
                    }
                )+
                found
            }

            /// The sample file: every key with its default, each below its documentation.
            pub fn sample() -> String {
                let mut page = SAMPLE_HEAD.to_owned();
                // The defaults are checked by a test; were they wrong, the sample would be empty below its head.
                if let Ok(defaults) = Self::load(Layers::default()) {
                    section::show(&mut page, "", &defaults.general, true);
                    $(
                        page.push_str(concat!("\n# ", $doc, "\n", stringify!($field), ":\n"));
                        section::show(&mut page, "  ", &defaults.$field, true);
                    )+
                }
                page
            }
        }
    };
}

// `live` sections are taken when the configuration is read anew, `fixed` ones at a start only.
config! {
    fixed log: LogConfig, "What is written to standard error.";
    fixed http: HttpConfig, "The HTTP listener: metrics, probes, API.";
    live metrics: MetricsConfig, "What is exported.";
    live alerts: AlertsConfig, "Which rules hold, and how urgent they are.";
    live notify: NotifyConfig, "Who is told.";
    live message: MessageConfig, "How notifications read, and what they link to.";
    fixed ledger: LedgerConfig, "Where it is kept what was told to whom.";
    fixed lease: LeaseConfig, "Which of several replicas notifies and archives.";
    live archive: ArchiveConfig, "Which finished plans are archived, and when.";
    fixed kubernetes: KubernetesConfig, "The source cluster.";
    fixed files: FilesConfig, "The source files:PATH.";
    fixed replay: ReplayConfig, "The source replay:PATH.";
}

const SAMPLE_HEAD: &str = "\
# Every key of mtv-sentinel with its default. Made by `make docs`.
# The environment goes before this file: MTV_SENTINEL__SECTION__KEY, as in MTV_SENTINEL__HTTP__LISTEN; flags go before both.

";

impl Config {
    /// What concerns more than one key.
    fn check(&self, errors: &mut Errors) {
        self.metrics.check(errors);
        self.http.check(errors);
        self.notify.check(&self.alerts, errors);
        self.notify.check_events(&self.general.source, errors);
        self.ledger.check(&self.general.source, errors);
        self.lease.check(errors);
    }
}
