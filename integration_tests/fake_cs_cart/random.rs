//! Random numbers from a seed: the same on every machine.

/// Mixes the bits of a number (SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random(mix(seed))
    }

    /// Returns the next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number from 0 to `end` (exclusive); 0 if `end` is not positive.
    pub fn below(&mut self, end: i64) -> i64 {
        match u64::try_from(end) {
            Ok(end) if end > 0 => (self.next_number() % end) as i64,
            _ => 0,
        }
    }

    /// Returns true in this many of a hundred cases.
    pub fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < i64::from(percent)
    }

    /// Returns one of some values.
    pub fn pick<'v, T>(&mut self, values: &'v [T]) -> Option<&'v T> {
        values.get(self.below(values.len() as i64) as usize)
    }
}
