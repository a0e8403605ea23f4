//! The names of a server's certificate: sent in the clear before TLS 1.3 (RFC 5246, section 7.4.2).

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::limits::CERTIFICATE_NAMES_MAX;
use crate::name::{self, Name};
use crate::reader::Reader;

/// The names of the first certificate in a message: those it has for hosts, addresses among them, or its subject's if it
/// has none (RFC 9525, section 2, on why the subject's is the last resort).
pub(super) fn names(body: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader::new(body);
    let mut list = reader.field24()?;
    if list.is_empty() {
        return Some(Vec::new());
    }
    let first = list.field24()?;
    let (_, certificate) = X509Certificate::from_der(first.rest()).ok()?;
    let mut names = Vec::new();
    if let Some(extension) = certificate.subject_alternative_name().ok()? {
        names.extend(extension.value.general_names.iter().filter_map(host).take(CERTIFICATE_NAMES_MAX));
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(|name| Name::new(name.as_bytes()).text).take(CERTIFICATE_NAMES_MAX));
    }
    Some(names)
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some(Name::new(name.as_bytes()).text);
    }
    if let GeneralName::IPAddress(bytes) = name {
        return name::address(bytes);
    }
    None
}
