//! The table of guards, one row each: what speaks against archiving a plan, in the order in which it is told.
//!
//! [`super::decide`] takes the first that stops a plan; docs/archiving.md is made from the table. Each is tested by itself, whatever
//! the others say, so none of them may lean on an earlier one.

use super::{Context, Outcome, Policy};
use crate::plan::{Flag, MOST_LABELS, PlanState, Provider, Text, Time, VmPhase, VmRef};

closed_enum! {
    /// Why a plan is to be archived, waits, or is never touched.
    pub enum Reason {
        /// Nothing speaks against it.
        Due = "Due",
        /// See [`GUARDS`] for what each of the others means.
        Zombie = "Zombie",
        Archived = "Archived",
        Unarchived = "Unarchived",
        Reverted = "Reverted",
        Kept = "Kept",
        Owned = "Owned",
        Managed = "Managed",
        BeingDeleted = "BeingDeleted",
        NoPolicy = "NoPolicy",
        NotSynced = "NotSynced",
        NotReadable = "NotReadable",
        WarmLoop = "WarmLoop",
        Executing = "Executing",
        NotFinished = "NotFinished",
        OutcomeUnclear = "OutcomeUnclear",
        OtherOutcome = "OtherOutcome",
        MigrationUnfinished = "MigrationUnfinished",
        VmUnfinished = "VmUnfinished",
        VmNotSucceeded = "VmNotSucceeded",
        VmsNotCovered = "VmsNotCovered",
        Edited = "Edited",
        ConversionResumable = "ConversionResumable",
        NotAcknowledged = "NotAcknowledged",
        NoEnd = "NoEnd",
        ProviderUnknown = "ProviderUnknown",
        ProviderNotReady = "ProviderNotReady",
        MapNotReady = "MapNotReady",
        EndsInFuture = "EndsInFuture",
        TooYoung = "TooYoung",
        AmongLast = "AmongLast",
        OutsideWindow = "OutsideWindow",
    }
}

closed_enum! {
    /// What a guard makes of a plan that it stops.
    pub enum Stop {
        /// It may pass by itself: time goes by, or Forklift does something.
        Wait = "Wait",
        /// It stays so unless a person does something.
        Never = "Never",
    }
}

/// A guard.
pub struct Guard {
    /// The reason that it gives.
    pub reason: Reason,
    /// What it makes of the plan.
    pub stops: Stop,
    /// What it means, in one sentence.
    pub says: &'static str,
    /// How that is known of Forklift, or why it is asked.
    pub source: &'static str,
    test: fn(&Case<'_>) -> Option<Found>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason.as_str())
    }
}

/// What a guard has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What, for people.
    pub what: Text,
    /// Until when, if that is known.
    pub until: Option<Time>,
}

impl Found {
    pub(super) fn new(what: impl Into<Text>) -> Self {
        Self { what: what.into(), until: None }
    }
}

/// What the guards look at.
struct Case<'a> {
    state: &'a PlanState,
    context: &'a Context,
    policies: &'a [Policy],
    /// The policy that the plan is subject to.
    policy: Option<&'a Policy>,
    outcome: Option<Outcome>,
    now: Time,
}

