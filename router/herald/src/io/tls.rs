//! Secure connections between nodes: TLS 1.3 alone, both ends with a certificate of the cluster's own authority.
//!
//! A certificate names its node; which node is expected or says hello is compared where the link is ([`herald_core::mesh`]).
//! Nothing is resumed: each connection shows its certificates anew, so that an expired one ends with its connections.

mod key_log;
mod session;
mod verifier;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, KeyLog, RootCertStore, ServerConfig};

pub use session::{Pulled, Session};

use super::clock;
use herald_core::id::NodeId;
use herald_keys::{SecretError, read_secret};
use key_log::FileKeyLog;
use verifier::MemberVerifier;

/// Where the material is: PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The node's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Where the secrets of each connection are written, for tests.
    pub key_log: Option<PathBuf>,
}

/// The material as PEM texts.
#[derive(Clone, Copy, Debug)]
pub struct TlsTexts<'a> {
    /// The authority's certificate.
    pub ca: &'a [u8],
    /// The node's certificate.
    pub certificate: &'a [u8],
    /// Its private key.
    pub key: &'a [u8],
}

/// Why a node cannot have secure connections.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("mesh.{option} = {}: cannot be read: {error}; `herald keys` makes it", path.display())]
    Unreadable {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The private key is not private.
    #[error("mesh.key: {0}")]
    Exposed(SecretError),
    /// A text is not what it should be.
    #[error("mesh.{option} is no {expected} in PEM: {why}")]
    NotPem {
        /// The option.
        option: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("mesh.certificate and mesh.key cannot be used: {0}")]
    Unusable(rustls::Error),
    /// The certificate is of another authority, has expired, or the like.
    #[error("mesh.certificate would be refused by every peer: {0}; issue one with `herald keys issue`")]
    Refused(herald_core::mesh::PeerError),
    /// The certificate is another node's.
    #[error("mesh.certificate is of node {found}, this is node {own}; issue one with `herald keys issue {own}`")]
    OfAnother {
        /// The node in the certificate.
        found: NodeId,
        /// This node.
        own: NodeId,
    },
}

/// What a node needs for secure connections, read and checked.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl TlsIdentity {
    /// Reads the files of this node.
    ///
    /// # Errors
    ///
    /// What is missing or wrong, and what to do.
    pub fn read(own: NodeId, files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |option, path: &Path| {
            fs::read(path).map_err(|error| TlsError::Unreadable { option, path: path.to_owned(), error })
        };
        let ca = read("ca", &files.ca)?;
        let certificate = read("certificate", &files.certificate)?;
        let key = match read_secret(&files.key) {
            Ok(key) => key,
            Err(SecretError::Unreadable { path, error }) => {
                return Err(TlsError::Unreadable { option: "key", path, error });
            }
            Err(exposed @ SecretError::Exposed { .. }) => return Err(TlsError::Exposed(exposed)),
        };
        let key_log = match &files.key_log {
            None => None,
            Some(path) => {
                let made = FileKeyLog::open(path);
                Some(made.map_err(|error| TlsError::Unreadable { option: "key_log", path: path.clone(), error })?)
            }
        };
        let texts = TlsTexts { ca: &ca, certificate: &certificate, key: &key };
        Self::build(own, texts, key_log.map(|log| Arc::new(log) as Arc<dyn KeyLog>))
    }

    /// The same from texts.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do.
    pub fn new(own: NodeId, texts: TlsTexts<'_>) -> Result<Self, TlsError> {
        Self::build(own, texts, None)
    }

    fn build(own: NodeId, texts: TlsTexts<'_>, key_log: Option<Arc<dyn KeyLog>>) -> Result<Self, TlsError> {
        let not_pem = |option, expected| {
            move |error: rustls::pki_types::pem::Error| TlsError::NotPem { option, expected, why: error.to_string() }
        };
        let ca = CertificateDer::from_pem_slice(texts.ca).map_err(not_pem("ca", "certificate"))?;
        let certificate =
            CertificateDer::from_pem_slice(texts.certificate).map_err(not_pem("certificate", "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(texts.key).map_err(not_pem("key", "private key"))?;
        let mut roots = RootCertStore::empty();
        let bad_ca =
            |error: rustls::Error| TlsError::NotPem { option: "ca", expected: "certificate", why: error.to_string() };
        roots.add(ca).map_err(bad_ca)?;
        let provider = Arc::new(ring::default_provider());
        let verifier = MemberVerifier::new(roots.clone(), provider.signature_verification_algorithms);
        check_own(own, &verifier, &certificate)?;
        Ok(Self {
            client: Arc::new(client(&provider, verifier, (&certificate, &key), key_log.clone())?),
            server: Arc::new(server(&provider, roots, (&certificate, &key), key_log)?),
        })
    }
}

type Pair<'a> = (&'a CertificateDer<'static>, &'a PrivateKeyDer<'static>);

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: MemberVerifier,
    (certificate, key): Pair<'_>,
    key_log: Option<Arc<dyn KeyLog>>,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_details(Arc::clone(provider), Arc::new(WallClock))
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
        .map_err(TlsError::Unusable)?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    if let Some(key_log) = key_log {
        config.key_log = key_log;
    }
    Ok(config)
}

fn server(
    provider: &Arc<CryptoProvider>,
    roots: RootCertStore,
    (certificate, key): Pair<'_>,
    key_log: Option<Arc<dyn KeyLog>>,
) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    let verifier = verifier.map_err(|error| TlsError::Unusable(rustls::Error::General(error.to_string())))?;
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), Arc::new(WallClock))
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key.clone_key())
        .map_err(TlsError::Unusable)?;
    config.send_tls13_tickets = 0;
    if let Some(key_log) = key_log {
        config.key_log = key_log;
    }
    Ok(config)
}

/// A node whose own certificate all would refuse need not start.
fn check_own(own: NodeId, verifier: &MemberVerifier, certificate: &CertificateDer<'_>) -> Result<(), TlsError> {
    let checked = verifier.check(certificate, &[], UnixTime::since_unix_epoch(clock::wall()));
    checked.map_err(|error| TlsError::Refused(session::peer_error(error)))?;
    match verifier::node_of(certificate).map_err(TlsError::Refused)? {
        found if found == own => Ok(()),
        found => Err(TlsError::OfAnother { found, own }),
    }
}

/// The one clock, for the validity of certificates.
#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(clock::wall()))
    }
}

#[cfg(test)]
mod tests;
