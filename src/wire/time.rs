//! Points in time as messages and log files write them.

use std::ops::Range;
use std::time::SystemTime;

/// UTC with milliseconds, as RFC 3339 writes it.
pub fn rfc3339(time: SystemTime) -> String {
    let age = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = age.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    // Each call has such a line in the audit log, and to format it takes as long as all the rest of it.
    let mut put = |place: Range<usize>, mut number: u64| {
        for digit in text[place].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0..4, year);
    put(5..7, month);
    put(8..10, day);
    put(11..13, hour);
    put(14..16, minute);
    put(17..19, second);
    put(20..23, age.subsec_millis().into());
    String::from_utf8_lossy(&text).into_owned()
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the
/// leap day is the last one and months have a regular length: 153 days for every five.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_utc() {
        let check = |seconds, expected: &str| {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, "2000-02-28T23:59:59.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(4_107_542_399, "2100-02-28T23:59:59.000Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000Z");
    }
}