/// Every guard that stops a plan, in the order of the table.
pub fn objections<'a>(
    state: &'a PlanState,
    context: &'a Context,
    policies: &'a [Policy],
    now: Time,
) -> impl Iterator<Item = (&'static Guard, Found)> + 'a {
    let policy = Policy::of(state, policies).map(|(_, policy)| policy);
    let case = Case { state, context, policies, policy, outcome: Outcome::of(state), now };
    GUARDS.iter().filter_map(move |guard| Some((guard, (guard.test)(&case)?)))
}

macro_rules! guards {
    ($($reason:ident $stops:ident $test:expr, $says:literal, $source:literal;)+) => {
        /// All guards, in the order in which they are told.
        pub static GUARDS: &[Guard] = &[$(Guard {
            reason: Reason::$reason,
            stops: Stop::$stops,
            says: $says,
            source: $source,
            test: $test,
        },)+];
    };
}

guards! {
    Zombie Never |c| flag(c, Flag::Zombie, "it is archived and executes"),
        "It was archived while it executed: nothing is left to archive, and it never ends.",
        "Forklift `controller.go`, `archive` and `execute`: no check, and no way back; seen on a real controller";
    Archived Never |c| c.state.plan.archived.then(|| Found::new("spec.archived is true")),
        "It is archived.", "`spec.archived`";
    Unarchived Never |c| flag(c, Flag::ArchivedByConditionOnly, "it has the condition Archived, and spec.archived is not set"),
        "It was archived, and a person took that back. It is never touched again.",
        "Forklift does not reconcile a plan that succeeded, so the condition stays; seen on a real controller";
    Reverted Never |c| (c.context.archived_before && !c.state.plan.archived).then(|| Found::new("this program archived it before")),
        "This program archived it, and somebody took that back. It is never touched again.",
        "Forklift removes the condition of plans that did not succeed when they are un-archived, so only an account tells; there is none yet";
    Kept Never kept,
        "Somebody asked for it to be kept, by the annotation `mtv-sentinel.io/keep` with any value but `false` or `no`.",
        "who keeps a plan may write `yes` for `true`";
    Owned Never |c| some(&c.state.plan.owner, |owner| format!("{owner} owns it")),
        "Another object owns it and may write it back.", "`metadata.ownerReferences`; Forklift's console warns of it too";
    Managed Never |c| some(&c.state.plan.manager, |tool| format!("{tool} manages it")),
        "A GitOps tool manages it and may write it back: archive it there.",
        "labels, annotations and field managers of Argo CD, Flux, Open Cluster Management, Fleet and Config Sync";
    BeingDeleted Never |c| c.state.plan.deleting.then(|| Found::new("it has a deletion timestamp")),
        "It is being deleted.", "`metadata.deletionTimestamp`";
    NoPolicy Never no_policy,
        "No policy is about it: no matchers match its labels.", "archiving is opted into";
    NotSynced Wait |c| (!c.context.synced).then(|| Found::new("the source has not shown everything yet")),
        "Not everything has been seen since the start: a Migration or a younger plan may still come.", "kinds are listed one by one";
    NotReadable Never not_readable,
        "It is not known as it is: its latest version cannot be decoded, it has no uid, or more labels than are read.",
        "what decides may be in what was not read";
    WarmLoop Wait warm_loop,
        "A warm VM of it precopies, waits for its cutover or is cut over, however idle it looks.",
        "an archive deletes what was copied, and leaves the source off in a cutover; seen on a real controller";
    Executing Wait executing,
        "An attempt is under way, by the plan's condition or by its last attempt.",
        "an archive wrecks it (Zombie). A restart of the controller leaves a plan that executes with only Ready for seconds: then the last attempt tells";
    NotFinished Wait |c| c.outcome.is_none().then(|| Found::new(format!("its phase is {}", c.state.phase))),
        "It has not been run to an end.", "there is no age to go by";
    OutcomeUnclear Never outcome_unclear,
        "It has several outcomes, or another one than its last attempt.", "Forklift writes one, and the same to both";
    OtherOutcome Never other_outcome,
        "Policies are about it, but none about plans that ended as it did.", "failed plans keep disks and logs that may be wanted";
    MigrationUnfinished Wait migration_unfinished,
        "A Migration of it has no outcome: it waits, runs, or comes back by itself.",
        "Forklift restarts the same Migration after a blocker clears (`pendingMigrations`), and holds one for a plan that succeeded for ever: delete that one";
    VmUnfinished Wait |c| vm(c, |phase| !phase.is_over() && phase != VmPhase::Unknown),
        "A VM of the last attempt has no outcome.", "an archive deletes what an unfinished VM has";
    VmNotSucceeded Never vm_not_succeeded,
        "A VM ended worse than its policy is about, or nobody knows how: archiving would delete what was made of it.",
        "a plan that succeeded can have canceled VMs; a plan whose Migration was deleted is canceled and can have failed ones";
    VmsNotCovered Never vms_not_covered,
        "It lists VMs that the last attempt did not have, or the last attempt has none.", "somebody still means to migrate them";
    Edited Never edited,
        "Its spec was changed, and the controller has not seen that.",
        "Forklift does not reconcile a plan that succeeded: drift there means that somebody edited or un-archived it";
    ConversionResumable Never |c| flag(c, Flag::ConversionResumable, "it has the condition ConversionResumable"),
        "Copied disks of it wait for a run that only converts them: archiving may delete them.",
        "the condition is durable, and stays after the disks are gone; who knows better archives by hand";
    NotAcknowledged Wait not_acknowledged,
        "Its policy asks for an annotation or label that a person sets after the analysis, and it has none.",
        "archiving takes the logs that tell why it failed";
    NoEnd Never |c| (c.state.plan.completed.is_none() && c.outcome.is_some()).then(|| Found::new("status.migration.completed is not set")),
        "It does not say when it ended.",
        "Forklift sets no end when the Migration was deleted; times of conditions move at any change, so they are no age";
    ProviderUnknown Wait provider_unknown,
        "The source has not shown one of its providers.",
        "without it the controller archives without cleaning up, and never tries again; seen on a real controller";
    ProviderNotReady Wait provider_not_ready,
        "One of its providers is not ready.", "as for ProviderUnknown";
    MapNotReady Wait map_not_ready,
        "By its conditions a map of it is missing or not ready. Maps are not watched: the look at the live objects before an archive has to check them.",
        "as for ProviderUnknown. Conditions of a plan that succeeded can be old: Forklift has stopped looking";
    EndsInFuture Wait ends_in_future,
        "It ended in the future.", "the clocks of two machines differ, and ages are wrong by as much";
    TooYoung Wait too_young,
        "It is not as old as its policy asks for, since the end of its last attempt.", "`status.migration.completed`";
    AmongLast Wait among_last,
        "It is one of the youngest finished plans of its group, which its policy keeps.", "`keep_last`";
    OutsideWindow Wait outside_window,
        "No window of its policy is open.", "`windows`";
}

fn some(text: &Text, says: impl Fn(&Text) -> String) -> Option<Found> {
    (!text.is_empty()).then(|| Found::new(says(text)))
}

fn flag(c: &Case<'_>, flag: Flag, says: &'static str) -> Option<Found> {
    c.state.flags.has(flag).then(|| Found::new(says))
}

fn kept(c: &Case<'_>) -> Option<Found> {
    let value = c.state.plan.annotation("keep")?;
    let takes_it_back = ["false", "no"].iter().any(|no| value.eq_ignore_ascii_case(no));
    (!takes_it_back).then(|| Found::new(format!("mtv-sentinel.io/keep is {value:?}")))
}

fn is_selected(c: &Case<'_>) -> bool {
    c.policies.iter().any(|policy| policy.selects(c.state))
}

fn no_policy(c: &Case<'_>) -> Option<Found> {
    (!is_selected(c)).then(|| Found::new("no policy is about it"))
}

fn not_readable(c: &Case<'_>) -> Option<Found> {
    if c.context.unreadable {
        Some(Found::new("its latest version cannot be decoded"))
    } else if c.state.plan.uid.is_empty() {
        Some(Found::new("it has no uid"))
    } else {
        (c.state.plan.labels.len() >= MOST_LABELS).then(|| Found::new(format!("it has {MOST_LABELS} labels or more")))
    }
}

/// The first VM in such a phase.
fn vm(c: &Case<'_>, test: impl Fn(VmPhase) -> bool) -> Option<Found> {
    let (vm, state) = c.state.plan.vms.iter().zip(&c.state.vms).find(|(_, state)| test(state.phase))?;
    let name = if vm.name.is_empty() { &vm.id } else { &vm.name };
    Some(Found::new(format!("VM {name} is {}", state.phase)))
}

fn warm_loop(c: &Case<'_>) -> Option<Found> {
    vm(c, |phase| match phase {
        VmPhase::Precopying | VmPhase::AwaitingCutover | VmPhase::CutoverScheduled | VmPhase::CuttingOver => true,
        VmPhase::Pending
        | VmPhase::Running
        | VmPhase::Succeeded
        | VmPhase::Failed
        | VmPhase::Canceled
        | VmPhase::Unknown => false,
    })
}

/// Stricter than the phase: what the last attempt says counts whatever the plan's times say.
fn executing(c: &Case<'_>) -> Option<Found> {
    let plan = &c.state.plan;
    if plan.has("Executing") {
        return Some(Found::new("it has the condition Executing"));
    }
    let last = plan.attempt().is_some_and(|attempt| attempt.has("Executing"));
    last.then(|| Found::new("its last attempt has the condition Executing"))
}

fn outcome_unclear(c: &Case<'_>) -> Option<Found> {
    let of = |has: &dyn Fn(&str) -> bool| -> Vec<Outcome> {
        Outcome::ALL.iter().copied().filter(|outcome| has(outcome.as_str())).collect()
    };
    let list = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>().join(" and ");
    let own = of(&|kind| c.state.plan.has(kind));
    let last = of(&|kind| c.state.plan.attempt().is_some_and(|attempt| attempt.has(kind)));
    if own.len() > 1 || last.len() > 1 {
        return Some(Found::new(format!("it is {}", list(if own.len() > 1 { &own } else { &last }))));
    }
    let differ = !own.is_empty() && !last.is_empty() && own != last;
    differ.then(|| Found::new(format!("it is {}, its last attempt is {}", list(&own), list(&last))))
}

fn other_outcome(c: &Case<'_>) -> Option<Found> {
    let outcome = c.outcome?;
    (is_selected(c) && c.policy.is_none()).then(|| Found::new(format!("no policy about it is for outcome {outcome}")))
}

fn migration_unfinished(c: &Case<'_>) -> Option<Found> {
    let is_over =
        |migration: &crate::plan::Migration| ["Succeeded", "Failed", "Canceled"].iter().any(|kind| migration.has(kind));
    let migration = c.state.migrations.iter().find(|migration| !is_over(migration))?;
    Some(Found::new(format!("Migration {} has no outcome", migration.key.name)))
}

fn vm_not_succeeded(c: &Case<'_>) -> Option<Found> {
    let outcome = c.outcome?;
    // Forklift writes no error beside another outcome; if it does, nobody knows how the VM ended.
    let with_error = c.state.plan.vms.iter().find(|vm| vm.error.is_some() && outcome != Outcome::Failed);
    if let Some(vm) = with_error {
        return Some(Found::new(format!("VM {} has an error", if vm.name.is_empty() { &vm.id } else { &vm.name })));
    }
    vm(c, |phase| match phase {
        VmPhase::Succeeded => false,
        VmPhase::Canceled => outcome == Outcome::Succeeded,
        VmPhase::Failed => outcome != Outcome::Failed,
        VmPhase::Unknown => true,
        VmPhase::Pending
        | VmPhase::Running
        | VmPhase::Precopying
        | VmPhase::AwaitingCutover
        | VmPhase::CutoverScheduled
        | VmPhase::CuttingOver => false,
    })
}

fn vms_not_covered(c: &Case<'_>) -> Option<Found> {
    let plan = &c.state.plan;
    c.outcome?;
    if plan.vms.is_empty() {
        return Some(Found::new("its last attempt lists no VM"));
    }
    // Both lists are in the same order until somebody edits the plan, so the first look nearly always finds it.
    let is_covered = |at: usize, wanted: &VmRef| {
        plan.vms.get(at).is_some_and(|vm| wanted.names(vm)) || plan.vms.iter().any(|vm| wanted.names(vm))
    };
    let (_, missing) = plan.wanted.iter().enumerate().find(|(at, wanted)| !is_covered(*at, wanted))?;
    let name = if missing.name.is_empty() { &missing.id } else { &missing.name };
    Some(Found::new(format!("VM {name} was not migrated")))
}

fn edited(c: &Case<'_>) -> Option<Found> {
    let (spec, seen) = (c.state.plan.generation, c.state.plan.observed_generation);
    let seen_in_words = seen.map_or_else(|| "none".to_owned(), |seen| seen.to_string());
    (seen != Some(spec))
        .then(|| Found::new(format!("its generation is {spec}, and the controller has seen {seen_in_words}")))
}

/// A policy for plans that failed needs a mark or consent, whoever made it: the configuration checks that too.
fn not_acknowledged(c: &Case<'_>) -> Option<Found> {
    let policy = c.policy?;
    match &policy.acknowledge {
        Some(mark) if c.state.plan.is_marked(&mark.name, &mark.value) => None,
        Some(mark) => Some(Found::new(format!("it has no annotation or label {}={}", mark.name, mark.value))),
        None if policy.outcome == Outcome::Failed && !policy.accepts_losses => {
            Some(Found::new("its policy names no annotation or label that would acknowledge it"))
        }
        None => None,
    }
}

/// Both providers of a plan, with their names.
fn providers<'a>(c: &Case<'a>) -> [(&'static str, &'a crate::plan::Key, Option<&'a Provider>); 2] {
    let PlanState { plan, source, destination, .. } = c.state;
    [("source", &plan.source, source.as_deref()), ("destination", &plan.destination, destination.as_deref())]
}

fn provider_unknown(c: &Case<'_>) -> Option<Found> {
    let (role, key, _) = providers(c).into_iter().find(|(_, _, provider)| provider.is_none())?;
    Some(Found::new(format!("its {role} provider {key} is not there")))
}

fn provider_not_ready(c: &Case<'_>) -> Option<Found> {
    let is_not_ready = |provider: &Option<&Provider>| provider.is_some_and(|provider| !provider.is_ready());
    let (role, key, _) = providers(c).into_iter().find(|(_, _, provider)| is_not_ready(provider))?;
    Some(Found::new(format!("its {role} provider {key} is not ready")))
}

/// Conditions by which a plan says that a map is missing or not ready (Forklift `plan/validation.go`).
const MAP_CONDITIONS: [&str; 4] =
    ["NetworkMapNotReady", "NetworkMapRefNotValid", "StorageMapNotReady", "StorageRefNotValid"];

fn map_not_ready(c: &Case<'_>) -> Option<Found> {
    let kind = MAP_CONDITIONS.iter().find(|kind| c.state.plan.has(kind))?;
    Some(Found::new(format!("it has the condition {kind}")))
}

fn ends_in_future(c: &Case<'_>) -> Option<Found> {
    let end = c.state.plan.completed.filter(|end| *end > c.now)?;
    Some(Found { what: format!("it ended at {end}, which is to come").into(), until: Some(end) })
}

fn too_young(c: &Case<'_>) -> Option<Found> {
    let (policy, end) = (c.policy?, c.state.plan.completed.filter(|end| *end <= c.now)?);
    let due = end.plus(policy.after);
    (due > c.now).then(|| Found { what: format!("it ended at {end}").into(), until: Some(due) })
}

fn among_last(c: &Case<'_>) -> Option<Found> {
    let keep = c.policy?.keep_last.as_ref()?;
    let what = || format!("it is one of the last {} of {} {}", keep.number, keep.per, c.state.label(&keep.per));
    c.context.among_last.then(|| Found::new(what()))
}

fn outside_window(c: &Case<'_>) -> Option<Found> {
    let opens = c.policy?.windows.opens(c.now)?;
    Some(Found { what: "no window is open".into(), until: Some(opens) })
}
