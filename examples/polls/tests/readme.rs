//! The program that the README shows is one that compiles.

#[test]
fn the_readme_shows_the_example() {
    let readme = include_str!("../../../README.md");
    let shown = format!("```rust\n{}```\n", include_str!("../examples/hello.rs"));
    assert!(readme.contains(&shown), "the README is to hold all of examples/polls/examples/hello.rs");
}
