//! Node paths: checked once, then passed around as a [`Path`].

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::fmt;

use thiserror::Error;

/// An absolute node path that keeps the rules of ZooKeeper's servers.
///
/// A path starts with `/`, does not end in one (but for the root), and has no segment that is empty,
/// `.` or `..`. Control characters, private-use characters, U+FFF0 to U+FFFF and everything beyond
/// U+FFFF are refused, as Java servers refuse them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(&'a str);

/// The rule that a path breaks. Offsets are in bytes from the start of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BadPath {
    /// The empty string.
    #[error("the path is empty")]
    Empty,
    /// The first character is not `/`.
    #[error("the path does not start with a slash")]
    NotAbsolute,
    /// The path ends with `/` and is not the root.
    #[error("the path ends with a slash")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("the path has an empty name at byte {at}")]
    EmptySegment {
        /// Where the name should have been.
        at: usize,
    },
    /// A segment is `.` or `..`; paths are never relative.
    #[error("the path has a relative name at byte {at}")]
    DotSegment {
        /// Where the name begins.
        at: usize,
    },
    /// A character that servers refuse.
    #[error("the character {char:?} at byte {at} is not allowed in a path")]
    Forbidden {
        /// Where the character is.
        at: usize,
        /// The character.
        char: char,
    },
}

/// Why a name could not be appended to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum JoinError {
    /// The name is not a single path segment. Offsets count from the start of the name.
    #[error("bad name: {0}")]
    Name(#[from] BadPath),
    /// The result does not fit the owned path.
    #[error("the path has {length} bytes, which is too long for its storage")]
    TooLong {
        /// Bytes that the joined path would have.
        length: usize,
    },
}

impl<'a> Path<'a> {
    /// The root, `/`.
    pub const ROOT: Path<'static> = Path("/");

    /// Checks a path.
    ///
    /// # Errors
    /// [`BadPath`] names the broken rule.
    #[inline]
    pub fn new(path: &'a str) -> Result<Self, BadPath> {
        if !is_plain(path.as_bytes()) {
            check(path, false)?;
        }
        Ok(Self(path))
    }

    /// Checks a path to which the server will append a sequence number, so that it may end in a
    /// slash or a dot: `/queue/` gives `/queue/0000000000`.
    ///
    /// Such a path is meant for sequential creates only; elsewhere servers may refuse it.
    ///
    /// # Errors
    /// [`BadPath`] names the broken rule.
    pub fn prefix(path: &'a str) -> Result<Self, BadPath> {
        check(path, true)?;
        Ok(Self(path))
    }

    /// Skips the checks, for text that has passed them.
    pub(crate) const fn trusted(path: &'a str) -> Self {
        Self(path)
    }

    /// The text of the path.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether this is `/`.
    pub fn is_root(self) -> bool {
        self.0 == "/"
    }

    /// The path without its last name; `None` for the root.
    pub fn parent(self) -> Option<Self> {
        match self.0.rsplit_once('/')? {
            ("", "") => None,
            ("", _) => Some(Path::ROOT),
            (parent, _) => Some(Self(parent)),
        }
    }

    /// What follows the last slash; empty for the root.
    pub fn name(self) -> &'a str {
        self.0.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// This path, its parent, and so on up to the root.
    pub fn ancestors(self) -> impl Iterator<Item = Self> + Clone {
        core::iter::successors(Some(self), |path| path.parent())
    }

    /// Whether this is `base` or below it; `/apple` is not below `/app`.
    pub fn starts_with(self, base: Path<'_>) -> bool {
        base.is_root() || strip_chroot(self.0, base.0).is_some()
    }

    /// The path of the child called `name`.
    ///
    /// # Errors
    /// [`JoinError::Name`] if `name` is not one segment, [`JoinError::TooLong`] if the result does
    /// not fit `P`.
    pub fn join<P: PathBuf>(self, name: &str) -> Result<P, JoinError> {
        check_name(name)?;
        let slash = if self.0.ends_with('/') { "" } else { "/" };
        let length = self
            .0
            .len()
            .saturating_add(slash.len())
            .saturating_add(name.len());
        P::try_from_parts(&[self.0, slash, name]).ok_or(JoinError::TooLong { length })
    }
}

impl fmt::Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

impl AsRef<str> for Path<'_> {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl<'a> TryFrom<&'a str> for Path<'a> {
    type Error = BadPath;

    fn try_from(path: &'a str) -> Result<Self, BadPath> {
        Self::new(path)
    }
}

