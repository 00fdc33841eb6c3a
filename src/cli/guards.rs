//! `guards`: the reference of archiving, with the guards of the policies.

use super::{Failure, print};
use crate::policy::reference_markdown;
use clap::Args;

#[derive(Args, Clone)]
pub(super) struct GuardsArgs {}

pub(super) fn run(_: GuardsArgs) -> Result<(), Failure> {
    Ok(print(&reference_markdown())?)
}
