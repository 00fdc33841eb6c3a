//! `notify`: who is told, of what, and how fast.

use super::receivers::{Rate, ReceiverConfig, Receivers};
use super::routes::{Routes, Times};
use super::section::{Errors, section, suggest};
use super::setting::Count0;
use super::source::Source;
use super::{AlertsConfig, KubernetesConfig};
use crate::alert::RULES;
use crate::dispatch::{
    LABELS, Matcher, Mirrors, OF_THE_PLAN, Pace, Route, Routing, Schedule, Selection, Storm, Timing, unreachable,
};
use crate::plan::Text;
use std::collections::BTreeSet;
use std::time::Duration;

section! {
    /// Who is told.
    pub struct NotifyConfig {
        /// Receivers by name, each with its type. log: a line of the log for each notification. slack: an incoming webhook (url),
        /// or a bot (token, channel), which edits its message as the conversation grows. pagerduty: an incident for each
        /// conversation (routing_key; region: us or eu). webhook: Alertmanager's payload (version 4) is posted to url, with
        /// bearer_token, headers and a signature by hmac_secret, if they are given. kubernetes_events: an Event on the plan or
        /// provider of each alert; it needs the source cluster. alertmanager: what fires is posted to each of urls, by every
        /// replica and again every resend_interval, with bearer_token and headers; grouping, repeating and silencing are
        /// Alertmanager's. Each secret NAME may be in the file NAME_file instead, which is read anew for each message. All of
        /// them but log take timeout (5s at most), all but that and alertmanager rate_limit (as 1/1s, or none), and those that
        /// speak HTTP to a service ca_file and proxy.
        receivers: Receivers = "{log: {type: log}}",
        /// Who is told of what: the first route counts of which all matchers match, in Alertmanager's syntax, such as
        /// {matchers: [severity="critical", namespace=~"prod-.*"], receivers: [log], group_wait: 0s}. An alert that no route
        /// takes is told to nobody, and so is one whose route has no receivers. Without routes everybody is told everything.
        routes: Routes = "[]",
        /// How long the first news for a receiver waits for more, so that they come together. A route may have its own.
        group_wait: Duration = "30s",
        /// The least time between two messages of one conversation, unless it gets worse. A route may have its own.
        group_interval: Duration = "5m",
        /// After which time what still fires is told again; 0s for never. A route may have its own.
        repeat_interval: Duration = "0s",
        /// Whether ends are told. A route may have its own.
        send_resolved: bool = "true",
        /// So many new conversations of a receiver within storm_window are told one by one; what goes beyond comes in one
        /// digest. 0 for no such limit.
        storm_threads: Count0 = "10",
        /// The window of storm_threads.
        storm_window: Duration = "10m",
        /// Receivers of a report on how the campaign stands.
        campaign_receivers: Vec<String> = "[]",
        /// When they get it: times of the day in UTC, such as [06:30, 16:00].
        campaign_times: Times = "[\"06:00\"]",
        /// Whether a new receiver is told, once, what fires already: at the first start, or when it is added.
        tell_baseline: bool = "true",
        /// Whether an Event says so on a plan or provider when a receiver refuses for ever what it is told of it. Only with the
        /// source cluster; without the right to create Events none is made.
        dead_letter_events: bool = "true",
    }
}

/// More often than this nobody wants to be reminded.
const SHORTEST: Duration = Duration::from_secs(60);

impl NotifyConfig {
    /// In the terms of `dispatch`.
    pub fn routing(&self, alerts: &AlertsConfig, kubernetes: &KubernetesConfig) -> Routing {
        let receivers: Vec<_> = self.receivers.names().map(Into::into).collect();
        let mut routes: Vec<Route> = self.routes.0.iter().map(|route| route.with(self.timing())).collect();
        if routes.is_empty() {
            let selection = Selection { matchers: Vec::new(), receivers: receivers.clone() };
            routes.push(Route { selection, timing: self.timing() });
        }
        let mirrors = self.split_off_mirrors(&mut routes);
        let settings = alerts.settings();
        let rules = RULES.iter().filter(|rule| settings.is_on(rule));
        let rules = rules.map(|rule| (rule.name.into(), settings.severity(rule))).collect();
        let namespaces = kubernetes.namespaces.iter().map(Into::into).collect();
        Routing {
            receivers: receivers.into_iter().filter(|name| !mirrors.receivers.contains(name)).collect(),
            routes,
            storm: Storm { threads: self.storm_threads.0, window: self.storm_window },
            tell_baseline: self.tell_baseline,
            rules,
            namespaces,
            paces: self.receivers.0.iter().filter_map(pace).collect(),
            campaign: Schedule {
                receivers: self.campaign_receivers.iter().map(Into::into).collect(),
                times: self.campaign_times.0.clone(),
            },
            mirrors,
        }
    }

