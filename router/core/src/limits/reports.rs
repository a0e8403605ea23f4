//! Bounds of what people ask nodes: of the query that goes to the whole cluster, and of what is kept of dropped frames.

use std::time::Duration;

use super::{BULK_BYTES_MAX, CONTROL_MESSAGE_LEN_MAX, MEMBERS_MAX, SMALL_MESSAGE_LEN_MAX};

/// Bytes in one piece of an answer to the whole cluster's query: announcements wait behind no more than this.
pub const INQUIRY_PIECE_LEN_MAX: usize = 32 * 1024;

/// Bytes of the message that carries a piece.
pub const INQUIRY_LEN_MAX: usize = INQUIRY_PIECE_LEN_MAX + 64;

/// Bytes of one node's whole answer: some thousand rows of a report. Who wants more asks that node itself.
pub const INQUIRY_ANSWER_LEN_MAX: usize = 2 * 1024 * 1024;

/// Rows of a report in one node's answer, so that a million sessions are not written down for nothing.
pub const INQUIRY_ROWS_MAX: usize = 4_096;

/// Bytes of a question: a report's path.
pub const INQUIRY_QUESTION_LEN_MAX: usize = SMALL_MESSAGE_LEN_MAX;

/// Questions and pieces that nobody has fetched yet: what all members may have on their way at once.
pub const INQUIRIES_MAX: usize = MEMBERS_MAX * (BULK_BYTES_MAX / INQUIRY_PIECE_LEN_MAX);

/// Queries to the whole cluster that one node has open; people do not ask for more.
pub const QUERIES_OPEN_MAX: usize = 8;

/// Answers that one node sends at the same time, to whoever asks.
pub const INQUIRIES_ANSWERED_MAX: usize = 16;

/// Pieces sent in one turn, so that frames do not wait long for them.
pub const TURN_PIECES_MAX: usize = 2;

/// Time for a member's whole answer; who is silent for longer is named.
pub const INQUIRY_TIME_MAX: Duration = Duration::from_secs(2);

/// Frames kept of those that one reason ended, the newest: a flood of one reason pushes no other out.
pub const DROPS_KEPT_PER_REASON: usize = 16;

/// The same of those that plugins ended, which people ask about most.
pub const VERDICTS_KEPT: usize = 256;

/// Bytes kept of a dropped frame: enough for the ports of an IPv6 packet that an ICMPv6 error quotes.
pub const DROPPED_BYTES_KEPT: usize = 128;

const _: () = assert!(INQUIRY_LEN_MAX + 128 <= CONTROL_MESSAGE_LEN_MAX && INQUIRY_LEN_MAX < BULK_BYTES_MAX);
const _: () = assert!(INQUIRY_QUESTION_LEN_MAX <= INQUIRY_PIECE_LEN_MAX && DROPPED_BYTES_KEPT <= u8::MAX as usize);
