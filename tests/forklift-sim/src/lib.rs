//! Acts as the Forklift controller, with disks and guests played: what it writes follows recordings of a real one.
//!
//! [`core`] is the controller without IO, [`scenario`] a small language for what people do, [`memory`] an API server in memory
//! to play scenarios against, [`driver`] the same against a real one. Nothing here comes from mtv-sentinel, so that neither
//! can hide a mistake of the other.

pub mod core;
pub mod crds;
pub mod driver;
pub mod memory;
pub mod scenario;
