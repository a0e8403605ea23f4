//! What plugins say through functions of the contract while a hook runs: it is written down here and takes effect behind the
//! hook. One plugin is inside a hook at any moment on a thread, so what it says has one place there; on another thread nothing
//! is open, and it hears so.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ops::Range;
use std::{ptr, slice, str};

use herald_plugin::abi::{
    HERALD_FULL, HERALD_GSO_NONE, HERALD_NO_CALL, HERALD_NO_ROOM, HERALD_NOTHING, HERALD_OK, HERALD_PACKET_FRAGMENT,
    HERALD_PACKET_WHOLE, HERALD_TRANSPORT_TCP, HERALD_UNSOUND, HERALD_WRONG, HeraldBytes, HeraldPacket, HeraldText,
    HeraldTextRoom,
};

use super::head::Head;
use super::notes::{Note, Notes};
use herald_core::inspector::Direction;
use herald_core::limits::{EFFECT_BYTES_MAX, EFFECTS_MAX};

/// One thing that a plugin said; `at` is the packet's index in its call, and ranges lie in [`Effects::bytes`].
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// Bytes of a packet give way to others.
    Replace { from: usize, old_len: usize, bytes: Range<usize> },
    /// A packet of the stream goes out.
    Inject { direction: Direction, packet: Range<usize> },
    /// The stream has a mark.
    Mark(u32),
    /// The stream has a note.
    Note { name: Range<usize>, value: Range<usize> },
}

/// What was said in one call.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// In the order in which it was said, each with the packet's index.
    pub(super) list: Vec<(usize, Effect)>,
    bytes: Vec<u8>,
}

