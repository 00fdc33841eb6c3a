//! Watches Forklift (Migration Toolkit for Virtualization) migration plans: exports their progress to Prometheus, tells
//! people about failures, and archives finished plans by policy.
//!
//! ARCHITECTURE.md is the map. The modules below stand in groups, each of which may know those above it.

#[macro_use]
pub mod plan;
pub mod alert;
pub mod config;
pub mod dispatch;
pub mod forklift;
pub mod message;
pub mod metrics;
pub mod policy;
pub mod store;

pub mod kube_events;

pub mod archive;
pub mod http;
pub mod lease;
pub mod ledger;
pub mod notify;
pub mod watch;

pub mod app;
pub mod cli;
