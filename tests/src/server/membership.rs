//! The configuration of an ensemble: a line for each member, and a version.

use std::collections::BTreeMap;
use std::fmt::Write;

use docent_core::error::Code;

use crate::decode::Body;

/// The zxid with which the first leader begins.
pub(super) const FIRST: i64 = 1 << 32;

/// The text of a configuration of servers that listen for clients at these addresses.
pub(super) fn text(clients: &[String]) -> String {
    let members = clients.iter().enumerate().map(|(index, client)| {
        let id = index + 1;
        let port = 2888 + index;
        (
            id as u64,
            format!("127.0.0.1:{port}:{}:participant;{client}", port + 1000),
        )
    });
    // The first leader writes it at the beginning of its epoch.
    print(&members.collect(), FIRST)
}

fn print(members: &BTreeMap<u64, String>, version: i64) -> String {
    let mut text = String::new();
    for (id, member) in members {
        // Writing to a string does not fail.
        let _ = writeln!(text, "server.{id}={member}");
    }
    let _ = write!(text, "version={version:x}");
    text
}

fn parse(text: &str) -> (BTreeMap<u64, String>, i64) {
    let mut version = 0;
    let mut members = BTreeMap::new();
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("version=") {
            version = i64::from_str_radix(number, 16).unwrap_or(0);
        } else if let Some((id, member)) = parse_member(line) {
            members.insert(id, member);
        }
    }
    (members, version)
}

/// `server.<id>=<host>:<port>:<port>[:<role>][;[<host>:]<client port>]`, with the role spelt out.
fn parse_member(line: &str) -> Option<(u64, String)> {
    let (id, member) = line.trim().strip_prefix("server.")?.split_once('=')?;
    let (peer, client) = match member.split_once(';') {
        Some((peer, client)) => (peer, Some(client)),
        None => (member, None),
    };
    let mut fields = peer.rsplitn(4, ':').collect::<Vec<_>>();
    fields.reverse();
    let (host, ports, role) = match fields.as_slice() {
        [host, first, second] => (*host, [*first, *second], "participant"),
        [host, first, second, role @ ("participant" | "observer")] => {
            (*host, [*first, *second], *role)
        }
        _ => return None,
    };
    let port = |text: &str| text.parse::<u16>().is_ok();
    if !ports.into_iter().all(port) || !client.is_none_or(is_client) {
        return None;
    }
    let client = client.map(spell_out);
    let client = client.map_or_else(String::new, |client| format!(";{client}"));
    let [first, second] = ports;
    Some((
        id.parse().ok()?,
        format!("{host}:{first}:{second}:{role}{client}"),
    ))
}

fn is_client(client: &str) -> bool {
    let port = client.rsplit(':').next().unwrap_or_default();
    port.parse::<u16>().is_ok()
}

fn spell_out(client: &str) -> String {
    match client.contains(':') {
        true => client.to_owned(),
        false => format!("0.0.0.0:{client}"),
    }
}

/// The text after a reconfiguration that becomes effective with the transaction `zxid`.
pub(super) fn change(current: &[u8], body: &Body<'_>, zxid: i64) -> Result<String, Code> {
    let Body::Reconfig {
        joining,
        leaving,
        members: replacement,
        from,
    } = body
    else {
        return Err(Code::MarshallingError);
    };
    let (mut members, version) = parse(&String::from_utf8_lossy(current));
    if *from != -1 && *from != version {
        return Err(Code::BadVersion);
    }
    if let Some(all) = replacement {
        members = added(BTreeMap::new(), &all.replace('\n', ","))?;
    } else {
        for id in split(leaving.unwrap_or_default()) {
            members.remove(&id.parse().map_err(|_| Code::BadArguments)?);
        }
        members = added(members, joining.unwrap_or_default())?;
    }
    let voters = members
        .values()
        .filter(|member| !member.contains(":observer"));
    match voters.count() {
        0 | 1 => Err(Code::BadArguments),
        _ => Ok(print(&members, zxid)),
    }
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn added(mut members: BTreeMap<u64, String>, list: &str) -> Result<BTreeMap<u64, String>, Code> {
    for line in split(list).filter(|line| !line.starts_with("version=")) {
        let (id, member) = parse_member(line).ok_or(Code::BadArguments)?;
        members.insert(id, member);
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_parsed() {
        let text = text(&["127.0.0.1:2181".to_owned(), "127.0.0.1:2182".to_owned()]);
        let (members, version) = parse(&text);
        assert_eq!(print(&members, version), text);
        assert_eq!(
            text,
            "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\n\
             server.2=127.0.0.1:2889:3889:participant;127.0.0.1:2182\nversion=100000000"
        );
    }

    #[test]
    fn nonsense_is_no_member() {
        assert_eq!(parse_member("server.9=nonsense"), None);
        assert_eq!(parse_member("server.9=h:1:2:witness"), None);
        assert_eq!(parse_member("server.x=h:1:2"), None);
        assert_eq!(
            parse_member("server.9=h:1:2;3"),
            Some((9, "h:1:2:participant;0.0.0.0:3".to_owned()))
        );
    }
}
