//! A gate in front of an HTTP server: a test sees each request as it arrives and as it is answered, and may end something then.
//!
//! It speaks plain HTTP/1.1 to its client and carries bytes; where the server wants TLS it does that. It looks at the first line
//! of a request only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has arrived, and the server has seen nothing of it.
    Arrived,
    /// The server has answered, and the client has seen nothing of that.
    Answered,
    /// The client has the answer.
    Done,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Open,
    /// The connection ends here.
    Shut,
}

/// Is asked at each moment, with the first line of the request.
pub type Keeper = dyn Fn(Moment, &str) -> Passage + Send + Sync;

/// A gate; it stands as long as the runtime.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
}

/// What is behind a gate.
#[derive(Clone, Debug)]
pub enum Behind {
    /// A plain server.
    Plain(SocketAddr),
    /// A server with TLS on this port, with a certificate of this authority (PEM).
    Tls(u16, String),
}

impl Gate {
    /// Puts one up.
    ///
    /// # Errors
    /// If no port is free, or the authority is none.
    pub async fn start(
        behind: Behind,
        keeper: impl Fn(Moment, &str) -> Passage + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let tls = if let Behind::Tls(_, ca) = &behind { Some(connector(ca)?) } else { None };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let keeper: Arc<Keeper> = Arc::new(keeper);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, behind.clone(), tls.clone(), Arc::clone(&keeper)));
            }
        });
        Ok(Self { address })
    }

    /// Where it stands.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn connector(ca: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in tokio_rustls::rustls::pki_types::CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn pass(client: TcpStream, behind: Behind, tls: Option<TlsConnector>, keeper: Arc<Keeper>) {
    let address = match behind {
        Behind::Plain(address) => address,
        Behind::Tls(port, _) => SocketAddr::from(([127, 0, 0, 1], port)),
    };
    let Ok(server) = TcpStream::connect(address).await else { return };
    match tls {
        None => carry(client, server, keeper).await,
        Some(tls) => {
            let Ok(name) = ServerName::try_from("127.0.0.1") else { return };
            if let Ok(server) = tls.connect(name, server).await {
                carry(client, server, keeper).await;
            }
        }
    }
}

/// Whether bytes begin a request.
fn first_line(bytes: &[u8]) -> Option<String> {
    let is_request =
        ["GET ", "PUT ", "POST ", "PATCH ", "DELETE "].iter().any(|method| bytes.starts_with(method.as_bytes()));
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    is_request.then(|| String::from_utf8_lossy(line).into_owned())
}

async fn carry(client: TcpStream, server: impl AsyncRead + AsyncWrite, keeper: Arc<Keeper>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let asked = std::sync::Mutex::new(String::new());
    let is_answered = AtomicBool::new(true);
    let line = || asked.lock().map(|line| line.clone()).unwrap_or_default();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if let Some(line) = first_line(&buffer[..read]) {
                if let Ok(mut asked) = asked.lock() {
                    asked.clone_from(&line);
                }
                is_answered.store(false, Ordering::SeqCst);
                if keeper(Moment::Arrived, &line) == Passage::Shut {
                    return;
                }
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            let _ = to_server.flush().await;
        }
    };
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let is_first = !is_answered.swap(true, Ordering::SeqCst);
            if is_first && keeper(Moment::Answered, &line()) == Passage::Shut {
                return;
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            if is_first && keeper(Moment::Done, &line()) == Passage::Shut {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
