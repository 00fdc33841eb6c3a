//! The files that a web configuration names, as they are at one moment, and digests by which versions are compared without
//! keeping what is in them.

use crate::config::WebConfig;
use std::io;
use std::path::{Path, PathBuf};

/// What was read of some files, as a hash; all zero before anything was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a io::Result<Vec<u8>>>) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for file in files {
            let error;
            let (kind, bytes) = match file {
                Ok(bytes) => (0, bytes.as_slice()),
                Err(why) => {
                    error = why.to_string();
                    (1, error.as_bytes())
                }
            };
            context.update(&[kind]);
            context.update(&bytes.len().to_le_bytes());
            context.update(bytes);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// A text in PEM, or why there is none.
pub(super) struct Pem {
    /// The key that says where it is.
    pub(super) key: &'static str,
    /// Where it is, for errors.
    pub(super) place: String,
    pub(super) bytes: io::Result<Vec<u8>>,
}

/// Certificate, key and CA.
#[derive(Default)]
pub(super) struct Files {
    pub(super) cert: Option<Pem>,
    pub(super) key: Option<Pem>,
    pub(super) client_ca: Option<Pem>,
}

impl Files {
    /// Reads what the configuration names; paths are relative to `folder`.
    pub(super) fn read(config: &WebConfig, folder: &Path) -> Self {
        let Some(tls) = &config.tls else { return Self::default() };
        let pem = |key: [&'static str; 2], inline: Option<&str>, file: &Option<PathBuf>| match (file, inline) {
            (Some(file), _) => {
                let path = folder.join(file);
                Some(Pem { key: key[1], place: path.display().to_string(), bytes: std::fs::read(path) })
            }
            (None, Some(text)) if !text.is_empty() => {
                Some(Pem { key: key[0], place: "it".to_owned(), bytes: Ok(text.as_bytes().to_vec()) })
            }
            (None, _) => None,
        };
        Self {
            cert: pem(["tls_server_config.cert", "tls_server_config.cert_file"], Some(&tls.cert), &tls.cert_file),
            key: pem(["tls_server_config.key", "tls_server_config.key_file"], tls.key.expose(), &tls.key_file),
            client_ca: pem(
                ["tls_server_config.client_ca", "tls_server_config.client_ca_file"],
                Some(&tls.client_ca),
                &tls.client_ca_file,
            ),
        }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of([&self.cert, &self.key, &self.client_ca].into_iter().flatten().map(|pem| &pem.bytes))
    }
}
