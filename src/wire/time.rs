//! Points in time as messages and log files write them.

use std::time::SystemTime;

/// UTC with milliseconds, as RFC 3339 writes it.
pub fn rfc3339(time: SystemTime) -> String {
    let age = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = age.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    // Each call has such a line in the audit log, and formatting takes as long as all the rest of it.
    let mut text = String::with_capacity(24);
    for (number, digits, after) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (hour, 2, ':'),
        (minute, 2, ':'),
        (second, 2, '.'),
        (u64::from(age.subsec_millis()), 3, 'Z'),
    ] {
        for place in (0..digits).rev() {
            let digit = number / 10u64.pow(place) % 10;
            text.extend(char::from_digit(u32::try_from(digit).unwrap_or_default(), 10));
        }
        text.push(after);
    }
    text
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
