//! Durations in buckets whose bounds are fixed, so that those of many Switchboards can be added up.

use std::time::Duration;

/// The upper bounds of the buckets, in milliseconds: those that OpenTelemetry recommends for MCP, and finer ones below, since many
/// tools answer at once.
pub const BOUNDS: [u64; 16] =
    [1, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000];

/// How long things took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many there were up to each bound and above the one before; the last place is for those above all bounds.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
    /// The shortest; `None` if there was none.
    pub min: Option<Duration>,
    /// The longest.
    pub max: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| micros <= bound * 1000).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(took);
        self.min = Some(self.min.map_or(took, |min| min.min(took)));
        self.max = self.max.max(took);
    }

    /// The time within which this part of them, from 0 to 1, was done; `None` if there was none. Within a bucket it is estimated.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let (wanted, shortest) = (part * self.count() as f64, self.min?);
        let mut below = 0.0;
        for (place, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let here = *count as f64;
            if below + here >= wanted {
                let bound = |place: usize| BOUNDS.get(place).copied().map(Duration::from_millis);
                let from = place.checked_sub(1).and_then(bound).unwrap_or_default().max(shortest);
                let to = bound(place).unwrap_or(self.max).min(self.max);
                let way = ((wanted - below) / here).clamp(0.0, 1.0);
                return Some(from + to.saturating_sub(from).mul_f64(way));
            }
            below += here;
        }
        Some(self.max)
    }

    /// How long they took on average; `None` if there was none.
    pub fn average(&self) -> Option<Duration> {
        self.sum.checked_div(u32::try_from(self.count()).unwrap_or(u32::MAX))
    }

    /// The sum of both.
    pub fn and(mut self, other: Self) -> Self {
        for (count, more) in self.buckets.iter_mut().zip(other.buckets) {
            *count += more;
        }
        Self {
            buckets: self.buckets,
            sum: self.sum.saturating_add(other.sum),
            min: self.min.into_iter().chain(other.min).min(),
            max: self.max.max(other.max),
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_middle() {
        assert_eq!((Histogram::default().quantile(0.5), Histogram::default().average()), (None, None));
    }

    proptest! {
        /// An estimate lies in the bucket of the true value, and between the shortest and the longest.
        #[test]
        fn parts_are_done_within_their_bucket(
            mut millis in proptest::collection::vec(0u64..400_000, 1..60), part in 0.01f64..=1.0,
        ) {
            let mut histogram = Histogram::default();
            millis.iter().for_each(|one| histogram.add(Duration::from_millis(*one)));
            millis.sort_unstable();
            let place = ((part * millis.len() as f64).ceil() as usize).clamp(1, millis.len()) - 1;
            let bucket = |millis: u64| BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(BOUNDS.len());
            let estimate = histogram.quantile(part).expect("there are some");
            prop_assert!(histogram.min <= Some(estimate) && estimate <= histogram.max);
            let truth = millis[place];
            let low = bucket(truth).checked_sub(1).map_or(0, |place| BOUNDS[place]);
            prop_assert!(estimate.as_millis() as u64 >= low, "{estimate:?} for {truth}");
            let high = BOUNDS.get(bucket(truth)).copied().unwrap_or(u64::MAX);
            prop_assert!(estimate <= Duration::from_millis(high), "{estimate:?} for {truth}");
        }
    }
}
