//! `defmt` output of what does not derive it.

use defmt::{Format, Formatter, write};

use crate::path::{FixedPath, Path};
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
        write!(f, "{}", defmt::Debug2Format(self));
    }
}
