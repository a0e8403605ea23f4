//! A capture, packet by packet: pcap and pcapng, with Ethernet, Linux cooked (SLL, SLL2) and raw IP links.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use herald_core::id::Interface;

/// Bytes of the reader's buffer: more than a block with the largest packet that libpcap captures (256 KiB).
const BUFFER_LEN: usize = 512 * 1024;

/// Length of an Ethernet header.
pub(super) const ETHERNET_LEN: usize = 14;

/// A capture that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The system refuses.
    #[error("{}: {error}", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Its contents are wrong.
    #[error("{}: at byte {at}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from the file's beginning.
        at: usize,
        /// What is wrong, and what to do.
        what: String,
    },
}

/// One packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Captured {
    /// When it was captured, since 1970.
    pub(super) at: Duration,
    /// Where it arrived, if the capture's interfaces are named `first` and `second`.
    pub(super) interface: Option<Interface>,
    /// An Ethernet frame: as captured, or what was captured behind a header without addresses.
    pub(super) frame: Vec<u8>,
}

/// An open capture.
pub(super) struct Capture {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator>,
    links: Vec<Link>,
    /// Bytes before the present block.
    at: usize,
}

/// What is known of an interface of the capture.
#[derive(Clone, Debug)]
struct Link {
    kind: Linktype,
    /// Parts of a second that its times count.
    resolution: u64,
    offset: i64,
    interface: Option<Interface>,
}

impl Capture {
    /// Opens a capture.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(super) fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(|error| CaptureError::System { path: path.to_owned(), error })?;
        let none = "this is no pcap or pcapng capture; name one that tcpdump -w or Wireshark wrote";
        let wrong = |what: &str| CaptureError::Wrong { path: path.to_owned(), at: 0, what: what.to_owned() };
        let reader = create_reader(BUFFER_LEN, file).map_err(|_| wrong(none))?;
        Ok(Self { path: path.to_owned(), reader, links: Vec::new(), at: 0 })
    }

    /// The next packet; `None` behind the last.
    ///
    /// # Errors
    /// Where the capture is cut short or wrong.
    pub(super) fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        loop {
            let (len, read) = match self.reader.next() {
                Ok((len, block)) => (len, take(&mut self.links, &block)),
                Err(PcapError::Eof) => return Ok(None),
                Err(PcapError::Incomplete(_)) => {
                    if self.reader.refill().is_err() {
                        return Err(self.wrong("it cannot be read any further".to_owned()));
                    }
                    continue;
                }
                Err(PcapError::UnexpectedEof) => {
                    let what = "the file ends in the middle of a packet; capture it again, or cut it there";
                    return Err(self.wrong(what.to_owned()));
                }
                Err(_) => return Err(self.wrong("this is no block of a capture: the file is damaged".to_owned())),
            };
            let read = read.map_err(|what| self.wrong(what))?;
            self.reader.consume(len);
            self.at += len;
            if let Some(captured) = read {
                return Ok(Some(captured));
            }
        }
    }

    fn wrong(&self, what: String) -> CaptureError {
        CaptureError::Wrong { path: self.path.clone(), at: self.at, what }
    }
}

