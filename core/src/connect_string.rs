//! Connect strings: `host:port,host:port/chroot`.

use core::fmt;
use core::net::Ipv6Addr;

use thiserror::Error;

use crate::path::{BadPath, Path};

/// The most hosts that a connect string may name.
pub const MAX_HOSTS: usize = 32;

/// The port of hosts that come without one.
pub const DEFAULT_PORT: u16 = 2181;

/// The rule that a connect string breaks. Offsets are in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BadConnectString {
    /// There is nothing before the chroot.
    #[error("the connect string names no host")]
    Empty,
    /// It begins like a URL; hosts are given bare.
    #[error("the connect string has a scheme; write host:port,host:port/chroot")]
    Scheme,
    /// Nothing between two commas, or before a port.
    #[error("a host is missing at byte {at}")]
    EmptyHost {
        /// Where it should be.
        at: usize,
    },
    /// A host name with a character other than ASCII letters, digits, `-`, `.` and `_`.
    #[error("the character {char:?} at byte {at} is not allowed in a host name")]
    BadHostChar {
        /// Where the character is.
        at: usize,
        /// The character.
        char: char,
    },
    /// An IPv6 address without brackets, so that its port cannot be told.
    #[error("the IPv6 address at byte {at} needs brackets")]
    BareIpv6 {
        /// Where it begins.
        at: usize,
    },
    /// A `[` without `]`.
    #[error("the bracket at byte {at} is not closed")]
    UnclosedBracket {
        /// Where it is.
        at: usize,
    },
    /// What is in brackets is not an IPv6 address.
    #[error("there is no IPv6 address in the brackets at byte {at}")]
    BadIpv6 {
        /// Where the bracket is.
        at: usize,
    },
    /// A port that is not a number from 1 to 65535.
    #[error("the port at byte {at} is not a number from 1 to 65535")]
    BadPort {
        /// Where it begins.
        at: usize,
    },
    /// More than [`MAX_HOSTS`].
    #[error("the connect string names more than {MAX_HOSTS} hosts")]
    TooManyHosts,
    /// The chroot is not a valid path. Offsets count from its slash.
    #[error("bad chroot: {0}")]
    Chroot(#[from] BadPath),
}

/// A server to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostPort<'a> {
    /// A name or address; of IPv6, without the brackets.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for HostPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// A checked connect string: the servers, and the path that a client sees as its root.
///
/// Blanks around it and around each host are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectString<'a> {
    hosts: &'a str,
    chroot: &'a str,
}

impl<'a> ConnectString<'a> {
    /// Checks a connect string.
    ///
    /// # Errors
    /// [`BadConnectString`] names the broken rule.
    pub fn parse(text: &'a str) -> Result<Self, BadConnectString> {
        let end = text.find('/').unwrap_or(text.len());
        let (hosts, chroot) = text.split_at_checked(end).unwrap_or((text, ""));
        if hosts.ends_with(':') && chroot.starts_with("//") {
            return Err(BadConnectString::Scheme);
        }
        let chroot = chroot.trim_ascii_end();
        if hosts.trim_ascii().is_empty() {
            return Err(BadConnectString::Empty);
        }
        check_hosts(hosts)?;
        Ok(Self {
            hosts,
            chroot: check_chroot(chroot)?,
        })
    }

    /// The servers, in the order in which they were written.
    pub fn hosts(&self) -> impl Iterator<Item = HostPort<'a>> + Clone + use<'a> {
        self.hosts
            .split(',')
            .filter_map(|entry| host_port(entry, 0).ok())
    }

    /// Number of servers, from 1 to [`MAX_HOSTS`].
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.hosts.split(',').count()
    }

    /// The path below which the client works; empty for the root.
    pub const fn chroot(&self) -> &'a str {
        self.chroot
    }
}

fn check_chroot(chroot: &str) -> Result<&str, BadPath> {
    match chroot {
        "" | "/" => Ok(""),
        _ => Path::new(chroot).map(Path::as_str),
    }
}

fn check_hosts(hosts: &str) -> Result<(), BadConnectString> {
    let mut at: usize = 0;
    hosts.split(',').enumerate().try_for_each(|(index, entry)| {
        if index >= MAX_HOSTS {
            return Err(BadConnectString::TooManyHosts);
        }
        host_port(entry, at)?;
        at = at.saturating_add(entry.len()).saturating_add(1);
        Ok(())
    })
}

