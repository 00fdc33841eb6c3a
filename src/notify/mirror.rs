//! Shows Alertmanagers what fires: at once when that changes, and all of it again and again, so that what is not shown any more
//! ends there by itself.
//!
//! Run by `app` as one task for each server, fed by the loop, which never waits for it. Every replica does this, whoever leads:
//! Alertmanager takes the same alert from several for one. A server that is down delays no other one and loses nothing, because
//! all is posted again; the little that has to be kept for it, what it may believe to fire, is an `Account`.

use super::alertmanager::{Sender, key, postable};
use super::backoff::Backoff;
use super::{Receiver, Verdict};
use crate::config::{ReceiverConfig, Server};
use crate::message::Notice;
use crate::metrics::Own;
use crate::plan::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What fires, for each mirror; `None` before all that is there has been seen.
pub type Shown = Option<Arc<BTreeMap<Receiver, Arc<[Notice]>>>>;

/// The least time between two posts to a server: what changes meanwhile is posted together.
const PAUSE: Duration = Duration::from_secs(1);
/// So many alerts are in one post.
const MOST_ALERTS: usize = 500;
/// So many bytes are in one post, unless it is a single alert: proxies take a megabyte.
const MOST_BYTES: usize = 900_000;

/// All mirrors.
pub struct Mirrors {
    keepers: Vec<Keeper>,
    /// What each server of each receiver may believe to fire. It outlives another configuration.
    accounts: BTreeMap<(Receiver, String), Arc<Mutex<Account>>>,
}

impl Mirrors {
    /// Makes those of the receivers that are mirrors ready. `now` tells the time to which ends are promised.
    ///
    /// # Errors
    /// If TLS cannot be set up, or the file of an authority cannot be read.
    pub fn new(receivers: &[(Receiver, ReceiverConfig)], own: &Arc<Own>, now: fn() -> Time) -> anyhow::Result<Self> {
        let mut keepers = Vec::new();
        for (name, config) in receivers {
            let ReceiverConfig::Alertmanager(config) = config else { continue };
            let sender = Sender::new(config.clone()).map_err(|why| anyhow::anyhow!("notify.receivers.{name}: {why}"))?;
            let sender = Arc::new(sender);
            own.start_deliveries(name);
            keepers.extend(config.servers.iter().map(|server| Keeper {
                receiver: name.clone(),
                server: server.clone(),
                sender: Arc::clone(&sender),
                own: Arc::clone(own),
                now,
                backoff: Backoff::default(),
                trouble: None,
            }));
        }
        Ok(Self { keepers, accounts: BTreeMap::new() })
    }

    /// Shows what fires until the sender is gone, and what has changed last before that. Other mirrors may take the place of
    /// these. A server that is there still is told what has ended; what another one was shown ends by itself.
    pub async fn keep(mut self, mut shown: watch::Receiver<Shown>, mut changes: mpsc::UnboundedReceiver<Self>) {
        loop {
            let mut tasks = JoinSet::new();
            for keeper in self.keepers {
                let whose = (keeper.receiver.clone(), keeper.server.url.clone());
                let account = Arc::clone(self.accounts.entry(whose).or_default());
                tasks.spawn(keeper.keep(account, shown.clone()));
            }
            tokio::select! {
                Some(others) = changes.recv() => self = Self { accounts: self.accounts, ..others },
                () = async { drop(shown.wait_for(|_| false).await) } => {
                    while tasks.join_next().await.is_some() {}
                    return;
                }
            }
        }
    }
}

/// One server of one mirror.
struct Keeper {
    receiver: Receiver,
    server: Server,
    sender: Arc<Sender>,
    own: Arc<Own>,
    now: fn() -> Time,
    backoff: Backoff,
    /// What is wrong with it, as it was last said.
    trouble: Option<Trouble>,
}

