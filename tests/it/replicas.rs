//! Two replicas of the shipped program on a real API server: only the one in office tells, another takes over when it is gone,
//! and who is not in office any more begins nothing.

use crate::fleet::{Home, Program, wait_until};
use crate::hook::{serve, status};
use serde_json::Value;
use std::sync::mpsc::Receiver;
use testbed::{Fault, Proxy};

/// A replica, and what it has posted.
struct Replica {
    program: Program,
    posts: Receiver<(String, Value)>,
}

impl Replica {
    fn start(home: &Home, name: &str, url: &str) -> Self {
        let (hook, posts) = serve(vec![status(200, "")]);
        let receivers = format!("{{hook: {{type: webhook, url: '{hook}', timeout: 1s}}}}");
        let keys = [
            ("NOTIFY__RECEIVERS", receivers.as_str()),
            ("LEASE__ENABLED", "true"),
            ("LEASE__DURATION", "5600ms"),
            ("LEASE__RENEW_DEADLINE", "2s"),
            ("LEASE__RETRY", "300ms"),
        ];
        Self { program: Program::start(home, &home.kubeconfig(name, url), &keys), posts }
    }

    /// What it has told since it was last asked: status, plan, and whether it is marked as a repeat.
    fn told(&self) -> Vec<(String, String, bool)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let seen = |(_, body): (String, Value)| {
            let summary = text(&body["commonAnnotations"]["summary"]);
            (text(&body["status"]), text(&body["commonLabels"]["plan"]), summary.contains("(possible repeat)"))
        };
        self.posts.try_iter().map(seen).collect()
    }

    fn leads(&self) -> bool {
        self.program.has("mtv_sentinel_leader 1") && self.program.acts()
    }

    /// Until it has told something about this plan.
    fn wait_for(&self, turn: &str, plan: &str) -> Vec<(String, String, bool)> {
        let mut told = Vec::new();
        wait_until(|| {
            told.extend(self.told());
            told.iter().any(|(status, name, _)| status == turn && name == plan)
        });
        wait_until(|| self.program.is_quiet());
        told.extend(self.told());
        told
    }
}

fn once(turn: &str, plan: &str) -> (String, String, bool) {
    (turn.to_owned(), plan.to_owned(), false)
}

/// Two replicas, the first of which leads and has told of a plan.
async fn two(home: &Home, first_url: &str) -> (Replica, Replica) {
    home.start(&["mail", "web"]);
    let first = Replica::start(home, "first", first_url);
    wait_until(|| first.leads());
    let second = Replica::start(home, "second", &home.plane.url());
    home.set("mail", "Failed");
    assert_eq!(first.wait_for("firing", "mail"), [once("firing", "mail")]);
    // One that follows sees all, and shows what it sees in the API alone.
    wait_until(|| second.program.has("mtv_sentinel_source_synced 1") && !second.program.shows("mail"));
    assert!(first.program.shows("mail") && second.program.text("/api/v1/plans").contains("\"mail\""));
    assert_eq!(second.program.json("/api/v1/notifications")["acts"], false);
    assert!(first.program.text("/readyz?verbose").contains("[+] lease: this replica leads"));
    assert!(second.program.text("/readyz?verbose").contains(" leads\n"));
    assert_eq!(second.told(), []);
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_takes_over_from_one_that_was_killed_and_owes_what_that_owed() {
    let home = Home::new("killed-leader").await;
    let (mut first, second) = two(&home, &home.plane.url()).await;
    first.program.kill();
    home.set("web", "Failed");
    home.delete("mail");
    let mut told = second.wait_for("firing", "web");
    if told.len() == 1 {
        told.extend(second.wait_for("resolved", "mail"));
    }
    told.sort();
    assert_eq!(told, [once("firing", "web"), once("resolved", "mail")], "each once, and nothing again");
    assert!(second.leads() && second.program.shows("web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_in_order_hands_over_without_a_pause() {
    let home = Home::new("stopped-leader").await;
    let (mut first, second) = two(&home, &home.plane.url()).await;
    first.program.signal("TERM");
    first.program.wait();
    // It was released, not left to expire.
    let lease = home.plane.kubectl(&["-n", home.namespace, "get", "lease", "mtv-sentinel", "-o", "json"], "");
    let lease: Value = serde_json::from_str(&lease).unwrap();
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    assert!(holder.is_empty() || lease["spec"]["leaseTransitions"] == 2, "{lease}");
    home.set("web", "Failed");
    assert_eq!(second.wait_for("firing", "web"), [once("firing", "web")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stood_still_begins_nothing_when_it_wakes_up() {
    let home = Home::new("paused-leader").await;
    let (first, second) = two(&home, &home.plane.url()).await;
    first.program.signal("STOP");
    home.set("web", "Failed");
    assert_eq!(second.wait_for("firing", "web"), [once("firing", "web")]);
    home.delete("mail");
    assert_eq!(second.wait_for("resolved", "mail"), [once("resolved", "mail")]);
    first.program.signal("CONT");
    wait_until(|| first.program.has("mtv_sentinel_leader 0") && !first.program.shows("web"));
    wait_until(|| first.program.json("/api/v1/notifications")["acts"] == false);
    home.delete("web");
    assert_eq!(second.wait_for("resolved", "web"), [once("resolved", "web")]);
    assert_eq!(first.told(), [], "it saw all of that, and told none of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_cut_off_stops_by_itself_and_shows_what_it_knows_until_it_sees_another_one() {
    let home = Home::new("cut-off-leader").await;
    let proxy = Proxy::start(home.plane.port()).await.unwrap();
    let (first, second) = two(&home, &proxy.url()).await;
    proxy.set(Fault::BlackHole);
    wait_until(|| first.program.has("mtv_sentinel_leader 0"));
    assert!(first.program.shows("mail"), "nobody else is known to show it");
    home.set("web", "Failed");
    assert_eq!(second.wait_for("firing", "web"), [once("firing", "web")]);
    proxy.set(Fault::None);
    wait_until(|| !first.program.shows("mail") && first.program.json("/api/v1/plans").to_string().contains("\"web\""));
    assert_eq!(first.told(), []);
}
