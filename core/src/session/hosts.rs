//! Which server to try next, and when.

use core::mem;
use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use super::config::BadConfig;
use crate::connect_string::MAX_HOSTS;
use crate::rng::Rng;

/// The place of a server in the list that the transport was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostIndex(u8);

impl HostIndex {
    /// The place, counted from zero.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// A round through all servers, shuffled once.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    order: [u8; MAX_HOSTS],
    count: NonZeroU8,
    next: u8,
}

impl Hosts {
    pub(super) fn new(count: usize, shuffle: bool, rng: &mut Rng) -> Result<Self, BadConfig> {
        let number = u8::try_from(count).ok().filter(|_| count <= MAX_HOSTS);
        let number = number
            .and_then(NonZeroU8::new)
            .ok_or(BadConfig::Hosts { count })?;
        let mut order = core::array::from_fn(|place| place as u8);
        if shuffle {
            (1..count).for_each(|last| swap(&mut order, last, rng.up_to(last as u64) as usize));
        }
        Ok(Self {
            order,
            count: number,
            next: 0,
        })
    }

    pub(super) fn count(&self) -> NonZeroU32 {
        self.count.into()
    }

    /// The next server of the round.
    pub(super) fn next(&mut self) -> HostIndex {
        let host = self.peek();
        self.next = (self.next + 1) % self.count;
        host
    }

    pub(super) fn peek(&self) -> HostIndex {
        HostIndex(self.order.get(usize::from(self.next)).copied().unwrap_or(0))
    }

    /// Makes `host` the next one.
    pub(super) fn prefer(&mut self, host: HostIndex) {
        let place = self.order.iter().position(|&at| at == host.0).unwrap_or(0);
        self.next = place as u8;
    }
}

/// Exchanges two entries, if they are two.
fn swap(order: &mut [u8], one: usize, other: usize) {
    if let Ok([one, other]) = order.get_disjoint_mut([one, other]) {
        mem::swap(one, other);
    }
}

/// The pauses between attempts to connect: exponential, capped, each drawn evenly from zero up to
/// its bound ("full jitter"), so that the clients of a failed server do not return as one.
///
/// The bound doubles with each round through all servers. While a session may still be saved, it is
/// at most an eighth of the session's timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    /// The bound of the first pause.
    pub base: Duration,
    /// The bound that later pauses never exceed.
    pub cap: Duration,
    /// How long a connection must have served before the bounds start from `base` again.
    pub stable: Duration,
}

impl Backoff {
    /// One second, growing to ten, forgotten after ten seconds of service.
    pub const DEFAULT: Self = Self {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(10),
        stable: Duration::from_secs(10),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_visits_every_server_once() {
        for count in 1..=MAX_HOSTS {
            let mut hosts = Hosts::new(count, true, &mut Rng::new(count as u64)).unwrap();
            let mut seen = [0; MAX_HOSTS];
            (0..2 * count).for_each(|_| seen[hosts.next().get()] += 1);
            assert!(seen[..count].iter().all(|&times| times == 2));
        }
    }

    #[test]
    fn every_server_starts_some_round() {
        let firsts = |host| {
            (0..64).any(|seed| {
                Hosts::new(5, true, &mut Rng::new(seed))
                    .unwrap()
                    .peek()
                    .get()
                    == host
            })
        };
        assert!((0..5).all(firsts));
        assert_eq!(
            Hosts::new(5, false, &mut Rng::new(9)).unwrap().peek().get(),
            0
        );
    }

    #[test]
    fn counts_out_of_range_are_refused() {
        for count in [0, MAX_HOSTS + 1] {
            assert_eq!(
                Hosts::new(count, true, &mut Rng::new(0)).unwrap_err(),
                BadConfig::Hosts { count }
            );
        }
    }
}
