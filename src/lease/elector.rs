//! Holds the lease, or waits for it: the requests that `election` asks for, one after another.
//!
//! Run by `app` as one task. Every write carries the version that was looked at, so that of two who write only one succeeds,
//! and a write that is late changes nothing.

use super::election::{Decision, Election, Free, Record, Standing};
use super::{Clock, Grant, Leadership, Settings};
use crate::metrics::Own;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::PostParams;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// The longest that a request may take. A look and a write together take no longer than renewals may fail.
const LONGEST_CALL: Duration = Duration::from_secs(5);
/// How often a release that somebody else's write got ahead of is tried.
const RELEASES: usize = 3;

/// Why a request failed.
enum Failure {
    /// Somebody else has written since we looked.
    Conflict,
    /// Anything else, in words.
    Other(String),
}

/// What a round came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// There was nothing to write, or it was written.
    Done,
    /// Somebody else wrote first.
    Conflict,
    /// It is not known.
    Failed,
}

/// Takes part in the election.
pub struct Elector {
    leases: Api<Lease>,
    settings: Settings,
    election: Election,
    leadership: Leadership,
    own: Arc<Own>,
    clock: Clock,
}

impl Elector {
    /// One that does not lead yet, and the handle for those who want to know. The client must not try again by itself.
    ///
    /// # Errors
    /// If the times of the settings are wrong.
    pub fn new(client: kube::Client, settings: Settings, own: Arc<Own>, clock: Clock) -> Result<(Self, Leadership), String> {
        settings.check()?;
        let election = Election::new(settings.identity.clone(), settings.duration, settings.renew_deadline);
        let leadership = Leadership::new(clock, Grant::Nothing, Standing::Unknown);
        own.set_leader(false);
        let leases = Api::namespaced(client, &settings.namespace);
        Ok((Self { leases, settings, election, leadership: leadership.clone(), own, clock }, leadership))
    }

