//! What Prometheus is shown: the families about plans, VMs and providers, and the metrics about ourselves.
//!
//! `families` is the one table from which the exposition and its reference are made; `cache` keeps each plan's lines until the
//! plan changes; `exposition` is one consistent view, shared by all scrapes of a generation. Used by `app`, `http` and `cli`.
//! Pure: it opens no socket and reads no clock.

#![warn(clippy::wildcard_enum_match_arm)]

mod cache;
mod exposition;
mod families;
mod format;
mod gzip;
mod own;
mod reference;
mod write;

pub use cache::Cache;
pub use exposition::Exposition;
pub use families::{FAMILIES, Family, Fleet, PlanContext, Render, Stability, Unit};
pub use format::Format;
pub use own::{OWN, Own, OwnRow};
pub use reference::{json as reference_json, markdown as reference_markdown};
pub use write::{Out, Sink, TextSink, Value};
