//! From the configuration and its files to rustls' server, with ring as the only provider.

use super::client::ClientVerifier;
use super::files::{Files, Pem};
use super::problem;
use crate::config::{CipherSuite, ClientAuth, Curve, Problem, TlsServerConfig, TlsVersion};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::Arc;

/// The server; `None` if anything is wrong, all of which is noted.
pub(super) fn server(wanted: &TlsServerConfig, files: &Files, problems: &mut Vec<Problem>) -> Option<ServerConfig> {
    let provider = Arc::new(provider(wanted));
    let chain = files.cert.as_ref().and_then(|pem| certificates(pem, problems));
    let key = files.key.as_ref().and_then(|pem| key(pem, problems));
    let roots = files.client_ca.as_ref().map(|pem| roots(pem, problems));
    let verifier = verifier(wanted, roots.flatten(), &provider, problems)?;
    let (chain, key) = (chain?, key?);
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
        let message = match error {
            rustls::Error::InconsistentKeys(_) => "is not the key of the certificate".to_owned(),
            other => format!("cannot be used: {other}"),
        };
        problems.push(problem("tls_server_config.key_file", message));
    });
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions(wanted));
    let builder = builder.map_err(|error| problems.push(problem("tls_server_config", error.to_string())));
    let (certified, builder) = (certified.ok()?, builder.ok()?);
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    server.ignore_client_order = wanted.prefer_server_cipher_suites;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(server)
}

fn versions(wanted: &TlsServerConfig) -> Vec<&'static SupportedProtocolVersion> {
    // Newest first, as rustls has them.
    let known = [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
    known.into_iter().filter(|(version, _)| wanted.offers(*version).is_some()).map(|(_, version)| version).collect()
}

fn provider(wanted: &TlsServerConfig) -> CryptoProvider {
    let mut provider = ring::default_provider();
    // What is not restricted keeps the order of rustls.
    if !wanted.cipher_suites.is_empty() {
        let suites = [TlsVersion::Tls13, TlsVersion::Tls12].into_iter().filter_map(|version| wanted.offers(version));
        provider.cipher_suites = suites.flatten().map(suite).collect();
    }
    if !wanted.curve_preferences.is_empty() {
        provider.kx_groups = wanted.curve_preferences.iter().map(|curve| group(*curve)).collect();
    }
    provider
}

fn suite(suite: CipherSuite) -> SupportedCipherSuite {
    use ring::cipher_suite as known;
    match suite {
        CipherSuite::Aes128Gcm => known::TLS13_AES_128_GCM_SHA256,
        CipherSuite::Aes256Gcm => known::TLS13_AES_256_GCM_SHA384,
        CipherSuite::ChaCha20 => known::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheEcdsaAes128Gcm => known::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaAes256Gcm => known::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaChaCha20 => known::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheRsaAes128Gcm => known::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes256Gcm => known::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaChaCha20 => known::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::X25519 => ring::kx_group::X25519,
        Curve::P256 => ring::kx_group::SECP256R1,
        Curve::P384 => ring::kx_group::SECP384R1,
    }
}

/// What is read, or `None` with the problem noted.
fn bytes<'a>(pem: &'a Pem, problems: &mut Vec<Problem>) -> Option<&'a [u8]> {
    let refused = |error: &std::io::Error| problems.push(problem(pem.key, format!("{} cannot be read: {error}", pem.place)));
    pem.bytes.as_deref().map_err(refused).ok()
}

fn certificates(pem: &Pem, problems: &mut Vec<Problem>) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes(pem, problems)?).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Some(chain),
        Ok(_) | Err(_) => {
            problems.push(problem(pem.key, format!("{} holds no certificates as PEM", pem.place)));
            None
        }
    }
}

/// The reader's own words are left out: they can hold parts of the key.
fn key(pem: &Pem, problems: &mut Vec<Problem>) -> Option<PrivateKeyDer<'static>> {
    let found = PrivateKeyDer::from_pem_slice(bytes(pem, problems)?);
    let refused =
        |_| problems.push(problem(pem.key, format!("{} holds no private key as PEM without a password", pem.place)));
    found.map_err(refused).ok()
}

fn roots(pem: &Pem, problems: &mut Vec<Problem>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, problems)? {
        if let Err(error) = roots.add(certificate) {
            problems.push(problem(pem.key, format!("{} holds a certificate that cannot be used: {error}", pem.place)));
            return None;
        }
    }
    Some(roots)
}

/// Who looks at clients' certificates, if anybody; `None` outside if it cannot be made.
fn verifier(
    wanted: &TlsServerConfig,
    roots: Option<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    problems: &mut Vec<Problem>,
) -> Option<Option<Arc<dyn ClientCertVerifier>>> {
    let (verified, required) = match wanted.client_auth_type {
        ClientAuth::No => return Some(None),
        ClientAuth::Request => (false, false),
        ClientAuth::RequireAny => (false, true),
        ClientAuth::VerifyIfGiven => (true, false),
        ClientAuth::RequireAndVerify => (true, true),
    };
    let chain = if verified {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots?), Arc::clone(provider));
        let refused = |error| problems.push(problem("tls_server_config.client_ca_file", format!("cannot be used: {error}")));
        Some(builder.build().map_err(refused).ok()?)
    } else {
        None
    };
    let algorithms = provider.signature_verification_algorithms;
    Some(Some(Arc::new(ClientVerifier { chain, required, names: wanted.client_allowed_sans.clone(), algorithms })))
}
