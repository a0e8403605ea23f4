//! Keys of a cluster: its authority, and the certificates by which its nodes know each other.
//!
//! The authority (CA) is the cluster's own and signs nothing but its nodes. A node's certificate names the node and no
//! host: where a node runs is the configuration's affair.

mod folder;
mod secret;

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use webpki::anchor_from_trusted_cert;

pub use folder::{FolderError, KeysFolder};
pub use secret::{SecretError, read_secret};

use herald_core::id::NodeId;

/// What stands before the node's id in the certificate's one alternative name, a URI (RFC 5280, section 4.2.1.6).
const NAME_PREFIX: &str = "urn:herald:node:";

/// A certificate is valid from so much before it was made: clocks of machines differ.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Days for which the authority is valid: longer than a cluster lives.
const AUTHORITY_DAYS: u32 = 20 * 365;

/// Why keys cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A key or a certificate cannot be read or made.
    #[error("{what}: {error}")]
    Failed {
        /// What cannot be done.
        what: &'static str,
        /// Why.
        error: rcgen::Error,
    },
    /// No node would accept what such an authority signs.
    #[error("the authority's private key is not the one of its certificate")]
    OtherKey,
}

/// A certificate and its private key, both as PEM.
#[derive(Clone)]
pub struct Keys {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS #8).
    pub key: String,
}

impl std::fmt::Debug for Keys {
    /// Without the key, which is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// From when and until when a certificate is valid, since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: Duration,
    /// Not after.
    pub until: Duration,
}

impl Validity {
    /// From now, or a little earlier, for so many days.
    #[must_use]
    pub fn days(now: Duration, days: u32) -> Self {
        Self { from: now.saturating_sub(CLOCK_DIFFERENCE_MAX), until: now + DAY.saturating_mul(days) }
    }
}

/// The authority of one cluster, with its private key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority for the cluster of this name; `now` is the time since 1970 (UTC).
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn new(cluster: &str, now: Duration) -> Result<Self, KeysError> {
        let failed = |error| KeysError::Failed { what: "cannot make the authority's key", error };
        let key = KeyPair::generate().map_err(failed)?;
        let name = format!("authority {} of the Herald cluster {cluster}", mark(&key));
        let mut params = params(&name, Validity::days(now, AUTHORITY_DAYS));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority as it was written to files.
    ///
    /// # Errors
    ///
    /// The texts are no certificate and no private key, or do not belong together.
    pub fn from_pem(keys: Keys) -> Result<Self, KeysError> {
        let key = KeyPair::from_pem(&keys.key)
            .map_err(|error| KeysError::Failed { what: "the authority's private key cannot be read", error })?;
        let issuer = Issuer::from_ca_cert_pem(&keys.certificate, key)
            .map_err(|error| KeysError::Failed { what: "the authority's certificate cannot be read", error })?;
        let of_certificate = CertificateDer::from_pem_slice(keys.certificate.as_bytes()).ok();
        let anchor = of_certificate.as_ref().and_then(|certificate| anchor_from_trusted_cert(certificate).ok());
        // An anchor has the key's information without the head of its sequence.
        let information = issuer.key().subject_public_key_info();
        if !anchor.is_some_and(|anchor| information.ends_with(&anchor.subject_public_key_info)) {
            return Err(KeysError::OtherKey);
        }
        Ok(Self { issuer, certificate: keys.certificate })
    }

    /// The authority's certificate and key as PEM. Every node gets the certificate, none the key.
    #[must_use]
    pub fn to_pem(&self) -> Keys {
        Keys { certificate: self.certificate.clone(), key: self.issuer.key().serialize_pem() }
    }

    /// The authority's certificate as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a node, with a new key.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn issue(&self, node: NodeId, validity: Validity) -> Result<Keys, KeysError> {
        let failed = |error| KeysError::Failed { what: "cannot make the node's key", error };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(&format!("Herald node {node}"), validity);
        let name = format!("{NAME_PREFIX}{node}").try_into().map_err(failed)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Keys { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// The node that a certificate's alternative name names.
#[must_use]
pub fn node_of(name: &str) -> Option<NodeId> {
    name.strip_prefix(NAME_PREFIX)?.parse().ok()
}

/// Some bytes of a public key in hexadecimal: two authorities of one cluster do not have the same name, so that a
/// certificate of the one is not taken for a forged one of the other.
fn mark(key: &KeyPair) -> String {
    // The first byte only says how the others are to be read (SEC 1, section 2.3.3).
    key.public_key_raw().iter().skip(1).take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = date_time_ymd(1970, 1, 1);
    (params.not_before, params.not_after) = (epoch + validity.from, epoch + validity.until);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn an_authority_that_was_written_down_issues_what_the_new_one_would() {
        let authority = Authority::new("lab", NOW).unwrap();
        let again = Authority::from_pem(authority.to_pem()).unwrap();
        assert_eq!(again.certificate(), authority.certificate());
        for authority in [&authority, &again] {
            let keys = authority.issue("a".parse().unwrap(), Validity::days(NOW, 1)).unwrap();
            assert!(keys.certificate.starts_with("-----BEGIN CERTIFICATE-----"), "{keys:?}");
            assert!(keys.key.starts_with("-----BEGIN PRIVATE KEY-----") && !format!("{keys:?}").contains("PRIVATE"));
        }
        assert!(!format!("{authority:?}").contains("PRIVATE"));
        let mixed = Keys { certificate: "none".to_owned(), ..authority.to_pem() };
        assert!(Authority::from_pem(mixed).unwrap_err().to_string().contains("certificate cannot be read"));
    }

    #[test]
    fn a_name_is_a_node_or_nothing() {
        assert_eq!(node_of("urn:herald:node:a-1"), "a-1".parse().ok());
        for other in ["a", "urn:herald:node:", "urn:herald:node:A", "urn:herald:a"] {
            assert_eq!(node_of(other), None, "{other}");
        }
    }
}
