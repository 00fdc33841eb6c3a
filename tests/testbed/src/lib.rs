//! What the tests stand on: a real kube-apiserver with etcd, and a proxy that makes a network bad.
//!
//! Used by the integration tests and by `make cluster-demo`. Everything listens on 127.0.0.1, and every child process dies with
//! its parent. It knows nothing of mtv-sentinel.

mod child;
mod control_plane;
mod pki;
mod proxy;
mod tools;

pub use child::{Daemon, tied};
pub use control_plane::{ControlPlane, Options};
pub use proxy::{Fault, Proxy};
pub use tools::{cache, tool};
