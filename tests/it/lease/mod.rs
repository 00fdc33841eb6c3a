//! The lease: who may act. First the decisions alone, then many electors on a clock of our own, then a real API server.

mod election;
mod model;
mod server;
