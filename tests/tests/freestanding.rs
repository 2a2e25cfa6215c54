//! The core needs neither the standard library nor an allocator: it links without them.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

const CRATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/freestanding/Cargo.toml");
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/freestanding");
const ENTRY: &str = "docent_freestanding";
/// What allocators are called by rustc, anywhere in a mangled name.
const RUST: [&str; 5] = [
    "__rust_alloc",
    "__rust_dealloc",
    "__rust_realloc",
    "__rg_",
    "__rdl_",
];
/// What they are called in C.
const C: [&str; 6] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "posix_memalign",
    "aligned_alloc",
];
/// What rustc expects of any platform, be it bare metal.
const PLATFORM: [&str; 5] = ["memcpy", "memmove", "memset", "memcmp", "bcmp"];

/// Fails if the entry point does.
const MAIN: &str = "
    unsigned long docent_freestanding(void);
    int main(void) { return docent_freestanding() == 0; }
";

/// The static library, with everything that the core consists of.
static ARCHIVE: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--release",
        "--quiet",
        "--manifest-path",
        CRATE,
        "--target-dir",
        FOLDER,
    ]);
    // Flags for this build, such as those that measure coverage, may need std.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(name);
    }
    run(&mut cargo);
    Path::new(FOLDER).join("release/libdocent_freestanding.a")
});

#[test]
fn the_core_calls_no_allocator() {
    let names = symbols(&ARCHIVE);
    assert!(
        names.contains(ENTRY),
        "{} does not define {ENTRY}",
        ARCHIVE.display()
    );
    assert_eq!(allocators(&names), Vec::<&str>::new());
}

#[test]
fn the_core_links_with_nothing_else() {
    let program = Path::new(FOLDER).join("program");
    let mut link = Command::new("cc");
    link.args(["-nostdlib", "-static", "-Wl,--gc-sections"]);
    link.arg(format!("-Wl,--entry={ENTRY},--undefined={ENTRY}"));
    link.args(PLATFORM.map(|name| format!("-Wl,--defsym={name}=0")));
    run(link.arg("-o").arg(&program).arg(&*ARCHIVE));
    assert!(symbols(&program).contains(ENTRY));
}

#[test]
fn the_core_runs_without_an_allocator() {
    let archive = &*ARCHIVE;
    let [main, program] = ["main.c", "runs"].map(|name| Path::new(FOLDER).join(name));
    fs::write(&main, MAIN).unwrap();
    let mut link = Command::new("cc");
    link.arg("-Wl,--gc-sections").args([&main, archive]);
    run(link.arg("-o").arg(&program));
    run(&mut Command::new(program));
}

#[test]
fn an_allocator_would_be_found() {
    let names = symbols(&env::current_exe().unwrap());
    let found = allocators(&names);
    assert!(
        found.iter().any(|name| name.contains("__rust_alloc")),
        "{found:?}"
    );
    assert!(found.contains(&"malloc"), "{found:?}");
}

fn allocators(names: &BTreeSet<String>) -> Vec<&str> {
    let is_one = |name: &&str| C.contains(name) || RUST.iter().any(|part| name.contains(part));
    names.iter().map(String::as_str).filter(is_one).collect()
}

/// The symbols that a file defines or needs.
fn symbols(file: &Path) -> BTreeSet<String> {
    match Command::new("nm").arg(file).output() {
        Ok(output) => listed(&successful(output, "nm")),
        Err(_) => candidates(&fs::read(file).unwrap()),
    }
}

/// Lines are `[ADDRESS] LETTER NAME[@VERSION]`, and headings with a colon.
fn listed(output: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let (_, name) = line
            .trim_start_matches(|c: char| c.is_ascii_hexdigit())
            .trim()
            .split_once(' ')?;
        Some(name.split('@').next()?.to_owned())
    };
    output.lines().filter_map(name).collect()
}

/// Everything that may be a symbol in the string tables of a binary.
fn candidates(binary: &[u8]) -> BTreeSet<String> {
    let texts = binary
        .split(|byte| *byte == 0)
        .filter_map(|text| str::from_utf8(text).ok());
    texts.map(str::to_owned).collect()
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    successful(output, &format!("{command:?}"));
}

fn successful(output: Output, what: &str) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {} {error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
