//! The smallest plugin that reads what an application will read: TCP streams pass whose opener begins as SSH does (RFC 4253,
//! section 4.2), and every other is reset. Segments that are cut, late or twice, and say different things of the same bytes,
//! make no difference: the router puts them in order, and lets none leave that says another thing.

use herald_plugin::prelude::*;

/// What an SSH client says first.
const BEGINNING: &[u8] = b"SSH-";

#[derive(Default)]
struct OnlySsh;

impl Plugin for OnlySsh {
    /// How many bytes of the beginning have come.
    type Stream = usize;

    fn stream_bytes(&self, come: &mut usize, bytes: &StreamBytes<'_>) -> Verdict {
        if !bytes.from_opener() {
            return Verdict::pass().for_flow();
        }
        if bytes.has_gap() {
            return Verdict::reject("seen-too-late");
        }
        let awaited = BEGINNING.get(*come..).unwrap_or_default();
        let len = awaited.len().min(bytes.fresh().len());
        if awaited.get(..len) != bytes.fresh().get(..len) || bytes.is_end() {
            return Verdict::reject("not-ssh");
        }
        *come += len;
        if len == awaited.len() { Verdict::bypass() } else { Verdict::pass() }
    }
}

export_plugin!(OnlySsh, manifest = "plugin.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use herald_plugin::testkit::{Kit, Said, StreamId};

    fn open(kit: &mut Kit<OnlySsh>) -> StreamId {
        let stream = kit.tcp("10.1.0.100:40000", "10.2.0.100:22");
        assert!(kit.handshake(stream).iter().all(Said::passes));
        stream
    }

    #[test]
    fn who_speaks_ssh_passes_whatever_the_segments_are() {
        let mut kit = Kit::new("").unwrap();
        let stream = open(&mut kit);
        assert!(kit.send(stream, Direction::ToOpener, b"anything")[0].passes());
        for segment in kit.cut(stream, Direction::FromOpener, b"SSH-2.0-x\r\n", 1).iter().rev() {
            assert!(kit.deliver(segment).passes());
        }
        assert_eq!(kit.standing(stream, Direction::FromOpener).and_then(Said::action), Some(Action::Bypass));
    }

    #[test]
    fn every_other_is_reset_although_a_packet_begins_so() {
        let mut kit = Kit::new("").unwrap();
        for (payload, cut) in [(&b"GET / HTTP/1.1\r\n"[..], 16), (b"SSX", 1), (b"GETSSH-2.0", 3)] {
            let stream = open(&mut kit);
            let said: Vec<_> =
                kit.cut(stream, Direction::FromOpener, payload, cut).iter().rev().map(|s| kit.deliver(s)).collect();
            assert_eq!(said.last().and_then(Said::reason), Some("not-ssh"), "{payload:?}");
        }
        let stream = open(&mut kit);
        kit.send(stream, Direction::FromOpener, b"SS");
        assert_eq!(kit.close(stream)[0].reason(), Some("not-ssh"), "too short");
        let stream = kit.tcp("10.1.0.100:40000", "10.2.0.100:22");
        assert_eq!(kit.send(stream, Direction::FromOpener, b"SSH-")[0].reason(), Some("seen-too-late"));
    }
}
