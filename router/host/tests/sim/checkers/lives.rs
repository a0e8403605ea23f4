//! I18: what plugins keep of a stream is lost by nothing that its ends ignore: no stream ends by a reset that no end has
//! sent, and none that lives makes place for another that no end has opened.

use std::collections::{BTreeMap, BTreeSet};

use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::packet::{Content, Frame, Packet, Transport};
use herald_core::session::Midstream;
use herald_testing::layout::host_mac;

use super::Checker;
use crate::host::{Progress, Talk};
use crate::member::NODES;
use crate::packets;
use crate::recorder::Note;
use crate::scenario::Ending;
use crate::world::{Sight, World};

/// What the hosts have said themselves, by stream.
#[derive(Default)]
pub(super) struct Lives {
    reset: BTreeSet<FlowKey>,
    /// The sequence numbers of their SYNs.
    opened: BTreeMap<FlowKey, BTreeSet<(Interface, u32)>>,
}

impl Checker for Lives {
    fn invariant(&self) -> &'static str {
        "I18"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Arrived { interface, bytes, .. } => {
                self.heard(*interface, bytes);
                Ok(())
            }
            Sight::Noted { place, note: Note::Ended { opener, reason, .. } } if opener.protocol() == 6 => {
                let stream = packets::stream(opener);
                let opened = self.opened.get(&stream).map_or(0, BTreeSet::len);
                let talk = world.talks.iter().find(|talk| packets::stream(&talk.open.flow()) == stream && lives(talk));
                let picked_up = world.scenario.choices.midstream == Midstream::PickUp;
                let node = NODES[*place];
                match reason {
                    EndReason::Reset if !self.reset.contains(&stream) => {
                        Err(format!("{node} ended {opener} by a reset that no end has sent"))
                    }
                    EndReason::Replaced if talk.is_some() && opened < 2 && !picked_up && !world.silent => {
                        Err(format!("{node} began {opener} anew, which no end has done"))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Lives {
    fn heard(&mut self, interface: Interface, bytes: &[u8]) {
        let Ok(Packet { source, content: Content::Ip(headers), .. }) = Packet::parse(&Frame::from_bytes(bytes)) else {
            return;
        };
        let Transport::Tcp { flags, sequence, .. } = headers.transport else { return };
        if source != host_mac(interface) {
            return;
        }
        let stream = packets::stream(&headers.flow_key(interface));
        if flags.rst() {
            self.reset.insert(stream);
        } else if flags.syn() {
            self.opened.entry(stream).or_default().insert((interface, sequence));
        }
    }
}

/// Both ends have the connection.
fn lives(talk: &Talk) -> bool {
    let idle = talk.progress == Progress::Done && talk.open.ending == Ending::Idle;
    talk.open.is_tcp() && talk.established_at.is_some() && (talk.progress == Progress::Speaking || idle)
}
