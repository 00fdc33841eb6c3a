//! The task that writes the ledger, with the same promises wherever it writes: a folder, or ConfigMaps of a real API server.

use crate::cluster::shared;
use crate::desk::{Desk, impatient, one_receiver};
use crate::dispatch::attempt;
use mtv_sentinel::app::cluster_settings;
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::ledger::{Account, ConfigMaps, Folder, Keeper, Place, Recovered, Save, WriteError, part_of};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::plan::Time;
use mtv_sentinel::watch::cluster::connect;
use std::sync::Arc;
use tempfile::TempDir;
use testbed::{ControlPlane, Fault, Proxy};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Where a test keeps its ledger.
enum Home {
    Folder(TempDir),
    ConfigMaps(&'static ControlPlane, &'static str),
}

impl Home {
    /// Both kinds, each empty.
    async fn both(name: &'static str) -> [Self; 2] {
        let plane = shared().await;
        plane.kubectl(&["create", "namespace", name], "");
        [Self::Folder(tempfile::tempdir().unwrap()), Self::ConfigMaps(plane, name)]
    }

    async fn place(&self) -> Place {
        match self {
            Self::Folder(folder) => Place::Folder(Arc::new(Folder::open(folder.path()).unwrap())),
            Self::ConfigMaps(plane, name) => {
                Place::ConfigMaps(Box::new(ConfigMaps::new(plane.client().await.unwrap(), name, "sentinel")))
            }
        }
    }

    async fn open(&self, parts: u16) -> (Keeping, Recovered) {
        let own = Arc::new(Own::new("test", "test"));
        let (keeper, recovered) = Keeper::open(self.place().await, parts, Arc::clone(&own)).await.unwrap();
        (Keeping::new(keeper, own), recovered)
    }

    /// The text of a part.
    fn text(&self, part: u16) -> Option<String> {
        match self {
            Self::Folder(folder) => std::fs::read_to_string(folder.path().join(format!("part-{part}.ledger"))).ok(),
            Self::ConfigMaps(plane, name) => {
                let object = format!("sentinel-ledger-{part}");
                let path = "jsonpath={.data.account}";
                let text = plane.kubectl(&["-n", name, "get", "configmap", &object, "--ignore-not-found", "-o", path], "");
                (!text.is_empty()).then_some(text)
            }
        }
    }

    /// Somebody else writes it.
    fn overwrite(&self, part: u16, text: &str) {
        match self {
            Self::Folder(folder) => std::fs::write(folder.path().join(format!("part-{part}.ledger")), text).unwrap(),
            Self::ConfigMaps(plane, name) => {
                let patch = serde_json::json!({"data": {"account": text}}).to_string();
                let object = format!("sentinel-ledger-{part}");
                plane.kubectl(&["-n", name, "patch", "configmap", &object, "--type=merge", "-p", &patch], "");
            }
        }
    }

    fn delete(&self, part: u16) {
        match self {
            Self::Folder(folder) => std::fs::remove_file(folder.path().join(format!("part-{part}.ledger"))).unwrap(),
            Self::ConfigMaps(plane, name) => {
                drop(plane.kubectl(&["-n", name, "delete", "configmap", &format!("sentinel-ledger-{part}")], ""));
            }
        }
    }
}

/// A keeper at work.
struct Keeping {
    own: Arc<Own>,
    save: mpsc::UnboundedSender<Save<u32>>,
    released: mpsc::UnboundedReceiver<u32>,
    task: JoinHandle<Result<(), WriteError>>,
}

