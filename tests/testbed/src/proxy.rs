//! A TCP proxy that makes a network bad on command.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to connections, those that are open included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: they pass.
    None,
    /// Nothing passes any more in either direction, and nobody is told.
    BlackHole,
    /// They are closed, and new ones too.
    Reset,
    /// Each is closed after this many bytes of answer.
    CutAfter(usize),
    /// Each gets this many bytes of answer every ten milliseconds.
    Slow(usize),
}

/// A proxy in front of an address; its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
}

impl Proxy {
    /// Starts one in front of a port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (fault, faults) = watch::channel(Fault::None);
        tokio::spawn(async move {
            let mut ended = faults.clone();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // The proxy is gone.
                    _ = ended.wait_for(|_| false) => return,
                };
                if let Ok((client, _)) = accepted {
                    tokio::spawn(connection(client, port, faults.clone()));
                }
            }
        });
        Ok(Self { address, fault })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Makes the network as bad as this from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn connection(client: TcpStream, port: u16, faults: watch::Receiver<Fault>) {
    if *faults.borrow() == Fault::Reset {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let budget = match *faults.borrow() {
        Fault::CutAfter(bytes) => bytes,
        Fault::None | Fault::BlackHole | Fault::Reset | Fault::Slow(_) => usize::MAX,
    };
    let faults = Arc::new(faults);
    tokio::select! {
        () = pump(client_read, server_write, usize::MAX, Arc::clone(&faults)) => {}
        () = pump(server_read, client_write, budget, faults) => {}
    }
}

/// Carries bytes in one direction until the end, the budget or a fault.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut budget: usize,
    faults: Arc<watch::Receiver<Fault>>,
) {
    let mut faults = (*faults).clone();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let fault = *faults.borrow_and_update();
        match fault {
            Fault::Reset => return,
            Fault::BlackHole => {
                if faults.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Fault::Slow(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            Fault::None | Fault::CutAfter(_) => {}
        }
        let most = if let Fault::Slow(bytes) = fault { bytes.clamp(1, buffer.len()) } else { buffer.len() };
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read,
            changed = faults.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok(read @ 1..) = read else { return };
        let passed = read.min(budget);
        budget -= passed;
        if to.write_all(&buffer[..passed]).await.is_err() || budget == 0 {
            return;
        }
    }
}
