//! When a warm VM is to leave its precopy loop. The time stands on the Migration only, never on the plan.

use super::Time;
use super::model::{Migration, Vm};

/// The cutover that counts for `vm`: the Migration's own entry for it, else the Migration's cutover (Forklift
/// `api/migration.go`). A time in the past counts too: it is honoured when the VM next pauses.
pub fn effective_cutover(vm: &Vm, run: Option<&Migration>) -> Option<Time> {
    let run = run?;
    let own = run.vm_cutovers.iter().find(|(id, _)| !id.is_empty() && *id == vm.id);
    own.map(|(_, at)| *at).or(run.cutover)
}
