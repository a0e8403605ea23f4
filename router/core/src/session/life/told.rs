//! A stream's life as it travels to the node that takes the stream over. Windows stay behind: the new owner sees them soon,
//! and until then believes in the greatest.

use serde::{Deserialize, Serialize};

use super::{Half, Life, Reset, State, Syn};

/// The sequence number behind the last byte sent, the last acknowledgement number sent, and the sequence number behind this
/// direction's FIN.
type Numbers = (Option<u32>, Option<u32>, Option<u32>);

/// A life on the mesh.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    state: State,
    was_reset: bool,
    answered: bool,
    protocol: u8,
    /// Not used any more.
    opening_sequence: u32,
    opener: Numbers,
    responder: Numbers,
}

impl From<Life> for Told {
    fn from(life: Life) -> Self {
        let numbers = |half: &Half| (half.next(), half.acknowledged(), half.fin());
        Self {
            state: life.state,
            was_reset: life.was_reset(),
            answered: life.answered,
            protocol: life.protocol,
            opening_sequence: 0,
            opener: numbers(&life.opener),
            responder: numbers(&life.responder),
        }
    }
}

impl From<Told> for Life {
    fn from(told: Told) -> Self {
        let half = |(next, acknowledged, fin)| Half::told(next, acknowledged, fin);
        Self {
            opener: half(told.opener),
            responder: half(told.responder),
            syn: Syn::default(),
            state: told.state,
            reset: if told.was_reset { Reset::Perhaps } else { Reset::No },
            answered: told.answered,
            protocol: told.protocol,
        }
    }
}
