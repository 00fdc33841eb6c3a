//! One reconcile of one VM: at most one phase further, with the marks that Forklift leaves in steps and tasks.
//!
//! Called by `attempt` for each VM that has started. How far a copy is follows from how long it has run, in `copy`.

use super::conditions::{Condition, category};
use super::copy;
use super::itinerary::{Phase, Shape, Way};
use super::model::{Delta, Failure, Precopy, Step, VmStatus, Warm};
use super::settings::Settings;
use super::time::{Span, Stamp, after};
use super::world::{Disk, Fails, VmWorld};
use jiff::Timestamp;

/// What the controller keeps about a VM outside its object.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its way.
    pub shape: Shape,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// When it came to its phase.
    pub since: Timestamp,
    /// When a disk began to fail.
    pub failing_since: Option<Timestamp>,
}

/// What a reconcile of a VM has to go by.
pub(super) struct Context<'a> {
    /// How long things take.
    pub settings: &'a Settings,
    /// The time of this reconcile.
    pub now: Timestamp,
    /// What is true about the VM.
    pub world: &'a VmWorld,
    /// Which attempt it is, from 1.
    pub attempt: usize,
    /// When it is to be cut over.
    pub cutover: Option<Timestamp>,
    /// Name of the plan.
    pub plan: &'a str,
    /// Place of the VM in the plan.
    pub index: usize,
}

/// What virt-v2v's pod leaves behind when it fails.
const CONVERSION_FAILED: &str = "Guest conversion failed. See pod logs for details.";

impl Context<'_> {
    /// How the VM fails in its phase, if it does.
    pub(super) fn fails(&self, phase: Phase) -> Option<&Fails> {
        let fails = self.world.fails.iter().find(|fails| fails.phase == phase)?;
        fails.attempts.is_none_or(|attempts| self.attempt <= attempts).then_some(fails)
    }

    /// How long the VM has been in its phase.
    pub(super) fn elapsed(&self, run: &Run) -> Span {
        Span(self.now.duration_since(run.since))
    }

    /// The name of the claim of a disk.
    pub(super) fn claim(&self, vm: &str, disk: usize) -> String {
        let vm = super::world::target_name(vm);
        let base = format!("{}-{vm}-disk-{disk}", self.plan);
        let hash = base.bytes().fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let letters = b"bcdfghjklmnpqrstvwxz2456789";
        let suffix: String = (0..5).map(|place| letters[(hash >> (place * 6)) as usize % letters.len()] as char).collect();
        format!("{base}-{suffix}")
    }
}

/// How a phase stands after a look at it.
enum Look {
    Waits,
    Done,
    Failed(Vec<String>),
}

/// Takes a VM one step further.
pub(super) fn advance(vm: &mut VmStatus, run: &mut Run, context: &Context<'_>) {
    match look(vm, run, context) {
        Look::Waits => {}
        Look::Done => {
            let next = next(vm, run, context);
            enter(vm, run, next, context);
        }
        Look::Failed(reasons) => fail(vm, run, reasons, context),
    }
}

fn look(vm: &mut VmStatus, run: &mut Run, context: &Context<'_>) -> Look {
    use Phase::*;
    let settings = context.settings;
    match vm.phase {
        PreHook | PostHook => {
            let reason = "Job has reached the specified backoff limit";
            let look = timed(vm.phase, run, context, settings.hook, reason);
            if let (Look::Done, Some(step)) = (&look, step_of(vm, run)) {
                step.progress.completed = 1;
            }
            look
        }
        PreflightInspection => timed(vm.phase, run, context, settings.inspection, "VM inspection failed."),
        WaitForStateTransfer => timed(vm.phase, run, context, settings.synchronization, "The state transfer failed."),
        CreateGuestConversionPod => timed(vm.phase, run, context, settings.pod, CONVERSION_FAILED),
        ConvertGuest => {
            let duration = context.world.conversion.unwrap_or(settings.conversion);
            let look = timed(vm.phase, run, context, duration, CONVERSION_FAILED);
            // The step is closed by virt-v2v's monitor (1/1), or by its tasks if the monitor came too late (0/1).
            let in_time = !run.shape.v2v_copy || context.index.is_multiple_of(2);
            if let (Look::Done, true, Some(step)) = (&look, in_time, step_of(vm, run)) {
                step.progress.completed = 1;
            }
            look
        }
        WaitForGuestReboots => match timed(vm.phase, run, context, settings.reboots, "guest did not reboot in time") {
            Look::Failed(reasons) => {
                let text = "Windows guest reboot wait did not complete successfully; migration continues. Pod retained for \
                            debugging. Reason: ";
                let message = format!("{text}{}", reasons.concat());
                let condition = Condition::new("WaitForGuestReboots", category::WARN, &message, context.now);
                vm.conditions.set(condition.durable());
                Look::Done
            }
            other => other,
        },
        AllocateDisks => copy_look(copy::allocate(vm, run, context)),
        CopyDisks => copy_look(copy::import(vm, run, context, "DiskTransfer")),
        Finalize => copy_look(copy::import(vm, run, context, "Cutover")),
        CopyDisksVirtV2V => copy_look(copy::v2v(vm, run, context)),
        CopyingPaused => {
            let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= context.now);
            let precopy = vm.warm.as_ref().and_then(|warm| warm.next_precopy_at).map(|stamp| stamp.0);
            if due(context.cutover) || due(precopy) { Look::Done } else { Look::Waits }
        }
        _ => match context.fails(vm.phase) {
            Some(fails) => {
                let usual = || format!("{} failed.", vm.phase);
                Look::Failed(vec![fails.reason.clone().unwrap_or_else(usual)])
            }
            None => {
                quick(vm, run, context);
                Look::Done
            }
        },
    }
}

