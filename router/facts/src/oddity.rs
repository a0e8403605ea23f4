//! What may be wrong with bytes, each with a stable name.

use serde::{Serialize, Serializer};

macro_rules! oddities {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Something that a receiver may read in two ways, must refuse, or that exceeds a bound.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Oddity {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Oddity {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its stable name, as reports have it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

oddities! {
    /// A record breaks RFC 8446, section 5.1: too long, empty, or of another kind in mid-message.
    TlsRecord = "malformed record",
    /// A hello's fields do not fit its length, or an extension comes twice (RFC 8446, sections 4 and 4.2).
    TlsHello = "malformed hello",
    /// A hello is longer than `HELLO_BYTES_MAX`.
    TlsHelloTooLong = "hello too long",
    /// A certificate cannot be read.
    TlsCertificate = "malformed certificate",
    /// A certificate message is longer than `CERTIFICATE_BYTES_MAX`.
    TlsCertificateTooLong = "certificate too long",
    /// The server name is no host name (RFC 6066, section 3).
    TlsNameNoHost = "server name is no host name",
    /// The client says a second hello with another name than the first one's (RFC 8446, section 4.1.2).
    TlsSecondHello = "second hello has another name",
    /// Both lengths are given (RFC 9112, section 6.1).
    HttpLengthAndChunked = "content-length and transfer-encoding",
    /// The same length is given twice (RFC 9112, section 6.3).
    HttpLengthTwice = "content-length twice",
    /// Two lengths that differ, or one that is no number.
    HttpLength = "malformed content-length",
    /// The body's coding is none that a server may frame by (RFC 9112, section 6.3), or is said twice.
    HttpTransferEncoding = "unknown transfer-encoding",
    /// A transfer coding in HTTP/1.0 (RFC 9112, section 6.1).
    HttpOldTransferEncoding = "transfer-encoding in http/1.0",
    /// More than one Host line (RFC 9112, section 3.2).
    HttpHostTwice = "host twice",
    /// HTTP/1.1 without a Host line (RFC 9112, section 3.2).
    HttpNoHost = "no host",
    /// The target names another host than the Host line (RFC 9112, section 3.2.2).
    HttpOtherHost = "target and host differ",
    /// The host is neither a host name nor an address.
    HttpHostNoHost = "host is no host name",
    /// A target with user information (RFC 9110, section 4.2.4).
    HttpUserInformation = "user information in target",
    /// A line that ends without CR (RFC 9112, section 2.2).
    HttpBareLineFeed = "line feed without carriage return",
    /// Empty lines before a request (RFC 9112, section 2.2).
    HttpEmptyLines = "empty lines before a request",
    /// The first line is malformed.
    HttpFirstLine = "malformed first line",
    /// A header's name is malformed: a space before the colon, a folded line.
    HttpHeaderName = "malformed header name",
    /// A header's value has bytes that it must not have.
    HttpHeaderValue = "malformed header value",
    /// A carriage return without line feed.
    HttpLineEnd = "malformed line end",
    /// More header lines than `HTTP_HEADERS_MAX`.
    HttpTooManyHeaders = "too many headers",
    /// A head longer than `HTTP_HEAD_BYTES_MAX`.
    HttpHeadTooLong = "head too long",
    /// A chunk's size or end is malformed, or its line longer than `HTTP_CHUNK_LINE_BYTES_MAX`.
    HttpChunk = "malformed chunk",
    /// More requests than `HTTP_UNANSWERED_MAX` without an answer.
    HttpUnanswered = "too many unanswered requests",
    /// A message's fields or counts do not fit its length (RFC 1035, section 4).
    DnsMessage = "malformed message",
    /// A name longer than `DNS_NAME_LEN_MAX`.
    DnsNameTooLong = "name too long",
    /// A pointer that leads not backwards, so perhaps in a circle (RFC 1035, section 4.1.4).
    DnsPointer = "pointer leads not backwards",
    /// An address is asked for by what is no host name.
    DnsNameNoHost = "name is no host name",
    /// More than one question (RFC 9619).
    DnsQuestions = "more than one question",
    /// Bytes behind the last record.
    DnsTrailing = "bytes behind the message",
    /// A version that is none of 1 and 2: its packets cannot be opened.
    QuicVersion = "unknown version",
    /// A frame that an Initial packet must not have, or a malformed one (RFC 9000, section 12.4).
    QuicFrame = "malformed frame",
    /// Handshake bytes that come again and differ (RFC 9000, section 2.2).
    QuicOverlap = "crypto bytes differ",
    /// More than `QUIC_PIECES_MAX` pieces with holes between.
    QuicPieces = "too many pieces",
    /// More than `QUIC_PACKETS_MAX` packets and no whole hello.
    QuicPackets = "too many packets",
    /// A datagram with an Initial packet that a server must not take (RFC 9000, section 14.1).
    QuicShort = "datagram too short",
    /// A string that is of no version 2, or has other than printable characters (RFC 4253, section 4.2).
    SshBanner = "malformed banner",
    /// A string longer than `SSH_BANNER_LEN_MAX`.
    SshBannerTooLong = "banner too long",
    /// A string that ends without CR.
    SshLineFeed = "line ends without carriage return",
}

impl Serialize for Oddity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
