//! Which of several instances of a server gets a call: sums over given times and given luck, no clock and no lock.
//!
//! | strategy | picks |
//! |---|---|
//! | `round_robin` | the instance that has not had a call for the longest time |
//! | `least_loaded` | the one with the fewest open calls; of equals the one that answered fastest lately |
//! | `health_based` | by chance, those more often of whose calls more went well lately; none below one half while another is above |
//! | `random` | two by chance, and of them the one with fewer open calls: that spreads calls far better than one draw |

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Balance;
use crate::pipeline::breaker::Verdict;

/// What a call adds to the picture of an instance: the rest is what was known before.
const NEWEST: f64 = 0.2;
/// What is known of an instance's speed and luck loses half of its weight in this time: one that was slow or failed is
/// tried again, whatever it did then.
const HALF_LIFE: Duration = Duration::from_secs(20);
/// Below this part of calls that went well an instance counts as ill.
const WELL: f64 = 0.5;

/// An instance that could not take a call is spared for so long, and twice as long each further time …
const REST: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Balancer {
    strategy: Balance,
    loads: Vec<Load>,
    turns: u64,
}

/// What is known of one instance.
#[derive(Clone, Debug, Default)]
struct Load {
    open: usize,
    /// When it last got a call, in calls.
    turn: u64,
    /// How long its calls take, smoothed, in seconds.
    latency: f64,
    /// The part of its calls that do not go well, smoothed.
    failing: f64,
    /// When the two were last noted.
    noted: Option<Instant>,
    /// How many calls it could not take since one went well.
    misses: u32,
    /// Until when it is spared.
    rests_until: Option<Instant>,
}

impl Load {
    /// How much of what was noted still counts.
    fn weight(&self, now: Instant) -> f64 {
        let age = self.noted.map_or(0.0, |noted| now.saturating_duration_since(noted).as_secs_f64());
        0.5f64.powf(age / HALF_LIFE.as_secs_f64())
    }

    fn health(&self, now: Instant) -> f64 {
        1.0 - self.failing * self.weight(now)
    }

    fn slower_than(&self, other: &Load, now: Instant) -> Ordering {
        (self.latency * self.weight(now)).total_cmp(&(other.latency * other.weight(now)))
    }
}

impl Balancer {
    pub(super) fn new(strategy: Balance, instances: usize) -> Self {
        Self { strategy, loads: vec![Load::default(); instances], turns: 0 }
    }

    /// Another strategy, which knows what this one has learned.
    pub(super) fn follow(&mut self, strategy: Balance) {
        self.strategy = strategy;
    }

    /// Which of these instances gets the next call. `random` gives numbers from 0 to 1.
    pub(super) fn pick(
        &self,
        candidates: &[usize],
        now: Instant,
        mut random: impl FnMut() -> f64,
    ) -> Option<usize> {
        let found: Vec<(usize, &Load)> =
            candidates.iter().filter_map(|index| Some((*index, self.loads.get(*index)?))).collect();
        let picked = match self.strategy {
            Balance::RoundRobin => found.iter().min_by_key(|(_, load)| load.turn),
            Balance::LeastLoaded => found.iter().min_by(|(_, one), (_, other)| {
                let by_speed = || one.slower_than(other, now).then(one.turn.cmp(&other.turn));
                one.open.cmp(&other.open).then_with(by_speed)
            }),
            Balance::HealthBased => return by_health(&found, now, random()),
            Balance::Random => {
                let first = draw(found.len(), random());
                // Another one: as if the first were not there.
                let second = (first + 1 + draw(found.len().saturating_sub(1), random())) % found.len().max(1);
                [first, second].iter().filter_map(|place| found.get(*place)).min_by_key(|(_, load)| load.open)
            }
        };
        picked.map(|(index, _)| *index)
    }

    /// Whether the instances that are ready want help of one that sleeps.
    pub(super) fn wants_more(&self, ready: &[usize]) -> bool {
        let is_busy = |index: &usize| self.loads.get(*index).is_some_and(|load| load.open > 0);
        self.strategy != Balance::LeastLoaded || ready.iter().all(is_busy)
    }

    /// An instance gets a call.
    pub(super) fn begun(&mut self, index: usize) {
        self.dealt(index);
        if let Some(load) = self.loads.get_mut(index) {
            load.open += 1;
        }
    }

    /// An instance has had its turn.
    pub(super) fn dealt(&mut self, index: usize) {
        self.turns += 1;
        if let Some(load) = self.loads.get_mut(index) {
            load.turn = self.turns;
        }
    }

