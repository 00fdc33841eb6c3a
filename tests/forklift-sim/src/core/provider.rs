//! Providers and maps: whether they are ready, and when the controller notices.

use super::conditions::{Condition, category};
use super::model::PlainStatus;
use super::settings::Settings;
use super::time::{Span, after};
use super::world::{Key, Meta};
use jiff::Timestamp;

/// A provider or a map.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its metadata.
    pub meta: Meta,
    /// Of a provider: its type. Empty for a map.
    pub kind: String,
    /// Of a provider: whether it names a VDDK image.
    pub vddk: bool,
    /// Of a provider: whether it answers.
    pub answers: bool,
    /// Of a provider: where it is.
    pub url: String,
    /// Of a map: its providers.
    pub providers: Vec<Key>,
    /// What is written.
    pub status: PlainStatus,
    /// When it is looked at next.
    pub next: Option<Timestamp>,
}

impl Object {
    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.has("Ready")
    }
}

/// Reconciles a provider: tests the connection. One that answers is tested again much later.
pub(super) fn provider(object: &mut Object, settings: &Settings, now: Timestamp) {
    let host = object.kind == "openshift" && object.url.is_empty();
    let conditions = &mut object.status.conditions;
    conditions.stage();
    if !host && object.kind == "vsphere" {
        let text = "TLS is susceptible to machine-in-the-middle attacks when certificate verification is skipped.";
        let condition = Condition::new("ConnectionInsecure", category::WARN, text, now);
        conditions.set(condition.reason("SkipTLSVerification"));
    }
    if object.answers {
        let text = "Connection test, succeeded.";
        conditions.set(Condition::new("ConnectionTestSucceeded", category::REQUIRED, text, now).reason("Tested"));
        let text = "Validation has been completed.";
        conditions.set(Condition::new("Validated", category::ADVISORY, text, now).reason("Completed"));
        let text = "The inventory has been loaded.";
        conditions.set(Condition::new("InventoryCreated", category::REQUIRED, text, now).reason("Completed"));
        conditions.set(Condition::new("Ready", category::REQUIRED, "The provider is ready.", now));
    } else {
        let address = object.url.trim_start_matches("https://").split(['/', ':']).next().filter(|host| !host.is_empty());
        let text = format!("dial tcp {}:443: connect: connection refused", address.unwrap_or("10.96.0.1"));
        conditions.set(Condition::new("ConnectionTestFailed", category::CRITICAL, &text, now).reason("Tested"));
    }
    conditions.unstage();
    object.status.phase = Some(if object.answers { "Ready" } else { "ConnectionFailed" }.into());
    object.status.observed_generation = object.meta.generation;
    let again = if object.answers { settings.provider_test } else { settings.reconcile };
    object.next = Some(after(now, again));
}

/// Reconciles a map. It notices at once that a provider went, and late that it came back.
pub(super) fn map(object: &mut Object, providers_ready: [bool; 2], lag: Span, now: Timestamp) {
    let ready = providers_ready == [true, true];
    let due = object.next.is_some_and(|next| next <= now);
    let fresh = object.status.observed_generation == 0;
    object.status.observed_generation = object.meta.generation;
    if ready && !object.is_ready() && !due && !fresh {
        object.next.get_or_insert(after(now, lag));
        return;
    }
    object.next = None;
    let conditions = &mut object.status.conditions;
    conditions.stage();
    for (ready, side) in providers_ready.into_iter().zip(["Source", "Destination"]) {
        if !ready {
            let text = format!("The {} provider does not have the Ready condition.", side.to_lowercase());
            conditions.set(Condition::new(&format!("{side}ProviderNotReady"), category::CRITICAL, &text, now));
        }
    }
    if ready {
        conditions.set(Condition::new("Ready", category::REQUIRED, "The map is ready.", now));
    }
    conditions.unstage();
}