/// Takes what a block says: of the capture's interfaces, or a packet.
fn take(links: &mut Vec<Link>, block: &PcapBlockOwned<'_>) -> Result<Option<Captured>, String> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            links.push(Link { kind: header.network, resolution, offset: 0, interface: None });
            Ok(None)
        }
        PcapBlockOwned::Legacy(packet) => {
            let link = links.first().ok_or("a packet before the file's header")?;
            let fraction = u64::from(packet.ts_usec).saturating_mul(1_000_000_000 / link.resolution);
            let at = Duration::from_secs(packet.ts_sec.into()) + Duration::from_nanos(fraction);
            let data = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
            link.packet(at, data, packet.origlen).map(Some)
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            links.clear();
            Ok(None)
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(described)) => {
            let name = described.options.iter().find(|option| option.code.0 == IF_NAME).map(|option| &option.value[..]);
            links.push(Link {
                kind: described.linktype,
                resolution: described.ts_resolution().ok_or("an interface whose times cannot be counted")?,
                offset: described.if_tsoffset,
                interface: name.and_then(interface_named),
            });
            Ok(None)
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let link = links.get(packet.if_id as usize).ok_or("a packet of an interface that is not described")?;
            let count = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            link.packet(link.time(count), packet.packet_data(), packet.origlen).map(Some)
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let link = links.first().ok_or("a packet of an interface that is not described")?;
            link.packet(Duration::ZERO, packet.packet_data(), packet.origlen).map(Some)
        }
        // Statistics, names, secrets: nothing of packets.
        PcapBlockOwned::NG(_) => Ok(None),
    }
}

/// The number of the option that names an interface (pcapng, section 4.2).
const IF_NAME: u16 = 2;

/// `first`, `second`, or a name that ends so, such as `herald-first`.
fn interface_named(name: &[u8]) -> Option<Interface> {
    Interface::BOTH.into_iter().find(|interface| name.trim_ascii_end().ends_with(interface.as_str().as_bytes()))
}

impl Link {
    fn time(&self, count: u64) -> Duration {
        let resolution = self.resolution.max(1);
        let seconds = (count / resolution).saturating_add_signed(self.offset);
        let nanos = u128::from(count % resolution) * 1_000_000_000 / u128::from(resolution);
        Duration::new(seconds, u32::try_from(nanos).unwrap_or_default())
    }

    fn packet(&self, at: Duration, data: &[u8], len: u32) -> Result<Captured, String> {
        if (data.len() as u64) < u64::from(len) {
            return Err(format!(
                "a packet of {len} bytes of which {} were captured; capture whole ones (tcpdump -s 0)",
                data.len()
            ));
        }
        Ok(Captured { at, interface: self.interface, frame: ethernet(self.kind, data)? })
    }
}

/// What was captured as an Ethernet frame. The cooked headers are those of `pcap-linktype(7)`.
fn ethernet(kind: Linktype, data: &[u8]) -> Result<Vec<u8>, String> {
    let behind = |len: usize, kind_at: usize| {
        let kind = data.get(kind_at..kind_at + 2).and_then(|kind| kind.first_chunk::<2>());
        match (kind, data.get(len..)) {
            (Some(kind), Some(packet)) => Ok(headed(*kind, packet)),
            (None, _) | (_, None) => Err(format!("a packet of {} bytes ends in its link header", data.len())),
        }
    };
    match kind {
        Linktype::ETHERNET if data.len() < ETHERNET_LEN => {
            Err(format!("a packet of {} bytes ends in its Ethernet header", data.len()))
        }
        Linktype::ETHERNET => Ok(data.to_vec()),
        Linktype::LINUX_SLL => behind(16, 14),
        LINUX_SLL2 => behind(20, 0),
        Linktype::RAW | RAW_BSD | RAW_OTHER | Linktype::IPV4 | Linktype::IPV6 => {
            match data.first().map(|byte| byte >> 4) {
                Some(4) => Ok(headed([0x08, 0x00], data)),
                Some(6) => Ok(headed([0x86, 0xdd], data)),
                Some(_) | None => Err("a packet that is neither IPv4 nor IPv6 on a raw IP link".to_owned()),
            }
        }
        Linktype(number) => Err(format!(
            "a packet of link type {number}; Ethernet (1), Linux cooked (113, 276) and raw IP (101) can be replayed"
        )),
    }
}

const LINUX_SLL2: Linktype = Linktype(276);
/// Raw IP as some systems number it in files.
const RAW_BSD: Linktype = Linktype(12);
const RAW_OTHER: Linktype = Linktype(14);

fn headed(ether_type: [u8; 2], packet: &[u8]) -> Vec<u8> {
    [&[0; 12][..], &ether_type, packet].concat()
}
