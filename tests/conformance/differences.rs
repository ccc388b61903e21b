//! What may differ between a run through Switchboard and the same run without it: nothing but what a test lists. Each entry says
//! why; an entry that no longer occurs fails the test, so that the list tells the truth.

use crate::suite::{Place, Report, Status};

/// A check that comes out otherwise through Switchboard.
pub(crate) struct Difference {
    pub(crate) scenario: &'static str,
    pub(crate) id: &'static str,
    pub(crate) direct: Status,
    pub(crate) through: Status,
    /// Why that is right, or cannot be helped.
    #[expect(dead_code, reason = "for the reader")]
    pub(crate) reason: &'static str,
}

impl Difference {
    fn is_at(&self, place: &Place) -> bool {
        self.scenario == place.scenario && self.id == place.id
    }
}

/// Compares check by check, and fails with every difference that is not allowed and every allowed one that is none.
pub(crate) fn assert_equal(direct: &Report, through: &Report, allowed: &[&[Difference]]) {
    let allowed: Vec<&Difference> = allowed.iter().copied().flatten().collect();
    let mut found = Vec::new();
    let mut met = vec![false; allowed.len()];
    for place in direct.places(through) {
        let (without, with) = (direct.at(place), through.at(place));
        if without.status == with.status {
            continue;
        }
        let fits = |entry: &&Difference| {
            entry.is_at(place) && entry.direct == without.status && entry.through == with.status
        };
        if let Some(index) = allowed.iter().position(fits) {
            met[index] = true;
            continue;
        }
        found.push(format!(
            "{place}\n  direct:  {:?}: {}\n  through: {:?}: {}",
            without.status, without.words, with.status, with.words
        ));
    }
    for (entry, met) in allowed.into_iter().zip(met) {
        if !met {
            found.push(format!("{}: {} is listed as a difference and is none", entry.scenario, entry.id));
        }
    }
    assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
}
