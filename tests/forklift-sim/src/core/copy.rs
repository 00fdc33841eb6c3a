//! How disks are copied: by virt-v2v, by CDI's importers, once or again and again. All of it follows from the time passed.
//!
//! Each function looks at the copy of a VM and writes what Forklift would: `Ok(true)` when it is done, the reasons when it
//! failed.

use super::model::{Failure, Step, VmStatus};
use super::time::{Span, Stamp};
use super::vm::{Context, Run, complete};

type Copied = Result<bool, Vec<String>>;

/// Volumes of a copy by virt-v2v. Full when they are bound, though nothing is copied yet.
pub(super) fn allocate(vm: &mut VmStatus, run: &Run, context: &Context<'_>) -> Copied {
    let now = Stamp(context.now);
    let bind = context.world.bind.unwrap_or(context.settings.bind);
    let elapsed = context.elapsed(run);
    let slow = bind.0 > context.settings.reconcile.0 * 2;
    let claims: Vec<String> = (0..run.disks.len()).map(|disk| context.claim(&vm.name, disk)).collect();
    let Some(step) = vm.step("DiskAllocation") else { return Ok(true) };
    if elapsed < bind {
        // Seen with slow storage: the step says Completed before a disk does, then Pending again.
        if slow && step.phase.as_deref() == Some("Running") {
            step.phase = Some("Completed".into());
            return Ok(false);
        }
        step.phase = Some("Pending".into());
        for (task, claim) in step.tasks.iter_mut().zip(claims) {
            task.phase = Some("Pending".into());
            task.reason = format!("Pending; PVC {claim} Pending");
            step.reason.clone_from(&task.reason);
        }
        return Ok(false);
    }
    for task in &mut step.tasks {
        task.started = Some(now);
        task.completed = Some(now);
        task.phase = Some("Completed".into());
        task.reason = "Transfer completed.".into();
        task.progress.completed = task.progress.total;
    }
    sum(step);
    complete(step, now);
    Ok(true)
}

/// Importers of CDI, one for each disk, side by side. In a warm migration again and again.
pub(super) fn import(vm: &mut VmStatus, run: &mut Run, context: &Context<'_>, name: &str) -> Copied {
    let now = Stamp(context.now);
    let again = vm.warm.as_ref().is_some_and(|warm| warm.precopies.len() > 1);
    let elapsed = context.elapsed(run);
    let fails = context.fails(vm.phase).cloned();
    let volume_pends = vm.warm.is_some() && !again;
    let claims: Vec<String> = (0..run.disks.len()).map(|disk| context.claim(&vm.name, disk)).collect();
    let Some(step) = vm.step(name) else { return Ok(true) };
    if elapsed < context.settings.pod {
        step.started.get_or_insert(now);
        // Progress stays where it was: at nothing, or from the second time on at all.
        step.phase = Some("Pending".into());
        for (task, claim) in step.tasks.iter_mut().zip(claims) {
            task.phase = Some("Pending".into());
            task.reason = match volume_pends {
                true => format!("Pending; PVC {claim} Pending"),
                false => "ContainerCreating; ".into(),
            };
            step.reason.clone_from(&task.reason);
        }
        return Ok(false);
    }
    let speed = speed(context) / if again { context.settings.delta.max(0.001) } else { 1.0 };
    let copied = Span(elapsed.0 - context.settings.pod.0).0.as_secs_f64() * speed;
    let mut broken = false;
    for (index, task) in step.tasks.iter_mut().enumerate() {
        let total = task.progress.total;
        let stop = fails.as_ref().filter(|fails| fails.disk == index).map(|fails| total * fails.percent / 100);
        task.started.get_or_insert(now);
        task.progress.completed = (copied as i64).min(stop.unwrap_or(total));
        if stop.is_some_and(|stop| task.progress.completed >= stop) {
            broken = true;
            task.phase = Some("Running".into());
            // The first sign of it: an error in a task of a VM that still runs.
            task.reason = format!("Error; {}", import_error(&fails));
        } else if task.progress.completed >= total {
            task.completed.get_or_insert(now);
            task.phase = Some("Completed".into());
            task.reason = "Transfer completed.".into();
        } else {
            task.phase = Some("Running".into());
            task.reason = "Pod is running; ".into();
        }
    }
    sum(step);
    step.phase = Some("Running".into());
    step.reason.clear();
    step.started.get_or_insert(now);
    if broken {
        let since = *run.failing_since.get_or_insert(context.now);
        if Span(context.now.duration_since(since)) >= context.settings.importer_retries {
            if let Some(warm) = &mut vm.warm {
                warm.failures = 4;
            }
            let last = "Unable to process data: import of the disk failed".to_owned();
            let reasons = vec![import_error(&fails), last];
            let broken = fails.as_ref().map_or(0, |fails| fails.disk);
            if let Some(task) = vm.step(name).and_then(|step| step.tasks.get_mut(broken)) {
                task.error = Some(Failure { phase: "Running".into(), reasons: reasons.clone() });
            }
            return Err(reasons);
        }
        return Ok(false);
    }
    let done = step.tasks.iter().all(|task| task.completed.is_some());
    if done {
        complete(step, now);
    }
    Ok(done)
}

/// virt-v2v's own copy: disk after disk, and its tasks never get a phase.
pub(super) fn v2v(vm: &mut VmStatus, run: &Run, context: &Context<'_>) -> Copied {
    let fails = context.fails(vm.phase).cloned();
    let Some(step) = vm.step("DiskTransferV2v") else { return Ok(true) };
    let mut left = (context.elapsed(run).0.as_secs_f64() * speed(context)) as i64;
    let done = left >= step.progress.total;
    for task in &mut step.tasks {
        task.progress.completed = left.clamp(0, task.progress.total);
        left -= task.progress.completed;
    }
    sum(step);
    if let Some(fails) = fails {
        let stop = step.progress.total * fails.percent / 100;
        if step.progress.completed >= stop {
            let usual = "Guest conversion failed. See pod logs for details.";
            return Err(vec![fails.reason.unwrap_or_else(|| usual.to_owned())]);
        }
    }
    if done {
        complete(step, Stamp(context.now));
    }
    Ok(done)
}

fn import_error(fails: &Option<super::world::Fails>) -> String {
    let reason = fails.as_ref().and_then(|fails| fails.reason.clone());
    let usual = || "Unable to process data: nbdkit: vddk: error: VixDiskLib_Read: connection lost".to_owned();
    reason.unwrap_or_else(usual)
}

fn speed(context: &Context<'_>) -> f64 {
    context.world.copy_mib_per_second.unwrap_or(context.settings.copy_mib_per_second).max(0.001)
}

fn sum(step: &mut Step) {
    step.progress.completed = step.tasks.iter().map(|task| task.progress.completed).sum();
}
