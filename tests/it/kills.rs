//! The shipped program, killed at each socket that it uses: at a write of the ledger or a post to a receiver, before the server
//! has seen it, before the answer is back, and after it. What counts is what a person sees: incidents and messages.

use crate::fleet::{Home, Program, wait_until};
use std::sync::{Arc, Mutex};
use testbed::{Behind, Gate, Moment, PagerDuty, Passage, Slack};

/// Where the program is killed: at a moment of the n-th request that is one of these.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// The beginning of its first line.
    request: &'static str,
    /// The n-th, from 1.
    number: usize,
    moment: Moment,
}

/// Kills a process once at a point.
#[derive(Default)]
struct Trap {
    armed: Mutex<Option<(Point, u32)>>,
}

impl Trap {
    fn arm(&self, point: Point, process: u32) {
        *self.armed.lock().unwrap() = Some((point, process));
    }

    fn is_armed(&self) -> bool {
        self.armed.lock().unwrap().is_some()
    }

    fn pass(&self, moment: Moment, line: &str) -> Passage {
        let mut armed = self.armed.lock().unwrap();
        let Some((point, process)) = armed.as_mut() else { return Passage::Open };
        if !line.starts_with(point.request) || moment != point.moment {
            return Passage::Open;
        }
        point.number -= 1;
        if point.number > 0 {
            return Passage::Open;
        }
        let killed = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap();
        assert!(killed.success());
        *armed = None;
        Passage::Shut
    }
}

async fn gate(behind: Behind, trap: &Arc<Trap>) -> Gate {
    let trap = Arc::clone(trap);
    Gate::start(behind, move |moment, line| trap.pass(moment, line)).await.unwrap()
}

/// The address in a URL.
fn address(url: &str) -> std::net::SocketAddr {
    url.split('/').nth(2).unwrap().parse().unwrap()
}

/// A program with both services, killed at this point while it tells a failure, and again while it tells its end.
async fn survives(namespace: &'static str, points: &[Point]) {
    let (home, trap) = (Home::new(namespace).await, Arc::new(Trap::default()));
    let (slack, pagerduty) = (Slack::start().unwrap(), PagerDuty::start().unwrap());
    let ca = home.plane.ca().to_owned();
    let cluster = gate(Behind::Tls(home.plane.port(), ca), &trap).await;
    let chat = gate(Behind::Plain(address(&slack.api_url())), &trap).await;
    let pager = gate(Behind::Plain(address(&pagerduty.url())), &trap).await;
    let receivers = format!(
        "{{chat: {{type: slack, token: {}, channel: '{}', api_url: '{}{}', rate_limit: none, timeout: 2s}}, \
         pager: {{type: pagerduty, routing_key: 0123456789abcdef0123456789abcdef, url: '{}{}', rate_limit: none, timeout: 2s}}}}",
        slack.token(),
        slack.channel(),
        chat.url(),
        slack.api_url().split_once(&address(&slack.api_url()).to_string()).unwrap().1,
        pager.url(),
        pagerduty.url().split_once(&address(&pagerduty.url()).to_string()).unwrap().1,
    );
    let kubeconfig = home.kubeconfig("gate", &cluster.url());
    let keys = [("NOTIFY__RECEIVERS", receivers.as_str()), ("LEASE__ENABLED", "false"), ("LEDGER__STORE", "configmaps")];
    let start = || {
        let program = Program::start(&home, &kubeconfig, &keys);
        wait_until(|| program.acts() && program.is_quiet());
        program
    };
    for (number, point) in points.iter().enumerate() {
        let plan = format!("plan-{number}");
        home.start(&[&plan]);
        let mut program = start();
        wait_until(|| program.shows(&plan));
        trap.arm(*point, program.id());
        home.set(&plan, "Failed");
        program.wait();
        drop(program);
        let mut program = start();
        let incidents =
            || pagerduty.incidents().into_iter().filter(|incident| incident.title.contains(&plan)).collect::<Vec<_>>();
        let messages = || slack.messages().into_iter().filter(|message| message.title.contains(&plan)).collect::<Vec<_>>();
        // Also in the ledger: what is not recorded there counts as unknown, which is right, but is not what is tried here.
        wait_until(|| {
            !incidents().is_empty() && !messages().is_empty() && program.is_quiet() && home.has_nothing_under_way()
        });

        trap.arm(*point, program.id());
        home.delete(&plan);
        program.wait();
        drop(program);
        let mut program = start();
        wait_until(|| program.is_quiet() && incidents().iter().all(|incident| !incident.is_open));
        program.kill();

        assert!(!trap.is_armed());
        let (incidents, messages) = (incidents(), messages());
        assert_eq!(incidents.len(), 1, "{point:?}: one incident: {incidents:#?}");
        assert!(messages.len() <= 2, "{point:?}: one repeat at most: {messages:#?}");
        let texts = |message: &testbed::slack::SlackMessage| [message.before.clone(), vec![message.title.clone()]].concat();
        for message in &messages[1..] {
            assert!(texts(message)[0].contains("possible repeat"), "{point:?}: what is told twice is marked: {messages:#?}");
        }
        let last = messages.last().unwrap();
        assert!(last.title.contains("RESOLVED"), "{point:?}: its end is told: {messages:#?}");
        let told = texts(&messages[0]).len() + messages.get(1).map_or(0, |message| texts(message).len());
        assert!(told <= 4, "{point:?}: the failure, its end, and a repeat of each: {messages:#?}");
    }
    assert_eq!((slack.refused(), pagerduty.refused()), (vec![], vec![]));
}

const MOMENTS: [Moment; 3] = [Moment::Arrived, Moment::Answered, Moment::Done];

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_killed_at_a_write_of_its_ledger_tells_all_and_marks_what_repeats() {
    let points = [1, 2].into_iter().flat_map(|number| {
        MOMENTS.map(|moment| Point { request: "PUT /api/v1/namespaces/killed-at-the-ledger/configmaps/", number, moment })
    });
    survives("killed-at-the-ledger", &points.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_killed_at_a_post_tells_all_and_marks_what_repeats() {
    let points = ["POST /v2/enqueue", "POST /api/chat."]
        .into_iter()
        .flat_map(|request| MOMENTS.map(|moment| Point { request, number: 1, moment }));
    survives("killed-at-a-post", &points.collect::<Vec<_>>()).await;
}
