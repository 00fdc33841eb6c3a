//! What the tests of receivers share: a server that answers by a script, notifications, and a way to send them.

use mtv_sentinel::alert::RULES;
use mtv_sentinel::config::{Config, Layers, ReceiverConfig};
use mtv_sentinel::dispatch::Turn;
use mtv_sentinel::lease::Leadership;
use mtv_sentinel::message::{BaseUrl, Notification, Settings, sample};
use mtv_sentinel::metrics::Own;
use mtv_sentinel::notify::{Done, Notifier, Senders};
use mtv_sentinel::plan::Time;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// It sends these bytes.
    Bytes(String),
    /// It closes the connection without a word.
    Close,
    /// It breaks the connection before it has read what is sent.
    Reset,
    /// It says nothing.
    Hang,
    /// It answers with this status and all that it was sent.
    Echo(u16),
}

pub fn status(code: u16, headers: &str) -> Reply {
    answer(code, headers, "no")
}

pub fn answer(code: u16, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(format!("HTTP/1.1 {code} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
}

/// A certificate for 127.0.0.1 that nobody has signed but itself, and a server's TLS with it.
pub fn self_signed() -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
    (made.cert.pem(), Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

/// A server that answers by its script, the last entry for ever, and hands over what it was sent: head and body.
pub fn serve(script: Vec<Reply>) -> (String, mpsc::Receiver<(String, Value)>) {
    let (address, requests) = listen(script, None);
    (format!("http://{address}/hooks/s3cr3t-path"), requests)
}

/// The same by its address only, and perhaps with TLS.
pub fn listen(script: Vec<Reply>, tls: Option<Arc<ServerConfig>>) -> (String, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (say, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut script = script.into_iter();
        let mut reply = script.next().unwrap();
        let mut hanging = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if matches!(reply, Reply::Reset) {
                // What is there and not read makes the kernel say that the connection is broken.
                let _ = stream.read(&mut [0; 1]);
                let _ = say.send(Default::default());
            } else if let Some(tls) = &tls {
                let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream);
                // A client that does not trust the certificate goes away.
                let Some(request) = request(&mut stream) else { continue };
                respond(&mut stream, &reply, &request.0);
                stream.conn.send_close_notify();
                let _ = stream.flush();
                let _ = say.send(request);
            } else {
                let Some(request) = request(&mut stream) else { continue };
                let head = request.0.clone();
                if say.send(request).is_err() {
                    return;
                }
                respond(&mut stream, &reply, &head);
                if matches!(reply, Reply::Hang) {
                    hanging.push(stream);
                }
            }
            reply = script.next().unwrap_or(reply);
        }
    });
    (address.to_string(), requests)
}

/// A server that takes everything, and hands over the body as it came.
pub fn serve_raw() -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (say, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some((head, body)) = raw_request(&mut stream) else { continue };
            let _ = say.send((head, String::from_utf8(body).unwrap()));
            respond(&mut stream, &status(200, ""), "");
        }
    });
    (format!("http://{address}/hooks/s3cr3t-path"), requests)
}

fn respond(stream: &mut impl Write, reply: &Reply, head: &str) {
    // A client that has gone is none of the server's concern.
    let _ = match reply {
        Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()),
        Reply::Echo(code) => match answer(*code, "", head) {
            Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()),
            _ => Ok(()),
        },
        Reply::Close | Reply::Hang | Reply::Reset => Ok(()),
    };
}

fn request(stream: &mut impl Read) -> Option<(String, Value)> {
    let (head, body) = raw_request(stream)?;
    Some((head, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Head and body of a request; `None` if it ends early.
fn raw_request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        let n = stream.read(&mut chunk).ok()?;
        bytes.extend_from_slice(&chunk[..n]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let body = &bytes[at + 4..];
            if body.len() >= length.unwrap_or(0) {
                return Some((head, body.to_vec()));
            }
        }
        if n == 0 {
            return None;
        }
    }
}

/// A notification to the receiver `hook`.
pub fn notification(rule: &str, turn: Turn) -> Notification {
    notification_with(rule, turn, &Settings { cluster: "prod".to_owned(), ..Settings::default() })
}

/// The same with links.
pub fn linked(rule: &str, turn: Turn) -> Notification {
    let url = |url: &str| Some(BaseUrl::parse(url).unwrap());
    let (console, runbooks) = (url("https://console.example.com"), url("https://example.com/runbooks"));
    notification_with(rule, turn, &Settings { cluster: "prod".to_owned(), console, runbooks, ..Settings::default() })
}

fn notification_with(rule: &str, turn: Turn, settings: &Settings) -> Notification {
    let sample = sample(RULES.iter().find(|row| row.name == rule).unwrap(), turn);
    let message = sample.message(settings);
    let mut notification = Notification::of(sample.send, message);
    notification.receiver = "hook".into();
    notification
}

pub fn noon() -> Time {
    Time::parse("2027-01-15T12:00:00Z").unwrap()
}

/// A configuration with one receiver, or what is wrong with it.
pub fn load(yaml: &str) -> Result<Config, String> {
    let file = format!("notify: {{receivers: {{hook: {yaml}}}}}");
    let layers = Layers { file: Some(("x.yaml".to_owned(), file)), ..Layers::default() };
    Config::load(layers).map_err(|errors| errors.to_string())
}

/// The receiver that the configuration makes of this.
pub fn receiver(yaml: &str) -> ReceiverConfig {
    load(yaml).unwrap().notify.receivers.0["hook"].clone()
}

/// Sends to this receiver; answers what became of it.
pub fn deliver(receiver: &ReceiverConfig, notifications: Vec<Notification>) -> Vec<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(deliver_with(Leadership::always(), receiver, notifications))
}

/// The same, as a replica that stands like this.
pub async fn deliver_with(leadership: Leadership, receiver: &ReceiverConfig, notifications: Vec<Notification>) -> Vec<Done> {
    let senders = Senders::new(vec![("hook".into(), receiver.clone())], None, false).unwrap();
    let (_, changes) = tokio::sync::mpsc::unbounded_channel();
    let notifier = Notifier::new(senders, Arc::new(Own::new("test", "test")), leadership, noon);
    let (send, due) = tokio::sync::mpsc::unbounded_channel();
    let (finish, mut done) = tokio::sync::mpsc::unbounded_channel();
    notifications.into_iter().for_each(|notification| send.send(notification).unwrap());
    drop(send);
    notifier.deliver(due, changes, finish).await;
    let mut all = Vec::new();
    done.recv_many(&mut all, 99).await;
    all
}

/// Sends one notification to this receiver.
pub fn deliver_one(receiver: &ReceiverConfig, notification: Notification) -> Done {
    deliver(receiver, vec![notification]).remove(0)
}
