//! What a queue looks like, for the person on call.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::client::Client;
use crate::error::Error;
use crate::path::{PathBuf as _, contender, sequence};
use crate::recipes::names::Names;
use crate::recipes::queue::Queue;
use crate::recipes::reaper::child;
use crate::recipes::utc::Utc;
use crate::wire::{Data, GetChildNames, GetData, Pick};

/// Who stands in a queue, in order, and who waits for whom. It prints as a few lines for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The path of the queue.
    pub path: String,
    /// Those who stand in it, from the front on.
    pub contenders: Vec<Contender>,
    /// How many other children there are, which everybody ignores.
    pub foreign: usize,
    /// The id of the own session; 0 if there is none.
    pub session: i64,
}

/// One who stands in a queue.
#[derive(Clone, PartialEq, Eq)]
pub struct Contender {
    /// The name of its node.
    pub name: String,
    /// What it wrote there.
    pub data: Vec<u8>,
    /// The id of its session; 0 if its node belongs to none.
    pub session: i64,
    /// Since when it stands there: milliseconds since 1970, by the clock of the servers' leader.
    pub since: i64,
    /// The transaction that created its node.
    pub fencing_token: i64,
    /// Whom it waits for, counted from the front on; nobody if it is served.
    pub waits_for: Option<usize>,
}

/// Leaves out the data, which may be secret.
impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .field("session", &self.session)
            .field("waits_for", &self.waits_for)
            .finish_non_exhaustive()
    }
}

impl<C: Client, D: AsRef<[u8]>> Queue<C, D> {
    /// Reads the queue of those who follow one of `rules`, of which the last is for all others.
    pub(super) async fn explain(&self, rules: &[Names]) -> Result<Explanation, Error> {
        let path = self.path();
        let names: Vec<String> = match self.client.retry(GetChildNames { path }).await {
            Err(error) if error.is_no_node() => Vec::new(),
            names => names?.iter().map(str::to_owned).collect(),
        };
        let children = names.len();
        let names = in_order(names, rules);
        let foreign = children - names.len();
        let mut contenders = Vec::new();
        for name in names {
            let node = child::<C::Path>(path, &name)?;
            let path = node.as_path();
            match self.client.retry(GetData { path }).await {
                Ok(data) => contenders.push(Contender::new(name, &data)),
                // It has gone since.
                Err(error) if error.is_no_node() => {}
                Err(error) => return Err(error),
            }
        }
        tell_who_waits(&mut contenders, rules);
        Ok(Explanation {
            path: path.as_str().to_owned(),
            contenders,
            foreign,
            session: self.client.lease().0,
        })
    }
}

impl Contender {
    fn new<B: AsRef<[u8]>>(name: String, data: &Data<B>) -> Self {
        let stat = data.stat();
        Self {
            name,
            data: data.data().to_vec(),
            session: stat.ephemeral_owner,
            since: stat.ctime,
            fencing_token: stat.czxid,
            waits_for: None,
        }
    }
}

/// The contenders, from the front on.
fn in_order(mut names: Vec<String>, rules: &[Names]) -> Vec<String> {
    let contends = |name: &str| {
        let mut known = rules.iter().flat_map(|rule| [rule.own, rule.ahead]);
        known.any(|suffixes| contender(name, suffixes).is_some())
    };
    names.retain(|name| contends(name));
    let number = |name: &str| sequence(name).map_or(0, |(_, number)| number);
    let front = Pick::Front("").best(names.iter().map(String::as_str));
    let front = front.map_or(0, number);
    // As distances from the front they do not wrap.
    names.sort_by_key(|name| number(name).wrapping_sub(front).cast_unsigned());
    names
}

fn tell_who_waits(contenders: &mut [Contender], rules: &[Names]) {
    let names: Vec<_> = contenders.iter().map(|one| one.name.clone()).collect();
    for contender in contenders {
        contender.waits_for = waits_for(&contender.name, &names, rules);
    }
}

fn waits_for(own: &str, names: &[String], rules: &[Names]) -> Option<usize> {
    let is_own = |rule: &&Names| contender(own, rule.own).is_some();
    let rule = rules.iter().find(is_own).or_else(|| rules.last())?;
    let suffixes = rule.ahead;
    let ahead = Pick::Ahead { own, suffixes }.best(names.iter().map(String::as_str))?;
    names.iter().position(|name| name == ahead)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.contenders.len();
        write!(f, "{}: {count} in the queue", self.path)?;
        if self.foreign > 0 {
            write!(
                f,
                ", and {} other children, which are ignored",
                self.foreign
            )?;
        }
        for (place, contender) in self.contenders.iter().enumerate() {
            write!(f, "\n  {place}. {} of ", contender.name)?;
            match contender.session {
                0 => f.write_str("no session")?,
                own if own == self.session => write!(f, "session {own:#x} (this one)")?,
                other => write!(f, "session {other:#x}")?,
            }
            write!(f, ", since {}", Utc(contender.since))?;
            match contender.waits_for {
                Some(ahead) => write!(f, ", waits for {ahead}.")?,
                None => f.write_str(", is served")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use alloc::vec;

    use super::*;
    use crate::recipes::names::RwNames;

    fn contender(name: &str, session: i64) -> Contender {
        Contender {
            name: name.to_owned(),
            data: Vec::new(),
            session,
            since: 1_000_000_000_000,
            fencing_token: 1,
            waits_for: None,
        }
    }

    #[test]
    fn a_queue_is_in_order_around_the_wrap() {
        let names = [
            "b-lock--2147483648",
            "config",
            "a-lock-2147483647",
            "x-0000000001",
        ];
        let names = names.map(str::to_owned).to_vec();
        let ordered = in_order(names, &[Names::CURATOR]);
        assert_eq!(ordered, ["a-lock-2147483647", "b-lock--2147483648"]);
    }

    #[test]
    fn readers_wait_for_writers_and_writers_for_all() {
        let rules = [RwNames::CURATOR.read, RwNames::CURATOR.write];
        let mut queue = vec![
            contender("a-__READ__0000000001", 1),
            contender("b-__READ__0000000002", 2),
            contender("c-__WRIT__0000000003", 3),
            contender("d-__READ__0000000004", 1),
            contender("e-__WRIT__0000000005", 1),
        ];
        tell_who_waits(&mut queue, &rules);
        let waits: Vec<_> = queue.iter().map(|one| one.waits_for).collect();
        assert_eq!(waits, [None, None, Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn it_reads_well() {
        let mut contenders = vec![
            contender("a-lock-0000000001", 0x10),
            contender("b-lock-0000000002", 0x20),
            contender("c-lock-0000000003", 0),
        ];
        tell_who_waits(&mut contenders, &[Names::CURATOR]);
        let explanation = Explanation {
            path: "/locks/report".to_owned(),
            contenders,
            foreign: 1,
            session: 0x20,
        };
        let lines = "\
/locks/report: 3 in the queue, and 1 other children, which are ignored
  0. a-lock-0000000001 of session 0x10, since 2001-09-09 01:46:40 UTC, is served
  1. b-lock-0000000002 of session 0x20 (this one), since 2001-09-09 01:46:40 UTC, waits for 0.
  2. c-lock-0000000003 of no session, since 2001-09-09 01:46:40 UTC, waits for 1.";
        assert_eq!(explanation.to_string(), lines);
        let disconnected = Explanation {
            session: 0,
            ..explanation
        };
        assert!(!disconnected.to_string().contains("this one"));
    }
}
