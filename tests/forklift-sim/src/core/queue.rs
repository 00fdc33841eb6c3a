//! Forklift's scheduler for vSphere: how much each ESXi host has to carry, over all plans of a provider.
//!
//! Called by `attempt` before it starts a VM.

use super::Sim;
use super::itinerary::{Phase, Way};
use super::model::VmStatus;
use super::plan::Plan;
use super::world::Key;
use std::collections::BTreeMap;

/// What is under way, by host.
#[derive(Debug, Default)]
pub(super) struct Load(BTreeMap<String, u32>);

impl Load {
    /// Counts a VM if it is under way.
    pub(super) fn add(&mut self, plan: &Plan, vm: &VmStatus) {
        if vm.started.is_some() && vm.completed.is_none() {
            *self.0.entry(host(plan, vm).to_owned()).or_default() += cost(plan, vm);
        }
    }

    /// Whether a VM may start now. One that is more than the limit by itself may when nothing else runs.
    pub(super) fn has_room(&self, plan: &Plan, vm: &VmStatus, limit: u32) -> bool {
        let used = self.0.get(host(plan, vm)).copied().unwrap_or(0);
        used == 0 || used + cost(plan, vm) <= limit
    }
}

/// What the other plans of a provider have under way. Archived ones do not count.
pub(super) fn others(sim: &Sim, own: &Key, provider: &Key) -> Load {
    let mut load = Load::default();
    for (key, plan) in &sim.plans {
        let counts = key != own && !plan.spec.archived && plan.executes() && plan.provider("source") == *provider;
        if counts {
            for vm in &plan.status.migration.vms {
                load.add(plan, vm);
            }
        }
    }
    load
}

fn host<'a>(plan: &'a Plan, vm: &VmStatus) -> &'a str {
    &plan.vm_world(&vm.name).host
}

/// A VM for a copy by virt-v2v, its disks that are not done for one by CDI, nothing once they are copied.
fn cost(plan: &Plan, vm: &VmStatus) -> u32 {
    let Some(run) = plan.runs.get(&vm.name) else { return 1 };
    match vm.phase {
        Phase::CreateVM | Phase::PostHook | Phase::Completed => 0,
        _ if run.shape.v2v_copy || run.shape.way == Way::Live => 1,
        Phase::CopyingPaused | Phase::CreateGuestConversionPod | Phase::ConvertGuest => 0,
        _ => {
            let copy = vm.pipeline.iter().find(|step| step.name == "DiskTransfer");
            let done = copy.map_or(0, |step| step.tasks.iter().filter(|task| task.completed.is_some()).count());
            u32::try_from(run.disks.len().saturating_sub(done)).unwrap_or(u32::MAX)
        }
    }
}
