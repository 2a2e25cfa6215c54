//! A place in a queue of sequential nodes: the one algorithm beneath all locks.

use crate::client::{Claim, Client, Watcher};
use crate::error::{Code, Error};
use crate::path::{Path, PathBuf};
use crate::recipes::create_parents;
use crate::recipes::reaper::{child, find};
use crate::session::{End, Status};
use crate::wire::{Acl, Create, CreateMode, Delete, Exists, GetChildNames, Pick, PickChildNames};

/// How to stand in which queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) path: Path<'a>,
    /// What the own node is called.
    pub(super) own: &'a str,
    /// Whether the servers are to number it.
    pub(super) sequential: bool,
    /// See [`Names::ahead`](super::Names::ahead).
    pub(super) ahead: &'a str,
    pub(super) data: &'a [u8],
    pub(super) acl: &'a [Acl<'a>],
}

/// An own node in a queue, and the session it belongs to.
pub(super) struct Place<C: Client> {
    /// Fails every call once the session is over.
    pub(super) client: C,
    pub(super) claim: C::Claim,
    pub(super) czxid: i64,
}

impl<C: Client> Place<C> {
    /// Joins the end of the queue.
    pub(super) async fn join(client: &C, entry: &Entry<'_>) -> Result<Self, Error> {
        let (client, session, _) = client.session().await?;
        let mut claim = client.claim(entry.path, entry.own).await?;
        loop {
            let made = match create(&client, entry, &mut claim).await {
                Ok(made) => Some(made),
                // The root of a chroot cannot be made from within.
                Err(Error::Server(Code::NoNode)) if !entry.path.is_root() => {
                    create_parents(&client, entry.path, CreateMode::Container, entry.acl).await?;
                    None
                }
                Err(Error::ConnectionLost) => look(&client, &mut claim).await?,
                Err(error) => {
                    // Unless it may have run there is nothing to clean up. A path that is too long
                    // is that of the node.
                    if !error.may_have_run() && !matches!(error, Error::PathTooLong) {
                        claim.settle();
                    }
                    return Err(error);
                }
            };
            match made {
                Some((owner, czxid)) if owner == session => {
                    return Ok(Self {
                        client,
                        claim,
                        czxid,
                    });
                }
                // A node of another session under this claim's name cannot be; if it is, it is not ours.
                Some(_) => return Err(Error::Server(Code::DataInconsistency)),
                None => {}
            }
        }
    }

    /// Waits until no contender is ahead. Returns the status before the look that found so: whatever
    /// befell the session since is not part of it. `None` means that the own node is gone.
    pub(super) async fn turn(&self, entry: &Entry<'_>) -> Result<Option<Status>, Error> {
        loop {
            let status = self.client.status();
            let ahead = match self.look(entry).await? {
                Standing::First => return Ok(Some(status)),
                Standing::Gone => return Ok(None),
                Standing::Behind(ahead) => ahead,
            };
            self.wait_for(ahead.as_path()).await?;
        }
    }

    /// Looks once. As [`turn`](Self::turn), except that `Behind` says who is ahead.
    pub(super) async fn look(&self, entry: &Entry<'_>) -> Result<Standing<C::Path>, Error> {
        let (own, suffixes) = (self.claim.path().name(), entry.ahead);
        let contenders = PickChildNames {
            path: entry.path,
            pick: Pick::Ahead { own, suffixes },
        };
        let names = match self.client.retry(contenders).await {
            Err(error) if error.is_no_node() => return Ok(Standing::Gone),
            names => names?,
        };
        standing(names.iter(), own, suffixes).try_map(|name| child(entry.path, name))
    }

