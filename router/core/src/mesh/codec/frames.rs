//! Messages with a frame, encoded without a loop over its bytes.

use serde::{Deserialize, Serialize, Serializer};

use crate::id::{Epoch, Interface};
use crate::mesh::{Handover, Redirect};

/// A handover whose frame is copied in one piece instead of byte by byte; the encoding is the same.
#[derive(Serialize, Deserialize)]
pub(super) struct HandoverBytes<'a> {
    interface: Interface,
    hops: u8,
    #[serde(borrow, serialize_with = "serialize_bytes")]
    wire: &'a [u8],
}

fn serialize_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

impl<'a> From<&'a Handover> for HandoverBytes<'a> {
    fn from(handover: &'a Handover) -> Self {
        Self { interface: handover.interface, hops: handover.hops, wire: &handover.wire }
    }
}

impl From<HandoverBytes<'_>> for Handover {
    fn from(bytes: HandoverBytes<'_>) -> Self {
        Self { interface: bytes.interface, hops: bytes.hops, wire: bytes.wire.to_vec() }
    }
}

/// The same for a redirected frame.
#[derive(Serialize, Deserialize)]
pub(super) struct RedirectBytes<'a> {
    interface: Interface,
    epoch: Epoch,
    #[serde(borrow, serialize_with = "serialize_bytes")]
    wire: &'a [u8],
}

impl<'a> From<&'a Redirect> for RedirectBytes<'a> {
    fn from(redirect: &'a Redirect) -> Self {
        Self { interface: redirect.interface, epoch: redirect.epoch, wire: &redirect.wire }
    }
}

impl From<RedirectBytes<'_>> for Redirect {
    fn from(bytes: RedirectBytes<'_>) -> Self {
        Self { interface: bytes.interface, epoch: bytes.epoch, wire: bytes.wire.to_vec() }
    }
}