    /// Takes part until `stop`, then releases the lease if it is ours, so that the next one need not wait. `stop` comes when all
    /// actions are done: nothing is permitted from then on, and another replica may lead before this returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut before = Round::Done;
        loop {
            let round = tokio::select! {
                biased;
                () = &mut stop => break,
                round = self.round() => round,
            };
            // Who was overtaken looks again at once, but not for ever.
            let pause = if round == Round::Conflict && before != Round::Conflict { Duration::ZERO } else { self.pause() };
            before = round;
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = tokio::time::sleep(pause) => {}
            }
            if self.leadership.take_resignation() {
                self.election.step_down();
            }
            self.election.expire((self.clock)());
            self.publish();
        }
        self.release().await;
    }

    /// Until the next round. Replicas that wait do so by chance, lest they all come at once; a term that cannot be renewed is
    /// given up in time.
    fn pause(&self) -> Duration {
        let retry = self.settings.retry;
        match self.election.give_up_at() {
            Some(at) => at.saturating_sub((self.clock)()).min(retry),
            None => {
                let chance = RandomState::new().build_hasher().finish() % 1024;
                retry + retry.mul_f64(chance as f64 / 1024.0)
            }
        }
    }

    async fn round(&mut self) -> Round {
        let found = match self.call(self.leases.get_opt(&self.settings.name)).await {
            Ok(found) => found,
            Err(failure) => return self.fail(failure),
        };
        let decision = self.election.look(found.as_ref().map(|lease| self.record(lease)), (self.clock)());
        // At once: it may be that we lead no more.
        self.publish();
        let lease = match decision {
            Decision::Wait { .. } => {
                self.set_trouble(None);
                return Round::Done;
            }
            Decision::Renew => self.lease(found, None),
            Decision::Create { term } => self.lease(found, Some(term)),
            Decision::TakeOver { term, free } => {
                let why = match free {
                    Free::Released => "nobody holds it",
                    Free::Expired => "its holder has not renewed it",
                    Free::Ours => "it names us, but that term is over",
                };
                tracing::debug!(lease = self.settings.name, term, "the lease is free: {why}");
                self.lease(found, Some(term))
            }
        };
        let started = (self.clock)();
        let written = if lease.metadata.resource_version.is_none() {
            self.call(self.leases.create(&PostParams::default(), &lease)).await
        } else {
            self.call(self.leases.replace(&self.settings.name, &PostParams::default(), &lease)).await
        };
        match written {
            Ok(lease) => {
                self.election.written(self.record(&lease), started, (self.clock)());
                self.own.count_lease_renewal("renewed");
                self.set_trouble(None);
                self.publish();
                Round::Done
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn fail(&mut self, failure: Failure) -> Round {
        let round = match failure {
            Failure::Conflict => {
                self.own.count_lease_renewal("conflict");
                Round::Conflict
            }
            Failure::Other(words) => {
                self.own.count_lease_renewal("failed");
                self.set_trouble(Some(words));
                Round::Failed
            }
        };
        self.election.expire((self.clock)());
        self.publish();
        round
    }

    /// Makes a request, no longer than the term can wait for it.
    async fn call<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let longest = LONGEST_CALL.min(self.settings.renew_deadline / 2);
        let left = self.election.give_up_at().map_or(longest, |at| at.saturating_sub((self.clock)()));
        match tokio::time::timeout(left.min(longest), request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(Failure::Conflict),
            Ok(Err(kube::Error::Api(status))) => Err(Failure::Other(format!("{} {}", status.code, status.message))),
            Ok(Err(error)) => Err(Failure::Other(anyhow::Error::new(error).root_cause().to_string())),
            Err(_) => Err(Failure::Other("the API server does not answer".to_owned())),
        }
    }

    fn record(&self, lease: &Lease) -> Record {
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok());
        let term = spec.and_then(|spec| u64::try_from(spec.lease_transitions?).ok());
        Record {
            holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
            duration: seconds.map_or(self.settings.duration, Duration::from_secs),
            term: term.unwrap_or_default(),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
        }
    }

    /// The lease as it is to be: renewed, or ours for a new term. What else stands in it is kept.
    fn lease(&self, found: Option<Lease>, term: Option<u64>) -> Lease {
        let mut lease = found.unwrap_or_default();
        lease.metadata.name = Some(self.settings.name.clone());
        let labels = lease.metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/name".to_owned(), "mtv-sentinel".to_owned());
        let spec = lease.spec.get_or_insert_default();
        let now = wall_clock();
        if let Some(term) = term {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(i32::try_from(term).unwrap_or(i32::MAX));
        }
        spec.holder_identity = Some(self.settings.identity.clone());
        // Whole seconds, and no less than we count with.
        let seconds = self.settings.duration.as_secs() + u64::from(self.settings.duration.subsec_nanos() > 0);
        spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        spec.renew_time = Some(now);
        lease
    }

    /// Empties the lease if it is ours. A renewal that was broken off may still arrive, so it is looked at anew.
    async fn release(&mut self) {
        self.election.step_down();
        self.publish();
        let us = Some(&self.settings.identity);
        for _ in 0..RELEASES {
            let Ok(found) = self.call(self.leases.get_opt(&self.settings.name)).await else { break };
            let ours = found.filter(|lease| lease.spec.as_ref().is_some_and(|spec| spec.holder_identity.as_ref() == us));
            let Some(mut lease) = ours else { return };
            let spec = lease.spec.get_or_insert_default();
            // As client-go does it.
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(wall_clock());
            match self.call(self.leases.replace(&self.settings.name, &PostParams::default(), &lease)).await {
                Ok(_) => {
                    tracing::info!(lease = self.settings.name, "the lease is released");
                    return;
                }
                Err(Failure::Conflict) => {}
                Err(Failure::Other(_)) => break,
            }
        }
        tracing::warn!(
            lease = self.settings.name,
            "the lease could not be released: if it is ours, the next replica waits for its end"
        );
    }

    /// Tells everybody how we stand.
    fn publish(&self) {
        let standing = self.election.standing();
        self.own.set_leader(self.election.held().is_some());
        self.own.set_lease_term(self.election.latest_term());
        if !self.leadership.set(self.election.held(), standing) {
            return;
        }
        let lease = &self.settings.name;
        match standing {
            Standing::Unknown => tracing::info!(lease, "nobody is known to hold the lease"),
            Standing::Leading { term } => tracing::info!(lease, term, "this replica holds the lease: it acts"),
            Standing::Following { holder } => tracing::info!(lease, holder, "another replica holds the lease: it acts"),
            Standing::Lost => tracing::warn!(lease, "this replica does not hold the lease any more: it does not act"),
        }
    }

    /// Each trouble is told once, and its end.
    fn set_trouble(&self, trouble: Option<String>) {
        let (lease, namespace) = (&self.settings.name, &self.settings.namespace);
        if !self.leadership.set_trouble(trouble.clone()) {
            return;
        }
        match trouble {
            Some(words) => tracing::warn!(lease, namespace, "the lease cannot be read or written: {words}"),
            None => tracing::info!(lease, namespace, "the lease can be read and written again"),
        }
    }
}

/// For people who read the lease; no elector reads it.
#[allow(clippy::disallowed_methods)]
fn wall_clock() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}