impl Keeper {
    async fn keep(mut self, account: Arc<Mutex<Account>>, mut shown: watch::Receiver<Shown>) {
        let interval = self.sender.config.resend_interval;
        // The one before may be in the middle of a post.
        let mut account = account.lock().await;
        // Nothing is told of before everything has been seen.
        if shown.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut resend = Instant::now();
        loop {
            let begun = Instant::now();
            let is_all = begun >= resend;
            if is_all {
                account.post_all_again();
                resend = begun + interval;
            }
            let failed = self.post(&mut account, &mut shown, is_all).await;
            // However long it wants to be left alone, not longer than when all is well: what it was promised runs out.
            let free = Instant::now() + failed.map_or(PAUSE, |pause| pause.clamp(PAUSE, interval.max(PAUSE)));
            let next = if failed.is_some() { free } else { resend };
            let is_open = tokio::select! {
                changed = shown.changed() => changed.is_ok(),
                () = sleep_until(next) => true,
            };
            // The latest is looked at in any case, so nothing is missed by what is seen here.
            let is_open = is_open
                && tokio::select! {
                    gone = shown.wait_for(|_| false) => gone.is_ok(),
                    () = sleep_until(free) => true,
                };
            if !is_open {
                if failed.is_none() {
                    let _ = self.post(&mut account, &mut shown, false).await;
                }
                return;
            }
        }
    }

    /// Posts what the server does not know yet; answers how long it is to be left alone, if it does not work.
    async fn post(&mut self, account: &mut Account, shown: &mut watch::Receiver<Shown>, is_all: bool) -> Option<Duration> {
        let of_all = shown.borrow_and_update().clone();
        let notices = of_all.as_ref().and_then(|shown| shown.get(&self.receiver));
        let firing: BTreeMap<String, &Notice> =
            notices.into_iter().flat_map(|notices| notices.iter()).map(|notice| (key(notice), notice)).collect();
        let now = (self.now)();
        let mut worst = None;
        for batch in batches(account.due(&firing, now, now.plus(self.sender.promise()))) {
            let body = format!("[{}]", batch.iter().map(|news| news.body.as_str()).collect::<Vec<_>>().join(","));
            let begun = Instant::now();
            let verdict = self.sender.post(&self.server, body, now, self.sender.until()).await;
            self.own.count_delivery(&self.receiver, verdict.as_str(), verdict.reason());
            self.own.observe_delivery(&self.receiver, begun.elapsed(), self.trouble.is_some());
            account.take(batch, &verdict);
            let pause = match &verdict {
                Verdict::Delivered | Verdict::Refused(_) => None,
                Verdict::NotSent(wait, _) => Some(self.backoff.fail(*wait)),
                Verdict::Unknown(_) => Some(self.backoff.fail(None)),
            };
            if worst.is_none() || verdict != Verdict::Delivered {
                worst = Some(verdict);
            }
            if pause.is_some() {
                self.say(worst, is_all);
                return pause;
            }
            self.backoff.reset();
        }
        self.say(worst, is_all);
        None
    }

    /// Says what is wrong when it begins and when it has ended, not each time.
    fn say(&mut self, worst: Option<Verdict>, is_all: bool) {
        let Some(verdict) = worst.filter(|verdict| is_news(&mut self.trouble, verdict, is_all)) else { return };
        let (receiver, server) = (&self.receiver, self.server.host());
        match verdict {
            Verdict::Delivered => tracing::info!(%receiver, server, "it takes alerts again"),
            Verdict::NotSent(_, why) | Verdict::Unknown(why) => {
                tracing::warn!(%receiver, server, "what fires could not be posted, and is posted again until it can: {why}");
            }
            Verdict::Refused(why) => tracing::error!(%receiver, server, "what fires was refused: {why}"),
        }
    }
}

/// What is wrong with a server.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It takes nothing.
    Down,
    /// It has refused something, with these words.
    Refused(String),
}

/// Whether the worst of what a server answered is another trouble than before, or the end of one, and notes it.
fn is_news(trouble: &mut Option<Trouble>, verdict: &Verdict, is_all: bool) -> bool {
    let now = match verdict {
        // What it refuses was perhaps not posted this time.
        Verdict::Delivered if !is_all && matches!(trouble, Some(Trouble::Refused(_))) => return false,
        Verdict::Delivered => None,
        Verdict::NotSent(..) | Verdict::Unknown(_) => Some(Trouble::Down),
        Verdict::Refused(why) => Some(Trouble::Refused(why.text.clone())),
    };
    let is_news = *trouble != now;
    *trouble = now;
    is_news
}

