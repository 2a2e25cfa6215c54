//! Paths, chroots and the names of sequential nodes.

use docent_core::path::{
    FixedPath, HeapPath, Path, PathBuf, sequence, sequence_after, strip_chroot,
};

/// The lines of the text are taken for paths and names, each also relative to the first.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let first = text.lines().next().unwrap_or_default();
    for line in text.lines() {
        numbered(line, first);
        joined(first, line);
        if let Ok(path) = Path::new(line) {
            related(path);
            below(path, first);
        }
    }
}

/// A number is read if it is what a server would have written.
fn numbered(name: &str, stem: &str) {
    if let Some((stem, number)) = sequence(name) {
        assert_eq!(format!("{stem}{number:010}"), name);
        assert_eq!(sequence_after(stem, name), Some(number));
    }
    if let Some(number) = sequence_after(stem, name) {
        assert_eq!(format!("{stem}{number:010}"), name);
    }
    let numbered = format!("{name}{:010}", i32::MAX);
    assert_eq!(sequence_after(name, &numbered), Some(i32::MAX));
    // What may be followed by a number gives a path.
    assert_eq!(
        Path::prefix(name).is_ok(),
        Path::new(&numbered).is_ok(),
        "{name:?}"
    );
}

fn related(path: Path<'_>) {
    assert!(Path::prefix(path.as_str()).is_ok());
    for each in path.ancestors() {
        assert_eq!(Path::new(each.as_str()), Ok(each));
        assert!(path.starts_with(each));
        assert_eq!(each.starts_with(path), each == path);
    }
    if let Some(parent) = path.parent() {
        let again: HeapPath = parent.join(path.name()).expect("they were one");
        assert_eq!(again.as_path(), path);
    }
}

/// A name makes a path of a path, if at all, and both storages agree.
fn joined(path: &str, name: &str) {
    let Ok(path) = Path::new(path) else { return };
    let heap = path.join::<HeapPath>(name);
    let fixed = path.join::<FixedPath<24>>(name);
    match &heap {
        Ok(child) => {
            assert_eq!(Path::new(child.as_ref()), Ok(child.as_path()));
            assert_eq!(
                (child.as_path().parent(), child.as_path().name()),
                (Some(path), name)
            );
            assert_eq!(fixed.is_ok(), child.as_ref().len() <= 24);
        }
        Err(refused) => assert_eq!(fixed.as_ref().err(), Some(refused)),
    }
}

/// Seen from below a chroot, a path is what has to be put behind the chroot to get it back.
fn below(path: Path<'_>, chroot: &str) {
    let Ok(chroot) = Path::new(chroot) else {
        return;
    };
    let prefix = if chroot.is_root() {
        ""
    } else {
        chroot.as_str()
    };
    let inside = strip_chroot(path.as_str(), prefix);
    assert_eq!(inside.is_some(), path.starts_with(chroot));
    assert_eq!(
        inside.is_some(),
        path.ancestors().any(|each| each == chroot)
    );
    if let Some(inside) = inside {
        let inside = Path::new(inside).expect("it is a path from below, too");
        let rest = if inside.is_root() && !prefix.is_empty() {
            ""
        } else {
            inside.as_str()
        };
        assert_eq!([prefix, rest].concat(), path.as_str());
    }
}
