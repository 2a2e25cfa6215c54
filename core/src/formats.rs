//! `defmt` output of what does not derive it.

use defmt::{Debug2Format, Format, Formatter, write};

use crate::client::Client;
use crate::path::{FixedPath, Path};
use crate::recipes::cache::FixedNode;
use crate::recipes::{
    Candidate, Election, Guard, Leader, Lock, ReadGuard, RwLock, Semaphore, WriteGuard,
};
use crate::session::Credentials;
use crate::time::Instant;
use crate::wire::Events;

impl Format for Path<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=str}", self.as_str());
    }
}

impl<const N: usize> Format for FixedPath<N> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=str}", self.as_ref());
    }
}

impl Format for Instant {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{=u64:us}", self.as_micros());
    }
}

impl Format for Events {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{}", Debug2Format(self));
    }
}

/// Leaves out the password, which is secret.
impl Format for Credentials {
    fn format(&self, f: Formatter<'_>) {
        write!(
            f,
            "Credentials {{ id: {=u64:#x}, password: .., zxid: {=u64:#x} }}",
            self.id.cast_unsigned(),
            self.zxid.cast_unsigned()
        );
    }
}

impl<const PATH: usize, const DATA: usize> Format for FixedNode<PATH, DATA> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{}", Debug2Format(self));
    }
}

impl<C: Client> Format for Guard<C> {
    fn format(&self, f: Formatter<'_>) {
        let token = self.fencing_token().cast_unsigned();
        write!(f, "Guard({}, fencing token {=u64:#x})", self.path(), token);
    }
}

impl<C: Client> Format for ReadGuard<C> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "ReadGuard({})", **self);
    }
}

impl<C: Client> Format for WriteGuard<C> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "WriteGuard({})", **self);
    }
}

impl<C: Client> Format for Leader<C> {
    fn format(&self, f: Formatter<'_>) {
        let token = self.fencing_token().cast_unsigned();
        write!(f, "Leader({}, {=u64:#x})", self.path(), token);
    }
}

impl<C: Client, D: AsRef<[u8]>> Format for Lock<C, D> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "Lock({})", self.path());
    }
}

impl<C: Client, D: AsRef<[u8]>> Format for RwLock<C, D> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "RwLock({})", self.path());
    }
}

impl<C: Client, D: AsRef<[u8]>> Format for Election<C, D> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "Election({})", self.path());
    }
}

impl<C: Client, D> Format for Semaphore<C, D> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{}", Debug2Format(self));
    }
}

impl<C: Client, D> Format for Candidate<'_, C, D> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "{}", Debug2Format(self));
    }
}