/// An owned, valid path: [`FixedPath`], or [`HeapPath`] where there is an allocator.
pub trait PathBuf: AsRef<str> + Clone {
    /// The concatenation of `parts`; `None` if it is too long or not a valid path.
    fn try_from_parts(parts: &[&str]) -> Option<Self>;

    /// The path, borrowed.
    fn as_path(&self) -> Path<'_>;
}

/// A path of at most `N` bytes that lies where it is put.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FixedPath<const N: usize>(heapless::String<N, u16>);

impl<const N: usize> PathBuf for FixedPath<N> {
    fn try_from_parts(parts: &[&str]) -> Option<Self> {
        let mut text = heapless::String::new();
        parts.iter().try_for_each(|part| text.push_str(part).ok())?;
        Path::new(&text).ok()?;
        Some(Self(text))
    }

    fn as_path(&self) -> Path<'_> {
        Path(&self.0)
    }
}

impl<const N: usize> AsRef<str> for FixedPath<N> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for FixedPath<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_path(), f)
    }
}

impl<const N: usize> fmt::Display for FixedPath<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_path(), f)
    }
}

/// A path on the heap.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HeapPath(Box<str>);

#[cfg(feature = "alloc")]
impl PathBuf for HeapPath {
    fn try_from_parts(parts: &[&str]) -> Option<Self> {
        let text = parts.concat();
        Path::new(&text).ok()?;
        Some(Self(text.into_boxed_str()))
    }

    fn as_path(&self) -> Path<'_> {
        Path(&self.0)
    }
}

#[cfg(feature = "alloc")]
impl AsRef<str> for HeapPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "alloc")]
impl fmt::Debug for HeapPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_path(), f)
    }
}

#[cfg(feature = "alloc")]
impl fmt::Display for HeapPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_path(), f)
    }
}

/// The path as seen from below `chroot`; `None` if it lies outside.
///
/// `chroot` is empty for none, else a valid path without a trailing slash. The chroot itself shows
/// as `/`.
pub fn strip_chroot<'p>(path: &'p str, chroot: &str) -> Option<&'p str> {
    match path.strip_prefix(chroot)? {
        "" if !chroot.is_empty() => Some("/"),
        below if chroot.is_empty() || below.starts_with('/') => Some(below),
        _ => None,
    }
}

/// Splits the name of a sequential node into what the client asked for and the server's number.
///
/// The number is the last ten digits. Servers up to 3.5 let it wrap, so that it may also be
/// negative: `-` and nine digits, or `-` and ten from `-1000000000` down. A name such as
/// `job-2000000000` can be read both ways; it is taken as positive unless another dash or an
/// underscore precedes, as in `__READ__-2000000000`.
/// [`sequence_after`] has no such doubt.
pub fn sequence(name: &str) -> Option<(&str, i32)> {
    let digits = name
        .bytes()
        .rev()
        .take_while(u8::is_ascii_digit)
        .take(10)
        .count();
    let (stem, number) = name.split_at_checked(name.len().checked_sub(digits)?)?;
    let negative = stem
        .strip_suffix('-')
        .and_then(|stem| Some((stem, minus(number)?)));
    match positive(number) {
        Some(number) if negative.is_none_or(|(stem, _)| !ends_in_separator(stem)) => {
            Some((stem, number))
        }
        _ => negative,
    }
}

fn ends_in_separator(stem: &str) -> bool {
    matches!(stem.as_bytes().last(), Some(b'-' | b'_'))
}

/// The number of a contender in a queue of sequential nodes: of a node that was asked for by a name
/// that ends with one of `suffixes`, which are separated by slashes.
///
/// `None` for all others. No server has a child with a slash in its name; one that says so is not to
/// be followed.
pub fn contender(name: &str, suffixes: &str) -> Option<i32> {
    let (stem, number) = sequence(name)?;
    let contends = suffixes.split('/').any(|suffix| stem.ends_with(suffix));
    (contends && !stem.contains('/')).then_some(number)
}

/// The server's number in the name of a sequential node that was created as `prefix`.
///
/// `None` if anything but a sequence number, in one of the forms of [`sequence`], follows `prefix`.
pub fn sequence_after(prefix: &str, name: &str) -> Option<i32> {
    let number = name.strip_prefix(prefix)?;
    match number.strip_prefix('-') {
        Some(magnitude) => minus(magnitude),
        None => positive(number),
    }
}

