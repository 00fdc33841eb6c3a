//! The types of `notify.routes` and `notify.campaign_times`.

use super::section::suggest;
use super::setting::{Setting, structure, text};
use crate::dispatch::{Matcher, Route, Selection, Timing};
use figment::value::{Dict, Value};
use std::collections::BTreeSet;
use std::time::Duration;

/// A route as it is written: what it does not say is as for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteConfig {
    matchers: Vec<Matcher>,
    receivers: Vec<String>,
    group_wait: Option<Duration>,
    group_interval: Option<Duration>,
    repeat_interval: Option<Duration>,
    send_resolved: Option<bool>,
}

impl RouteConfig {
    /// The route, with these times where it has none of its own.
    pub(super) fn with(&self, timing: Timing) -> Route {
        Route {
            selection: Selection {
                matchers: self.matchers.clone(),
                receivers: self.receivers.iter().map(Into::into).collect(),
            },
            timing: Timing {
                group_wait: self.group_wait.unwrap_or(timing.group_wait),
                group_interval: self.group_interval.unwrap_or(timing.group_interval),
                repeat_interval: self.repeat_interval.unwrap_or(timing.repeat_interval),
                send_resolved: self.send_resolved.unwrap_or(timing.send_resolved),
            },
        }
    }

    fn read(dict: &Dict) -> Result<Self, Vec<String>> {
        const KEYS: [&str; 6] =
            ["matchers", "receivers", "group_wait", "group_interval", "repeat_interval", "send_resolved"];
        let mut wrong: Vec<String> = dict
            .keys()
            .filter(|key| !KEYS.contains(&key.as_str()))
            .map(|key| format!("there is no such key as {key}; {}", suggest(key, &KEYS)))
            .collect();
        let route = Self {
            matchers: key(dict, "matchers", &mut wrong).map(|Matchers(matchers)| matchers).unwrap_or_default(),
            receivers: key(dict, "receivers", &mut wrong).unwrap_or_default(),
            group_wait: key(dict, "group_wait", &mut wrong),
            group_interval: key(dict, "group_interval", &mut wrong),
            repeat_interval: key(dict, "repeat_interval", &mut wrong),
            send_resolved: key(dict, "send_resolved", &mut wrong),
        };
        if dict.get("receivers").is_none_or(|value| matches!(value, Value::Empty(..))) {
            wrong.push("receivers is missing; [] tells nobody".to_owned());
        }
        if wrong.is_empty() { Ok(route) } else { Err(wrong) }
    }

    fn show(&self) -> String {
        let durations = [
            ("group_wait", self.group_wait),
            ("group_interval", self.group_interval),
            ("repeat_interval", self.repeat_interval),
        ];
        let matchers: Vec<String> = self.matchers.iter().map(|matcher| matcher.to_string().show()).collect();
        let mut parts =
            vec![format!("matchers: [{}]", matchers.join(", ")), format!("receivers: {}", self.receivers.show())];
        parts.extend(durations.iter().filter_map(|(name, value)| Some(format!("{name}: {}", value.as_ref()?.show()))));
        parts.extend(self.send_resolved.map(|value| format!("send_resolved: {value}")));
        format!("{{{}}}", parts.join(", "))
    }
}

/// A key of an item of a list, if it is there.
pub(super) fn key<T: Setting>(dict: &Dict, name: &str, wrong: &mut Vec<String>) -> Option<T> {
    let value = dict.get(name)?;
    let said = |why: String| format!("{name}: {}", if why.is_empty() { format!("it takes {}", T::ACCEPTS) } else { why });
    T::parse(value).map_err(|why| wrong.push(said(why))).ok()
}

/// A list of matchers, or one text with several.
#[derive(Clone, Debug, Default)]
pub(super) struct Matchers(pub(super) Vec<Matcher>);

impl Setting for Matchers {
    const ACCEPTS: &'static str = "a list of matchers such as severity=\"critical\"";
    fn parse(value: &Value) -> Result<Self, String> {
        let texts = match value {
            Value::Array(_, items) => items.iter().map(text).collect::<Result<Vec<_>, _>>()?,
            Value::Empty(..) => Vec::new(),
            other => vec![text(other)?],
        };
        let lists = texts.iter().map(|text| Matcher::list(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(lists.concat()))
    }
    fn show(&self) -> String {
        String::new()
    }
}

/// Routes, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(pub Vec<RouteConfig>);

impl Setting for Routes {
    const ACCEPTS: &'static str = "a list of routes such as {matchers: [severity=\"critical\"], receivers: [log]}";
    fn parse(value: &Value) -> Result<Self, String> {
        let value = structure(value);
        let Value::Array(_, items) = &value else { return Err(String::new()) };
        let mut routes = Vec::new();
        let mut wrong = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match item.as_dict().ok_or_else(|| vec!["it has no keys".to_owned()]).and_then(RouteConfig::read) {
                Ok(route) => routes.push(route),
                Err(why) => wrong.extend(why.into_iter().map(|why| format!("[{at}] {why}"))),
            }
        }
        if wrong.is_empty() { Ok(Self(routes)) } else { Err(wrong.join("; ")) }
    }
    fn show(&self) -> String {
        let routes: Vec<String> = self.0.iter().map(RouteConfig::show).collect();
        format!("[{}]", routes.join(", "))
    }
}

/// Times of the day, in seconds after midnight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(pub BTreeSet<u32>);

impl Setting for Times {
    const ACCEPTS: &'static str = "a list of times of the day such as 06:30, from 00:00 to 23:59";
    fn parse(value: &Value) -> Result<Self, String> {
        let time = |text: &String| {
            let is_number = |part: &str| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_digit());
            let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| is_number(hours) && is_number(minutes))?;
            let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)
        };
        let texts: Vec<String> = Setting::parse(value)?;
        texts
            .iter()
            .map(|text| time(text).ok_or_else(|| format!("{text:?} is no time of the day")))
            .collect::<Result<_, _>>()
            .map(Self)
    }
    fn show(&self) -> String {
        let times: Vec<String> = self.0.iter().map(|time| format!("\"{:02}:{:02}\"", time / 3600, time / 60 % 60)).collect();
        format!("[{}]", times.join(", "))
    }
}