    /// An instance could not take a call, which has gone to another: that costs time, so it is spared for a while, and at least as
    /// long as it wishes. Calls that fall at the same time are one miss.
    pub(super) fn missed(&mut self, index: usize, wish: Option<Duration>, now: Instant) {
        let rests = self.rests(index, now);
        if let Some(load) = self.loads.get_mut(index) {
            if rests {
                let wished = wish.map(|wish| now + wish.min(LONGEST_REST));
                load.rests_until = load.rests_until.max(wished);
                return;
            }
            let rest = REST.saturating_mul(1 << load.misses.min(10)).max(wish.unwrap_or_default());
            load.misses = load.misses.saturating_add(1);
            load.rests_until = Some(now + rest.min(LONGEST_REST));
        }
    }

    /// Whether an instance is spared, if there are others.
    pub(super) fn rests(&self, index: usize, now: Instant) -> bool {
        let until = self.loads.get(index).and_then(|load| load.rests_until);
        until.is_some_and(|until| now < until)
    }

    /// A call is over. One of which nothing is known of the instance only leaves.
    pub(super) fn ended(&mut self, index: usize, verdict: Verdict, took: Duration, now: Instant) {
        let Some(load) = self.loads.get_mut(index) else { return };
        load.open = load.open.saturating_sub(1);
        if verdict == Verdict::Neither {
            return;
        }
        let kept = load.weight(now) * (1.0 - NEWEST);
        let failed = if verdict == Verdict::Bad { 1.0 } else { 0.0 };
        load.failing = load.failing * kept + failed * NEWEST;
        if verdict == Verdict::Good {
            (load.misses, load.rests_until) = (0, None);
            load.latency = match load.noted {
                Some(_) => load.latency * kept + took.as_secs_f64() * (1.0 - kept),
                None => took.as_secs_f64(),
            };
        }
        load.noted = Some(now);
    }
}

