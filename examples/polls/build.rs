//! Tells the program which revision it was built from.

fn main() {
    lifesigns_build::identity();
}
