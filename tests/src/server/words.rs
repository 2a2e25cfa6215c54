//! The four-letter commands, of which the most used are answered.

const KNOWN: [&[u8; 4]; 19] = [
    b"conf", b"cons", b"crst", b"dirs", b"dump", b"envi", b"gtmk", b"hash", b"isro", b"mntr",
    b"ruok", b"srst", b"srvr", b"stat", b"stmk", b"wchc", b"wchp", b"wchs", b"kill",
];

pub(super) fn is_known(word: [u8; 4]) -> bool {
    KNOWN.contains(&&word)
}

/// What `srvr` tells of a member.
pub(super) struct Facts<'a> {
    pub(super) version: &'a str,
    /// Such as `leader`; `None` while it does not serve.
    pub(super) mode: Option<&'a str>,
    pub(super) zxid: i64,
    pub(super) connections: usize,
    pub(super) nodes: usize,
    /// Each watched path, and below it the sessions that watch it.
    pub(super) watches: String,
}

pub(super) fn answer(word: [u8; 4], facts: &Facts<'_>) -> String {
    match (&word, facts.mode) {
        (b"ruok", _) => "imok".to_owned(),
        (b"isro", None) => "null".to_owned(),
        (b"isro", Some("read-only")) => "ro".to_owned(),
        (b"isro", Some(_)) => "rw".to_owned(),
        (b"wchp", Some(_)) => facts.watches.clone(),
        (b"srvr" | b"wchp", None) => {
            "This ZooKeeper instance is not currently serving requests\n".to_owned()
        }
        (b"srvr", Some(mode)) => format!(
            "Zookeeper version: {}-docent, built on a model\n\
             Latency min/avg/max: 0/0.0/0\n\
             Received: 0\nSent: 0\nConnections: {}\nOutstanding: 0\n\
             Zxid: {:#x}\nMode: {mode}\nNode count: {}\n",
            facts.version, facts.connections, facts.zxid, facts.nodes
        ),
        _ => format!(
            "{} is not executed because it is not in the whitelist.\n",
            String::from_utf8_lossy(&word)
        ),
    }
}
