//! A plan with what belongs to it, and every conclusion drawn from them: what all the rest of the program reads.
//!
//! Made by the store at each change of a plan, of one of its Migrations or of one of its Providers; never changed.

use super::model::{Migration, Plan, Provider};
use super::progress::{self, VmProgress, current_step, plan_ratio, vm_progress};
use super::words::StepName;
use super::{Flags, PlanPhase, Time, VmOutcome, VmPhase, effective_cutover, plan_phase, vm_phase};
use std::sync::Arc;
use std::time::Duration;

/// A plan and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanState {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Every Migration that names it, oldest first.
    pub migrations: Box<[Arc<Migration>]>,
    /// Its source provider, if it is known.
    pub source: Option<Arc<Provider>>,
    /// Its destination provider, if it is known.
    pub destination: Option<Arc<Provider>>,
    /// Its phase.
    pub phase: PlanPhase,
    /// Its flags.
    pub flags: Flags,
    /// Its VMs, in the order of `plan.vms`.
    pub vms: Box<[VmState]>,
    /// Its progress, 0 to 1; `None` before the first attempt.
    pub ratio: Option<f64>,
}

/// What follows from a VM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VmState {
    /// Its phase.
    pub phase: VmPhase,
    /// Its progress.
    pub progress: VmProgress,
    /// The step that it is in.
    pub step: Option<StepName>,
    /// Its effective cutover, while it is warm and not over.
    pub cutover: Option<Time>,
    /// How long the source was down in the cutover, once the VM has succeeded.
    pub downtime: Option<Duration>,
}

impl PlanState {
    /// Draws the conclusions. `old` is the state before, `at` the instant of the observation: the two tell when a VM last
    /// moved, for which the object keeps no clock.
    pub fn derive(
        mut plan: Plan,
        migrations: Box<[Arc<Migration>]>,
        source: Option<Arc<Provider>>,
        destination: Option<Arc<Provider>>,
        old: Option<&PlanState>,
        at: Time,
    ) -> Self {
        let old = old.filter(|old| old.plan.uid == plan.uid);
        progress::note_progress(old.map(|old| &*old.plan), &mut plan, at);
        Self::of(Arc::new(plan), migrations, source, destination)
    }

    /// The same plan beside other Migrations or Providers.
    pub fn with(
        &self,
        migrations: Box<[Arc<Migration>]>,
        source: Option<Arc<Provider>>,
        destination: Option<Arc<Provider>>,
    ) -> Self {
        Self::of(Arc::clone(&self.plan), migrations, source, destination)
    }

    fn of(
        plan: Arc<Plan>,
        migrations: Box<[Arc<Migration>]>,
        source: Option<Arc<Provider>>,
        destination: Option<Arc<Provider>>,
    ) -> Self {
        let run = active(&plan, &migrations);
        let phase = plan_phase(&plan, run);
        let vms: Box<[VmState]> = plan.vms.iter().map(|vm| vm_state(vm, plan.is_warm(), phase, run)).collect();
        let progress: Vec<VmProgress> = vms.iter().map(|vm| vm.progress).collect();
        Self {
            phase,
            flags: Flags::of(&plan, &migrations),
            ratio: plan_ratio(&plan, &progress),
            vms,
            plan,
            migrations,
            source,
            destination,
        }
    }

    /// The Migration that the plan executes.
    pub fn run(&self) -> Option<&Migration> {
        active(&self.plan, &self.migrations)
    }

    /// The earliest cutover of the VMs that are not over.
    pub fn cutover(&self) -> Option<Time> {
        self.vms.iter().filter_map(|vm| vm.cutover).min()
    }

    /// When a VM of it last moved.
    pub fn last_progress(&self) -> Option<Time> {
        self.plan.vms.iter().filter_map(|vm| vm.last_progress).max()
    }

    /// Bytes of all disks that are copied.
    pub fn disk_bytes(&self) -> u64 {
        self.vms.iter().map(|vm| vm.progress.disk_bytes).sum()
    }

    /// Bytes of them that have been copied.
    pub fn transferred_bytes(&self) -> u64 {
        self.vms.iter().map(|vm| vm.progress.transferred_bytes).sum()
    }

    /// How many VMs are in each phase, in the order of [`VmPhase::ALL`]. The VMs of a plan that was never run are Pending,
    /// unless it is archived.
    pub fn vm_counts(&self) -> [u32; VmPhase::ALL.len()] {
        let mut counts = [0; VmPhase::ALL.len()];
        for vm in &self.vms {
            counts[vm.phase as usize] += 1;
        }
        if self.plan.attempts.is_empty() && self.vms.is_empty() && self.phase != PlanPhase::Archived {
            counts[VmPhase::Pending as usize] = u32::try_from(self.plan.wanted.len()).unwrap_or(u32::MAX);
        }
        counts
    }
}

/// The Migration of the running attempt: by uid, or by name where the history has no uid.
fn active<'a>(plan: &Plan, migrations: &'a [Arc<Migration>]) -> Option<&'a Migration> {
    if !super::phase::is_executing(plan) {
        return None;
    }
    let wanted = &plan.attempt()?.migration;
    let matches = |m: &&Arc<Migration>| {
        if wanted.uid.is_empty() { m.key == wanted.key } else { m.uid == wanted.uid }
    };
    migrations.iter().find(matches).map(|m| &**m)
}

fn vm_state(vm: &super::Vm, warm: bool, plan: PlanPhase, run: Option<&Migration>) -> VmState {
    let cutover = if warm && plan.is_executing() { effective_cutover(vm, run) } else { None };
    let phase = vm_phase(vm, warm, cutover);
    VmState {
        phase,
        progress: vm_progress(vm),
        step: current_step(vm, warm),
        cutover: cutover.filter(|_| VmOutcome::of(vm).is_none()),
        downtime: if warm && phase == VmPhase::Succeeded { downtime(vm) } else { None },
    }
}

/// From the start of the Cutover step, when the source is powered off, to the end of the VM. `None` if the clocks say
/// that it ended before it began.
fn downtime(vm: &super::Vm) -> Option<Duration> {
    let start = vm.step(StepName::Cutover)?.started?;
    let end = vm.completed?;
    (end >= start).then(|| end.since(start))
}
