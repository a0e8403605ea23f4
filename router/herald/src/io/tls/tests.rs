//! Tests of the material of secure connections: what is read, and what is wrong with it.

use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

use super::*;
use herald_keys::{Authority, Keys, Validity};

impl TlsIdentity {
    /// The same without a look at the own certificate: for peers that are wrong on purpose.
    pub(crate) fn unchecked(texts: TlsTexts<'_>) -> Self {
        let certificate = CertificateDer::from_pem_slice(texts.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_slice(texts.key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(texts.ca).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = MemberVerifier::new(roots.clone(), provider.signature_verification_algorithms);
        Self {
            client: Arc::new(client(&provider, verifier, (&certificate, &key), None).unwrap()),
            server: Arc::new(server(&provider, roots, (&certificate, &key), None).unwrap()),
        }
    }

    /// For a stranger who shows no certificate.
    pub(crate) fn without_certificate(ca: &[u8]) -> Self {
        #[derive(Debug)]
        struct Nobody;
        impl ResolvesClientCert for Nobody {
            fn resolve(&self, _hints: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
                None
            }
            fn has_certs(&self) -> bool {
                false
            }
        }
        let authority = Authority::new("lab", clock::wall()).unwrap();
        let keys = authority.issue("a".parse().unwrap(), Validity::days(clock::wall(), 1)).unwrap();
        let (certificate, key) = (keys.certificate.as_bytes(), keys.key.as_bytes());
        let mut identity = Self::unchecked(TlsTexts { ca, certificate, key });
        let mut client = ClientConfig::clone(&identity.client);
        client.client_auth_cert_resolver = Arc::new(Nobody);
        identity.client = Arc::new(client);
        identity
    }
}

fn day() -> Duration {
    Duration::from_secs(24 * 3600)
}

#[test]
fn what_is_wrong_with_the_own_material_is_said_at_once() {
    let now = clock::wall();
    let (authority, other) = (Authority::new("lab", now).unwrap(), Authority::new("lab", now).unwrap());
    let own: NodeId = "a".parse().unwrap();
    let issue = |authority: &Authority, name: &str, from, until| {
        authority.issue(name.parse().unwrap(), Validity { from, until }).unwrap()
    };
    let good = issue(&authority, "a", now - day(), now + day());
    let built = |ca: &str, keys: &Keys| {
        let (certificate, key) = (keys.certificate.as_bytes(), keys.key.as_bytes());
        TlsIdentity::new(own, TlsTexts { ca: ca.as_bytes(), certificate, key })
    };
    built(authority.certificate(), &good).unwrap();
    let mixed = Keys { key: issue(&authority, "a", now - day(), now + day()).key, ..good.clone() };
    let cases = [
        (authority.certificate(), issue(&other, "a", now - day(), now + day()), "not of this cluster's authority"),
        (authority.certificate(), issue(&authority, "a", now - 2 * day(), now - day()), "has expired"),
        (authority.certificate(), issue(&authority, "a", now + day(), now + 2 * day()), "not valid yet"),
        (authority.certificate(), issue(&authority, "b", now - day(), now + day()), "is of node b, this is node a"),
        (authority.certificate(), mixed, "cannot be used"),
        (authority.certificate(), authority.to_pem(), "would be refused by every peer"),
        ("none", good.clone(), "mesh.ca is no certificate in PEM"),
        (authority.certificate(), Keys { key: "none".to_owned(), ..good.clone() }, "mesh.key is no private key"),
    ];
    for (ca, keys, expected) in cases {
        let said = built(ca, &keys).unwrap_err().to_string();
        assert!(said.contains(expected) && !said.contains('\n'), "{expected}: {said}");
    }
}

#[test]
fn a_missing_file_is_named_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let files = TlsFiles { ca: path("ca.pem"), certificate: path("a.pem"), key: path("a.key"), key_log: None };
    let said = TlsIdentity::read("a".parse().unwrap(), &files).unwrap_err().to_string();
    let expected = format!("mesh.ca = {}: cannot be read", path("ca.pem").display());
    assert!(said.starts_with(&expected) && said.contains("herald keys"), "{said}");
}
