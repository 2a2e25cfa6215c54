//! What the nodes of locks and elections are called, here and by other clients.

/// What nodes in a queue are called: [protected](crate::client::Claim::path) names, before the servers' numbers.
///
/// It says who waits for whom. Clients that compete must agree about that, but need not use the same
/// names: each may know several of others, which slashes separate. All sequential children of a node
/// are numbered together, and so in one order whatever they are called. A name should end with a dash
/// or an underscore, after which a number with a sign is not mistaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Names {
    /// What own nodes are called. It should be among the names that others wait for.
    pub own: &'static str,
    /// How the names of those end that must have gone first, if they are ahead. All other children
    /// are ignored.
    pub ahead: &'static str,
}

impl Names {
    /// The same for own nodes and those of others.
    pub const fn of(name: &'static str) -> Self {
        Self {
            own: name,
            ahead: name,
        }
    }

    /// Those of Curator's mutex, leader selector, and of the Go client.
    pub const CURATOR: Self = Self::of("lock-");
    /// Those of Curator's leader latch.
    pub const CURATOR_LATCH: Self = Self::of("latch-");
    /// Those of kazoo's lock and election. Curator does not see them.
    pub const KAZOO: Self = Self::of("__lock__");
    /// Those of the lock among ZooKeeper's recipes: whatever has a number after a dash.
    pub const ZOOKEEPER: Self = Self {
        own: "x-",
        ahead: "-",
    };
    /// Those of the leader election among ZooKeeper's recipes.
    pub const ZOOKEEPER_ELECTION: Self = Self::of("n_");
}

/// What nodes of a read/write lock are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RwNames {
    /// Those of readers, who wait for writers.
    pub read: Names,
    /// Those of writers, who wait for all.
    pub write: Names,
}

impl RwNames {
    /// Those of Curator's read/write lock.
    pub const CURATOR: Self = Self {
        read: Names {
            own: "__READ__",
            ahead: "__WRIT__",
        },
        write: Names {
            own: "__WRIT__",
            ahead: "__READ__/__WRIT__",
        },
    };
    /// Those of kazoo's read and write locks. Curator does not see them.
    pub const KAZOO: Self = Self {
        read: Names {
            own: "__rlock__",
            ahead: "__lock__",
        },
        write: Names {
            own: "__lock__",
            ahead: "__lock__/__rlock__",
        },
    };
}
