//! The keys of a receiver of type `pagerduty`.

use super::credential::{Credential, Form, check_open_url};
use super::http::ClientConfig;
use super::keys::{Keys, Shown};
use super::rate::Rate;
use crate::config::setting::words;
use std::time::Duration;

/// Below what PagerDuty takes for one routing key (its documentation, "Events API v2: rate limits": about 120 a minute).
const RATE: Rate = Rate { messages: 100, window: Duration::from_secs(60) };
/// How the path of every URL ends that takes events; that of change events is beside it.
const ENQUEUE: &str = "/enqueue";

closed_enum! {
    /// Where an account of PagerDuty is.
    #[derive(Default)]
    pub enum Region {
        /// The United States.
        #[default]
        Us = "us",
        /// The European Union.
        Eu = "eu",
    }
}

words!(Region, "us or eu");

/// PagerDuty, by its Events API v2.
#[derive(Clone, Debug)]
pub struct PagerDutyConfig {
    /// The key of the integration: a secret.
    pub routing_key: Credential,
    /// Where events go.
    pub url: String,
    /// How it is spoken to.
    pub client: ClientConfig,
}

impl PagerDutyConfig {
    pub(super) fn take(keys: &mut Keys<'_>) -> Option<Self> {
        let routing_key = keys.needed("routing_key", Form::Word);
        let region = keys.take::<Region>("region");
        let own: Option<String> = keys.take("url").filter(|url: &String| !url.is_empty());
        if region.is_some() && own.is_some() {
            keys.refuse("it has both region and url");
        }
        let url = own.unwrap_or_else(|| {
            match region.unwrap_or_default() {
                Region::Us => "https://events.pagerduty.com/v2/enqueue",
                Region::Eu => "https://events.eu.pagerduty.com/v2/enqueue",
            }
            .to_owned()
        });
        match check_open_url(&url) {
            Err(why) => keys.refuse(format!("its url {why}")),
            Ok(()) if !url.ends_with(ENQUEUE) => keys.refuse(format!("its url does not end with {ENQUEUE}")),
            Ok(()) => {}
        }
        let client = ClientConfig::take(keys, Some(RATE));
        Some(Self { routing_key: routing_key?, url, client })
    }

    /// Where change events go.
    pub fn change_url(&self) -> String {
        format!("{}/change{ENQUEUE}", self.url.trim_end_matches(ENQUEUE))
    }

    pub(super) fn show(&self) -> Shown {
        self.client.show(Shown::default().secret("routing_key", Some(&self.routing_key)).key("url", &self.url))
    }
}
