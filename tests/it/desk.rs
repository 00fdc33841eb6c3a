//! The deciding part of the program on a desk, without the loop: objects and outcomes in, sends out.

use crate::support::minute;
use mtv_sentinel::alert::{Alerts, Memory, RULES, Scope, Settings};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::dispatch::{Began, Dispatch, Due, Outcome, Routing, Send, Told, Topic};
use mtv_sentinel::forklift::Object;
use mtv_sentinel::plan::{Key, Kind, Time};
use mtv_sentinel::store::{Changes, Store};
use std::collections::BTreeMap;
use std::time::Duration;

/// The receivers `log` and `pager`, told everything at once and one by one, and these keys beside.
pub fn routing(notify: &str) -> Routing {
    let file = format!("alerts: {{off: [PlanStalled, QueueStuck, ControllerStuck]}}\nnotify:\n{notify}");
    let environment = [
        ("RECEIVERS", "{log: {type: log}, pager: {type: log}}"),
        ("GROUP_WAIT", "0s"),
        ("GROUP_INTERVAL", "0s"),
        ("STORM_THREADS", "0"),
    ];
    let environment =
        environment.into_iter().filter(|(key, _)| !format!("\n{notify}").contains(&format!("\n  {}:", key.to_lowercase())));
    let environment = environment.map(|(key, value)| (format!("MTV_SENTINEL__NOTIFY__{key}"), value.to_owned())).collect();
    let config = Config::load(Layers { file: Some(("test.yaml".to_owned(), file)), environment, ..Layers::default() });
    let config = config.unwrap();
    config.notify.routing(&config.alerts, &config.kubernetes)
}

/// One receiver that is told everything at once.
pub fn one_receiver() -> Routing {
    routing("  receivers: {log: {type: log}}")
}

/// Every rule fires at once.
pub fn impatient() -> Settings {
    let holds = RULES.iter().map(|rule| (rule.name, Duration::ZERO)).collect();
    Settings { holds, off: vec!["PlanStalled", "QueueStuck", "ControllerStuck"], ..Settings::default() }
}

pub struct Desk {
    pub store: Store,
    pub alerts: Alerts,
    pub dispatch: Dispatch,
    pub now: Time,
    settings: Settings,
}

/// What a restart keeps.
pub struct Kept {
    pub told: Told,
    pub memory: BTreeMap<Scope, Memory>,
}

impl Desk {
    pub fn new(routing: Routing, settings: Settings) -> Self {
        Self {
            store: Store::default(),
            alerts: Alerts::new(settings.clone()),
            // As after a start at which nothing was there.
            dispatch: Dispatch::new(routing.clone(), Told { standing: Some(routing.standing()), ..Told::default() }),
            now: minute(0.0),
            settings,
        }
    }

    /// With other settings from the next start on.
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// What a restart would find, were the process to end here.
    pub fn kept(&self) -> Kept {
        Kept { told: self.dispatch.told().clone(), memory: self.alerts.memory().clone() }
    }

    /// Starts again with what was kept, and these routes; the objects are the same.
    pub fn restart(&mut self, kept: Kept, routing: Routing, lost: &dyn Fn(&str) -> Option<Time>) -> Began {
        self.alerts = Alerts::new(self.settings.clone());
        self.alerts.remember(kept.memory);
        self.evaluate_all();
        let store = &self.store;
        self.alerts.keep(|scope| match scope {
            Scope::Plan(key) => store.plan(key).is_some(),
            Scope::Provider(key) => store.provider(key).is_some(),
        });
        self.dispatch = Dispatch::new(routing, kept.told);
        self.dispatch.begin(&self.alerts, &self.store, lost, self.now)
    }

    /// Applies an object and evaluates what it touches.
    pub fn apply(&mut self, object: Object) {
        let changes = self.store.apply(object, self.now);
        self.evaluate(changes);
    }

    pub fn delete(&mut self, kind: Kind, key: &Key) {
        let changes = self.store.delete(kind, key, self.now);
        self.evaluate(changes);
    }

    fn evaluate(&mut self, changes: Changes) {
        for key in changes.providers {
            let plans = self.store.plans_using(&key);
            let provider = self.store.provider(&key).map(|provider| (&**provider, plans));
            self.alerts.provider(&key, provider, self.now);
        }
        for key in changes.plans {
            self.alerts.plan(&key, self.store.plan(&key).map(|state| &**state), self.now);
        }
    }

    pub fn evaluate_all(&mut self) {
        let snapshot = self.store.snapshot();
        let (plans, providers) = (snapshot.plans.keys().cloned(), snapshot.providers.keys().cloned());
        self.evaluate(Changes { plans: plans.collect(), providers: providers.collect(), ..Changes::default() });
    }

    /// Moves the clock to this minute and evaluates everything.
    pub fn at(&mut self, minutes: f64) -> &mut Self {
        self.now = minute(minutes);
        self.evaluate_all();
        self
    }

    pub fn due(&mut self) -> Due {
        self.dispatch.due(&self.alerts, &self.store, self.now)
    }

    pub fn record(&mut self, send: &Send, outcome: Outcome) {
        self.dispatch.record(&send.receiver, &send.topic, outcome, self.now);
    }

    /// What is due, with this outcome for all of it.
    pub fn ending(&mut self, outcome: &Outcome) -> Vec<Send> {
        let sends = self.due().sends;
        for send in &sends {
            self.record(send, outcome.clone());
        }
        sends
    }

    /// What is due, in short, with this outcome for all of it.
    pub fn told_ending(&mut self, outcome: &Outcome) -> Vec<String> {
        self.ending(outcome).iter().map(line).collect()
    }

    /// What is due, in short; all of it arrives.
    pub fn told(&mut self) -> Vec<String> {
        self.told_ending(&Outcome::Delivered)
    }

    /// Applies an object at this minute, and tells what is due.
    pub fn see(&mut self, object: Object, minutes: f64) -> Vec<String> {
        self.now = minute(minutes);
        self.apply(object);
        self.told()
    }
}

/// A send in short.
pub fn line(send: &Send) -> String {
    let repeat = if send.is_repeat { " (perhaps again)" } else { "" };
    let ended = if send.ended.is_empty() || !matches!(send.topic, Topic::Digest(_)) {
        String::new()
    } else {
        format!(" ({} ended)", send.ended.len())
    };
    format!(
        "{} {} {} {}/{}{repeat}{ended}: {}",
        send.receiver,
        send.turn,
        send.alert.scope.key().name,
        send.alert.id.rule,
        send.alert.id.attempt,
        send.reason()
    )
}