/// What one server was told, by label set: all that it may believe to fire.
#[derive(Default)]
struct Account {
    known: BTreeMap<String, Known>,
}

/// An alert that a server may believe to fire.
struct Known {
    notice: Notice,
    /// Until when, if it hears nothing more.
    until: Time,
    /// What it has answered to since all was last posted.
    answered: Option<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fires,
    Ended,
}

/// An alert to be posted.
struct News {
    key: String,
    notice: Notice,
    state: State,
    until: Time,
    body: String,
}

impl Account {
    fn post_all_again(&mut self) {
        self.known.values_mut().for_each(|known| known.answered = None);
    }

    /// What the server has to be told: what has ended, and what fires that it does not know so.
    fn due(&mut self, firing: &BTreeMap<String, &Notice>, now: Time, until: Time) -> Vec<News> {
        // What it was not told the end of in time has ended there by itself.
        self.known.retain(|key, known| firing.contains_key(key) || known.until > now);
        let ended =
            self.known.iter().filter(|(key, known)| !firing.contains_key(*key) && known.answered != Some(State::Ended));
        let ended = ended.map(|(key, known)| (key, &known.notice, State::Ended));
        let is_news = |key: &String, notice: &Notice| {
            let known = self.known.get(key);
            known.is_none_or(|known| known.answered != Some(State::Fires) || known.notice != *notice)
        };
        let fires = firing.iter().filter(|(key, notice)| is_news(key, notice));
        let fires = fires.map(|(key, notice)| (key, *notice, State::Fires));
        let news = |(key, notice, state): (&String, &Notice, State)| {
            let body = postable(notice, (state == State::Fires).then_some(until), now).to_string();
            News { key: key.clone(), notice: notice.clone(), state, until, body }
        };
        ended.chain(fires).map(news).collect()
    }

    /// Takes what became of a post.
    fn take(&mut self, batch: Vec<News>, verdict: &Verdict) {
        // Of what it refuses it has taken what is right; which that is, it does not say. So the rest has time.
        let has_answered = match verdict {
            Verdict::NotSent(..) => return,
            Verdict::Delivered | Verdict::Refused(_) => true,
            Verdict::Unknown(_) => false,
        };
        for News { key, notice, state, until, .. } in batch {
            let answered = has_answered.then_some(state);
            match state {
                State::Fires => drop(self.known.insert(key, Known { notice, until, answered })),
                State::Ended if *verdict == Verdict::Delivered => drop(self.known.remove(&key)),
                State::Ended => {
                    if let Some(known) = self.known.get_mut(&key) {
                        known.answered = answered;
                    }
                }
            }
        }
    }
}

/// Cuts what is posted into what a server takes at once.
fn batches(news: Vec<News>) -> Vec<Vec<News>> {
    let mut batches: Vec<Vec<News>> = Vec::new();
    let mut bytes = 0;
    for news in news {
        bytes += news.body.len() + 1;
        match batches.last_mut().filter(|last| last.len() < MOST_ALERTS && bytes <= MOST_BYTES) {
            Some(last) => last.push(news),
            None => {
                bytes = news.body.len();
                batches.push(vec![news]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::super::{Reason, Why};
    use super::*;

    #[test]
    fn a_trouble_is_news_when_it_begins_changes_or_ends_and_not_each_minute() {
        let mut trouble = None;
        let refused = |why: &str| Verdict::Refused(Why::new(Reason::Rejected, why));
        let down = || Verdict::NotSent(None, Why::new(Reason::Connection, "refused"));
        for (verdict, is_all, expected) in [
            (Verdict::Delivered, true, false),
            (down(), false, true),
            (Verdict::Unknown(Why::new(Reason::Timeout, "no answer")), true, false),
            (Verdict::Delivered, false, true),
            (refused("400"), true, true),
            (refused("400"), true, false),
            // Between two times at which all is posted.
            (Verdict::Delivered, false, false),
            (refused("400"), true, false),
            (refused("413"), true, true),
            (Verdict::Delivered, true, true),
        ] {
            assert_eq!(is_news(&mut trouble, &verdict, is_all), expected, "{verdict:?}");
        }
    }
}