fn copy_look(copied: Result<bool, Vec<String>>) -> Look {
    match copied {
        Ok(true) => Look::Done,
        Ok(false) => Look::Waits,
        Err(reasons) => Look::Failed(reasons),
    }
}

/// A phase that takes a while and may fail on the way.
fn timed(phase: Phase, run: &Run, context: &Context<'_>, duration: Span, usual: &str) -> Look {
    let elapsed = context.elapsed(run);
    if let Some(fails) = context.fails(phase) {
        let percent = if fails.percent == 0 { 100 } else { fails.percent };
        let at = duration.0.as_secs_f64() * percent as f64 / 100.0;
        if elapsed.0.as_secs_f64() >= at {
            return Look::Failed(vec![fails.reason.clone().unwrap_or_else(|| usual.to_owned())]);
        }
    }
    if elapsed < duration { Look::Waits } else { Look::Done }
}

/// What a phase that is done at once leaves in the VM.
fn quick(vm: &mut VmStatus, run: &Run, context: &Context<'_>) {
    match vm.phase {
        Phase::StorePowerState => {
            let power = if context.world.powered_off { "Off" } else { "On" };
            vm.restore_power_state = Some(power.into());
        }
        Phase::CreateInitialSnapshot => snapshot(vm, "", context),
        Phase::CreateSnapshot => snapshot(vm, "DiskTransfer", context),
        Phase::CreateFinalSnapshot => snapshot(vm, "Cutover", context),
        Phase::StoreInitialSnapshotDeltas | Phase::StoreSnapshotDeltas => {
            let Some(warm) = &mut vm.warm else { return };
            let number = warm.precopies.len();
            let Some(precopy) = warm.precopies.last_mut() else { return };
            let delta = |(index, disk): (usize, &Disk)| Delta {
                delta_id: format!("52 8e 6f 1c 0a 7f d4 {:02x}-{index:02x}/{}", context.index, 100 + 50 * number),
                disk: disk.name.clone(),
            };
            precopy.deltas = run.disks.iter().enumerate().map(delta).collect();
        }
        Phase::RemovePreviousSnapshot | Phase::RemovePenultimateSnapshot | Phase::RemoveFinalSnapshot => {
            let Some(warm) = &mut vm.warm else { return };
            let number = warm.precopies.len();
            if let Some(precopy) = warm.precopies.last_mut() {
                precopy.remove_task_id = Some(format!("task-{}", 200 + 10 * number + context.index));
            }
        }
        _ => {}
    }
}

/// A snapshot is asked for: a precopy begins, and the marks of the last one are taken from the step's disks.
fn snapshot(vm: &mut VmStatus, step: &str, context: &Context<'_>) {
    let now = Stamp(context.now);
    let warm = vm.warm.get_or_insert_with(Warm::default);
    let number = warm.precopies.len() + 1;
    warm.precopies.push(Precopy {
        create_task_id: format!("task-{}", 100 + 10 * number + context.index),
        snapshot: format!("snapshot-{}", 100 + 10 * number + context.index),
        start: Some(now),
        ..Precopy::default()
    });
    if let Some(step) = vm.step(step) {
        // Phase and progress stay as they are: Completed, all of it.
        step.completed = None;
        for task in &mut step.tasks {
            task.completed = None;
            task.started = Some(now);
            task.annotations.insert("Precopy".into(), number.to_string());
        }
    }
}

