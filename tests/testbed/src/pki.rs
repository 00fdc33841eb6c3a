//! Certificates and keys of a control plane, made anew for each.

use crate::control_plane::base64;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use std::path::Path;

/// The authority of a control plane.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(crate) ca: String,
}

impl Pki {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::<String>::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name = name(&[(DnType::CommonName, "testbed")]);
        let ca = parameters.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(parameters, key), ca })
    }

    /// A certificate for 127.0.0.1 and localhost, with its key.
    pub(crate) fn server(&self) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        Ok((parameters.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }

    /// A certificate for a user in a group, with its key.
    pub(crate) fn user(&self, user: &str, group: &str) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::<String>::new())?;
        parameters.distinguished_name = name(&[(DnType::CommonName, user), (DnType::OrganizationName, group)]);
        Ok((parameters.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in parts {
        name.push(kind.clone(), *value);
    }
    name
}

/// Writes the key pair that signs the tokens of service accounts: the private and the public part.
pub(crate) fn service_account_keys(private: &Path, public: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    std::fs::write(private, key.serialize_pem())?;
    std::fs::write(public, key.public_key_pem())?;
    Ok(())
}

/// A token with these claims, signed by a service account key (ES256, RFC 7518).
pub(crate) fn sign_token(key: &str, claims: &str) -> anyhow::Result<String> {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let url_safe = |bytes: &[u8]| base64(bytes).replace('+', "-").replace('/', "_").replace('=', "");
    let random = ring::rand::SystemRandom::new();
    let der = KeyPair::from_pem(key)?.serialize_der();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).map_err(anyhow::Error::msg)?;
    let head = url_safe(b"{\"alg\":\"ES256\",\"typ\":\"JWT\"}");
    let unsigned = format!("{head}.{}", url_safe(claims.as_bytes()));
    let signature = pair.sign(&random, unsigned.as_bytes()).map_err(|_| anyhow::anyhow!("the token cannot be signed"))?;
    Ok(format!("{unsigned}.{}", url_safe(signature.as_ref())))
}
