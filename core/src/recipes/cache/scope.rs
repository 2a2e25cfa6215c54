//! Which nodes a cache is about.

use crate::path::Path;

/// What of a node belongs to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Select {
    /// Neither the node nor what is below it.
    Nothing,
    /// The node, but nothing below it.
    Node,
    /// The node and, as deep as the cache goes, what is below it.
    Tree,
}

/// Selects all nodes.
pub const fn everything(_: Path<'_>) -> Select {
    Select::Tree
}

/// The nodes from a root down to some depth, as far as they are selected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<F> {
    pub(super) depth: usize,
    /// Whether the nodes' data is kept.
    pub(super) data: bool,
    pub(super) select: F,
}

impl<F: Fn(Path<'_>) -> Select> Scope<F> {
    /// Whether a node below the root belongs to it, given that its parent does.
    pub(super) fn accepts(&self, root: Path<'_>, path: Path<'_>) -> bool {
        depth(root, path) <= self.depth && (self.select)(path) != Select::Nothing
    }

    /// Whether children of a node that belongs to it may do so, too. Those of the root always may.
    pub(super) fn descends(&self, root: Path<'_>, path: Path<'_>) -> bool {
        let depth = depth(root, path);
        depth < self.depth && (depth == 0 || (self.select)(path) == Select::Tree)
    }
}

/// How many levels `path` is below `root`, at or above which it is.
fn depth(root: Path<'_>, path: Path<'_>) -> usize {
    let below = match root.is_root() {
        true if path.is_root() => "",
        true => path.as_str(),
        false => path.as_str().strip_prefix(root.as_str()).unwrap_or(""),
    };
    below.bytes().filter(|byte| *byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path<'_> {
        Path::new(text).unwrap()
    }

    #[test]
    fn depth_counts_from_the_root() {
        for (root, below, expected) in [
            ("/", "/", 0),
            ("/", "/a", 1),
            ("/", "/a/b", 2),
            ("/a", "/a", 0),
            ("/a", "/a/b", 1),
            ("/a/b", "/a/b/c/d", 2),
        ] {
            assert_eq!(
                depth(path(root), path(below)),
                expected,
                "{below} in {root}"
            );
        }
    }

    #[test]
    fn the_selection_holds_within_the_depth() {
        let select = |path: Path<'_>| match path.name() {
            "hidden" => Select::Nothing,
            "leaf" => Select::Node,
            _ => Select::Tree,
        };
        let scope = Scope {
            depth: 2,
            data: true,
            select,
        };
        let root = path("/app");
        for (below, accepted, descended) in [
            ("/app/x", true, true),
            ("/app/x/y", true, false),
            ("/app/x/y/z", false, false),
            ("/app/hidden", false, false),
            ("/app/leaf", true, false),
        ] {
            assert_eq!(scope.accepts(root, path(below)), accepted, "{below}");
            assert_eq!(scope.descends(root, path(below)), descended, "{below}");
        }
        assert!(scope.descends(root, root));
    }
}