fn by_health(found: &[(usize, &Load)], now: Instant, random: f64) -> Option<usize> {
    let any_well = found.iter().any(|(_, load)| load.health(now) > WELL);
    let weight = |load: &Load| match load.health(now) {
        health if any_well && health <= WELL => 0.0,
        health => health.max(0.01),
    };
    let mut left = random * found.iter().map(|(_, load)| weight(load)).sum::<f64>();
    let mut last = None;
    for (index, load) in found.iter().filter(|(_, load)| weight(load) > 0.0) {
        last = Some(*index);
        left -= weight(load);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// A place among so many.
fn draw(count: usize, random: f64) -> usize {
    ((random * count as f64) as usize).min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [usize; 3] = [0, 1, 2];

    fn luck() -> impl FnMut() -> f64 {
        let mut luck = fastrand::Rng::with_seed(7);
        move || luck.f64()
    }

    /// So many calls one after the other; how many each instance got. `verdict` says how they go.
    fn spread(
        balancer: &mut Balancer,
        candidates: &[usize],
        calls: usize,
        verdict: impl Fn(usize) -> Verdict,
    ) -> [usize; 3] {
        let (mut counts, mut luck) = ([0; 3], luck());
        for _ in 0..calls {
            let now = Instant::now();
            let index = balancer.pick(candidates, now, &mut luck).expect("an instance");
            balancer.begun(index);
            balancer.ended(index, verdict(index), Duration::from_millis(10), now);
            counts[index] += 1;
        }
        counts
    }

    fn good(_: usize) -> Verdict {
        Verdict::Good
    }

    #[tokio::test(start_paused = true)]
    async fn round_robin_is_fair_and_one_that_returns_is_not_flooded() {
        let mut balancer = Balancer::new(Balance::RoundRobin, 3);
        assert_eq!(spread(&mut balancer, &ALL, 30, good), [10; 3]);
        assert_eq!(spread(&mut balancer, &[0, 2], 30, good), [15, 0, 15]);
        assert_eq!(spread(&mut balancer, &ALL, 3, good), [1; 3]);
        assert_eq!(balancer.pick(&[], Instant::now(), || 0.0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_loaded_one_is_the_one_with_room_and_then_the_fast_one() {
        let mut balancer = Balancer::new(Balance::LeastLoaded, 3);
        // Calls take one, two and four ticks; one comes each tick, and a second one every other tick.
        let (mut open, mut counts): (Vec<(usize, usize)>, _) = (Vec::new(), [0usize; 3]);
        for tick in 0..700 {
            let now = Instant::now();
            open.retain(|(until, index)| {
                let is_over = *until <= tick;
                if is_over {
                    balancer.ended(*index, Verdict::Good, Duration::from_millis(10 << index), now);
                }
                !is_over
            });
            for _ in 0..1 + tick % 2 {
                let index = balancer.pick(&ALL, now, || 0.0).expect("an instance");
                balancer.begun(index);
                counts[index] += 1;
                open.push((tick + (1 << index), index));
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(counts[0] > counts[1] && counts[1] > counts[2] && counts[2] > 0, "{counts:?}");
        assert!(counts[0] > 600, "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_slow_once_is_tried_again() {
        let mut balancer = Balancer::new(Balance::LeastLoaded, 2);
        let now = Instant::now();
        for (index, millis) in [(0, 10), (1, 1000)] {
            balancer.begun(index);
            balancer.ended(index, Verdict::Good, Duration::from_millis(millis), now);
        }
        let pick = |balancer: &Balancer| balancer.pick(&[0, 1], Instant::now(), || 0.0);
        assert_eq!(pick(&balancer), Some(0));
        // The fast one goes on being called, and what is known of the other one fades.
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(10)).await;
            balancer.begun(0);
            balancer.ended(0, Verdict::Good, Duration::from_millis(10), Instant::now());
        }
        assert_eq!(pick(&balancer), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn health_decides_by_what_went_well_lately() {
        let mut balancer = Balancer::new(Balance::HealthBased, 3);
        let even = spread(&mut balancer, &ALL, 3000, good);
        assert!(even.iter().all(|count| (850..1150).contains(count)), "{even:?}");
        let ill = |index| if index == 1 { Verdict::Bad } else { Verdict::Good };
        let shunned = spread(&mut balancer, &ALL, 3000, ill);
        assert!(shunned[1] < 10, "{shunned:?}");
        // It gets calls again with time, and all of them if there is no other.
        assert_eq!(spread(&mut balancer, &[1], 5, ill), [0, 5, 0]);
        tokio::time::advance(Duration::from_secs(60)).await;
        let again = spread(&mut balancer, &ALL, 3000, good);
        assert!(again[1] > 800, "{again:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn random_spreads_calls_and_looks_where_there_is_room() {
        let mut balancer = Balancer::new(Balance::Random, 3);
        let even = spread(&mut balancer, &ALL, 3000, good);
        assert!(even.iter().all(|count| (850..1150).contains(count)), "{even:?}");
        assert_eq!(spread(&mut balancer, &[2], 5, good), [0, 0, 5]);
        // Calls that do not end: none gets far more than the others.
        let mut luck = luck();
        for _ in 0..300 {
            let index = balancer.pick(&ALL, Instant::now(), &mut luck).expect("an instance");
            balancer.begun(index);
        }
        let open: Vec<usize> = balancer.loads.iter().map(|load| load.open).collect();
        assert!(open.iter().all(|open| (95..=105).contains(open)), "{open:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_nothing_is_spared_ever_longer_until_a_call_goes_well() {
        let mut balancer = Balancer::new(Balance::RoundRobin, 2);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let now = Instant::now();
            // Those that fall together are one.
            (0..5).for_each(|_| balancer.missed(1, None, now));
            let ends = now + Duration::from_secs(seconds);
            assert!(
                balancer.rests(1, ends - Duration::from_millis(1)) && !balancer.rests(1, ends),
                "{seconds}"
            );
            assert!(!balancer.rests(0, now));
            tokio::time::advance(Duration::from_secs(seconds)).await;
        }
        let now = Instant::now();
        balancer.ended(1, Verdict::Good, Duration::ZERO, now);
        assert!(!balancer.rests(1, now));
        balancer.missed(1, Some(Duration::from_secs(7)), now);
        assert!(
            balancer.rests(1, now + Duration::from_secs(6))
                && !balancer.rests(1, now + Duration::from_secs(7))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_loaded_wake_another_only_when_all_are_busy() {
        let mut balancer = Balancer::new(Balance::LeastLoaded, 3);
        assert!(!balancer.wants_more(&[0, 1]));
        balancer.begun(0);
        assert!(!balancer.wants_more(&[0, 1]));
        balancer.begun(1);
        assert!(balancer.wants_more(&[0, 1]));
        assert!(Balancer::new(Balance::RoundRobin, 3).wants_more(&[0]));
    }
}
