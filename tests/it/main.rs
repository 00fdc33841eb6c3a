//! Everything that is tested from outside the library, in one crate: each further test binary would link the program again.
//!
//! Least powerful method first: pure functions, then recordings, then the HTTP server in this process, then the whole binary.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod daemon;
mod desk;
mod hook;
mod prometheus;
mod support;

// pure: objects in, conclusions out
mod campaign;
mod config;
mod conversations;
mod decode;
mod dispatch;
mod edges;
mod exposition;
mod ledger;
mod message;
mod mirror;
mod phases;
mod policy;
mod policy_promises;
mod progress;
mod promises;
mod routes;
mod rules;
mod store;
mod web_format;

// what a real controller wrote
mod timelines;

// this process, with sockets, files and a real API server
mod alertmanager;
mod archiver;
mod cluster;
mod conformance;
mod files;
mod http;
mod keeper;
mod kube_events;
mod lease;
mod real_alertmanager;
mod receivers;
mod scripted;
mod simulated;
mod stand_ins;
mod web_config;
mod webhook;

// the whole program
mod archive;
mod cli;
mod fleet;
mod kills;
mod reload;
mod replicas;
mod restart;
mod terms;

// the rules of the house
mod docs;
mod tidy;
