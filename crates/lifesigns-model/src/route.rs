//! From a raw path to a bounded template.
