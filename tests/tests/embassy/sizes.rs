//! The table of sizes in the documentation of docent-embassy. Its figures for 32 bits are checked by
//! `examples/board/sizes`, on the target.
#![cfg(target_pointer_width = "64")]

#[path = "../../../examples/board/sizing/rows.rs"]
mod rows;

const DOCUMENTATION: &str = include_str!("../../../transport-embassy/src/lib.rs");

#[test]
fn the_client_takes_no_more_memory_than_documented() {
    for (name, size) in rows::rows() {
        let most = documented(name);
        assert!(size <= most, "{name}: {size} > {most}");
        assert!(
            most <= size + size / 8,
            "{name}: {size} is far less than {most}"
        );
    }
}

/// What the last column says.
fn documented(name: &str) -> usize {
    let cells = |line: &'static str| line.split('|').map(str::trim);
    let mut lines = DOCUMENTATION.lines();
    let row = lines.find(|line| cells(line).nth(1) == Some(name));
    let row = row.unwrap_or_else(|| panic!("no row for {name}"));
    cells(row).nth(3).unwrap().parse().unwrap()
}
