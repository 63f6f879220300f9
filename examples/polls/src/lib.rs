//! The Polls API: a small API with Lifesigns in it.
