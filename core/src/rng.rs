//! A small generator for jitter and shuffling. Not for secrets.

/// SplitMix64: passes every seed, zero included, through a full-period sequence.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..=max`.
    pub(crate) const fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            // The product of two 64-bit numbers fits 128 bits, so its high half is below `span`.
            Some(span) => ((self.next() as u128 * span as u128) >> 64) as u64,
            None => self.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bound_and_reaches_both_ends() {
        let mut rng = Rng::new(0);
        let drawn: [bool; 3] = core::array::from_fn(|n| (0..200).any(|_| rng.up_to(2) == n as u64));
        assert_eq!(drawn, [true; 3]);
        assert!((0..1000).all(|_| rng.up_to(2) <= 2));
        assert_eq!(rng.up_to(0), 0);
        rng.up_to(u64::MAX);
    }
}