impl Effects {
    /// Bytes that came with an effect.
    pub(super) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// A text that came with an effect.
    pub(super) fn text(&self, range: &Range<usize>) -> &str {
        str::from_utf8(self.bytes(range)).unwrap_or_default()
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Range<usize>, i32> {
        let from = self.bytes.len();
        if from + bytes.len() > EFFECT_BYTES_MAX {
            return Err(HERALD_FULL);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(from..self.bytes.len())
    }

    fn push(&mut self, at: usize, effect: Effect) -> Result<(), i32> {
        if self.list.len() >= EFFECTS_MAX {
            return Err(HERALD_FULL);
        }
        self.list.push((at, effect));
        Ok(())
    }
}

/// What a call is about; its pointers are used only until it closes.
struct Call {
    effects: Effects,
    /// Null in hooks about one stream.
    packets: *const HeraldPacket,
    /// Packets, or 1; 0 while no hook runs.
    count: usize,
    /// The heads of all streams of the batch.
    heads: *const Head,
    /// For each packet, which of the heads is its own.
    places: *const usize,
    notes: *const Notes,
}

thread_local! {
    static CALL: RefCell<Call> = const {
        RefCell::new(Call {
            effects: Effects { list: Vec::new(), bytes: Vec::new() },
            packets: ptr::null(),
            count: 0,
            heads: ptr::null(),
            places: ptr::null(),
            notes: ptr::null(),
        })
    };
}

/// A call of a plugin begins, which is about these packets.
///
/// # Safety
/// What is given stays readable and unchanged until [`close`]; each place is the index of a head.
pub(super) unsafe fn open(packets: &[HeraldPacket], places: &[usize], heads: &[Head], notes: &Notes) {
    CALL.with_borrow_mut(|call| {
        (call.packets, call.count) = (packets.as_ptr(), packets.len());
        (call.places, call.heads, call.notes) = (places.as_ptr(), heads.as_ptr(), notes);
    });
}

/// A call of a plugin begins, which is about one stream.
///
/// # Safety
/// As for [`open`].
pub(super) unsafe fn open_stream(head: &Head, notes: &Notes) {
    CALL.with_borrow_mut(|call| {
        (call.packets, call.count) = (ptr::null(), 1);
        (call.places, call.heads, call.notes) = (&raw const FIRST, head, notes);
    });
}

static FIRST: usize = 0;

/// The call is over. True if the plugin said something.
pub(super) fn close() -> bool {
    CALL.with_borrow_mut(|call| {
        call.count = 0;
        !call.effects.list.is_empty()
    })
}

/// Takes what was said in the last call.
#[cold]
pub(super) fn take() -> Effects {
    CALL.with_borrow_mut(|call| std::mem::take(&mut call.effects))
}

/// Gives the room back.
pub(super) fn give(mut effects: Effects) {
    effects.list.clear();
    effects.bytes.clear();
    CALL.with_borrow_mut(|call| call.effects = effects);
}

/// Runs a function of the contract within the open call.
fn within(at: u32, run: impl FnOnce(&mut Call, usize) -> Result<(), i32>) -> i32 {
    CALL.with_borrow_mut(|call| {
        let at = at as usize;
        if call.count == 0 {
            return HERALD_NO_CALL;
        }
        if at >= call.count {
            return HERALD_WRONG;
        }
        run(call, at).err().unwrap_or(HERALD_OK)
    })
}

/// [loop]
pub(super) unsafe extern "C" fn replace(at: u32, from: u32, old_len: u32, bytes: HeraldBytes) -> i32 {
    within(at, |call, at| {
        if call.packets.is_null() {
            return Err(HERALD_NO_CALL);
        }
        // SAFETY: promised to `open`, and the index is below the count.
        let packet = unsafe { &*call.packets.add(at) };
        // SAFETY: the plugin gives bytes that live for this call.
        let bytes = unsafe { slice_of(bytes.bytes, bytes.len) };
        let resized = |(other, effect): &(usize, Effect)| {
            *other == at && matches!(effect, Effect::Replace { old_len, bytes, .. } if *old_len != bytes.len())
        };
        if call.effects.list.iter().any(resized) {
            return Err(HERALD_WRONG);
        }
        let (from, old_len) = (from as usize, old_len as usize);
        may_replace(packet, (from, old_len), bytes.len())?;
        let bytes = call.effects.keep(bytes)?;
        call.effects.push(at, Effect::Replace { from, old_len, bytes })
    })
}

/// Whether these bytes of a packet may give way to so many others.
fn may_replace(packet: &HeraldPacket, (from, old_len): (usize, usize), len: usize) -> Result<(), i32> {
    let (end, network_at) = (packet.end as usize, usize::from(packet.network_at));
    if from < network_at || from + old_len > end {
        return Err(HERALD_WRONG);
    }
    if packet.marks & HERALD_PACKET_FRAGMENT != 0 {
        return Err(HERALD_UNSOUND);
    }
    if len == old_len {
        return Ok(());
    }
    // What was put together leaves in the fragments that came.
    let is_one = packet.gso_type == HERALD_GSO_NONE && packet.marks & HERALD_PACKET_WHOLE == 0;
    let may_change = packet.transport != HERALD_TRANSPORT_TCP && is_one;
    let fits = end - network_at - old_len + len <= usize::from(u16::MAX);
    if !may_change || !fits {
        return Err(HERALD_NO_ROOM);
    }
    if from < usize::from(packet.payload_at) { Err(HERALD_WRONG) } else { Ok(()) }
}

/// [loop]
pub(super) unsafe extern "C" fn inject(at: u32, direction: u8, packet: HeraldBytes) -> i32 {
    within(at, |call, at| {
        if call.packets.is_null() {
            return Err(HERALD_NO_CALL);
        }
        let direction = match direction {
            herald_plugin::abi::HERALD_DIRECTION_FROM_OPENER => Direction::FromOpener,
            herald_plugin::abi::HERALD_DIRECTION_TO_OPENER => Direction::ToOpener,
            _ => return Err(HERALD_WRONG),
        };
        if packet.len == 0 || packet.len > usize::from(u16::MAX) {
            return Err(HERALD_WRONG);
        }
        // SAFETY: the plugin gives bytes that live for this call.
        let packet = call.effects.keep(unsafe { slice_of(packet.bytes, packet.len) })?;
        call.effects.push(at, Effect::Inject { direction, packet })
    })
}

/// [loop]
pub(super) unsafe extern "C" fn mark(at: u32, mark: u32) -> i32 {
    within(at, |call, at| call.effects.push(at, Effect::Mark(mark)))
}

/// [loop]
pub(super) unsafe extern "C" fn note(at: u32, name: HeraldText, value: HeraldText) -> i32 {
    within(at, |call, at| {
        // SAFETY: the plugin gives texts that live for this call.
        let (name, value) = unsafe { (slice_of(name.bytes, name.len), slice_of(value.bytes, value.len)) };
        if name.is_empty() || str::from_utf8(name).is_err() || str::from_utf8(value).is_err() {
            return Err(HERALD_WRONG);
        }
        let too_long = name.len() > herald_core::limits::NOTE_NAME_LEN_MAX;
        if too_long || value.len() > herald_core::limits::NOTE_VALUE_LEN_MAX {
            return Err(HERALD_FULL);
        }
        let (name, value) = (call.effects.keep(name)?, call.effects.keep(value)?);
        call.effects.push(at, Effect::Note { name, value })
    })
}

/// [loop]
pub(super) unsafe extern "C" fn noted(at: u32, name: HeraldText, value: *mut HeraldTextRoom) -> i32 {
    within(at, |call, at| {
        // SAFETY: promised to `open`: a place for each packet, which is the index of a head.
        let (notes, head) = unsafe { (&*call.notes, &*call.heads.add(*call.places.add(at))) };
        // SAFETY: the plugin gives a text that lives for this call, and lends room.
        let (name, room) = unsafe { (slice_of(name.bytes, name.len), value.as_mut()) };
        let Some(room) = room else { return Err(HERALD_WRONG) };
        let (_, found) =
            notes.of(head.notes).iter().find(|(known, _)| known.as_bytes() == name).ok_or(HERALD_NOTHING)?;
        room.len = found.floor_char_boundary(room.capacity);
        // SAFETY: the room has `capacity` bytes.
        unsafe { ptr::copy_nonoverlapping(found.as_ptr(), room.bytes, room.len) };
        Ok(())
    })
}

/// [loop]
pub(super) unsafe extern "C" fn each_note(
    notes: *const c_void,
    context: *mut c_void,
    show: Option<unsafe extern "C" fn(*mut c_void, HeraldText, HeraldText)>,
) {
    let Some(show) = show else { return };
    // SAFETY: the plugin gives what the stream's end came with, which lives as long as that.
    let notes: &[Note] = unsafe { *notes.cast::<&[Note]>() };
    for (name, value) in notes {
        // SAFETY: the contract says that it may be called so; the texts live for the call.
        unsafe { show(context, HeraldText::new(name), HeraldText::new(value)) }
    }
}

/// # Safety
/// So many bytes are readable for `'a`.
unsafe fn slice_of<'a>(bytes: *const u8, len: usize) -> &'a [u8] {
    if bytes.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { slice::from_raw_parts(bytes, len) }
}
