//! The keys of a receiver of type `slack`.

use super::credential::{Credential, Form, check_open_url};
use super::http::ClientConfig;
use super::keys::{Keys, Shown};
use super::rate::Rate;
use std::time::Duration;

/// Where Slack's methods are.
const API: &str = "https://slack.com/api";
/// What Slack lets one channel take (docs.slack.dev, "Rate limits": one message a second).
const RATE: Rate = Rate { messages: 1, window: Duration::from_secs(1) };

/// Slack: an incoming webhook, or a bot with a token.
#[derive(Clone, Debug)]
pub struct SlackConfig {
    /// Which of the two.
    pub way: SlackWay,
    /// How it is spoken to.
    pub client: ClientConfig,
}

/// How messages get into Slack.
#[derive(Clone, Debug)]
pub enum SlackWay {
    /// Through the URL of an incoming webhook, which takes posts and nothing else.
    Webhook(Credential),
    /// As a bot, which may also edit what it has posted and reply to it.
    Bot {
        /// The token of the bot, `xoxb-…`.
        token: Credential,
        /// The channel, by id or name.
        channel: String,
        /// Where the methods are.
        api_url: String,
    },
}

impl SlackConfig {
    pub(super) fn take(keys: &mut Keys<'_>) -> Option<Self> {
        let is_bot = ["token", "channel", "api_url"].iter().any(|name| keys.has(name));
        let (url, token) = (keys.secret("url", Form::Url), keys.secret("token", Form::Word));
        let channel = keys.take("channel").map(|channel: String| channel.trim().to_owned());
        let channel = channel.filter(|channel| !channel.is_empty());
        let api_url: String = keys.take("api_url").unwrap_or_else(|| API.to_owned());
        let api_url = api_url.trim_end_matches('/').to_owned();
        if let Err(why) = check_open_url(&api_url) {
            keys.refuse(format!("its api_url {why}"));
        } else if api_url.contains(['?', '#']) {
            keys.refuse("its api_url has a ? or # in it: the names of methods are written behind it");
        }
        let client = ClientConfig::take(keys, Some(RATE));
        let way = match (url, token, channel) {
            (Some(_), _, _) if is_bot => {
                keys.refuse(
                    "it has both the url of an incoming webhook and what belongs to a bot: token, channel or api_url",
                );
                return None;
            }
            (Some(url), _, _) => SlackWay::Webhook(url),
            (None, Some(token), Some(channel)) => SlackWay::Bot { token, channel, api_url },
            (None, Some(_), None) => {
                keys.refuse("it has a token and no channel");
                return None;
            }
            (None, None, _) => {
                let complaint = match (keys.has("url"), keys.has("token")) {
                    (false, false) if is_bot => Some("it has neither token nor token_file"),
                    (false, false) => Some("it has neither url nor url_file, and neither token nor token_file"),
                    // What is wrong with it has been said, unless it is there and empty.
                    (true, _) => Some("it has no url that can be used"),
                    (_, true) => Some("it has no token that can be used"),
                };
                complaint.into_iter().for_each(|why| keys.refuse(why));
                return None;
            }
        };
        Some(Self { way, client })
    }

    pub(super) fn show(&self) -> Shown {
        let shown = match &self.way {
            SlackWay::Webhook(url) => Shown::default().secret("url", Some(url)),
            SlackWay::Bot { token, channel, api_url } => {
                Shown::default().secret("token", Some(token)).key("channel", channel).key("api_url", api_url)
            }
        };
        self.client.show(shown)
    }
}
