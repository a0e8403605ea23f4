//! One secure connection without its socket: encrypted bytes on one side, plain bytes on the other.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConnection, Connection, Error, ServerConnection};

use super::TlsIdentity;
use super::verifier::node_of;
use herald_core::id::NodeId;
use herald_core::limits::{SECURE_BUFFER_LEN, SECURE_READ_LEN};
use herald_core::mesh::PeerError;

/// What [`Session::pull`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The connection is secure now; the other end has this node's certificate.
    Secured(NodeId),
    /// So many plain bytes came.
    Plain(usize),
    /// Nothing more until more encrypted bytes are put into [`Session::space`].
    Nothing,
    /// The other end has said that it sends nothing more.
    Ended,
}

/// One secure connection. Its buffers are bounded: two records to read, `limits::SECURE_BUFFER_LEN` to write, and in a
/// handshake what rustls allows (64 KiB).
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// Encrypted bytes as they were read, between `begin` and `end`.
    incoming: Vec<u8>,
    begin: usize,
    end: usize,
    secured: bool,
}

impl Session {
    /// The end of a connection that this node opened. No name is sent: a node's certificate names no host.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn dialled(identity: &TlsIdentity, address: SocketAddr) -> Result<Self, PeerError> {
        let name = ServerName::IpAddress(address.ip().into());
        let connection = ClientConnection::new(Arc::clone(&identity.client), name).map_err(peer_error)?;
        Ok(Self::new(connection.into()))
    }

    /// The end of a connection that another node opened.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn accepted(identity: &TlsIdentity) -> Result<Self, PeerError> {
        let connection = ServerConnection::new(Arc::clone(&identity.server)).map_err(peer_error)?;
        Ok(Self::new(connection.into()))
    }

    fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(SECURE_BUFFER_LEN));
        Self { connection, incoming: Vec::new(), begin: 0, end: 0, secured: false }
    }

    /// Where encrypted bytes go; then [`Session::filled`] says how many came. To be used when [`Session::pull`] has found
    /// nothing: then it is not empty.
    pub fn space(&mut self) -> &mut [u8] {
        if self.incoming.is_empty() {
            self.incoming = vec![0; SECURE_READ_LEN];
        }
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        }
        self.incoming.get_mut(self.end..).unwrap_or_default()
    }

    /// `len` encrypted bytes have come.
    pub fn filled(&mut self, len: usize) {
        self.end = self.incoming.len().min(self.end + len);
    }

    /// Plain bytes that have come, into `space`; or what else there is to know.
    ///
    /// # Errors
    ///
    /// The other end's fault; [`Session::write_to`] still has an alert for it.
    pub fn pull(&mut self, space: &mut [u8]) -> Result<Pulled, PeerError> {
        loop {
            if self.secured {
                match self.connection.reader().read(space) {
                    Ok(0) => return Ok(Pulled::Ended),
                    Ok(len) => return Ok(Pulled::Plain(len)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(PeerError::Insecure { why: error.to_string() }),
                }
            }
            if self.begin == self.end {
                return Ok(Pulled::Nothing);
            }
            self.feed()?;
            if !self.secured && !self.connection.is_handshaking() {
                self.secured = true;
                return self.certified().map(Pulled::Secured);
            }
        }
    }

    /// Decrypts some of what was read.
    fn feed(&mut self) -> Result<(), PeerError> {
        let mut arrived = self.incoming.get(self.begin..self.end).unwrap_or_default();
        let len = self.connection.read_tls(&mut arrived).map_err(|e| PeerError::Insecure { why: e.to_string() })?;
        self.begin += len;
        self.connection.process_new_packets().map_err(peer_error)?;
        Ok(())
    }

    fn certified(&self) -> Result<NodeId, PeerError> {
        let certificate = self.connection.peer_certificates().and_then(<[_]>::first).ok_or(PeerError::NoCertificate)?;
        node_of(certificate)
    }

    /// Encrypts plain bytes, as many as there is room for, and says how many. None before the connection is secure.
    pub fn push(&mut self, plain: &[u8]) -> usize {
        if !self.secured {
            return 0;
        }
        // Writing to the buffer cannot fail.
        self.connection.writer().write(plain).unwrap_or(0)
    }

    /// True if encrypted bytes wait for the socket.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Writes encrypted bytes that wait: one write.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub fn write_to(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        self.connection.write_tls(socket)
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        self.connection.send_close_notify();
    }
}

/// Whose fault it is, by name.
pub(super) fn peer_error(error: Error) -> PeerError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may add errors; those without a name of ours keep its text"
    )]
    match error {
        Error::InvalidCertificate(error) => certificate_error(&error),
        Error::NoCertificatesPresented => PeerError::NoCertificate,
        Error::InvalidMessage(_) => PeerError::NotTls,
        Error::AlertReceived(alert) => PeerError::RefusedByPeer { why: format!("{alert:?}") },
        other => PeerError::Insecure { why: other.to_string() },
    }
}

fn certificate_error(error: &CertificateError) -> PeerError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may add errors; those without a name of ours keep its text"
    )]
    match error {
        CertificateError::UnknownIssuer => PeerError::OtherAuthority,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => PeerError::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            PeerError::CertificateNotYetValid
        }
        other => PeerError::BadCertificate { why: other.to_string() },
    }
}
