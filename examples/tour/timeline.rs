//! Who did what, when.

use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Prints what the actors tell, as it happens. All clones print to the same place.
#[derive(Clone)]
pub(crate) struct Timeline {
    out: Arc<Mutex<dyn Write + Send>>,
    coloured: bool,
    start: Instant,
}

impl Timeline {
    pub(crate) fn new(out: impl Write + Send + 'static, coloured: bool) -> Self {
        Self {
            out: Arc::new(Mutex::new(out)),
            coloured,
            start: Instant::now(),
        }
    }

    /// Begins a chapter.
    pub(crate) fn chapter(&self, title: &str, why: &str) {
        let title = self.paint("1", title);
        self.line(&format!("\n{title}\n{why}"));
    }

    /// One thing that somebody did or learnt.
    pub(crate) fn tell(&self, who: &str, what: impl Display) {
        let seconds = self.start.elapsed().as_secs_f64();
        let time = self.paint("2", &format!("{seconds:7.3} s"));
        let who = self.paint(colour(who), &format!("{who:<8}"));
        self.line(&format!("{time}  {who} {what}"));
    }

    /// What belongs to no actor. Nobody may be listening any more.
    pub(crate) fn line(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.coloured {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// The colour of an actor, as terminals number them.
fn colour(who: &str) -> &'static str {
    match who {
        "alice" => "32",
        "bob" => "36",
        "servers" => "33",
        _ => "31",
    }
}
