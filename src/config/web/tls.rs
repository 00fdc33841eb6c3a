//! `tls_server_config`: certificate and key, which clients must show a certificate, versions, ciphers and curves.

use crate::config::section::{Errors, section};
use crate::config::setting::{Secret, Setting, words};
use figment::value::Value;
use std::path::PathBuf;

closed_enum! {
    /// Whether clients show a certificate; the words are Go's.
    #[derive(Default)]
    pub enum ClientAuth {
        /// They are not asked.
        #[default]
        No = "NoClientCert",
        /// They are asked; whatever they show, or nothing, is taken.
        Request = "RequestClientCert",
        /// They must show one, whoever signed it.
        RequireAny = "RequireAnyClientCert",
        /// They are asked, and what they show must be signed by the CA.
        VerifyIfGiven = "VerifyClientCertIfGiven",
        /// They must show one that is signed by the CA.
        RequireAndVerify = "RequireAndVerifyClientCert",
    }
}

closed_enum! {
    /// A version of TLS.
    #[derive(Default)]
    pub enum TlsVersion {
        /// 1.2.
        #[default]
        Tls12 = "TLS12",
        /// 1.3.
        Tls13 = "TLS13",
    }
}

closed_enum! {
    /// A cipher suite.
    pub enum CipherSuite {
        /// TLS 1.3.
        Aes128Gcm = "TLS_AES_128_GCM_SHA256",
        /// TLS 1.3.
        Aes256Gcm = "TLS_AES_256_GCM_SHA384",
        /// TLS 1.3.
        ChaCha20 = "TLS_CHACHA20_POLY1305_SHA256",
        /// TLS 1.2.
        EcdheEcdsaAes128Gcm = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        /// TLS 1.2.
        EcdheEcdsaAes256Gcm = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        /// TLS 1.2.
        EcdheEcdsaChaCha20 = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        /// TLS 1.2.
        EcdheRsaAes128Gcm = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        /// TLS 1.2.
        EcdheRsaAes256Gcm = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        /// TLS 1.2.
        EcdheRsaChaCha20 = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    }
}

closed_enum! {
    /// A curve for the exchange of keys.
    pub enum Curve {
        /// X25519.
        X25519 = "X25519",
        /// P-256.
        P256 = "CurveP256",
        /// P-384.
        P384 = "CurveP384",
    }
}

words!(
    ClientAuth,
    "NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert"
);
words!(TlsVersion, "TLS12 or TLS13");

/// A list of words from a closed enum; every word that is not in it is named.
macro_rules! word_list {
    ($name:ident, $what:literal) => {
        impl Setting for Vec<$name> {
            const ACCEPTS: &'static str = concat!("a list of ", $what, "s");
            fn parse(value: &Value) -> Result<Self, String> {
                let (mut found, mut unknown) = (Vec::new(), Vec::new());
                for word in Vec::<String>::parse(value)? {
                    match $name::ALL.iter().find(|known| known.as_str() == word) {
                        Some(known) => found.push(*known),
                        None => unknown.push(format!("{word:?}")),
                    }
                }
                if unknown.is_empty() {
                    return Ok(found);
                }
                let known: Vec<&str> = $name::ALL.iter().map(|known| known.as_str()).collect();
                Err(format!(concat!("there is no ", $what, " {}; there are {}"), unknown.join(", "), known.join(", ")))
            }
            fn show(&self) -> String {
                format!("[{}]", self.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", "))
            }
        }
    };
}

word_list!(CipherSuite, "cipher suite");
word_list!(Curve, "curve");

impl CipherSuite {
    /// The version that it belongs to.
    pub fn version(self) -> TlsVersion {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm | Self::ChaCha20 => TlsVersion::Tls13,
            Self::EcdheEcdsaAes128Gcm
            | Self::EcdheEcdsaAes256Gcm
            | Self::EcdheEcdsaChaCha20
            | Self::EcdheRsaAes128Gcm
            | Self::EcdheRsaAes256Gcm
            | Self::EcdheRsaChaCha20 => TlsVersion::Tls12,
        }
    }
}