    /// Waits for a sign that `ahead` may be gone.
    async fn wait_for(&self, ahead: Path<'_>) -> Result<(), Error> {
        // The children of an ephemeral are few: none. Unlike its data they fit any buffer, and unlike
        // `exists` the read leaves no watch behind where the node is gone already.
        match self.client.watch(GetChildNames { path: ahead }).await {
            Ok((names, mut watcher)) => {
                drop(names);
                watcher.next().await;
                Ok(())
            }
            Err(Error::ConnectionLost | Error::Server(Code::NoNode)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives the place up, and waits until the server agrees.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would have room for two places"
    )]
    pub(super) fn leave(self) -> impl Future<Output = Result<(), Error>> {
        async move {
            let delete = Delete {
                path: self.claim.path(),
                version: None,
            };
            match self.client.call(delete).await {
                // With its session the node goes too.
                Err(error) if !error.is_no_node() && !is_expiry(error) => Err(error),
                _ => {
                    self.claim.settle();
                    Ok(())
                }
            }
        }
    }
}

/// Whether the session of a request was over, be it that the client knew or that a server said so.
pub(super) const fn is_expiry(error: Error) -> bool {
    matches!(
        error,
        Error::NotSent(End::Expired) | Error::Server(Code::SessionExpired)
    )
}

/// Creates the node; returns its owner and czxid.
async fn create<C: Client>(
    client: &C,
    entry: &Entry<'_>,
    claim: &mut C::Claim,
) -> Result<(i64, i64), Error> {
    let node = Create {
        path: claim.path(),
        data: entry.data,
        mode: match entry.sequential {
            true => CreateMode::EphemeralSequential,
            false => CreateMode::Ephemeral,
        },
        acl: entry.acl,
    };
    let created = client.call(node).await?;
    let stat = created.stat();
    claim.created(created.path())?;
    Ok((stat.ephemeral_owner, stat.czxid))
}

/// Looks for the node of a create whose reply was lost.
async fn look<C: Client>(client: &C, claim: &mut C::Claim) -> Result<Option<(i64, i64)>, Error> {
    loop {
        let path = match find::<C, C::Path>(client, claim.path()).await {
            Ok(Some(path)) => path,
            Ok(None) => return Ok(None),
            Err(Error::ConnectionLost) => continue,
            Err(error) => return Err(error),
        };
        match client
            .retry(Exists {
                path: path.as_path(),
            })
            .await
        {
            Ok(stat) => {
                claim.created(path.as_path())?;
                return Ok(Some((stat.ephemeral_owner, stat.czxid)));
            }
            Err(error) if error.is_no_node() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where an own node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing<T> {
    First,
    Behind(T),
    Gone,
}

impl<T> Standing<T> {
    fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Standing<U>, E> {
        Ok(match self {
            Self::First => Standing::First,
            Self::Behind(ahead) => Standing::Behind(map(ahead)?),
            Self::Gone => Standing::Gone,
        })
    }
}

/// Finds the contender just ahead of `own` among `names`, those with one of `suffixes`.
fn standing<'n, N>(names: N, own: &str, suffixes: &str) -> Standing<&'n str>
where
    N: Iterator<Item = &'n str> + Clone,
{
    if !names.clone().any(|name| name == own) {
        return Standing::Gone;
    }
    match (Pick::Ahead { own, suffixes }).best(names) {
        Some(name) => Standing::Behind(name),
        None => Standing::First,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::rng::Rng;

    fn stand<'n>(names: &[&'n str], own: &str) -> Standing<&'n str> {
        standing(names.iter().copied(), own, "lock-")
    }

    #[test]
    fn the_nearest_contender_ahead_counts() {
        let names = [
            "_c_b-lock-0000000003",
            "_c_a-lock-0000000001",
            "_c_c-lock-0000000007",
            "_c_d-lock-0000000005",
        ];
        assert_eq!(
            stand(&names, "_c_d-lock-0000000005"),
            Standing::Behind("_c_b-lock-0000000003")
        );
        assert_eq!(stand(&names, "_c_a-lock-0000000001"), Standing::First);
        assert_eq!(stand(&names, "_c_x-lock-0000000009"), Standing::Gone);
    }

    #[test]
    fn names_of_other_clients_are_known() {
        use crate::recipes::Names;
        let cases = [
            (Names::KAZOO, "b__lock__0000000002", "a__lock__0000000001"),
            // Its own begin with the session.
            (
                Names::ZOOKEEPER,
                "_c_b-x-0000000002",
                "x-72057594037927936-0000000001",
            ),
            // Whatever has a number after a dash.
            (
                Names::ZOOKEEPER,
                "_c_b-x-0000000002",
                "_c_a-lock-0000000001",
            ),
            (
                Names::ZOOKEEPER_ELECTION,
                "_c_b-n_0000000002",
                "guid-n_0000000001",
            ),
        ];
        for (rule, own, ahead) in cases {
            let stands = |name| standing([own, name].into_iter(), own, rule.ahead);
            assert_eq!(stands(ahead), Standing::Behind(ahead), "{ahead}");
            assert_eq!(stands("config"), Standing::First);
        }
        let own = "_c_b-lock-0000000002";
        let strangers = ["a__lock__0000000001", "_c_a-n_0000000000"];
        assert_eq!(
            stand(&[own, strangers[0], strangers[1]], own),
            Standing::First
        );
    }

    #[test]
    fn foreign_and_crafted_names_are_no_contenders() {
        let names = [
            "config",
            "é0000000001",
            "lock-é0000000000",
            "_c_",
            "-0000000001",
            "other-0000000000",
            "lock-",
            "../lock-0000000001",
            "a-lock-0000000002",
        ];
        assert_eq!(stand(&names, "a-lock-0000000002"), Standing::First);
    }

    #[test]
    fn numbers_wrap() {
        let names = [
            "a-lock-2147483647",
            "b-lock--2147483648",
            "c-lock--2147483647",
        ];
        assert_eq!(stand(&names, names[0]), Standing::First);
        assert_eq!(stand(&names, names[1]), Standing::Behind(names[0]));
        assert_eq!(stand(&names, names[2]), Standing::Behind(names[1]));
    }

    #[test]
    fn numbers_wrap_behind_underscores_too() {
        let names = [
            "a-__WRIT__2147483647",
            "b-__READ__-2147483648",
            "c-__WRIT__-2147483647",
            "d-__READ__-2147483646",
        ];
        let waits_for = |own: &str, suffixes| standing(names.iter().copied(), own, suffixes);
        for readers in [names[1], names[3]] {
            let ahead = waits_for(readers, "__WRIT__");
            assert!(matches!(ahead, Standing::Behind(name) if name.contains("__WRIT__")));
        }
        let ahead = waits_for(names[2], "__READ__/__WRIT__");
        assert_eq!(ahead, Standing::Behind(names[1]));
    }

    #[test]
    fn names_of_other_clients_contend() {
        let names = [
            "_c_0123456789abcdef0123456789abcdef-lock-0000000004",
            "_c_a-lock-0000000005",
        ];
        assert_eq!(stand(&names, names[1]), Standing::Behind(names[0]));
    }

    /// A name that is a contender with this number, or one that only looks like it.
    fn sibling(rng: &mut Rng, number: i32) -> (String, bool) {
        let stem = ["", "_c_a-", "-", "é", "9", "lock-", "x-0000000001-"][rng.up_to(6) as usize];
        let (name, contends) = match rng.up_to(9) {
            0 => (format!("{stem}read-{number:010}"), false),
            1 => (format!("{stem}lock-{number:010}é"), false),
            2 => (format!("{stem}lock-é{number:010}"), false),
            3 => (
                format!("{stem}lock-{:08}", number.unsigned_abs() % 100_000_000),
                false,
            ),
            4 => (format!("../{stem}lock-{number:010}"), false),
            5 => (format!("{stem}lock-"), false),
            _ => (format!("{stem}lock-{number:010}"), true),
        };
        (name, contends)
    }

    #[test]
    fn among_any_siblings_the_nearest_contender_ahead_counts() {
        let mut rng = Rng::new(3);
        for _ in 0..2_000 {
            // Around zero, around the largest number, and anywhere.
            let middle = [0, i32::MAX, rng.next() as i32][rng.up_to(2) as usize];
            let mine = format!("_c_own-lock-{middle:010}");
            let (mut names, mut ahead) = (vec![mine.clone()], None::<(i32, String)>);
            for _ in 0..rng.up_to(8) {
                let offset = rng.up_to(60) as i32 - 30;
                let (name, contends) = sibling(&mut rng, middle.wrapping_add(offset));
                names.push(name.clone());
                let nearer = ahead.as_ref().is_none_or(|(nearest, _)| offset > *nearest);
                if contends && offset < 0 && nearer {
                    ahead = Some((offset, name));
                }
            }
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let expected = ahead
                .as_ref()
                .map_or(Standing::First, |(_, name)| Standing::Behind(name.as_str()));
            assert_eq!(stand(&names, &mine), expected, "{mine} among {names:?}");
            assert_eq!(stand(&names[1..], &mine), Standing::Gone);
        }
    }
}