/// Reads an entry between two commas; `at` is its offset.
fn host_port(entry: &str, at: usize) -> Result<HostPort<'_>, BadConnectString> {
    let unpadded = entry.trim_ascii_start();
    let at = at
        .saturating_add(entry.len())
        .saturating_sub(unpadded.len());
    let entry = unpadded.trim_ascii_end();
    match entry.strip_prefix('[') {
        Some(address) => bracketed(address, at),
        None => named(entry, at),
    }
}

fn bracketed(entry: &str, at: usize) -> Result<HostPort<'_>, BadConnectString> {
    let (host, port) = entry
        .split_once(']')
        .ok_or(BadConnectString::UnclosedBracket { at })?;
    check_ipv6(host).ok_or(BadConnectString::BadIpv6 { at })?;
    let at = at.saturating_add(host.len()).saturating_add(2);
    match port.strip_prefix(':') {
        Some(port) => Ok(HostPort {
            host,
            port: parse_port(port, at.saturating_add(1))?,
        }),
        None if port.is_empty() => Ok(HostPort {
            host,
            port: DEFAULT_PORT,
        }),
        None => Err(BadConnectString::BadPort { at }),
    }
}

/// The name of a network interface may follow the address.
fn check_ipv6(host: &str) -> Option<Ipv6Addr> {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    check_host(zone, 0).ok()?;
    address.parse().ok()
}

fn named(entry: &str, at: usize) -> Result<HostPort<'_>, BadConnectString> {
    let (host, port) = match entry.split_once(':') {
        Some((_, port)) if port.contains(':') => return Err(BadConnectString::BareIpv6 { at }),
        Some((host, port)) => (
            host,
            parse_port(port, at.saturating_add(host.len()).saturating_add(1))?,
        ),
        None => (entry, DEFAULT_PORT),
    };
    check_host(host, at)?;
    Ok(HostPort { host, port })
}

fn check_host(host: &str, at: usize) -> Result<(), BadConnectString> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | '_');
    match host.char_indices().find(|(_, char)| !allowed(*char)) {
        Some((index, char)) => Err(BadConnectString::BadHostChar {
            at: at.saturating_add(index),
            char,
        }),
        None if host.is_empty() => Err(BadConnectString::EmptyHost { at }),
        None => Ok(()),
    }
}

fn parse_port(port: &str, at: usize) -> Result<u16, BadConnectString> {
    // `parse` alone would take a sign.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(BadConnectString::BadPort { at }),
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_chroot() {
        let parsed = ConnectString::parse(" zk1 , zk-2.example.:99,[::1],[fe80::1%eth0]:7/a/b ");
        let parsed = parsed.unwrap();
        let hosts = [
            ("zk1", 2181),
            ("zk-2.example.", 99),
            ("::1", 2181),
            ("fe80::1%eth0", 7),
        ];
        assert!(
            parsed
                .hosts()
                .eq(hosts.map(|(host, port)| HostPort { host, port }))
        );
        assert_eq!((parsed.len(), parsed.chroot()), (4, "/a/b"));
        assert_eq!(ConnectString::parse("h/").unwrap().chroot(), "");
    }

    #[test]
    fn each_rule_has_its_error() {
        use BadConnectString::*;
        let long = "h,".repeat(MAX_HOSTS) + "h";
        let char = |at, char| BadHostChar { at, char };
        for (text, error) in [
            ("", Empty),
            (" /a", Empty),
            ("zk://h", Scheme),
            ("h,,h", EmptyHost { at: 2 }),
            ("h, ", EmptyHost { at: 3 }),
            (":1", EmptyHost { at: 0 }),
            ("h, a b", char(4, ' ')),
            ("hé", char(1, 'é')),
            ("h\0", char(1, '\0')),
            ("::1", BareIpv6 { at: 0 }),
            ("h:1:2", BareIpv6 { at: 0 }),
            ("h,[::1", UnclosedBracket { at: 2 }),
            ("[h]", BadIpv6 { at: 0 }),
            ("[::1%]", BadIpv6 { at: 0 }),
            ("[::1]1", BadPort { at: 5 }),
            ("[::1]:x", BadPort { at: 6 }),
            ("h:", BadPort { at: 2 }),
            ("h:0", BadPort { at: 2 }),
            ("a, h:+1", BadPort { at: 5 }),
            ("h:65536", BadPort { at: 2 }),
            (&long, TooManyHosts),
            ("h/a/", Chroot(BadPath::TrailingSlash)),
        ] {
            assert_eq!(ConnectString::parse(text), Err(error), "{text}");
        }
    }
}
