//! Electors on a real API server, with networks that swallow or reset, hands that edit, and rights that are missing.

use crate::cluster::shared;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use mtv_sentinel::lease::{self, Clock, Elector, Leadership, Settings, Standing};
use mtv_sentinel::metrics::Own;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testbed::{ControlPlane, Fault, Proxy};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// An action of the tests.
const ACTION: Duration = Duration::from_millis(300);

/// A namespace with an account, which may not do anything yet.
fn namespace(plane: &ControlPlane, name: &str) {
    plane.kubectl(&["create", "namespace", name], "");
    plane.kubectl(&["-n", name, "create", "serviceaccount", "sentinel"], "");
}

/// What the account has to be allowed.
fn grant(plane: &ControlPlane, name: &str) {
    let rights = ["--verb=get,create,update", "--resource=leases.coordination.k8s.io"];
    plane.kubectl(&["-n", name, "create", "role", "sentinel", rights[0], rights[1]], "");
    let account = format!("--serviceaccount={name}:sentinel");
    plane.kubectl(&["-n", name, "create", "rolebinding", "sentinel", "--role=sentinel", &account], "");
}

async fn client(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

/// Times that take seconds in a cluster, and fractions of one here.
fn short(namespace: &str, identity: &str) -> Settings {
    Settings {
        namespace: namespace.to_owned(),
        name: "mtv-sentinel".to_owned(),
        identity: identity.to_owned(),
        duration: Duration::from_secs(2),
        renew_deadline: Duration::from_millis(1_400),
        retry: Duration::from_millis(200),
    }
}

struct Replica {
    leadership: Leadership,
    own: Arc<Own>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Replica {
    /// With the account's rights, through this address.
    async fn start(plane: &ControlPlane, settings: Settings, url: &str, clock: Clock) -> Self {
        let token = plane.token(&settings.namespace, "sentinel").unwrap();
        let name = format!("{}-{}", settings.namespace, settings.identity);
        let kubeconfig = plane.token_kubeconfig(&name, url, &token).unwrap();
        Self::with(client(&kubeconfig).await, settings, clock)
    }

    fn with(client: kube::Client, settings: Settings, clock: Clock) -> Self {
        let own = Arc::new(Own::new("0", "test"));
        let (elector, leadership) = Elector::new(client, settings, Arc::clone(&own), clock).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(elector.run(async {
            let _ = stopped.await;
        }));
        Self { leadership, own, stop, task }
    }

    fn standing(&self) -> Standing {
        self.leadership.standing().borrow().clone()
    }

    /// The term in which it leads; 0 while it does not.
    fn term(&self) -> u64 {
        match self.standing() {
            Standing::Leading { term } => term,
            Standing::Unknown | Standing::Following { .. } | Standing::Lost => 0,
        }
    }

    fn follows(&self, holder: &str) -> bool {
        self.standing() == Standing::Following { holder: holder.to_owned() }
    }

    fn shows(&self, sample: &str) -> bool {
        self.own.encode().lines().any(|line| line == sample)
    }

    async fn stop(self) {
        let Self { leadership, own, stop, task } = self;
        stop.send(()).unwrap();
        task.await.unwrap();
        assert!(leadership.permit(Duration::ZERO).is_none());
        assert!(own.encode().contains("\nmtv_sentinel_leader 0\n"));
    }
}

/// Waits; the test runner's patience is the limit.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn lease_of(plane: &ControlPlane, namespace: &str) -> Lease {
    Api::namespaced(plane.client().await.unwrap(), namespace).get("mtv-sentinel").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_the_other_follows_it_by_name_and_takes_over_when_it_stops() {
    let plane = shared().await;
    namespace(plane, "lease-stop");
    grant(plane, "lease-stop");
    // So long that nobody would wait for its end.
    let patient = |identity| Settings {
        duration: Duration::from_secs(10_000),
        renew_deadline: Duration::from_secs(1_000),
        ..short("lease-stop", identity)
    };
    let first = Replica::start(plane, patient("first"), &plane.url(), lease::boot_time).await;
    until(|| first.term() == 1).await;
    let second = Replica::start(plane, patient("second"), &plane.url(), lease::boot_time).await;
    until(|| second.follows("first")).await;
    let permit = first.leadership.permit(ACTION).unwrap();
    assert!((permit.term(), permit.deadline()) == (1, ACTION) && permit.left() <= ACTION);
    assert!(second.leadership.permit(Duration::ZERO).is_none());
    assert!(first.shows("mtv_sentinel_leader 1") && second.shows("mtv_sentinel_leader 0"));
    assert!(first.shows("mtv_sentinel_lease_term 1") && second.shows("mtv_sentinel_lease_term 1"));

    let lease = lease_of(plane, "lease-stop").await;
    assert_eq!(lease.metadata.labels.unwrap()["app.kubernetes.io/name"], "mtv-sentinel");
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("first"));
    assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(1), Some(10_000)));
    assert!(spec.renew_time >= spec.acquire_time && spec.acquire_time.is_some());

    first.stop().await;
    until(|| second.term() == 2).await;
    assert!(second.leadership.permit(ACTION).is_some() && second.shows("mtv_sentinel_leader 1"));
    second.stop().await;
    let spec = lease_of(plane, "lease-stop").await.spec.unwrap();
    assert_eq!((spec.holder_identity, spec.lease_transitions), (None, Some(2)));
    let requests = plane.audit("system:serviceaccount:lease-stop:sentinel");
    assert!(requests.iter().all(|(verb, what, _)| ["get", "create", "update"].contains(&&**verb) && what == "leases"));
}

