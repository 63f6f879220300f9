//! The command `lifesigns`.

fn main() {}
