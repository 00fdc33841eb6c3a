//! The metrics about ourselves, in prometheus-client's registry.
//!
//! One row each in [`OWN`], from which they are registered and documented. Counted into by `app`, `http`, `lease` and `notify`.

use super::format::Format;
use crate::plan::Kind;
use crate::store::{Report, WatchId};
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

/// What the reference says of one of our own metrics.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnRow {
    /// Name, without `_total` and `_info`.
    pub name: &'static str,
    /// counter, gauge or info.
    pub kind: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it tells; the encoder adds the full stop.
    pub help: &'static str,
}

/// A label set with fixed names.
type Labels<const N: usize> = [(&'static str, String); N];

macro_rules! own {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $name:literal, $kind:literal, [$($label:literal),*], $help:literal;)+) => {
        /// Our own metrics.
        #[derive(Debug)]
        pub struct Own { registry: Registry, $($(#[$doc])* $field: $type,)+ }

        /// Every row, in the order of the exposition.
        pub static OWN: &[OwnRow] = &[
            OwnRow { name: "mtv_sentinel_build", kind: "info", labels: &["version", "commit"], help: BUILD_HELP },
            $(OwnRow { name: $name, kind: $kind, labels: &[$($label),*], help: $help },)+
        ];

        impl Own {
            /// All at zero.
            pub fn new(version: &str, commit: &str) -> Self {
                let mut registry = Registry::default();
                let build = vec![("version".to_owned(), version.to_owned()), ("commit".to_owned(), commit.to_owned())];
                registry.register("mtv_sentinel_build", BUILD_HELP, Info::new(build));
                $(let $field = <$type>::default(); register(&mut registry, $name, $help, &$field);)+
                let own = Self { registry, $($field),+ };
                own.start_at_zero();
                own
            }
        }
    };
}

const BUILD_HELP: &str = "The version of this program, always 1";

/// Defines a histogram, or a family of them, with its buckets.
macro_rules! histogram {
    ($name:ident, $type:ty, $new:expr) => {
        #[derive(Clone, Debug)]
        struct $name($type);

        impl Default for $name {
            fn default() -> Self {
                Self($new)
            }
        }

        impl EncodeMetric for $name {
            fn encode(&self, encoder: MetricEncoder<'_>) -> std::fmt::Result {
                self.0.encode(encoder)
            }

            fn metric_type(&self) -> MetricType {
                MetricType::Histogram
            }
        }
    };
}

type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

histogram!(Lag, Histogram, Histogram::new([1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]));
histogram!(
    Durations,
    Histograms,
    Histograms::new_with_constructor(|| Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]))
);
histogram!(
    Delays,
    Histograms,
    Histograms::new_with_constructor(|| Histogram::new([1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 7200.0]))
);

fn watch_labels(watch: &WatchId) -> Labels<2> {
    [("kind", watch.kind.to_string()), ("watch_namespace", watch.namespace.to_string())]
}

fn register(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}

own! {
    objects: Family<Labels<1>, Gauge> = "mtv_sentinel_objects", "gauge", ["kind"], "Objects that are known";
    unreadable: Gauge = "mtv_sentinel_unreadable_objects", "gauge", [],
        "Objects whose latest version cannot be decoded";
    observations: Family<Labels<2>, Counter> = "mtv_sentinel_observations", "counter", ["kind", "change"],
        "What the source showed: objects that were applied, deleted, or could not be decoded";
    decode_issues: Family<Labels<3>, Counter> = "mtv_sentinel_decode_issues", "counter", ["kind", "issue", "field"],
        "Oddities in objects that were decoded: values of a wrong type, words that this version does not know, VMs listed twice";
    bad_input: Counter = "mtv_sentinel_source_bad_input", "counter", [],
        "Pieces of input that are no objects: broken documents, unreadable files";
    watch_contact: Family<Labels<2>, Gauge> = "mtv_sentinel_watch_last_contact_timestamp_seconds", "gauge", ["kind", "watch_namespace"],
        "When the API server last answered a watch; an empty namespace is all of them";
    watch_broken: Family<Labels<2>, Gauge> = "mtv_sentinel_watch_broken", "gauge", ["kind", "watch_namespace"],
        "Whether a watch does not work, 1 or 0";
    watch_errors: Family<Labels<3>, Counter> = "mtv_sentinel_watch_errors", "counter", ["kind", "watch_namespace", "trouble"],
        "Requests of a watch that failed, by what was wrong";
    watch_listings: Family<Labels<2>, Counter> = "mtv_sentinel_watch_listings", "counter", ["kind", "watch_namespace"],
        "Listings of everything that a watch began";
    watch_restarts: Family<Labels<2>, Counter> = "mtv_sentinel_watch_restarts", "counter", ["kind", "watch_namespace"],
        "Watches that ended in order and were taken up again";
    lag: Lag = "mtv_sentinel_event_lag_seconds", "histogram", [],
        "How long after the newest time in a plan it was seen; times in objects are whole seconds";
    synced: Gauge = "mtv_sentinel_source_synced", "gauge", [], "Whether the source has shown everything once, 1 or 0";
    last_observation: Gauge = "mtv_sentinel_source_last_observation_timestamp_seconds", "gauge", [],
        "The time of the last observation, by the source's clock";
    samples: Gauge = "mtv_sentinel_samples", "gauge", [], "Samples about plans, VMs, providers and the fleet";
    scrapes: Family<Labels<2>, Counter> = "mtv_sentinel_scrapes", "counter", ["format", "encoding"],
        "Scrapes that were answered";
    requests: Family<Labels<2>, Counter> = "mtv_sentinel_http_requests", "counter", ["route", "code"],
        "HTTP requests that were answered";
    web_config_stale: Gauge = "mtv_sentinel_web_config_stale", "gauge", [],
        "Whether http.web_config_file, or a file that it names, is wrong since it changed, and an older version is in use, 1 or 0";
    config_reloaded: Gauge = "mtv_sentinel_config_last_reload_successful", "gauge", [],
        "Whether the configuration that was read last is the one in use, 1 or 0";
    config_reload_time: Gauge = "mtv_sentinel_config_last_reload_success_timestamp_seconds", "gauge", [],
        "When the configuration in use was read";
    notifications: Family<Labels<3>, Counter> = "mtv_sentinel_notifications", "counter", ["receiver", "rule", "turn"],
        "Notifications that were handed to a receiver";
    deliveries: Family<Labels<3>, Counter> = "mtv_sentinel_deliveries", "counter", ["receiver", "outcome", "reason"],
        "Attempts to deliver a notification: delivered, failed (it did not arrive), unknown (it may have), refused (it never will)";
    retries: Family<Labels<1>, Counter> = "mtv_sentinel_delivery_retries", "counter", ["receiver"],
        "Attempts to deliver that followed one that failed or whose outcome is unknown";
    dead_letters: Family<Labels<2>, Counter> = "mtv_sentinel_dead_letters", "counter", ["receiver", "reason"],
        "Notifications that can never be delivered: refused by the receiver, or owed to a receiver that is gone (abandoned)";
    pending: Family<Labels<1>, Gauge> = "mtv_sentinel_pending_notifications", "gauge", ["receiver"],
        "Messages that are on their way, or did not arrive and are told again";
    oldest_pending: Family<Labels<1>, Gauge> = "mtv_sentinel_oldest_pending_notification_timestamp_seconds", "gauge", ["receiver"],
        "Since when the first of them waits to arrive; absent while there is none";
    delivery_duration: Durations = "mtv_sentinel_delivery_duration_seconds", "histogram", ["receiver"],
        "How long an attempt to deliver took";
    notification_delay: Delays = "mtv_sentinel_notification_delay_seconds", "histogram", ["receiver"],
        "How long after an alert began to fire its receiver was first told of it, group_wait included; times are whole seconds";
    ledger_writes: Counter = "mtv_sentinel_ledger_writes", "counter", [],
        "Parts of the ledger that were written";
    ledger_failures: Counter = "mtv_sentinel_ledger_write_failures", "counter", [],
        "Attempts to write the ledger that failed; nothing is sent until one succeeds";
    ledger_conflicts: Counter = "mtv_sentinel_ledger_conflicts", "counter", [],
        "Writes of a part of the ledger that found it changed or deleted by somebody else";
    ledger_bytes: Family<Labels<1>, Gauge> = "mtv_sentinel_ledger_bytes", "gauge", ["part"], "Bytes of a part of the ledger";
    template_failures: Counter = "mtv_sentinel_message_template_failures", "counter", [],
        "Messages of which a template failed, so that the built-in text was sent";
    alerts: Family<Labels<3>, Gauge> = "mtv_sentinel_alerts", "gauge", ["rule", "severity", "state"],
        "Alerts, pending and firing, of the rules that are on";
    archive_candidates: Family<Labels<1>, Gauge> = "mtv_sentinel_archive_candidates", "gauge", ["policy"],
        "Plans that a policy would archive now";
    archive_oldest: Family<Labels<1>, Gauge> = "mtv_sentinel_archive_oldest_candidate_timestamp_seconds", "gauge", ["policy"],
        "Since when the first of them is old enough; absent while there is none";
    archive_decisions: Family<Labels<3>, Gauge> = "mtv_sentinel_archive_decisions", "gauge", ["policy", "decision", "reason"],
        "Plans by what the archive policies say of them; the policy is empty for those that none is about";
    leader: Gauge = "mtv_sentinel_leader", "gauge", [],
        "Whether this replica holds the lease, so that it notifies and archives; 1 where there is no lease";
    lease_term: Gauge = "mtv_sentinel_lease_term", "gauge", [],
        "The latest term of the lease that is known, whoever's it is: how often it was acquired; 0 where there is no lease";
    lease_renewals: Family<Labels<1>, Counter> = "mtv_sentinel_lease_renewals", "counter", ["outcome"],
        "Attempts to hold the lease: renewed (or acquired), conflict (somebody else wrote first), failed";
}

/// What an attempt to deliver leads to, and why.
const DELIVERIES: &[(&str, &[&str])] = &[
    ("delivered", &["ok"]),
    ("failed", &["busy", "connection", "denied", "secret", "timeout"]),
    ("unknown", &["answer", "connection", "server", "timeout"]),
    ("refused", &["rejected"]),
];

fn delivery(receiver: &str, outcome: &str, reason: &str) -> Labels<3> {
    [("receiver", receiver.to_owned()), ("outcome", outcome.to_owned()), ("reason", reason.to_owned())]
}

fn notification(receiver: &str, rule: &str, turn: &str) -> Labels<3> {
    [("receiver", receiver.to_owned()), ("rule", rule.to_owned()), ("turn", turn.to_owned())]
}

/// The same page with the samples of each family in order: prometheus-client keeps them in a hash map.
fn in_order(page: &str) -> String {
    let is_head = |line: &&str| line.starts_with('#');
    let lines: Vec<&str> = page.split_inclusive('\n').collect();
    let mut ordered = String::with_capacity(page.len());
    for block in lines.chunk_by(|a, b| is_head(a) == is_head(b)) {
        let mut block = block.to_vec();
        if block.iter().all(|line| !is_head(line)) {
            // The lines of one histogram, which begin with its sum, have an order of their own.
            let is_histogram = block.iter().any(|line| line.contains("_bucket{"));
            let mut metrics: Vec<&[&str]> = if is_histogram {
                block.chunk_by(|_, next| !next.split(['{', ' ']).next().is_some_and(|name| name.ends_with("_sum"))).collect()
            } else {
                block.chunks(1).collect()
            };
            metrics.sort_unstable();
            block = metrics.concat();
        }
        ordered.extend(block);
    }
    ordered
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Own {
    /// Label values that are known from the start are there from the start, so that a rate over them misses nothing.
    fn start_at_zero(&self) {
        // Until somebody says that there is a lease.
        self.leader.set(1);
        for outcome in ["renewed", "conflict", "failed"] {
            let _ = self.lease_renewals.get_or_create_owned(&[("outcome", outcome.to_owned())]);
        }
        for kind in Kind::ALL {
            self.set_objects(*kind, 0);
            for change in ["applied", "deleted", "unreadable"] {
                let _ = self.observations.get_or_create_owned(&[("kind", kind.to_string()), ("change", change.to_owned())]);
            }
        }
        for format in Format::ALL {
            for encoding in ["gzip", "identity"] {
                let labels = [("format", format.as_str().to_owned()), ("encoding", encoding.to_owned())];
                let _ = self.scrapes.get_or_create_owned(&labels);
            }
        }
    }

    /// Whether this replica holds the lease, once there is one.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// The latest term of the lease.
    pub fn set_lease_term(&self, term: u64) {
        self.lease_term.set(i64::try_from(term).unwrap_or(i64::MAX));
    }

    /// An attempt to hold the lease ended.
    pub fn count_lease_renewal(&self, outcome: &'static str) {
        self.lease_renewals.get_or_create_owned(&[("outcome", outcome.to_owned())]).inc();
    }

    /// The notifications of a receiver are there from the start.
    pub fn start_notifications(&self, receiver: &str) {
        self.start_deliveries(receiver);
        let _ = self.notification_delay.0.get_or_create_owned(&[("receiver", receiver.to_owned())]);
        for reason in ["abandoned", "refused"] {
            let labels = [("receiver", receiver.to_owned()), ("reason", reason.to_owned())];
            let _ = self.dead_letters.get_or_create_owned(&labels);
        }
        for rule in crate::alert::RULES {
            for turn in crate::dispatch::Turn::ALL {
                let _ = self.notifications.get_or_create_owned(&notification(receiver, rule.name, turn.as_str()));
            }
        }
    }

    /// So are the attempts to deliver something to it.
    pub fn start_deliveries(&self, receiver: &str) {
        let labels = [("receiver", receiver.to_owned())];
        let _ = self.retries.get_or_create_owned(&labels);
        let _ = self.delivery_duration.0.get_or_create_owned(&labels);
        for (outcome, reasons) in DELIVERIES {
            for reason in *reasons {
                let _ = self.deliveries.get_or_create_owned(&delivery(receiver, outcome, reason));
            }
        }
    }

    /// The registry in OpenMetrics, without an end.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        in_order(&text)
    }

    /// How many objects of a kind are known.
    pub fn set_objects(&self, kind: Kind, number: usize) {
        self.objects.get_or_create_owned(&[("kind", kind.to_string())]).set(count(number));
    }

    /// A watch of a cluster reported.
    pub fn count_report(&self, watch: &WatchId, report: &Report) {
        let labels = watch_labels(watch);
        let set_broken = |broken: i64| {
            self.watch_broken.get_or_create_owned(&labels).set(broken);
        };
        match report {
            Report::Listing => {
                self.watch_listings.get_or_create_owned(&labels).inc();
            }
            Report::Restarted => {
                self.watch_restarts.get_or_create_owned(&labels).inc();
            }
            Report::Contact | Report::Listed => set_broken(0),
            Report::Broken(trouble, _) => {
                set_broken(1);
                let [kind, namespace] = labels.clone();
                let labels = [kind, namespace, ("trouble", trouble.to_string())];
                self.watch_errors.get_or_create_owned(&labels).inc();
            }
        }
    }

    /// The server answered a watch at `at`.
    pub fn set_contact(&self, watch: &WatchId, at: crate::plan::Time) {
        self.watch_contact.get_or_create_owned(&watch_labels(watch)).set(at.unix().into());
    }

    /// A plan was seen this long after the newest time in it.
    pub fn observe_lag(&self, lag: std::time::Duration) {
        self.lag.0.observe(lag.as_secs_f64());
    }

    /// How many objects cannot be decoded.
    pub fn set_unreadable(&self, number: usize) {
        self.unreadable.set(count(number));
    }

    /// An object was applied, deleted, or could not be decoded.
    pub fn count_observation(&self, kind: Kind, change: &'static str) {
        self.observations.get_or_create_owned(&[("kind", kind.to_string()), ("change", change.to_owned())]).inc();
    }

    /// An oddity in an object that was decoded.
    pub fn count_issue(&self, kind: Kind, issue: &'static str, field: &'static str) {
        let labels = [("kind", kind.to_string()), ("issue", issue.to_owned()), ("field", field.to_owned())];
        self.decode_issues.get_or_create_owned(&labels).inc();
    }

    /// A piece of input that is no object.
    pub fn count_bad_input(&self) {
        self.bad_input.inc();
    }

    /// Whether the source has shown everything once.
    pub fn set_synced(&self, synced: bool) {
        self.synced.set(synced.into());
    }

    /// The time of the last observation.
    pub fn set_last_observation(&self, at: crate::plan::Time) {
        self.last_observation.set(at.unix().into());
    }

    /// How many samples the current exposition has.
    pub fn set_samples(&self, samples: u64) {
        self.samples.set(i64::try_from(samples).unwrap_or(i64::MAX));
    }

    /// A scrape was answered.
    pub fn count_scrape(&self, format: Format, gzip: bool) {
        let encoding = if gzip { "gzip" } else { "identity" };
        self.scrapes.get_or_create_owned(&[("format", format.as_str().to_owned()), ("encoding", encoding.to_owned())]).inc();
    }

    /// A request was answered.
    pub fn count_request(&self, route: &'static str, code: u16) {
        self.requests.get_or_create_owned(&[("route", route.to_owned()), ("code", code.to_string())]).inc();
    }

    /// Whether an older version of the web configuration is in use, because the latest is wrong.
    pub fn set_web_config_stale(&self, stale: bool) {
        self.web_config_stale.set(stale.into());
    }

    /// The configuration was read, and is in use or not.
    pub fn set_config_reload(&self, successful: bool, at: crate::plan::Time) {
        self.config_reloaded.set(successful.into());
        if successful {
            self.config_reload_time.set(at.unix().into());
        }
    }

    /// The counts of alerts begin anew: rules and severities may be others.
    pub fn clear_alerts(&self) {
        self.alerts.clear();
    }

    /// A notification was handed to a receiver.
    pub fn count_notification(&self, receiver: &str, rule: &'static str, turn: &'static str) {
        self.notifications.get_or_create_owned(&notification(receiver, rule, turn)).inc();
    }

    /// An attempt to deliver ended.
    pub fn count_delivery(&self, receiver: &str, outcome: &'static str, reason: &'static str) {
        self.deliveries.get_or_create_owned(&delivery(receiver, outcome, reason)).inc();
    }

    /// An attempt to deliver took so long; it may have followed one that did not succeed.
    pub fn observe_delivery(&self, receiver: &str, took: std::time::Duration, is_retry: bool) {
        let labels = [("receiver", receiver.to_owned())];
        self.delivery_duration.0.get_or_create_owned(&labels).observe(took.as_secs_f64());
        if is_retry {
            self.retries.get_or_create_owned(&labels).inc();
        }
    }

    /// A receiver was told of an alert for the first time, so long after it began to fire.
    pub fn observe_delay(&self, receiver: &str, delay: std::time::Duration) {
        self.notification_delay.0.get_or_create_owned(&[("receiver", receiver.to_owned())]).observe(delay.as_secs_f64());
    }

    /// Notifications that can never be delivered.
    pub fn count_dead_letters(&self, receiver: &str, reason: &'static str, number: usize) {
        let labels = [("receiver", receiver.to_owned()), ("reason", reason.to_owned())];
        self.dead_letters.get_or_create_owned(&labels).inc_by(number as u64);
    }

    /// What waits to arrive at a receiver.
    pub fn set_pending(&self, receiver: &str, pending: crate::dispatch::Pending) {
        let labels = [("receiver", receiver.to_owned())];
        self.pending.get_or_create_owned(&labels).set(count(pending.messages));
        match pending.oldest {
            Some(oldest) => drop(self.oldest_pending.get_or_create_owned(&labels).set(oldest.unix().into())),
            None => drop(self.oldest_pending.remove(&labels)),
        }
    }

    /// A part of the ledger was written.
    pub fn count_ledger_write(&self) {
        self.ledger_writes.inc();
    }

    /// The ledger could not be written.
    pub fn count_ledger_failure(&self) {
        self.ledger_failures.inc();
    }

    /// Somebody else had changed or deleted a part of the ledger.
    pub fn count_ledger_conflicts(&self, number: u64) {
        self.ledger_conflicts.inc_by(number);
    }

    /// The size of a part of the ledger.
    pub fn set_ledger_bytes(&self, part: u16, bytes: usize) {
        self.ledger_bytes.get_or_create_owned(&[("part", part.to_string())]).set(count(bytes));
    }

    /// A template failed on a message, and the built-in text was sent.
    pub fn count_template_failure(&self) {
        self.template_failures.inc();
    }

    /// The counts of plans by policy begin anew: there may be others.
    pub fn clear_archive(&self) {
        self.archive_candidates.clear();
        self.archive_oldest.clear();
        self.archive_decisions.clear();
    }

    /// How many plans a policy would archive, and since when the first of them is due.
    pub fn set_archive_candidates(&self, policy: &str, number: usize, oldest: Option<crate::plan::Time>) {
        let labels = [("policy", policy.to_owned())];
        self.archive_candidates.get_or_create_owned(&labels).set(count(number));
        match oldest {
            Some(oldest) => drop(self.archive_oldest.get_or_create_owned(&labels).set(oldest.unix().into())),
            None => drop(self.archive_oldest.remove(&labels)),
        }
    }

    /// How many plans there are of which a policy says this.
    pub fn set_archive_decisions(&self, policy: &str, decision: &'static str, reason: &'static str, number: usize) {
        let labels = [("policy", policy.to_owned()), ("decision", decision.to_owned()), ("reason", reason.to_owned())];
        self.archive_decisions.get_or_create_owned(&labels).set(count(number));
    }

    /// How many alerts of a rule are in a state.
    pub fn set_alerts(&self, rule: &str, severity: &str, state: &str, number: usize) {
        let labels = [("rule", rule.to_owned()), ("severity", severity.to_owned()), ("state", state.to_owned())];
        self.alerts.get_or_create_owned(&labels).set(count(number));
    }
}
