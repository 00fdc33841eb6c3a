//! An admission webhook that a test answers: it allows, refuses, changes, or says nothing.
//!
//! It listens with TLS on 127.0.0.1 and is registered at a control plane for the plans of one namespace.

use crate::control_plane::{ControlPlane, base64};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};

/// What the webhook does.
#[derive(Clone, Debug)]
pub enum Admit {
    /// It allows everything.
    All,
    /// It refuses with these words.
    Refuse(&'static str),
    /// It changes the object by this JSON patch.
    Change(Value),
    /// It says nothing until its time is over.
    Hang,
}

/// An admission webhook.
pub struct Admission {
    admit: Arc<Mutex<Admit>>,
}

impl Admission {
    /// Starts one, and has the control plane ask it about every change of a plan of this namespace.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(plane: &ControlPlane, namespace: &str) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?;
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0")?);
        let url = format!("https://{}/admit", listener.local_addr()?);
        let admit = Arc::new(Mutex::new(Admit::All));
        let shared = Arc::clone(&admit);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, admit) = (Arc::clone(&config), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let Ok(connection) = ServerConnection::new(config) else { return };
                    let mut stream = StreamOwned::new(connection, stream);
                    while let Some(review) = read(&mut stream) {
                        let admit = admit.lock().map_or(Admit::All, |admit| admit.clone());
                        let Some(answer) = answer(&review, admit) else {
                            // The API server goes away when it has had enough.
                            let _ = stream.read(&mut [0; 1]);
                            return;
                        };
                        let body = answer.to_string();
                        let head = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                            body.len()
                        );
                        if stream.write_all((head + &body).as_bytes()).and_then(|()| stream.flush()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": format!("plans-{namespace}")},
            "webhooks": [{
                "name": "plan-mutator.forklift.test", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "timeoutSeconds": 1,
                "clientConfig": {"url": url, "caBundle": base64(made.cert.pem())},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": ["forklift.konveyor.io"], "apiVersions": ["*"], "resources": ["plans"], "operations": ["UPDATE"]}],
            }],
        });
        plane.kubectl(&["apply", "-f", "-"], &webhook.to_string());
        Ok(Self { admit })
    }

    /// From now on it does this.
    pub fn set(&self, admit: Admit) {
        if let Ok(mut now) = self.admit.lock() {
            *now = admit;
        }
    }
}

/// The body of the next request; `None` at the end.
fn read(stream: &mut impl Read) -> Option<Value> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        if bytes.len() - at - 4 >= length.unwrap_or(0) {
            return serde_json::from_slice(&bytes[at + 4..]).ok();
        }
    }
}

fn answer(review: &Value, admit: Admit) -> Option<Value> {
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    match admit {
        Admit::All => {}
        Admit::Refuse(why) => {
            response["allowed"] = false.into();
            response["status"] = json!({"code": 400, "message": why});
        }
        Admit::Change(patch) => {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = base64(patch.to_string()).into();
        }
        Admit::Hang => return None,
    }
    Some(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
}
