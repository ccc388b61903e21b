use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn machine(failure_threshold: u32) -> Machine {
    Machine::new(Rules { failure_threshold, recovery_timeout: 10 * SECOND })
}

fn open_for(wait: Duration) -> Closed {
    Closed { wait, on_trial: false }
}

fn call(machine: &mut Machine, verdict: Verdict, now: Instant) -> Option<&'static str> {
    let pass = machine.admit(now).expect("it is closed");
    machine.report(pass, verdict, now, 0.5)
}

#[test]
fn failures_in_a_row_open_it() {
    let (mut machine, now) = (machine(3), Instant::now());
    for verdict in [Verdict::Bad, Verdict::Bad, Verdict::Good, Verdict::Bad, Verdict::Neither, Verdict::Bad] {
        assert_eq!(call(&mut machine, verdict, now), None);
    }
    assert_eq!(call(&mut machine, Verdict::Bad, now), Some("open"));
    assert_eq!(machine.admit(now + 9 * SECOND).unwrap_err(), open_for(SECOND));
}

#[test]
fn half_of_enough_calls_opens_it() {
    let (mut machine, start) = (machine(1000), Instant::now());
    for round in 0..9 {
        let now = start + round * SECOND;
        assert_eq!(call(&mut machine, Verdict::Good, now), None);
        assert_eq!(call(&mut machine, Verdict::Bad, now), None);
    }
    assert_eq!(call(&mut machine, Verdict::Good, start + 9 * SECOND), None);
    assert_eq!(call(&mut machine, Verdict::Bad, start + 9 * SECOND), Some("open"));
}

#[test]
fn old_failures_are_forgotten() {
    let (mut machine, start) = (machine(1000), Instant::now());
    // A failure and a success every four seconds: never twenty calls within half a minute.
    for round in 0..100 {
        let now = start + 4 * round * SECOND;
        assert_eq!(call(&mut machine, Verdict::Good, now), None);
        assert_eq!(call(&mut machine, Verdict::Bad, now), None);
    }
    // And after a long silence nothing is left.
    let later = start + 4000 * SECOND;
    for _ in 0..19 {
        assert_eq!(call(&mut machine, Verdict::Bad, later), None);
    }
    assert_eq!(call(&mut machine, Verdict::Bad, later), Some("open"));
}

#[test]
fn every_trial_that_fails_doubles_the_rest_up_to_a_bound() {
    let (mut machine, mut now) = (machine(1), Instant::now());
    call(&mut machine, Verdict::Bad, now);
    let mut rests = Vec::new();
    for _ in 0..12 {
        let rest = machine.closed(now).expect("it is open").wait;
        rests.push(rest.as_secs());
        now += rest;
        let pass = machine.admit(now).expect("a trial");
        assert_eq!(machine.admit(now).unwrap_err(), Closed { wait: 10 * SECOND, on_trial: true });
        assert_eq!(machine.report(pass, Verdict::Bad, now, 0.5), Some("open"));
    }
    assert_eq!(rests, [10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600, 600]);
    now += LONGEST;
    assert_eq!(call(&mut machine, Verdict::Good, now), Some("closed"));
    assert_eq!(call(&mut machine, Verdict::Bad, now), Some("open"));
    assert_eq!(machine.closed(now), Some(open_for(10 * SECOND)), "it is as good as new");
}

#[test]
fn a_trial_that_takes_long_does_not_keep_all_others_out() {
    let (mut machine, mut now) = (machine(1), Instant::now());
    call(&mut machine, Verdict::Bad, now);
    now += 10 * SECOND;
    let slow = machine.admit(now).expect("a trial");
    assert!(machine.admit(now + 9 * SECOND).is_err());
    now += 10 * SECOND;
    assert_eq!(call(&mut machine, Verdict::Good, now), Some("closed"));
    assert_eq!(machine.report(slow, Verdict::Bad, now, 0.5), None);
    assert_eq!(machine.closed(now), None);
}

#[test]
fn what_began_before_says_nothing_afterwards() {
    let (mut machine, now) = (machine(2), Instant::now());
    let late: Vec<Pass> = (0..4).map(|_| machine.admit(now).unwrap()).collect();
    machine.report(late[0], Verdict::Bad, now, 0.5);
    assert_eq!(machine.report(late[1], Verdict::Bad, now, 0.5), Some("open"));
    let until = machine.closed(now);
    assert_eq!(machine.report(late[2], Verdict::Bad, now, 0.5), None);
    assert_eq!(machine.report(late[3], Verdict::Good, now, 0.5), None);
    assert_eq!(machine.closed(now), until);
}

proptest! {
    /// Whatever comes in whatever order: while it is open nobody passes before the time, then one at a time.
    #[test]
    fn one_trial_at_a_time(steps in proptest::collection::vec((0u64..20, 0usize..3, any::<bool>(), 0.0f64..1.0), 1..200)) {
        let (mut machine, mut now) = (machine(2), Instant::now());
        let mut passes: Vec<Pass> = Vec::new();
        for (seconds, verdict, calls, random) in steps {
            now += Duration::from_secs(seconds);
            if calls {
                let before = machine.closed(now);
                match (before, machine.admit(now)) {
                    (None, Ok(pass)) => passes.push(pass),
                    (Some(closed), Ok(pass)) => {
                        prop_assert!(closed.wait.is_zero());
                        let others = machine.closed(now);
                        prop_assert_eq!(others, Some(Closed { wait: 10 * SECOND, on_trial: true }));
                        passes.push(pass);
                    }
                    (Some(closed), Err(refused)) => prop_assert_eq!(closed, refused),
                    (before, after) => prop_assert!(false, "{before:?} {after:?}"),
                }
            } else if let Some(pass) = passes.pop() {
                let verdict = [Verdict::Good, Verdict::Bad, Verdict::Neither][verdict];
                machine.report(pass, verdict, now, random);
            }
            prop_assert!(machine.closed(now).is_none_or(|closed| closed.wait <= LONGEST));
        }
    }
}