section! {
    /// TLS of the listener. Paths are relative to the file that they are in.
    pub struct TlsServerConfig {
        /// Certificate and chain as PEM.
        cert: String = "\"\"",
        /// Its key as PEM.
        key: Secret = "\"\"",
        /// CA of client certificates as PEM.
        client_ca: String = "\"\"",
        /// File that holds certificate and chain.
        cert_file: Option<PathBuf> = "\"\"",
        /// File that holds its key.
        key_file: Option<PathBuf> = "\"\"",
        /// Whether clients show a certificate.
        client_auth_type: ClientAuth = "NoClientCert",
        /// File that holds the CA of client certificates.
        client_ca_file: Option<PathBuf> = "\"\"",
        /// Names of which a client's certificate must have one, exactly.
        client_allowed_sans: Vec<String> = "[]",
        /// Oldest version.
        min_version: TlsVersion = "TLS12",
        /// Newest version.
        max_version: TlsVersion = "TLS13",
        /// Cipher suites; all if empty.
        cipher_suites: Vec<CipherSuite> = "[]",
        /// Whether the order of cipher_suites goes before the client's.
        prefer_server_cipher_suites: bool = "true",
        /// Curves in order of preference; all if empty.
        curve_preferences: Vec<Curve> = "[]",
    }
}

impl TlsServerConfig {
    /// The versions that are spoken, and the suites that are offered in them, in order. As in the toolkit a list of suites
    /// stands for TLS 1.2; those of TLS 1.3 are all there unless it names some of them.
    pub fn offers(&self, version: TlsVersion) -> Option<Vec<CipherSuite>> {
        let of =
            |suites: &[CipherSuite]| suites.iter().copied().filter(|suite| suite.version() == version).collect::<Vec<_>>();
        let named = of(&self.cipher_suites);
        let all = self.cipher_suites.is_empty() || (named.is_empty() && version == TlsVersion::Tls13);
        let suites = if all { of(CipherSuite::ALL) } else { named };
        let spoken = self.min_version <= version && version <= self.max_version && !suites.is_empty();
        spoken.then_some(suites)
    }

    pub(super) fn check(&self, errors: &mut Errors) {
        let mut wrong = |key: &str, message: &str| errors.push(format!("tls_server_config.{key}"), message);
        for (key, text, file, needed) in [
            ("cert", !self.cert.is_empty(), self.cert_file.is_some(), true),
            ("key", self.key.expose().is_some(), self.key_file.is_some(), true),
            ("client_ca", !self.client_ca.is_empty(), self.client_ca_file.is_some(), false),
        ] {
            match (text, file) {
                (true, true) => wrong(key, &format!("is set beside {key}_file; keep one of them")),
                (false, false) if needed => wrong(&format!("{key}_file"), "is missing: TLS needs a certificate and its key"),
                (true | false, _) => {}
            }
        }
        let auth = self.client_auth_type;
        let verifies = matches!(auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
        let requires = matches!(auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
        let has_ca = !self.client_ca.is_empty() || self.client_ca_file.is_some();
        if verifies && !has_ca {
            wrong("client_ca_file", &format!("is missing: client_auth_type {auth} needs it"));
        }
        if !verifies && has_ca {
            let message =
                format!("has no effect with client_auth_type {auth}; RequireAndVerifyClientCert asks for its certificates");
            wrong("client_ca_file", &message);
        }
        if !requires && !self.client_allowed_sans.is_empty() {
            let message = "needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: others let clients in without a certificate";
            wrong("client_allowed_sans", message);
        }
        if self.min_version > self.max_version {
            wrong("min_version", &format!("{} is above max_version, {}", self.min_version, self.max_version));
        } else if TlsVersion::ALL.iter().all(|version| self.offers(*version).is_none()) {
            wrong("cipher_suites", &format!("has none for {}, the only version", self.max_version));
        }
    }
}
