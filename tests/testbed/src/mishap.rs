//! A small HTTP server with mishaps, for the stand-ins of services.
//!
//! A thread for each connection, one request on each. What a stand-in does with a request is up to it; what goes wrong on the
//! way is done here.

use serde_json::Value;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What goes wrong with the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It is taken, and answered so much later.
    Delay(Duration),
    /// It is taken, and the connection breaks before the answer.
    LoseReply,
    /// It is not taken, and the connection breaks.
    LoseRequest,
    /// It is not taken, and answered with this status and perhaps `Retry-After` in seconds.
    Status(u16, Option<u64>),
}

/// A request that arrived.
pub(crate) struct Request {
    /// The path, with a slash at its beginning.
    pub(crate) path: String,
    /// The head in lower case.
    pub(crate) head: String,
    /// The body, if it is JSON.
    pub(crate) body: Option<Value>,
    /// Bytes of the body.
    pub(crate) size: usize,
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl ToString) -> Self {
        Self { status, retry_after: None, body: body.to_string() }
    }
}

/// Mishaps to come, and how many requests there were.
#[derive(Debug, Default)]
pub(crate) struct Line {
    mishaps: Mutex<VecDeque<Mishap>>,
    requests: Mutex<usize>,
}

impl Line {
    pub(crate) fn mishaps(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        lock(&self.mishaps).extend(mishaps);
    }

    pub(crate) fn requests(&self) -> usize {
        *lock(&self.requests)
    }
}

/// A lock that outlives a panic of who held it: a test has failed by then.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens on 127.0.0.1 until the process ends.
pub(crate) fn serve(
    line: Arc<Line>,
    answer: impl Fn(Request) -> Answer + Send + Sync + 'static,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (line, answer) = (Arc::clone(&line), Arc::clone(&answer));
            // A client that goes away is no matter of the server's.
            std::thread::spawn(move || drop(one(stream, &line, &*answer)));
        }
    });
    Ok(address)
}

fn one(mut stream: TcpStream, line: &Line, answer: &dyn Fn(Request) -> Answer) -> std::io::Result<()> {
    let request = read(&mut stream)?;
    *lock(&line.requests) += 1;
    let mishap = lock(&line.mishaps).pop_front();
    let answer = match mishap {
        Some(Mishap::LoseRequest) => return Ok(()),
        Some(Mishap::Status(status, retry_after)) => Answer { status, retry_after, body: "mishap".to_owned() },
        Some(Mishap::LoseReply) => {
            answer(request);
            return Ok(());
        }
        Some(Mishap::Delay(delay)) => {
            let taken = answer(request);
            std::thread::sleep(delay);
            taken
        }
        None => answer(request),
    };
    let Answer { status, retry_after, body } = answer;
    let retry_after = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\n{retry_after}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn read(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let n = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..n]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let lower = head.to_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            let body = &bytes[at + 4..];
            if body.len() >= length {
                return Ok(Request { path, head: lower, body: serde_json::from_slice(body).ok(), size: body.len() });
            }
        }
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
