//! Watches Forklift (Migration Toolkit for Virtualization) migration plans: exports their progress to Prometheus, tells
//! people about failures, and archives finished plans by policy.
//!
//! ARCHITECTURE.md is the map. The modules below stand in the order in which they may know each other.

#[macro_use]
pub mod plan;
pub mod forklift;
