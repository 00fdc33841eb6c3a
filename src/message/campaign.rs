//! The report of a campaign: how many plans are where, what failed, which cutovers are next, what could be archived.
//!
//! Called by the loop when `dispatch` says that a report is due. It looks at plans, not at alerts, and the user's templates, which
//! speak of alerts, are not for it.

use super::plain::{bytes, line, moment};
use super::{About, Fact, Message, NAME_MAX, Settings, VALUE_MAX, text};
use crate::alert::Severity;
use crate::dispatch::{CampaignReport, Turn};
use crate::plan::{PlanPhase, PlanState, Time, VmPhase};

/// So many failed plans and cutovers are named; the rest is counted.
const MOST_NAMED: usize = 10;

impl Message {
    /// The message of a report. `candidates` is the number of plans that the archive policy would archive; `None` if there is
    /// no policy.
    pub fn of_campaign<'a>(
        report: &CampaignReport,
        plans: impl IntoIterator<Item = &'a PlanState>,
        candidates: Option<usize>,
        settings: &Settings,
        now: Time,
    ) -> Self {
        let plans: Vec<&PlanState> = plans.into_iter().collect();
        let facts = facts(&plans, candidates, now);
        let mut lines = vec![format!("How {} plans stand.", plans.len())];
        let cluster = line(&settings.cluster, VALUE_MAX);
        lines.extend((!cluster.is_empty()).then(|| format!("Cluster: {cluster}")));
        lines.extend(facts.iter().map(|fact| format!("{}: {}", fact.name, fact.value)));
        let mut message = Self {
            title: title(&plans, &cluster),
            text: lines.join("\n"),
            about: About::Campaign,
            turn: Turn::Firing,
            is_repeat: report.is_repeat,
            rule: "",
            severity: Severity::Info,
            meaning: "",
            cluster,
            kind: "",
            namespace: String::new(),
            name: String::new(),
            attempt: 0,
            reason: String::new(),
            since: report.at.to_string(),
            lasted: String::new(),
            lasted_seconds: 0,
            now: String::new(),
            facts,
            vms: Vec::new(),
            more_vms: 0,
            progress: None,
            next: "",
            command: None,
            links: Vec::new(),
            counts: Vec::new(),
            worst: Vec::new(),
            more: 0,
            ended: 0,
            fallback: None,
        };
        text::finish(&mut message);
        message
    }
}

fn title(plans: &[&PlanState], cluster: &str) -> String {
    let count = |holds: &dyn Fn(PlanPhase) -> bool| plans.iter().filter(|state| holds(state.phase)).count();
    let cluster = if cluster.is_empty() { String::new() } else { format!("[{cluster}] ") };
    format!(
        "{cluster}CAMPAIGN {} plans run, {} have failed, {} have succeeded, of {}",
        count(&PlanPhase::is_executing),
        count(&|phase| phase == PlanPhase::Failed),
        count(&|phase| phase == PlanPhase::Succeeded),
        plans.len()
    )
}

fn facts(plans: &[&PlanState], candidates: Option<usize>, now: Time) -> Vec<Fact> {
    let mut facts = Vec::new();
    let phases = PlanPhase::ALL.iter().map(|phase| (phase.as_str(), plans.iter().filter(|s| s.phase == *phase).count()));
    facts.extend(counted("Plans", phases));
    let vms = plans.iter().map(|state| state.vm_counts()).fold([0; VmPhase::ALL.len()], |mut sum, counts| {
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += usize::try_from(count).unwrap_or_default());
        sum
    });
    facts.extend(counted("VMs", VmPhase::ALL.iter().map(|phase| phase.as_str()).zip(vms)));
    let running = || plans.iter().filter(|state| state.phase.is_executing());
    let (copied, all): (u64, u64) =
        (running().map(|state| state.transferred_bytes()).sum(), running().map(|state| state.disk_bytes()).sum());
    if all > 0 {
        facts.push(Fact { name: "Copied by what runs", value: format!("{} of {}", bytes(copied), bytes(all)) });
    }
    let failed = plans.iter().filter(|state| state.phase == PlanPhase::Failed);
    let mut failed: Vec<&&PlanState> = failed.collect();
    // The latest first.
    failed.sort_by_key(|state| std::cmp::Reverse(state.plan.completed));
    facts.extend(named("Failed", failed.into_iter().map(|state| name(state))));
    let mut cutovers: Vec<(Time, &&PlanState)> =
        running().filter_map(|state| Some((state.cutover().filter(|at| *at > now)?, state))).collect();
    cutovers.sort_by_key(|(at, _)| *at);
    let cutover = |(at, state): (Time, &&PlanState)| format!("{} {}", name(state), moment(at, now));
    facts.extend(named("Next cutovers", cutovers.into_iter().map(cutover)));
    if let Some(candidates) = candidates {
        facts.push(Fact { name: "Can be archived", value: candidates.to_string() });
    }
    facts
}

fn name(state: &PlanState) -> String {
    line(&state.plan.key.to_string(), NAME_MAX)
}

/// What there is of each, as `3 Running, 1 Failed`.
fn counted(name: &'static str, counts: impl Iterator<Item = (&'static str, usize)>) -> Option<Fact> {
    let counts: Vec<String> = counts.filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}")).collect();
    (!counts.is_empty()).then(|| Fact { name, value: counts.join(", ") })
}

/// The first of a list, and how many more.
fn named(name: &'static str, items: impl Iterator<Item = String>) -> Option<Fact> {
    let items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(MOST_NAMED);
    let more = (more > 0).then(|| format!("and {more} more"));
    let value = items.into_iter().take(MOST_NAMED).chain(more).collect::<Vec<_>>().join(", ");
    (!value.is_empty()).then_some(Fact { name, value })
}
