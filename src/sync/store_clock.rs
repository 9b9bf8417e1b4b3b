//! The store's clock compared with this machine's, so that a store's clock that was set back between two syncs is
//! noticed. A change after it has an earlier date than the cursor, and no date of the store shows that.

use std::time::SystemTime;

use crate::timestamp::Timestamp;

/// Largest difference between the clocks that is compared: a day. A larger one is not a clock that was set back a
/// little; the cursor is then later than the clock.
const LARGEST_SECONDS: i64 = 86_400;

/// Smallest difference that a state contains: below it, a response that took long can be the reason.
const SMALLEST_SECONDS: i64 = 30;

/// Seconds by which the difference must shrink before rows are requested from further back: less than the overlap, and
/// more than the smallest difference of a state and the seconds that clocks drift between two syncs.
const SET_BACK_SECONDS: i64 = 90;

/// The store's clock at one response, and this machine's when it has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockReading {
    date: Timestamp,
    now: Timestamp,
}

impl ClockReading {
    /// Returns a reading of a response with this `Date` that has just arrived.
    pub(super) fn new(date: Timestamp) -> Option<Self> {
        Some(Self { date, now: Timestamp::from_system(SystemTime::now())? })
    }

    /// Returns the seconds by which the store's clock is ahead of this machine's.
    fn ahead(self) -> i64 {
        self.date.unix_seconds() - self.now.unix_seconds()
    }

    /// Returns the seconds to save by which the store's clock is ahead of this machine's; `None` for a small or
    /// implausible difference. A value that is nearly the one of the state before stays, so that an unchanged store has
    /// an unchanged state.
    pub(super) fn to_save(self, saved: Option<i64>) -> Option<i64> {
        let ahead = self.ahead();
        match saved {
            Some(saved) if saved.abs_diff(ahead) < SMALLEST_SECONDS.unsigned_abs() => Some(saved),
            _ => Some(ahead).filter(|ahead| (SMALLEST_SECONDS..=LARGEST_SECONDS).contains(&ahead.abs())),
        }
    }

    /// Returns the seconds by which the store's clock was set back since a state with the difference `saved`, `None` if
    /// it was not.
    pub(super) fn set_back_since(self, saved: Option<i64>) -> Option<i64> {
        let ahead = self.ahead();
        let seconds = saved.unwrap_or(0) - ahead;
        (ahead.abs() <= LARGEST_SECONDS && seconds >= SET_BACK_SECONDS).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(ahead: i64) -> ClockReading {
        let at = |seconds| Timestamp::from_unix_seconds(1_700_000_000 + seconds);
        ClockReading { date: at(ahead), now: at(0) }
    }

    #[test]
    fn only_a_clock_that_was_set_back_is_noticed() {
        assert_eq!(reading(0).set_back_since(None), None);
        assert_eq!(reading(0).set_back_since(Some(1800)), Some(1800), "it was ahead, and was corrected");
        assert_eq!(reading(-1800).set_back_since(None), Some(1800), "it was right, and is late now");
        assert_eq!(reading(1800).set_back_since(Some(1800)), None, "it is ahead as before");
        assert_eq!(reading(1800).set_back_since(None), None, "it was set ahead");
        assert_eq!(reading(-80).set_back_since(None), None, "the response took a minute");
        assert_eq!(reading(-80_000_000).set_back_since(None), None, "no plausible clock");
    }

    #[test]
    fn the_difference_of_a_state_changes_only_if_the_clocks_do() {
        assert_eq!(reading(29).to_save(None), None);
        assert_eq!(reading(-31).to_save(None), Some(-31));
        assert_eq!(reading(95).to_save(Some(90)), Some(90));
        assert_eq!(reading(20).to_save(Some(40)), Some(40));
        assert_eq!(reading(0).to_save(Some(40)), None);
        assert_eq!(reading(200_000).to_save(None), None);
    }
}
