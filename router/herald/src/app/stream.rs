//! How people write a stream: `tcp 10.1.0.100:41234 10.2.0.100:80`, the opener first.

use std::net::SocketAddr;

use herald_core::flow::{FlowKey, protocol_name};
use herald_core::id::Interface;

/// A text that names no stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Not three words.
    #[error("a stream is PROTOCOL SOURCE:PORT DESTINATION:PORT, such as: tcp 10.1.0.100:41234 10.2.0.100:80")]
    Shape,
    /// No such protocol.
    #[error("{0:?} is no protocol: tcp, udp, icmp, icmpv6 or a number from 0 to 255 is expected")]
    Protocol(String),
    /// No address with port.
    #[error("{0:?} is no address with port, such as 10.1.0.100:41234 or [fd00:1::100]:41234")]
    End(String),
    /// IPv4 and IPv6 in one stream.
    #[error("both ends of a stream are IPv4, or both are IPv6")]
    Families,
}

/// The opener's flow of a stream. Its interface cannot be seen from the text; it is `First` whatever the truth.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<FlowKey, StreamError> {
    let mut words = text.split_whitespace();
    let (Some(protocol), Some(source), Some(destination), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(StreamError::Shape);
    };
    let protocol = number(protocol).ok_or_else(|| StreamError::Protocol(protocol.to_owned()))?;
    let (source, destination) = (end(source)?, end(destination)?);
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(StreamError::Families);
    }
    let ends = (source.ip(), source.port());
    Ok(FlowKey::new(Interface::First, protocol, ends, (destination.ip(), destination.port())))
}

/// An IPv4 address that is written as an IPv6 one is what it means, as in a key.
fn end(text: &str) -> Result<SocketAddr, StreamError> {
    let end: SocketAddr = text.parse().map_err(|_| StreamError::End(text.to_owned()))?;
    Ok(SocketAddr::new(end.ip().to_canonical(), end.port()))
}

fn number(name: &str) -> Option<u8> {
    (0..=u8::MAX).find(|&number| protocol_name(number) == name || number.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_read_as_they_are_shown() {
        for text in [
            "tcp 10.1.0.100:41234 10.2.0.100:80",
            "udp [fd00:1::100]:53 [fd00:2::100]:53",
            "icmp 10.1.0.1:7 10.2.0.1:7",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("6 10.1.0.1:1 10.2.0.1:2").unwrap().protocol(), 6);
    }

    #[test]
    fn what_is_no_stream_is_refused_with_a_reason() {
        for text in ["", "tcp", "tcp 10.1.0.1:1", "tcp 10.1.0.1:1 10.2.0.1:2 x"] {
            assert_eq!(parse(text), Err(StreamError::Shape), "{text}");
        }
        assert_eq!(parse("sctpx 10.1.0.1:1 10.2.0.1:2"), Err(StreamError::Protocol("sctpx".to_owned())));
        assert_eq!(parse("tcp 10.1.0.1 10.2.0.1:2"), Err(StreamError::End("10.1.0.1".to_owned())));
        assert_eq!(parse("tcp 10.1.0.1:1 [::1]:2"), Err(StreamError::Families));
        assert_eq!(parse("tcp [::ffff:10.1.0.1]:1 [::1]:2"), Err(StreamError::Families));
    }
}
