//! The analytics query.