impl Keeping {
    fn new(keeper: Keeper, own: Arc<Own>) -> Self {
        let ((save, saves), (release, released)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        Self { own, save, released, task: tokio::spawn(keeper.keep(saves, release)) }
    }

    fn send(&self, account: &Account, then: u32) {
        let _ = self.save.send(Save { account: account.clone(), beat: Time::from_unix(1000).unwrap(), then: vec![then] });
    }

    /// Saves an account and waits until what may follow is released.
    async fn save(&mut self, account: &Account, then: u32) {
        self.send(account, then);
        assert_eq!(self.released.recv().await, Some(then));
    }

    fn counts(&self, sample: &str) -> bool {
        self.own.encode().lines().any(|line| line == sample)
    }

    /// Ends in order.
    async fn end(self) {
        drop(self.save);
        self.task.await.unwrap().unwrap();
    }
}

/// An account after these plans failed and were told of.
fn account(plans: &[&str]) -> Account {
    let mut desk = Desk::new(one_receiver(), impatient());
    for plan in plans {
        desk.apply(attempt(plan, &["vm-1"], &["Failed"]));
    }
    assert_eq!(desk.at(3.0).told().len(), plans.len());
    let kept = desk.kept();
    Account { told: kept.told, memory: kept.memory }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_found_again_in_the_next_term_however_many_parts_it_has_then() {
    for home in Home::both("found-again").await {
        let whole = account(&["mail", "web", "db", "dns"]);
        let (mut first, recovered) = home.open(8).await;
        assert_eq!((&recovered.account, recovered.missing()), (&Account::default(), 0), "there is nothing at first");
        first.save(&whole, 1).await;
        first.end().await;
        for (parts, epoch) in [(8, 1), (3, 2), (5, 3)] {
            let (mut next, recovered) = home.open(parts).await;
            assert_eq!((&recovered.account, recovered.epoch >> 16, recovered.missing()), (&whole, epoch, 0));
            next.save(&whole, 2).await;
            next.end().await;
            assert!(home.text(parts - 1).is_some() && home.text(parts).is_none(), "those of more parts are gone");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_in_office_any_more_writes_nothing_and_lets_nothing_go() {
    let [_, maps] = Home::both("deposed").await;
    let (mut first, _) = maps.open(4).await;
    first.save(&account(&["mail"]), 1).await;
    let (mut second, recovered) = maps.open(4).await;
    assert_eq!(recovered.account, account(&["mail"]));
    first.send(&account(&["mail", "web", "db", "dns"]), 2);
    assert!(matches!(first.task.await.unwrap(), Err(WriteError::Deposed(..))));
    assert_eq!(first.released.recv().await, None, "what it would have sent stays");
    second.save(&account(&["mail", "web"]), 3).await;
    second.end().await;
    let (_, recovered) = maps.open(4).await;
    assert_eq!(recovered.account, account(&["mail", "web"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_edits_or_deletes_during_a_term_is_put_right() {
    let [_, maps] = Home::both("edited").await;
    let (mut keeping, _) = maps.open(1).await;
    keeping.save(&account(&["mail"]), 1).await;
    maps.overwrite(0, "what is this?");
    keeping.save(&account(&["mail", "web"]), 2).await;
    assert!(keeping.counts("mtv_sentinel_ledger_conflicts_total 1"), "{}", keeping.own.encode());
    maps.delete(0);
    keeping.save(&account(&["web"]), 3).await;
    keeping.end().await;
    let (_, recovered) = maps.open(1).await;
    assert_eq!((&recovered.account, recovered.missing()), (&account(&["web"]), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_missing_at_the_start_is_known_to_be_and_the_rest_is_kept() {
    for home in Home::both("damaged").await {
        let plans = ["mail", "web", "db", "dns", "ldap", "git"];
        let (mut first, _) = home.open(4).await;
        first.save(&account(&plans), 1).await;
        first.end().await;
        let (broken, gone) = (part_of("mail", 4), (part_of("mail", 4) + 1) % 4);
        home.overwrite(broken, "{\"format\":1}\nnothing");
        home.delete(gone);
        let (mut second, recovered) = home.open(4).await;
        assert_eq!((recovered.damaged.len(), recovered.missing()), (1, 2));
        for plan in plans {
            let is_lost = [broken, gone].contains(&part_of(plan, 4));
            assert_eq!(recovered.lost(plan).is_some(), is_lost, "{plan}");
        }
        second.save(&account(&["mail"]), 2).await;
        second.end().await;
        match &home {
            Home::Folder(folder) => assert!(folder.path().join(format!("part-{broken}.damaged")).exists()),
            Home::ConfigMaps(plane, name) => {
                let object = format!("sentinel-ledger-{broken}");
                let aside = plane.kubectl(&["-n", name, "get", "configmap", &object, "-o", "yaml"], "");
                assert!(aside.contains("damaged.gz: "), "{aside}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_a_newer_version_is_refused_by_name_and_left_as_it_is() {
    for home in Home::both("newer").await {
        let (mut first, _) = home.open(2).await;
        first.save(&account(&["mail"]), 1).await;
        first.end().await;
        let newer = home.text(1).unwrap().replace("\"format\":1", "\"format\":2");
        home.overwrite(1, &newer);
        let own = Arc::new(Own::new("test", "test"));
        let Err(error) = Keeper::open(home.place().await, 2, own).await else { panic!("it was opened") };
        let name = if matches!(home, Home::Folder(_)) { "part-1.ledger" } else { "ConfigMap sentinel-ledger-1" };
        let error = format!("{error:#}");
        assert!(error.contains(name) && error.contains("format 2"), "{error}");
        assert_eq!(home.text(1), Some(newer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_nothing_is_let_go_and_all_of_it_afterwards() {
    let [_, Home::ConfigMaps(plane, name)] = Home::both("away").await else { panic!() };
    let proxy = Proxy::start(plane.port()).await.unwrap();
    plane.kubectl(&["-n", name, "create", "serviceaccount", "sentinel"], "");
    let rights = ["--verb=get,create,update,delete", "--resource=configmaps"];
    plane.kubectl(&["-n", name, "create", "role", "sentinel", rights[0], rights[1]], "");
    let subject = format!("--serviceaccount={name}:sentinel");
    plane.kubectl(&["-n", name, "create", "rolebinding", "sentinel", "--role=sentinel", &subject], "");
    let token = plane.token(name, "sentinel").unwrap();
    let kubeconfig = plane.token_kubeconfig(name, &proxy.url(), &token).unwrap();
    let file = format!("kubernetes: {{kubeconfig: '{}'}}", kubeconfig.display());
    let config = Config::load(Layers { file: Some(("test".to_owned(), file)), ..Layers::default() }).unwrap();
    let client = connect(&cluster_settings(&config)).await.unwrap();
    let place = Place::ConfigMaps(Box::new(ConfigMaps::new(client, name, "sentinel")));
    let own = Arc::new(Own::new("test", "test"));
    let (keeper, _) = Keeper::open(place, 2, Arc::clone(&own)).await.unwrap();
    let mut keeping = Keeping::new(keeper, own);
    keeping.save(&account(&["mail"]), 1).await;
    proxy.set(Fault::Reset);
    keeping.send(&account(&["mail", "web"]), 2);
    while !keeping.own.encode().contains("mtv_sentinel_ledger_write_failures_total 1") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    keeping.send(&account(&["mail", "web", "db"]), 3);
    assert!(keeping.released.try_recv().is_err());
    proxy.set(Fault::None);
    assert_eq!((keeping.released.recv().await, keeping.released.recv().await), (Some(2), Some(3)));
    keeping.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_too_big_for_its_parts_is_told_and_holds_everything_back() {
    let [_, maps] = Home::both("full").await;
    let mut big = account(&["mail"]);
    let reason = "x".repeat(400);
    let (key, told) = big.told.conversations.iter().next().map(|(key, told)| (key.clone(), told.clone())).unwrap();
    let alert = told.known.iter().next().unwrap().clone();
    let mut many = told;
    many.known.extend((0..9000).map(|n| {
        let mut alert = alert.clone();
        (alert.id.subject, alert.reason) = (format!("vm-{n}").into(), reason.as_str().into());
        alert
    }));
    big.told.conversations.insert(key, many);
    let (mut keeping, _) = maps.open(1).await;
    keeping.send(&big, 1);
    while !keeping.own.encode().contains("mtv_sentinel_ledger_write_failures_total 1") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(keeping.released.try_recv().is_err());
    // Some of it ends.
    keeping.send(&account(&["mail"]), 2);
    assert_eq!((keeping.released.recv().await, keeping.released.recv().await), (Some(1), Some(2)));
    keeping.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_does_not_wait_for_a_disk_that_cannot_be_written_and_lets_nothing_go() {
    let home = Home::Folder(tempfile::tempdir().unwrap());
    let (mut keeping, _) = home.open(1).await;
    let Home::Folder(folder) = &home else { panic!() };
    // A folder in the place of a part: no right is needed to be in the way.
    std::fs::create_dir(folder.path().join("part-0.ledger")).unwrap();
    keeping.send(&account(&["mail"]), 1);
    drop(keeping.save);
    keeping.task.await.unwrap().unwrap();
    assert_eq!(keeping.released.recv().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_after_it_was_read_is_not_replaced_by_the_mark_of_a_term() {
    let [_, maps] = Home::both("read-then-written").await;
    let (mut first, _) = maps.open(1).await;
    first.save(&account(&["mail"]), 1).await;
    let Home::ConfigMaps(plane, name) = &maps else { panic!() };
    let mut second = ConfigMaps::new(plane.client().await.unwrap(), name, "sentinel");
    let read = second.read(1).await.unwrap().remove(0).text;
    first.save(&account(&["mail", "web"]), 2).await;
    let latest = maps.text(0);
    let refused = second.mark(0, u64::MAX, &read).await;
    assert!(matches!(&refused, Err(WriteError::Other(why)) if why.to_string().contains("at the same time")), "{refused:?}");
    assert_eq!(maps.text(0), latest);
    first.end().await;
}