/// Notes, by the clock since boot, until when an action may go on that a replica was last permitted to begin.
fn watch_permits(leadership: Leadership, over: Arc<AtomicBool>) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let mut last = Duration::ZERO;
        while !over.load(Ordering::Relaxed) {
            // Before it asks: a permit counts from when it is given, so this is a little early.
            let now = lease::boot_time();
            if leadership.permit(ACTION).is_some() {
                last = now + ACTION;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        last
    })
}

async fn a_leader_that_is_cut_off_is_not_permitted_to_act_when_the_next_one_leads(namespace_name: &str, fault: Fault) {
    let plane = shared().await;
    namespace(plane, namespace_name);
    grant(plane, namespace_name);
    let proxy = Proxy::start(plane.port()).await.unwrap();
    let first = Replica::start(plane, short(namespace_name, "first"), &proxy.url(), lease::boot_time).await;
    until(|| first.term() > 0).await;
    let second = Replica::start(plane, short(namespace_name, "second"), &plane.url(), lease::boot_time).await;
    until(|| second.follows("first")).await;
    let over = Arc::new(AtomicBool::new(false));
    let permits = watch_permits(first.leadership.clone(), Arc::clone(&over));
    until(|| first.leadership.permit(ACTION).is_some()).await;
    proxy.set(fault);
    until(|| second.leadership.permit(Duration::ZERO).is_some()).await;
    let leads_at = lease::boot_time();
    // By itself: it has seen nobody else.
    until(|| first.standing() == Standing::Lost).await;
    assert!(first.leadership.trouble().is_some());
    over.store(true, Ordering::Relaxed);
    let acts_until = permits.join().unwrap();
    assert!(acts_until > Duration::ZERO && acts_until <= leads_at, "{acts_until:?} {leads_at:?}");
    proxy.set(Fault::None);
    until(|| first.follows("second")).await;
    assert_eq!(first.leadership.trouble(), None);
    assert!(!first.shows("mtv_sentinel_lease_renewals_total{outcome=\"failed\"} 0"));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_network_swallows_everything_acts_no_more_when_the_next_one_leads() {
    a_leader_that_is_cut_off_is_not_permitted_to_act_when_the_next_one_leads("lease-hang", Fault::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_connections_are_reset_acts_no_more_when_the_next_one_leads() {
    a_leader_that_is_cut_off_is_not_permitted_to_act_when_the_next_one_leads("lease-reset", Fault::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_edited_or_deleted_by_hand_is_taken_again_in_a_new_term() {
    let plane = shared().await;
    let name = "lease-edited";
    namespace(plane, name);
    grant(plane, name);
    let replica = Replica::start(plane, short(name, "replica"), &plane.url(), lease::boot_time).await;
    until(|| replica.term() > 0).await;
    let patch = |patch: serde_json::Value| {
        let patch = patch.to_string();
        plane.kubectl(&["-n", name, "patch", "lease", "mtv-sentinel", "--type=merge", "-p", &patch], "");
    };
    let mut term = replica.term();
    patch(
        json!({"metadata": {"annotations": {"note": "a person's"}}, "spec": {"holderIdentity": "nobody", "leaseDurationSeconds": 1}}),
    );
    until(|| replica.follows("nobody")).await;
    until(|| replica.term() > term).await;
    let lease = lease_of(plane, name).await;
    assert_eq!(lease.metadata.annotations.unwrap()["note"], "a person's");
    assert_eq!(lease.spec.unwrap().lease_duration_seconds, Some(2));

    term = replica.term();
    patch(json!({"spec": {"leaseTransitions": 0, "acquireTime": null, "renewTime": "1970-01-01T00:00:00.000000Z"}}));
    until(|| replica.term() > term).await;

    term = replica.term();
    patch(json!({"spec": null}));
    until(|| replica.term() > term).await;

    term = replica.term();
    plane.kubectl(&["-n", name, "delete", "lease", "mtv-sentinel"], "");
    until(|| replica.term() > term).await;
    assert!(replica.leadership.permit(ACTION).is_some());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_and_a_missing_namespace_are_named() {
    let plane = shared().await;
    namespace(plane, "lease-rights");
    let replica = Replica::start(plane, short("lease-rights", "replica"), &plane.url(), lease::boot_time).await;
    until(|| replica.leadership.trouble().is_some()).await;
    let trouble = replica.leadership.trouble().unwrap();
    assert!(trouble.starts_with("403 leases.coordination.k8s.io \"mtv-sentinel\" is forbidden"), "{trouble}");
    assert!(trouble.contains("cannot get resource \"leases\""), "{trouble}");
    assert_eq!(replica.standing(), Standing::Unknown);
    grant(plane, "lease-rights");
    until(|| replica.term() > 0 && replica.leadership.trouble().is_none()).await;
    replica.stop().await;

    let client = plane.client().await.unwrap();
    let replica = Replica::with(client, short("lease-nowhere", "replica"), lease::boot_time);
    until(|| replica.leadership.trouble().is_some()).await;
    assert_eq!(replica.leadership.trouble().unwrap(), "404 namespaces \"lease-nowhere\" not found");
    replica.stop().await;
}

/// How far the clock of the test below has jumped, in milliseconds.
static SLEPT: AtomicU64 = AtomicU64::new(0);

fn after_sleep() -> Duration {
    lease::boot_time() + Duration::from_millis(SLEPT.load(Ordering::Relaxed))
}

/// On one thread, so that the elector cannot run between the sleep and the question.
#[tokio::test(flavor = "current_thread")]
async fn a_process_that_wakes_up_is_permitted_nothing_before_its_elector_has_run_again() {
    let plane = shared().await;
    namespace(plane, "lease-sleep");
    grant(plane, "lease-sleep");
    let replica = Replica::start(plane, short("lease-sleep", "replica"), &plane.url(), after_sleep).await;
    until(|| replica.leadership.permit(ACTION).is_some()).await;
    let term = replica.term();
    let permit = replica.leadership.permit(ACTION).unwrap();
    SLEPT.store(60_000, Ordering::Relaxed);
    assert_eq!(replica.term(), term, "the elector has not run");
    assert!(replica.leadership.permit(Duration::ZERO).is_none());
    assert_eq!(permit.left(), Duration::ZERO, "and an action that was about to begin has no time left");
    until(|| replica.term() > term && replica.leadership.permit(ACTION).is_some()).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_that_is_given_up_is_followed_by_another_one_and_permits_of_it_are_over() {
    let plane = shared().await;
    namespace(plane, "lease-resigned");
    grant(plane, "lease-resigned");
    let one = Replica::start(plane, short("lease-resigned", "one"), &plane.url(), lease::boot_time).await;
    until(|| one.term() == 1).await;
    let permit = one.leadership.permit(ACTION).unwrap();
    one.leadership.resign();
    until(|| one.term() == 2).await;
    assert_eq!((permit.term(), one.leadership.permit(ACTION).unwrap().term()), (1, 2));
    one.stop().await;
}
