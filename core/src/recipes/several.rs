//! Several locks at once.

use crate::client::Client;
use crate::error::Error;
use crate::recipes::guard::Guard;
use crate::recipes::lock::Lock;

/// Acquires all of `locks`, in the order of their paths, into which it puts them: whoever acquires
/// several in this way never waits for another who waits for it.
///
/// The guards are in the order of `locks` as this leaves them. A timeout around this is one deadline
/// for all. The collection may be a `Vec`, or one of fixed size. As they are in one slice, all locks
/// [write](Lock::with_data) data of one type.
///
/// # Errors
/// [`Error::Deadlock`] if two of them are at the same path; otherwise as for [`Lock::acquire`]. Those
/// that were acquired before are released in the background.
///
/// # Cancel safety
/// Dropping the future gives all places and locks back.
#[doc(alias = "InterProcessMultiLock")]
pub async fn acquire_all<C, D, G>(locks: &mut [Lock<C, D>]) -> Result<G, Error>
where
    C: Client,
    D: AsRef<[u8]>,
    G: Default + Extend<Guard<C>>,
{
    locks.sort_unstable_by(|one, other| one.path().as_str().cmp(other.path().as_str()));
    let same = |pair: &[Lock<C, D>]| matches!(pair, [one, other] if one.path() == other.path());
    if locks.windows(2).any(same) {
        return Err(Error::Deadlock);
    }
    let mut guards = G::default();
    for lock in locks {
        guards.extend([lock.acquire().await?]);
    }
    Ok(guards)
}
