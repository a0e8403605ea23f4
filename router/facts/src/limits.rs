//! Every bound of the parsers, with its unit and its reason.

/// Bytes of a `ClientHello` or `ServerHello`: the largest in use have some kilobytes (post-quantum keys), and what is
/// longer is an attack on memory.
pub const HELLO_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a server's `Certificate` message: chains in use stay below 20 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

/// Names of one certificate that are kept: shared hosting has some hundred.
pub const CERTIFICATE_NAMES_MAX: usize = 256;

/// Bytes of one TLS record's content (RFC 8446, section 5.1).
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one HTTP head, first line included: servers in use refuse more than 8 to 64 KiB.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Header lines of one HTTP head: servers in use refuse more than 100 or so.
pub const HTTP_HEADERS_MAX: usize = 128;

/// Bytes of the line that begins a chunk: a size and extensions nobody uses.
pub const HTTP_CHUNK_LINE_BYTES_MAX: usize = 256;

/// Requests of one connection that wait for their answers: for each, one byte is kept.
pub const HTTP_UNANSWERED_MAX: usize = 4_096;

/// Bytes of a name in a DNS message, lengths included (RFC 1035, section 2.3.4).
pub const DNS_NAME_LEN_MAX: usize = 255;

/// Bytes of an SSH identification string, its end included (RFC 4253, section 4.2).
pub const SSH_BANNER_LEN_MAX: usize = 255;

/// Bytes of the lines that an SSH server says before its string.
pub const SSH_PRELUDE_BYTES_MAX: usize = 8 * 1024;

/// Initial packets of a client that are looked at before its hello is whole: a large one takes three.
pub const QUIC_PACKETS_MAX: usize = 64;

/// Pieces of a client's handshake with holes between: clients that shuffle send ten or so.
pub const QUIC_PIECES_MAX: usize = 64;

/// First bytes of a stream among which its protocol is looked for: a request whose method nobody knows must end its first
/// line there. Twice as many are kept of each direction until it is known.
pub const DETECT_BYTES_MAX: usize = 4 * 1024;

/// Elements of one list among the facts; what a plugin takes out makes room.
pub const LIST_LEN_MAX: usize = 1_000;

/// Bytes that the facts of one stream take, counted as [`crate::Value::cost`].
pub const FACTS_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a host name in text (RFC 1035, section 2.3.4, less the length bytes of first label and root).
pub const HOST_NAME_LEN_MAX: usize = 253;

/// Bytes of one label of a name (RFC 1035, section 2.3.4).
pub const LABEL_LEN_MAX: usize = 63;

const _: () = assert!(HTTP_HEAD_BYTES_MAX < FACTS_BYTES_MAX && HELLO_BYTES_MAX < FACTS_BYTES_MAX);
