//! A lock that its owner may acquire again.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::ErrorKind;
use crate::{Guard, Lock};

/// A [`Lock`] that whoever has it may acquire again, as Curator's `InterProcessMutex` allows a thread
/// to.
///
/// Tasks have no threads of their own, so that an owner is known by a key: the id of a job, say.
/// Clones share their owners; other clients, and other locks at the same path, do not.
#[derive(Clone)]
pub struct ReentrantLock<K> {
    lock: Lock,
    owners: Arc<Mutex<HashMap<K, Arc<Owner>>>>,
}

/// What an owner has; locked while it is being acquired.
type Owner = tokio::sync::Mutex<Weak<Guard>>;

impl<K> fmt::Debug for ReentrantLock<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReentrantLock({})", self.lock.path())
    }
}

impl<K: Hash + Eq> ReentrantLock<K> {
    /// Lets owners acquire `lock` again.
    pub fn new(lock: Lock) -> Self {
        Self {
            lock,
            owners: Arc::default(),
        }
    }

    /// Waits for the lock, unless `owner` has it: then this is one more guard of the same, and the
    /// lock is released with the last of them.
    ///
    /// If the lock was lost it is acquired anew. The guards of what was lost should be dropped: the
    /// node of one whose session lives on is in the way until they are.
    ///
    /// # Errors
    /// As for [`Lock::acquire`](docent_core::recipes::Lock::acquire).
    ///
    /// # Cancel safety
    /// Dropping the future at any time gives the place in the queue, or the lock, back.
    pub async fn acquire(&self, owner: K) -> Result<ReentrantGuard, ErrorKind> {
        let owner = self.owner(owner);
        let mut held = owner.lock().await;
        if let Some(guard) = held.upgrade()
            && guard.is_held()
        {
            return Ok(ReentrantGuard(guard));
        }
        let guard = Arc::new(self.lock.acquire().await?);
        *held = Arc::downgrade(&guard);
        Ok(ReentrantGuard(guard))
    }

    fn owner(&self, owner: K) -> Arc<Owner> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, owner| is_of_use(owner));
        Arc::clone(owners.entry(owner).or_default())
    }
}

/// Whether it holds the lock, or waits for it.
fn is_of_use(owner: &Arc<Owner>) -> bool {
    let holds = |held: &Weak<Guard>| held.strong_count() > 0;
    Arc::strong_count(owner) > 1 || owner.try_lock().is_ok_and(|held| holds(&held))
}

/// A [`Guard`] of an owner, perhaps one of several.
#[derive(Clone, Debug)]
pub struct ReentrantGuard(Arc<Guard>);

impl Deref for ReentrantGuard {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.0
    }
}

impl ReentrantGuard {
    /// Releases the lock if this is the owner's last guard, and waits until the server agrees.
    ///
    /// # Errors
    /// As for [`Guard::release`](docent_core::recipes::Guard::release).
    ///
    /// # Cancel safety
    /// As for [`Guard::release`](docent_core::recipes::Guard::release).
    pub async fn release(self) -> Result<(), ErrorKind> {
        match Arc::into_inner(self.0) {
            Some(guard) => guard.release().await,
            None => Ok(()),
        }
    }
}