fn next(vm: &VmStatus, run: &Run, context: &Context<'_>) -> Phase {
    match vm.phase {
        Phase::CopyingPaused if context.cutover.is_some_and(|cutover| cutover <= context.now) => Phase::StorePowerState,
        Phase::AddCheckpoint => Phase::CopyDisks,
        phase => run.shape.next(phase),
    }
}

fn enter(vm: &mut VmStatus, run: &mut Run, phase: Phase, context: &Context<'_>) {
    let now = Stamp(context.now);
    let (old, new) = (run.shape.step(vm.phase), run.shape.step(phase));
    if old != new {
        if let Some(step) = old.and_then(|name| vm.step(name)).filter(|step| step.started.is_some()) {
            complete(step, now);
        }
        // Nothing marks Cutover before its copy runs.
        if let Some(step) = new.filter(|name| *name != "Cutover").and_then(|name| vm.step(name)) {
            step.started.get_or_insert(now);
            step.phase = Some("Running".into());
        }
    }
    if vm.phase == Phase::CopyDisks
        && let Some(warm) = &mut vm.warm
    {
        warm.successes += 1;
        warm.next_precopy_at = Some(Stamp(after(context.now, context.settings.precopy_interval)));
        if let Some(precopy) = warm.precopies.last_mut() {
            precopy.end = Some(now);
        }
    }
    vm.phase = phase;
    run.since = context.now;
    run.failing_since = None;
    match phase {
        Phase::CreateGuestConversionPod if matches!(run.shape.way, Way::Cold | Way::Warm) && !run.shape.v2v_copy => {
            vm.disks_copied = true;
        }
        Phase::CreateVM if run.shape.convert => {
            vm.detected_boot_disk = Some(0);
            let system = if context.world.windows { "windows2022srvNext_64Guest" } else { "rhel9_64Guest" };
            vm.operating_system = Some(system.into());
            if let Some(warning) = &context.world.conversion_warning {
                let condition = Condition::new("ConversionHasWarnings", "Warning", warning, context.now);
                vm.conditions.set(condition.reason("DriverNotFound"));
            }
        }
        Phase::Completed => {
            let text = "The VM migration has SUCCEEDED.";
            vm.conditions.set(Condition::new("Succeeded", category::ADVISORY, text, context.now).durable());
            vm.completed = Some(now);
        }
        _ => {}
    }
}

/// A step has ended. A time that it has from before stays.
pub(super) fn complete(step: &mut Step, now: Stamp) {
    step.completed.get_or_insert(now);
    step.phase = Some("Completed".into());
    step.reason.clear();
}

/// The step that the VM is in.
pub(super) fn step_of<'a>(vm: &'a mut VmStatus, run: &Run) -> Option<&'a mut Step> {
    let name = run.shape.step(vm.phase)?;
    vm.step(name)
}

/// The VM has failed. When it was over is written in the next reconcile.
fn fail(vm: &mut VmStatus, run: &Run, reasons: Vec<String>, context: &Context<'_>) {
    let imports = matches!(vm.phase, Phase::CopyDisks | Phase::Finalize);
    if let Some(step) = step_of(vm, run) {
        let phase = step.phase.clone().unwrap_or_default();
        step.error = Some(Failure { phase, reasons: reasons.clone() });
        if !imports {
            step.completed = Some(Stamp(context.now));
        }
    }
    vm.error = Some(Failure { phase: vm.phase.to_string(), reasons });
    vm.phase = Phase::Completed;
    vm.conditions.set(Condition::new("Failed", category::ADVISORY, "The VM migration has FAILED.", context.now).durable());
}

/// The VM is gone from the source while it is under way.
pub(super) fn vanish(vm: &mut VmStatus, now: Timestamp) {
    let reason = format!("Resource ref.Ref{{id: {}, name: {}}} not found.", vm.id, vm.name);
    vm.error = Some(Failure { phase: vm.phase.to_string(), reasons: vec![reason] });
    vm.phase = Phase::Completed;
    vm.conditions.set(Condition::new("Failed", category::ADVISORY, "The VM migration has FAILED.", now).durable());
}

/// The VM is over: what still runs in it gets an end, but no other phase.
pub(super) fn close(vm: &mut VmStatus, now: Timestamp) {
    let now = Stamp(now);
    // A failed import has no end, ever.
    let open = |step: &&mut Step| step.started.is_some() && step.completed.is_none() && step.error.is_none();
    for step in vm.pipeline.iter_mut().filter(open) {
        step.completed = Some(now);
    }
    vm.completed = Some(now);
}
