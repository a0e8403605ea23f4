//! Memory that is asked for before it is needed, so that its end is a refusal and no abort.

use std::hint::black_box;

use crate::limits::HEADROOM_LEN;

/// True if the machine would still give what the rest of the program may need before tables or pools grow again. It is given
/// back at once, and nothing of it is ever touched.
#[must_use]
pub fn has_headroom() -> bool {
    let mut probe = Vec::<u8>::new();
    let is_given = probe.try_reserve_exact(HEADROOM_LEN).is_ok();
    // Else the compiler takes it for granted that memory which nobody uses is given.
    black_box(&mut probe);
    is_given
}
