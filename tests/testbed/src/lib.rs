//! What the tests stand on: a real kube-apiserver with etcd, a proxy that makes a network bad, and
//! stand-ins for services that people are told through.
//!
//! Used by the integration tests and by `make cluster-demo`. Everything listens on 127.0.0.1, and every child process dies with
//! its parent. It knows nothing of mtv-sentinel.

mod admission;
mod child;
mod control_plane;
mod gate;
mod mishap;
pub mod pagerduty;
mod pki;
mod proxy;
pub mod slack;
mod tools;
pub mod webhook;

pub use admission::{Admission, Admit};
pub use child::{Daemon, tied};
pub use control_plane::{ControlPlane, Options};
pub use gate::{Behind, Gate, Moment, Passage};
pub use mishap::Mishap;
pub use pagerduty::PagerDuty;
pub use proxy::{Fault, Proxy};
pub use slack::Slack;
pub use tools::{cache, tool};
pub use webhook::Webhook;
