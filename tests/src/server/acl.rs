//! Identities, access control lists, and the `digest` and `ip` schemes.

use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use docent_core::error::Code;
use docent_core::wire::Perms;
use sha1::{Digest, Sha1};

use crate::decode::Entry;

/// What a connection has proven to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// How it was proven: `ip`, `digest` or `super`.
    pub scheme: String,
    /// Who it is, in the form of the scheme.
    pub id: String,
}

impl Identity {
    pub(super) fn new(scheme: &str, id: impl Into<String>) -> Self {
        Self {
            scheme: scheme.to_owned(),
            id: id.into(),
        }
    }

    /// The name without what proves it, as `whoAmI` gives it.
    pub(super) fn user(&self) -> &str {
        match self.scheme.as_str() {
            "digest" => self.id.split(':').next().unwrap_or_default(),
            _ => &self.id,
        }
    }
}

/// An entry of a node's access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is allowed.
    pub perms: Perms,
    /// To whom.
    pub who: Identity,
}

impl Rule {
    fn world(perms: Perms) -> Self {
        Self {
            perms,
            who: Identity::new("world", "anyone"),
        }
    }

    fn covers(&self, identity: &Identity) -> bool {
        self.who.scheme == identity.scheme
            && match self.who.scheme.as_str() {
                "digest" => self.who.id == identity.id,
                "ip" => ip_matches(&self.who.id, &identity.id),
                _ => false,
            }
    }

    /// The rule as those see it who may not administer the node.
    pub(super) fn masked(mut self) -> Self {
        if self.who.scheme == "digest" {
            self.who.id = match self.who.id.split_once(':') {
                Some((user, _)) => format!("{user}:x"),
                None => self.who.id,
            };
        }
        self
    }
}

/// The list that allows everything to everyone.
pub(super) fn open() -> Arc<[Rule]> {
    [Rule::world(Perms::ALL)].into()
}

/// The list that allows everyone to read.
pub(super) fn read_only() -> Arc<[Rule]> {
    [Rule::world(Perms::READ)].into()
}

/// What stands for `user:password` in lists: the user and a hash of both.
pub fn digest(credentials: &str) -> String {
    let user = credentials.split(':').next().unwrap_or_default();
    let hash = STANDARD.encode(Sha1::digest(credentials.as_bytes()));
    format!("{user}:{hash}")
}

/// Whether one of `who` may do any of `wanted`.
pub(super) fn allows(rules: &[Rule], who: &[Identity], wanted: Perms) -> bool {
    let world = |rule: &Rule| rule.who.scheme == "world" && rule.who.id == "anyone";
    rules.is_empty()
        || who.iter().any(|identity| identity.scheme == "super")
        || rules
            .iter()
            .filter(|rule| rule.perms.bits() & wanted.bits() != 0)
            .any(|rule| world(rule) || who.iter().any(|identity| rule.covers(identity)))
}

/// As [`allows`], as the code that a server answers with.
pub(super) fn check(rules: &[Rule], who: &[Identity], wanted: Perms) -> Result<(), Code> {
    if allows(rules, who, wanted) {
        Ok(())
    } else {
        Err(Code::NoAuth)
    }
}

/// Checks a list that a client sent, and replaces `auth` by what the client has proven.
pub(super) fn resolve(entries: &[Entry<'_>], who: &[Identity]) -> Result<Arc<[Rule]>, Code> {
    let mut rules = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let earlier = entries.get(..index).unwrap_or_default();
        if !earlier.contains(entry) {
            resolve_one(entry, who, &mut rules)?;
        }
    }
    match rules.is_empty() {
        true => Err(Code::InvalidAcl),
        false => Ok(rules.into()),
    }
}

fn resolve_one(entry: &Entry<'_>, who: &[Identity], rules: &mut Vec<Rule>) -> Result<(), Code> {
    let perms = entry.perms;
    let scheme = entry.scheme.ok_or(Code::InvalidAcl)?;
    if scheme == "auth" {
        return resolve_auth(perms, who, rules);
    }
    if !["world", "digest", "ip"].contains(&scheme) {
        return Err(Code::InvalidAcl);
    }
    // Java trips over the null.
    let id = entry.id.ok_or(Code::MarshallingError)?;
    if !is_valid(scheme, id) {
        return Err(Code::InvalidAcl);
    }
    let who = Identity::new(scheme, id);
    rules.push(Rule { perms, who });
    Ok(())
}

fn resolve_auth(perms: Perms, who: &[Identity], rules: &mut Vec<Rule>) -> Result<(), Code> {
    let before = rules.len();
    let proven = who.iter().filter(|identity| identity.scheme == "digest");
    rules.extend(proven.cloned().map(|who| Rule { perms, who }));
    if rules.len() == before {
        Err(Code::InvalidAcl)
    } else {
        Ok(())
    }
}

fn is_valid(scheme: &str, id: &str) -> bool {
    match scheme {
        "world" => id == "anyone",
        // Java's `split` forgets empty strings at the end.
        "digest" => id.trim_end_matches(':').split(':').count() == 2,
        _ => parse_network(id).is_some(),
    }
}

fn ip_matches(network: &str, address: &str) -> bool {
    let masked = |address: u32, bits| match bits {
        0 => 0,
        bits => address & (u32::MAX << (32 - bits)),
    };
    match (parse_network(network), address.parse::<Ipv4Addr>()) {
        (Some((network, bits)), Ok(address)) => {
            masked(network, bits) == masked(address.to_bits(), bits)
        }
        _ => false,
    }
}

/// An address and the number of its bits that count, at most 32.
fn parse_network(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, bits.parse().ok()?),
        None => (text, 32),
    };
    let address: Ipv4Addr = address.parse().ok()?;
    (bits <= 32).then_some((address.to_bits(), bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_the_recorded_user() {
        assert_eq!(digest("alice:secret"), "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=");
    }

    #[test]
    fn networks() {
        assert!(ip_matches("127.0.0.0/8", "127.0.0.1"));
        assert!(!ip_matches("128.0.0.0/8", "127.0.0.1"));
        assert!(ip_matches("1.2.3.4/0", "127.0.0.1"));
        assert!(ip_matches("127.0.0.1", "127.0.0.1"));
        assert_eq!(parse_network("127.0.0.1/33"), None);
        assert_eq!(parse_network("notanip"), None);
    }

    #[test]
    fn digest_ids() {
        let valid = |id| is_valid("digest", id);
        assert!(valid("bob:hash") && valid(":hash") && valid("a:b:"));
        assert!(!valid("nocolon") && !valid("bob:") && !valid("a:b:c") && !valid(""));
    }
}
