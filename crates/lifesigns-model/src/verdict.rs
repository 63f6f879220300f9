//! From figures to a light.
