//! Prometheus' text as a table.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::board::DEADLINE;
use crate::metrics;
use crate::peer::House;

/// Every series with its number, by its name and labels as they stand in the text.
#[derive(Debug)]
pub(crate) struct Numbers(BTreeMap<String, f64>);

impl Numbers {
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut all = BTreeMap::new();
        for line in lines {
            let (series, number) = line.rsplit_once(' ').unwrap();
            let number = number.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert_eq!(all.insert(series.to_owned(), number), None, "{series} stands twice");
        }
        Self(all)
    }

    pub(crate) fn of(house: &House) -> Self {
        Self::read(&metrics(house))
    }

    /// The numbers once they are as expected: what ends a call is written before it is counted nowhere, but what is begun by it
    /// may take a moment.
    #[track_caller]
    pub(crate) fn until(house: &House, what: &str, are: impl Fn(&Self) -> bool) -> Self {
        let until = Instant::now() + DEADLINE;
        loop {
            let numbers = Self::of(house);
            if are(&numbers) {
                return numbers;
            }
            assert!(Instant::now() < until, "{what} did not come: {numbers:#?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The number of this series; zero if it is not there.
    pub(crate) fn get(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or_default()
    }

    /// The number of this series, which must be there.
    #[track_caller]
    pub(crate) fn have(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("there is no {series}: {self:#?}"))
    }

    /// The sum of all series that begin like this.
    pub(crate) fn sum(&self, begin: &str) -> f64 {
        self.0.iter().filter(|(series, _)| series.starts_with(begin)).map(|(_, number)| number).sum()
    }
}
