//! Dates for people.

use core::fmt;

/// A time in milliseconds since 1970, as a date and a time of day.
pub(super) struct Utc(pub(super) i64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (
            self.0.div_euclid(86_400_000),
            self.0.div_euclid(1000).rem_euclid(86_400),
        );
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
        )
    }
}

/// The year, month and day that are so many days after the first of January 1970.
///
/// Years are counted from March, so that the day that is not always there comes last.
const fn date(days: i64) -> (i64, i64, i64) {
    const YEARS: i64 = 400;
    const DAYS: i64 = 146_097;
    // From the first of March of the year 0.
    let days = days.saturating_add(719_468);
    let (cycle, day) = (days.div_euclid(DAYS), days.rem_euclid(DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = match month {
        0..=9 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    (cycle * YEARS + year + next, month, date)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let dates = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_000_000_000_000, "2001-09-09 01:46:40 UTC"),
            (1_709_251_199_999, "2024-02-29 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ];
        for (millis, text) in dates {
            assert_eq!(Utc(millis).to_string(), text);
        }
        // Whatever a server says.
        let _ = (Utc(i64::MAX).to_string(), Utc(i64::MIN).to_string());
    }
}
