//! `lease`: which of several replicas notifies and archives.

use super::section::{Errors, section};
use super::setting::{Interval, Setting, text};
use figment::value::Value;
use std::time::Duration;

/// How long an action may take: who has lost the leadership may be acting still for so long, and whoever has it now waits for
/// that. A lease must outlive one that begins just before it is renewed.
pub const LONGEST_ACTION: Duration = Duration::from_secs(5);

closed_enum! {
    /// Whether there is a lease.
    #[derive(Default)]
    pub enum LeaseMode {
        /// If the source is the cluster and the program runs in a pod.
        #[default]
        Auto = "auto",
        /// Always.
        On = "true",
        /// Never.
        Off = "false",
    }
}

impl Setting for LeaseMode {
    const ACCEPTS: &'static str = "auto, true or false";
    fn parse(value: &Value) -> Result<Self, String> {
        let word = text(value)?;
        Self::ALL.iter().copied().find(|mode| mode.as_str().eq_ignore_ascii_case(&word)).ok_or_else(String::new)
    }
    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}

section! {
    /// Which of several replicas notifies and archives.
    pub struct LeaseConfig {
        /// Whether a Lease of the cluster says who notifies and archives: auto (if the source is the cluster and the program runs
        /// in a pod), true or false. Every replica exports.
        enabled: LeaseMode = "auto",
        /// The name of the Lease.
        name: String = "mtv-sentinel",
        /// Its namespace; empty for the pod's own.
        namespace: String = "\"\"",
        /// How long a replica that is not heard of may still hold it.
        duration: Interval = "15s",
        /// How long renewals may fail before a replica gives it up by itself.
        renew_deadline: Interval = "10s",
        /// How often it is renewed, or looked at.
        retry: Interval = "2s",
    }
}

impl LeaseConfig {
    pub(super) fn check(&self, errors: &mut Errors) {
        if self.name.is_empty() {
            errors.push("lease.name", "is empty; a Lease has a name");
        }
        let longer = |what: &str, least: Duration| format!("must be longer than {what}, {}", least.show());
        if self.renew_deadline.0 <= self.retry.0 {
            errors.push("lease.renew_deadline", longer("lease.retry", self.retry.0));
        }
        let of_an_action = self.retry.0.saturating_add(LONGEST_ACTION);
        if self.duration.0 <= self.renew_deadline.0 {
            errors.push("lease.duration", longer("lease.renew_deadline", self.renew_deadline.0));
        } else if self.duration.0 <= of_an_action {
            errors.push("lease.duration", longer("lease.retry and the 5s of an action", of_an_action));
        }
    }
}
