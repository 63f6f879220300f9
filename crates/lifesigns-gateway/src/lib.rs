//! A reverse proxy that gives every API behind it health resources and records its traffic.
