//! The daemon in this process, asked over a real socket.

use crate::support::recording;
use mtv_sentinel::app::{self, Input, Log};
use mtv_sentinel::config::{Config, Layers};
use mtv_sentinel::watch::replay::Pace;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::sync::oneshot;

/// The daemon on a recording, at its end; stopped when dropped.
pub struct Daemon {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<anyhow::Result<()>>>,
}

impl Daemon {
    pub fn start(name: &str, config: &str) -> Self {
        let file = Some(("test".to_owned(), config.to_owned()));
        let config = Config::load(Layers { file, ..Layers::default() }).unwrap();
        let recording = recording(name);
        let until = recording.span().map(|(_, last)| last);
        let pace = Pace { speed: 1.0, until, repeat: false, longest_pause: Duration::ZERO };
        Self::run(config, Input::Replay(recording, pace))
    }

    pub fn run(config: Config, input: Input) -> Self {
        let daemon = Self::spawn(config, input);
        daemon.wait_until(|daemon| daemon.get("/readyz").0 == 200);
        daemon
    }

    pub fn spawn(config: Config, input: Input) -> Self {
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stop = async {
                    let _ = stopped.await;
                };
                app::run(config, input, listener, Box::new(Log), None, stop).await
            })
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Asks until the answer is yes; the test runner's patience is the limit.
    pub fn wait_until(&self, mut done: impl FnMut(&Self) -> bool) {
        while !done(self) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// At the end of a recording, known by a sample of its last state.
    pub fn wait_for(&self, sample: &str) {
        self.wait_until(|daemon| daemon.text("/metrics").contains(sample));
    }

    pub fn send(&self, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request).unwrap();
        stream
    }

    pub fn ask(&self, method: &str, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        answer(self.send(request.as_bytes()))
    }

    pub fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.ask("GET", path, "")
    }

    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).2).unwrap()
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).2).unwrap()
    }

    pub fn stop(mut self) -> anyhow::Result<()> {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let (Some(stop), Some(thread)) = (self.stop.take(), self.thread.take()) {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

/// Code, head and body of an answer; (0, …) if the connection was closed without one.
pub fn answer(stream: TcpStream) -> (u16, String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let mut body = Vec::new();
    let _ = reader.read_to_end(&mut body);
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, head.to_lowercase(), body)
}
