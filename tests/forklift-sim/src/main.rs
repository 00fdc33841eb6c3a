//! placeholder
#![allow(clippy::print_stdout)]
use forklift_sim::{core::Span, memory, scenario::Scenario};
fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let scenario = Scenario::parse(&std::fs::read_to_string(path)?)?;
    for event in memory::play(scenario, 1.0, "2026-11-23T15:36:57Z".parse()?, Span::seconds(7200))? {
        println!("{}", serde_json::to_string(&event)?);
    }
    Ok(())
}
