//! A token bucket: so many at once, so many in a second.

use std::time::Duration;

use super::Instant;

/// Counts what leaves and what would be too much.
#[derive(Clone, Debug)]
pub struct Bucket {
    cost: Duration,
    credit: Duration,
    credit_max: Duration,
    filled: Instant,
    refused: u64,
}

impl Bucket {
    /// Full at first. Both numbers are at least 1.
    #[must_use]
    pub fn new(now: Instant, per_second: u32, burst: u32) -> Self {
        let cost = Duration::from_secs(1) / per_second.max(1);
        let credit_max = cost * burst.max(1);
        Self { cost, credit: credit_max, credit_max, filled: now, refused: 0 }
    }

    /// Takes one token; `None`: there is none.
    pub fn take(&mut self, now: Instant) -> Option<()> {
        self.credit = (self.credit + now.since(self.filled)).min(self.credit_max);
        self.filled = now;
        if let Some(left) = self.credit.checked_sub(self.cost) {
            self.credit = left;
            return Some(());
        }
        self.refused += 1;
        None
    }

    /// How often there was no token.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(steps in prop::collection::vec(0_u64..20_000_000, 1..500)) {
            let mut bucket = Bucket::new(Instant::default(), 100, 10);
            let (mut now, mut taken) = (Instant::default(), 0_u128);
            for step in steps {
                now = now + Duration::from_nanos(step);
                taken += u128::from(bucket.take(now).is_some());
                prop_assert!(taken <= 10 + now.since(Instant::default()).as_millis() / 10);
            }
        }
    }

    #[test]
    fn fills_up_again_but_not_over_the_burst() {
        let mut bucket = Bucket::new(Instant::default(), 10, 3);
        let later = Instant::default() + Duration::from_secs(60);
        for now in [Instant::default(), later] {
            assert_eq!((0..10).filter(|_| bucket.take(now).is_some()).count(), 3);
        }
        assert_eq!(bucket.refused(), 14);
    }
}
