//! The property that counts: what the receiver's application reads is what the hook saw, byte for byte, whatever sender and
//! network do, and wherever the stream is moved.

use herald_testing::chance::Chance;
use herald_testing::schedule::{Moves, play};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_is_read_was_seen(schedule in prop::collection::vec(any::<u8>(), 3..400)) {
        let story = play(&schedule, Moves::Never);
        prop_assert_eq!(play(&schedule, Moves::Always), story, "moved at each step");
    }
}

/// Schedules that only repeat a healthy transfer would prove nothing.
#[test]
fn schedules_are_hostile_enough() {
    let mut chance = Chance::new(1, "schedules");
    let mut sums = [0_usize; 7];
    for _ in 0..2_000 {
        let len = chance.place(400);
        let schedule: Vec<u8> = (0..len).map(|_| u8::try_from(chance.below(256)).unwrap_or_default()).collect();
        let story = play(&schedule, Moves::Never);
        let happened = [
            story.conflicts > 0,
            story.dropped > 0,
            story.is_reset,
            story.is_ended,
            story.is_bypassed,
            story.is_truth,
            story.read > 100,
        ];
        for (sum, happened) in sums.iter_mut().zip(happened) {
            *sum += usize::from(happened);
        }
    }
    println!("conflicts, drops, resets, ends, bypasses, truth, progress: {sums:?} of 2000");
    assert!(sums.iter().all(|sum| *sum > 20), "{sums:?}");
}
