//! Connect strings.

use docent_core::connect_string::{BadConnectString, ConnectString, MAX_HOSTS};
use docent_core::path::Path;

/// The bytes are the text, as far as they are UTF-8.
pub fn connect_string(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match ConnectString::parse(&text) {
        Ok(parsed) => is_read_back(&parsed),
        Err(refused) => points_at_the_fault(&text, refused),
    }
}

fn is_read_back(parsed: &ConnectString<'_>) {
    let hosts: Vec<_> = parsed.hosts().collect();
    assert_eq!(hosts.len(), parsed.len());
    assert!((1..=MAX_HOSTS).contains(&hosts.len()));
    assert!(
        hosts
            .iter()
            .all(|each| !each.host.is_empty() && each.port > 0)
    );
    let chroot = parsed.chroot();
    assert!(chroot.is_empty() || Path::new(chroot).is_ok_and(|path| !path.is_root()));
    let entries: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    let plain = entries.join(",") + chroot;
    let again = ConnectString::parse(&plain).expect("what is printed can be read");
    assert_eq!(
        (again.hosts().collect::<Vec<_>>(), again.chroot()),
        (hosts, chroot)
    );
}

fn points_at_the_fault(text: &str, refused: BadConnectString) {
    match refused {
        BadConnectString::BadHostChar { at, char } => assert!(text[at..].starts_with(char)),
        BadConnectString::UnclosedBracket { at } | BadConnectString::BadIpv6 { at } => {
            assert!(text[at..].starts_with('['));
        }
        BadConnectString::BareIpv6 { at } => assert!(text[at..].contains(':')),
        BadConnectString::EmptyHost { at } | BadConnectString::BadPort { at } => {
            assert!(text.is_char_boundary(at));
        }
        _ => assert!(!refused.to_string().is_empty()),
    }
}
