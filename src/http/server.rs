//! Accepts connections and keeps their limits. The caller binds the listener and says when to stop.

use super::View;
use super::auth::Auth;
use super::deadline::Deadline;
use super::routes;
use super::web::Web;
use crate::config::{Config, Errors};
use crate::metrics::Own;
use crate::plan::Time;
use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::server::TlsStream;

/// The head of a request may have this many bytes, and so many headers.
const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;

/// What every request may look at.
#[derive(Debug)]
pub struct Server {
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) own: Arc<Own>,
    pub(super) auth: Auth,
    pub(super) web: Web,
    pub(super) version: &'static str,
    /// What time it is on the wall clock.
    pub(super) now: fn() -> Time,
    /// How long a watch may be broken before the daemon is not ready.
    pub(super) stale_after: Duration,
    pub(super) cluster: String,
    /// Whether the effective configuration is served.
    pub(super) shows_config: bool,
    connections: usize,
    header_timeout: Duration,
    write_timeout: Duration,
    stop_timeout: Duration,
}

impl Server {
    /// A server with the limits of the configuration.
    ///
    /// # Errors
    /// All that is wrong with the file of `http.web_config_file` and those that it names.
    pub fn new(
        config: &Config,
        version: &'static str,
        now: fn() -> Time,
        view: watch::Receiver<Arc<View>>,
        own: Arc<Own>,
    ) -> Result<Self, Errors> {
        Ok(Self {
            version,
            now,
            stale_after: config.kubernetes.stale_after.0,
            view,
            own,
            auth: Auth::new(&config.http),
            web: Web::open(&config.http)?,
            cluster: config.general.cluster.clone(),
            shows_config: config.http.expose_config,
            connections: config.http.max_connections.0 as usize,
            header_timeout: config.http.header_timeout.0,
            write_timeout: config.http.write_timeout.0,
            stop_timeout: config.http.stop_timeout,
        })
    }

    /// What is published now.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }
}

/// Serves until `stop` turns true, then lets answers that are under way end, for as long as the configuration says.
pub async fn serve(listener: TcpListener, server: Server, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(server.connections));
    let server = Arc::new(server);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: it passes when connections end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (server, watcher, mut stop) = (Arc::clone(&server), graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            // The handshake is no answer that is under way: it ends with the program.
            let opened = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                opened = open(&server, stream) => opened,
            };
            let ended = match opened {
                Ok(Opened::Plain(stream)) => answer(server, watcher, stream).await,
                Ok(Opened::Tls(stream)) => answer(server, watcher, *stream).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::debug!(error = format!("{error:#}"), "a connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(server.stop_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open at the end of http.stop_timeout");
    }
}

/// A connection on which requests may come.
enum Opened<S> {
    Plain(S),
    Tls(Box<TlsStream<S>>),
}

/// The handshake, if there is TLS. It may take as long as the head of a request.
async fn open(server: &Server, stream: TcpStream) -> anyhow::Result<Opened<Deadline<TcpStream>>> {
    // Below TLS, so that the time counts in which the client does not take what TLS has sealed already.
    let stream = Deadline::new(stream, server.write_timeout);
    match &server.web.now(&server.own).await.tls {
        None => Ok(Opened::Plain(stream)),
        Some(tls) => {
            let handshake = tokio::time::timeout(server.header_timeout, tls.accept(stream));
            Ok(Opened::Tls(Box::new(handshake.await.context("the handshake took too long")?.context("the handshake")?)))
        }
    }
}

/// Answers the requests of a connection until it ends.
async fn answer<S>(server: Arc<Server>, watcher: Watcher, stream: S) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let timeout = server.header_timeout;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(MOST_HEAD_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service_fn(move |request| routes::answer(Arc::clone(&server), request)));
    Ok(watcher.watch(connection).await?)
}

/// A connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}
