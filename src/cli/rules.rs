//! `rules`: the reference of all alert rules.

use super::{Failure, print};
use crate::alert::reference_markdown;
use clap::Args;

#[derive(Args, Clone)]
pub(super) struct RulesArgs {}

pub(super) fn run(_: RulesArgs) -> Result<(), Failure> {
    Ok(print(&reference_markdown())?)
}
