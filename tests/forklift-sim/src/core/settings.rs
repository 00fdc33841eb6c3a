//! How long things take. All durations are those of the cluster's clock: [`Settings::at_speed`] makes them shorter.

use super::time::Span;
use serde::Deserialize;

/// Durations and limits of the controller and of what is played. A scenario overrides single ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How much faster than a real cluster time runs. Set by [`Settings::at_speed`].
    #[serde(skip, default = "one")]
    pub speed: f64,
    /// Between two reconciles of a plan that is not at rest, or of a provider that is not connected.
    pub reconcile: Span,
    /// Between two tests of a provider that is connected.
    pub provider_test: Span,
    /// How long after its provider a network map is ready again.
    pub network_map_lag: Span,
    /// How long after its provider a storage map is ready again.
    pub storage_map_lag: Span,
    /// How long the VDDK image is validated.
    pub vddk: Span,
    /// How long a blocker may last while a plan executes.
    pub blocker_grace: Span,
    /// From the end of a precopy to the next.
    pub precopy_interval: Span,
    /// VMs (or disks, with CDI) on one ESXi host at a time.
    pub max_in_flight: u32,
    /// How fast one disk is copied.
    pub copy_mib_per_second: f64,
    /// The part of a disk that a further precopy or a cutover copies.
    pub delta: f64,
    /// How long it takes to bind the volumes of a copy by virt-v2v.
    pub bind: Span,
    /// How long it takes until an importer or a conversion pod runs.
    pub pod: Span,
    /// How long a guest is converted.
    pub conversion: Span,
    /// How long a VM is inspected before a warm migration.
    pub inspection: Span,
    /// How long a hook runs.
    pub hook: Span,
    /// How long a Windows guest takes to reboot.
    pub reboots: Span,
    /// How long a live migration synchronizes.
    pub synchronization: Span,
    /// How long an importer restarts before it is given up.
    pub importer_retries: Span,
}

fn one() -> f64 {
    1.0
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed: one(),
            reconcile: Span::seconds(3),
            provider_test: Span::seconds(30),
            network_map_lag: Span::seconds(2),
            storage_map_lag: Span::seconds(3),
            vddk: Span::millis(6500),
            blocker_grace: Span::seconds(300),
            precopy_interval: Span::seconds(3600),
            max_in_flight: 20,
            copy_mib_per_second: 200.0,
            delta: 0.1,
            bind: Span::seconds(4),
            pod: Span::seconds(4),
            conversion: Span::seconds(180),
            inspection: Span::seconds(15),
            hook: Span::seconds(12),
            reboots: Span::seconds(60),
            synchronization: Span::seconds(60),
            importer_retries: Span::seconds(7),
        }
    }
}

impl Settings {
    /// The same with time running `speed` times as fast.
    pub fn at_speed(self, speed: f64) -> Self {
        // Every field is named, so that a new one is not forgotten.
        Self {
            speed: self.speed * speed,
            reconcile: self.reconcile.at_speed(speed),
            provider_test: self.provider_test.at_speed(speed),
            network_map_lag: self.network_map_lag.at_speed(speed),
            storage_map_lag: self.storage_map_lag.at_speed(speed),
            vddk: self.vddk.at_speed(speed),
            blocker_grace: self.blocker_grace.at_speed(speed),
            precopy_interval: self.precopy_interval.at_speed(speed),
            max_in_flight: self.max_in_flight,
            copy_mib_per_second: self.copy_mib_per_second * speed,
            delta: self.delta,
            bind: self.bind.at_speed(speed),
            pod: self.pod.at_speed(speed),
            conversion: self.conversion.at_speed(speed),
            inspection: self.inspection.at_speed(speed),
            hook: self.hook.at_speed(speed),
            reboots: self.reboots.at_speed(speed),
            synchronization: self.synchronization.at_speed(speed),
            importer_retries: self.importer_retries.at_speed(speed),
        }
    }
}