/// Ten digits, as `%010d` writes a number that is not negative.
fn positive(digits: &str) -> Option<i32> {
    (digits.len() == 10)
        .then(|| decimal(digits))
        .flatten()?
        .try_into()
        .ok()
}

/// What `%010d` writes after the sign of a negative number: nine digits, or ten if it needs them.
fn minus(digits: &str) -> Option<i32> {
    let magnitude = decimal(digits)?;
    let canonical = match digits.len() {
        9 => magnitude > 0,
        10 => magnitude >= 1_000_000_000,
        _ => false,
    };
    canonical.then(|| 0_i32.checked_sub_unsigned(magnitude))?
}

/// Unlike `parse` it takes no sign.
fn decimal(digits: &str) -> Option<u32> {
    digits.bytes().try_fold(0_u32, |number, byte| {
        let digit = char::from(byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a path is valid at the first glance, as nearly all are: printable ASCII, and no name
/// that is empty or begins with a dot.
#[inline]
fn is_plain(path: &[u8]) -> bool {
    let mut last = 0;
    let plain = path.iter().all(|&byte| {
        let after_slash = last == b'/';
        last = byte;
        matches!(byte, b' '..=b'~') && !(after_slash && matches!(byte, b'/' | b'.'))
    });
    plain && path.first() == Some(&b'/') && (last != b'/' || path.len() == 1)
}

/// `open` paths get a number appended, which mends an empty or relative last name.
fn check(path: &str, open: bool) -> Result<(), BadPath> {
    let Some(names) = path.strip_prefix('/') else {
        return Err(if path.is_empty() {
            BadPath::Empty
        } else {
            BadPath::NotAbsolute
        });
    };
    check_characters(path)?;
    let closed = match open {
        true => names.rsplit_once('/').map(|(closed, _)| closed),
        false => Some(names),
    };
    match closed {
        _ if names.is_empty() => Ok(()),
        Some(names) if !open && names.ends_with('/') => Err(BadPath::TrailingSlash),
        Some(names) => check_names(names),
        None => Ok(()),
    }
}

/// Checks the names of a path whose leading slash is left out.
fn check_names(names: &str) -> Result<(), BadPath> {
    let mut at: usize = 1;
    names
        .as_bytes()
        .split(|byte| *byte == b'/')
        .try_for_each(|name| {
            check_segment(name, at)?;
            at = at.saturating_add(name.len()).saturating_add(1);
            Ok(())
        })
}

#[inline]
fn check_segment(name: &[u8], at: usize) -> Result<(), BadPath> {
    match name {
        [] => Err(BadPath::EmptySegment { at }),
        b"." | b".." => Err(BadPath::DotSegment { at }),
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), BadPath> {
    check_segment(name.as_bytes(), 0)?;
    check_characters(name)?;
    match name.find('/') {
        Some(at) => Err(BadPath::Forbidden { at, char: '/' }),
        None => Ok(()),
    }
}

fn check_characters(text: &str) -> Result<(), BadPath> {
    // Nearly all paths are plain, and this is many times as fast.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    match text.char_indices().find(|(_, char)| is_forbidden(*char)) {
        Some((at, char)) => Err(BadPath::Forbidden { at, char }),
        None => Ok(()),
    }
}

/// Java checks UTF-16 units, whose surrogates fall into the range that ends at U+F8FF; hence the
/// last range here.
const fn is_forbidden(char: char) -> bool {
    matches!(
        char,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fff0}'..='\u{ffff}'
            | '\u{10000}'..
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> Path<'_> {
        Path::new(path).unwrap()
    }

    #[test]
    fn each_rule_has_its_error() {
        let error = |path: &str| Path::new(path).unwrap_err();
        assert_eq!(error(""), BadPath::Empty);
        assert_eq!(error("a/b"), BadPath::NotAbsolute);
        assert_eq!(error("/a/"), BadPath::TrailingSlash);
        assert_eq!(error("/é//b"), BadPath::EmptySegment { at: 4 });
        assert_eq!(error("/a/./b"), BadPath::DotSegment { at: 3 });
        assert_eq!(error("/.."), BadPath::DotSegment { at: 1 });
        for char in ['\0', '\u{7f}', '\u{e000}', '\u{fff0}', '😀'] {
            let mut text = heapless::String::<8>::try_from("/a").unwrap();
            text.push(char).unwrap();
            assert_eq!(error(&text), BadPath::Forbidden { at: 2, char });
        }
        assert!(Path::new("/zoo/日本/..x").is_ok());
    }

    #[test]
    fn a_number_mends_the_last_name_only() {
        for good in ["/", "/a/", "/a/.", "/..", "/a/b-"] {
            assert!(Path::prefix(good).is_ok(), "{good}");
        }
        assert_eq!(Path::prefix("/a//"), Err(BadPath::EmptySegment { at: 3 }));
        assert_eq!(Path::prefix("/./a"), Err(BadPath::DotSegment { at: 1 }));
        assert_eq!(Path::prefix(""), Err(BadPath::Empty));
    }

    #[test]
    fn relatives() {
        let deep = path("/a/b");
        assert_eq!((deep.name(), deep.parent()), ("b", Some(path("/a"))));
        assert_eq!((Path::ROOT.name(), Path::ROOT.parent()), ("", None));
        assert!(deep.ancestors().eq([deep, path("/a"), Path::ROOT]));
        assert!(deep.starts_with(path("/a")) && deep.starts_with(Path::ROOT));
        assert!(!path("/apple").starts_with(path("/app")));
        assert!(!path("/a").starts_with(deep));
    }

    #[test]
    fn only_single_names_are_joined() {
        let join = |name| path("/a").join::<FixedPath<6>>(name);
        assert_eq!(join("bcd").unwrap().as_path(), path("/a/bcd"));
        assert_eq!(join("bcde"), Err(JoinError::TooLong { length: 7 }));
        assert_eq!(
            join(".."),
            Err(JoinError::Name(BadPath::DotSegment { at: 0 }))
        );
        assert_eq!(
            join(""),
            Err(JoinError::Name(BadPath::EmptySegment { at: 0 }))
        );
        let slash = BadPath::Forbidden { at: 1, char: '/' };
        assert_eq!(join("b/c"), Err(JoinError::Name(slash)));
        let rooted: FixedPath<4> = Path::ROOT.join("b").unwrap();
        assert_eq!(rooted.as_ref(), "/b");
        assert_eq!(FixedPath::<9>::try_from_parts(&["/a", "//b"]), None);
    }

    #[test]
    fn the_chroot_ends_at_a_slash() {
        assert_eq!(strip_chroot("/app/x", "/app"), Some("/x"));
        assert_eq!(strip_chroot("/app", "/app"), Some("/"));
        assert_eq!(strip_chroot("/apple", "/app"), None);
        assert_eq!(strip_chroot("/x", "/app"), None);
        assert_eq!(strip_chroot("/x", ""), Some("/x"));
        assert_eq!(strip_chroot("", ""), Some(""));
    }

    #[test]
    fn sequence_numbers() {
        assert_eq!(sequence("lock-0000000007"), Some(("lock-", 7)));
        assert_eq!(sequence("0000000007"), Some(("", 7)));
        assert_eq!(sequence("x1234567890123"), None);
        assert_eq!(sequence("x120000000123"), Some(("x12", 123)));
        assert_eq!(sequence("n2147483647"), Some(("n", i32::MAX)));
        assert_eq!(sequence("n-2147483648"), Some(("n", i32::MIN)));
        assert_eq!(sequence("n--2147483647"), Some(("n-", -i32::MAX)));
        assert_eq!(sequence("n-2147483647"), Some(("n-", i32::MAX)));
        assert_eq!(sequence("n_-2147483647"), Some(("n_", -i32::MAX)));
        assert_eq!(sequence("n_2147483647"), Some(("n_", i32::MAX)));
        assert_eq!(sequence("n-000000001"), Some(("n", -1)));
        for name in [
            "",
            "lock",
            "n-000000000",
            "n000000001",
            "n2147483648",
            "é00000000é",
            "_c_x",
        ] {
            assert_eq!(sequence(name), None, "{name}");
        }
    }

    #[test]
    fn a_known_prefix_leaves_no_doubt() {
        assert_eq!(sequence_after("n", "n-2000000000"), Some(-2_000_000_000));
        assert_eq!(sequence_after("n-", "n-2000000000"), Some(2_000_000_000));
        assert_eq!(sequence_after("n-", "n-000000001"), None);
        assert_eq!(sequence_after("n", "n-0000000001"), None);
        assert_eq!(sequence_after("n", "n+000000001"), None);
        assert_eq!(sequence_after("n", "n00000000012"), None);
        assert_eq!(sequence_after("m", "n0000000001"), None);
    }
}
