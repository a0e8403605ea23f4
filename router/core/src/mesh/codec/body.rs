//! The bodies of messages as bytes, and the bounds of those that have lists or frames.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::{BUCKETS, INQUIRY_PIECE_LEN_MAX, MEMBERS_MAX, REFRESH_STREAMS_MAX};
use crate::mesh::{
    Acknowledge, Announce, Answer, Assign, Astray, Claim, Close, Compare, Decline, Fence, Handover, Heartbeat, Inquiry,
    NeighbourChanged, Query, Redirect, Refresh, Refuse, Relay, RelayFrame, SyncEnd, Unheard,
};
use crate::packet::BUFFER_LEN;

/// The body of a message.
pub(in crate::mesh) trait Body: Serialize + DeserializeOwned {
    /// False if a list or a frame in it is longer than any may be.
    fn is_within_bounds(&self) -> bool {
        true
    }

    /// Appends its bytes; false if that cannot be done.
    fn write(&self, into: &mut Vec<u8>) -> bool {
        postcard::to_io(self, into).is_ok()
    }

    /// Reads what takes all of the bytes, to the last one.
    fn read(bytes: &[u8]) -> Option<Self> {
        whole(bytes)
    }
}

/// A value that takes all of the bytes, to the last one.
pub(super) fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

impl Body for Acknowledge {}
impl Body for Announce {}
impl Body for Answer {}
impl Body for Assign {}
impl Body for Claim {}
impl Body for Close {}
impl Body for Decline {}
impl Body for Fence {}
impl Body for NeighbourChanged {}
impl Body for Query {}
impl Body for Refuse {}
impl Body for Relay {}
impl Body for RelayFrame {}
impl Body for Unheard {}

impl Body for Heartbeat {
    fn is_within_bounds(&self) -> bool {
        let lists = [&self.links, &self.heard.first, &self.heard.second];
        lists.iter().all(|list| list.len() <= MEMBERS_MAX) && self.padding.is_within_bounds()
    }
}

impl Body for Inquiry {
    fn is_within_bounds(&self) -> bool {
        self.bytes.len() <= INQUIRY_PIECE_LEN_MAX
    }
}

impl Body for Refresh {
    fn is_within_bounds(&self) -> bool {
        self.streams.len() <= REFRESH_STREAMS_MAX
    }

    /// The count in front of the streams is checked before they are allocated: a stream in memory is several times as large
    /// as the shortest bytes for one.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (count, _) = postcard::take_from_bytes::<u64>(bytes).ok()?;
        if count <= REFRESH_STREAMS_MAX as u64 { whole(bytes) } else { None }
    }
}

impl Body for Handover {
    fn is_within_bounds(&self) -> bool {
        self.wire.len() <= BUFFER_LEN
    }
}

impl Body for Redirect {
    fn is_within_bounds(&self) -> bool {
        self.wire.len() <= BUFFER_LEN
    }
}

impl Body for Astray {
    fn is_within_bounds(&self) -> bool {
        self.wire.len() <= BUFFER_LEN
    }
}

impl Body for Compare {
    fn is_within_bounds(&self) -> bool {
        self.digests.len() == BUCKETS
    }
}

impl Body for SyncEnd {
    fn is_within_bounds(&self) -> bool {
        self.digests.len() == BUCKETS && self.sent.len() <= BUCKETS
    }
}