    /// Takes the mirrors out of the routes: each route stays where it is, and takes what it took.
    fn split_off_mirrors(&self, routes: &mut [Route]) -> Mirrors {
        let mirrors = self.receivers.0.iter().filter(|(_, receiver)| receiver.is_mirror());
        let mirrors: BTreeSet<Text> = mirrors.map(|(name, _)| name.into()).collect();
        let split_off = |route: &mut Route| {
            let Selection { matchers, receivers } = &mut route.selection;
            let (own, others) = std::mem::take(receivers).into_iter().partition(|name| mirrors.contains(name));
            *receivers = others;
            Selection { matchers: matchers.clone(), receivers: own }
        };
        Mirrors { routes: routes.iter_mut().map(split_off).collect(), receivers: mirrors }
    }

    fn timing(&self) -> Timing {
        Timing {
            group_wait: self.group_wait,
            group_interval: self.group_interval,
            repeat_interval: self.repeat_interval,
            send_resolved: self.send_resolved,
        }
    }

    /// Finds receivers that there are not, labels that there are not, and routes that can never match.
    pub(super) fn check(&self, alerts: &AlertsConfig, errors: &mut Errors) {
        let settings = alerts.settings();
        let on = RULES.iter().filter(|rule| settings.is_on(rule));
        let on: Vec<_> = on.map(|rule| (rule.name, settings.severity(rule))).collect();
        let receivers: Vec<&str> = self.receivers.names().collect();
        if self.campaign_times.0.is_empty() && !self.campaign_receivers.is_empty() {
            errors.push("notify.campaign_times", "it is empty, so that notify.campaign_receivers would never get a report");
        }
        let reminds = self.routes.0.iter().map(|route| route.with(self.timing()).timing.repeat_interval);
        for interval in reminds.chain([self.repeat_interval]).filter(|interval| !interval.is_zero() && *interval < SHORTEST)
        {
            let message = format!("{interval:?} is too short for a reminder; it takes 0s for none, or at least 1m");
            errors.push("notify.repeat_interval", message);
        }
        for name in self.campaign_receivers.iter().filter(|name| !receivers.contains(&name.as_str())) {
            let meant = suggest(name, &receivers);
            errors.push("notify.campaign_receivers", format!("there is no receiver {name:?}; {meant}"));
        }
        let is_mirror = |name: &&String| self.receivers.0.get(*name).is_some_and(ReceiverConfig::is_mirror);
        for name in self.campaign_receivers.iter().filter(is_mirror) {
            let message = format!("{name:?} is an alertmanager: it is shown what fires, and takes no reports");
            errors.push("notify.campaign_receivers", message);
        }
        let routes: Vec<Selection> = self.routes.0.iter().map(|route| route.with(self.timing()).selection).collect();
        for (at, route) in routes.iter().enumerate() {
            let path = format!("notify.routes[{at}]");
            for name in route.receivers.iter().filter(|name| !receivers.contains(&name.as_str())) {
                let meant = suggest(name, &receivers);
                errors.push(format!("{path}.receivers"), format!("there is no receiver {name:?}; {meant}"));
            }
            let wrong: Vec<String> = route.matchers.iter().filter_map(unknown_label).collect();
            if wrong.is_empty()
                && let Some(why) = unreachable(route, &routes[..at], &on)
            {
                errors.push(&path, format!("it can never match: {why}"));
            }
            wrong.into_iter().for_each(|wrong| errors.push(format!("{path}.matchers"), wrong));
        }
    }
}

impl NotifyConfig {
    /// Finds receivers that make Events where there can be none, or where they would say nothing.
    pub(super) fn check_events(&self, source: &Source, errors: &mut Errors) {
        let makes_events = |receiver: &ReceiverConfig| matches!(receiver, ReceiverConfig::KubernetesEvents(_));
        for (name, _) in self.receivers.0.iter().filter(|(_, receiver)| makes_events(receiver)) {
            if *source != Source::Cluster {
                errors.push("notify.receivers", format!("{name}: kubernetes_events needs the source cluster"));
            }
            if self.campaign_receivers.contains(name) {
                let message = format!("{name:?} makes Events on plans and providers, and a report is about none of them");
                errors.push("notify.campaign_receivers", message);
            }
        }
    }
}

/// How fast a receiver takes messages.
fn pace((name, receiver): (&String, &ReceiverConfig)) -> Option<(Text, Pace)> {
    let Rate { messages, window } = receiver.rate()?;
    Some((name.into(), Pace { messages, window }))
}

fn unknown_label(matcher: &Matcher) -> Option<String> {
    let name = matcher.label();
    let known: Vec<&str> = LABELS.iter().map(|(name, _)| *name).collect();
    let own = name.strip_prefix(OF_THE_PLAN).is_some_and(|name| !name.is_empty());
    (!own && !known.contains(&name)).then(|| {
        let meant = suggest(name, &known);
        format!("alerts have no label {name:?}; {meant}; a label of the plan is {OF_THE_PLAN}NAME")
    })
}
