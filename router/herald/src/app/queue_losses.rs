//! Tells of frames that were lost in the TAPs' queues: once when they begin to be lost, and once when it is over.

use std::sync::Arc;

use crate::io::tap_queue::TapQueue;
use herald_core::id::{Interface, PerInterface};

/// Looks without a further loss after which an outbreak is over.
const QUIET_LOOKS: u32 = 10;

/// Both interfaces' queues.
#[derive(Debug)]
pub(super) struct QueueLosses(PerInterface<(Arc<TapQueue>, Outbreak)>);

/// What was seen of one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Outbreak {
    /// Lost at the last look.
    lost: u64,
    /// Lost before the outbreak, and looks since its last loss; `None`: there is no outbreak.
    since: Option<(u64, u32)>,
}

/// What is to be told, with the frames lost in the outbreak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Begins(u64),
    Over(u64),
}

impl QueueLosses {
    /// Losses of these queues.
    #[must_use]
    pub(super) fn new(queues: PerInterface<Arc<TapQueue>>) -> Self {
        Self(PerInterface::from_fn(|interface| (Arc::clone(&queues[interface]), Outbreak::default())))
    }

    /// Looks at both, and tells what is new.
    pub(super) fn look(&mut self) {
        for interface in Interface::BOTH {
            let (queue, outbreak) = &mut self.0[interface];
            match outbreak.look(queue.look()) {
                None => {}
                Some(News::Begins(lost)) => tracing::warn!(
                    "frames of the {interface} interface are lost, {lost} so far: they come faster than this node reads \
                     them, and their queue in the kernel is full"
                ),
                Some(News::Over(lost)) => {
                    tracing::info!("{lost} frames of the {interface} interface were lost; no more are");
                }
            }
        }
    }
}

impl Outbreak {
    fn look(&mut self, lost: u64) -> Option<News> {
        let before = std::mem::replace(&mut self.lost, lost);
        match &mut self.since {
            None if lost > before => {
                self.since = Some((before, 0));
                Some(News::Begins(lost - before))
            }
            None => None,
            Some((_, quiet)) if lost > before => {
                *quiet = 0;
                None
            }
            Some((start, quiet)) => {
                *quiet += 1;
                let over = (*quiet >= QUIET_LOOKS).then_some(News::Over(lost - *start))?;
                self.since = None;
                Some(over)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbreak_is_told_when_it_begins_and_when_it_is_over() {
        let mut outbreak = Outbreak::default();
        let mut look = |lost, times| (0..times).filter_map(|_| outbreak.look(lost)).collect::<Vec<_>>();
        assert_eq!(look(0, 5), []);
        assert_eq!(look(3, 1), [News::Begins(3)]);
        assert_eq!(look(3, QUIET_LOOKS - 1), []);
        assert_eq!(look(7, QUIET_LOOKS), [], "the same outbreak");
        assert_eq!(look(7, 50), [News::Over(7)]);
        assert_eq!(look(8, 1), [News::Begins(1)], "another one");
        assert_eq!(look(8, 50), [News::Over(1)]);
    }
}
