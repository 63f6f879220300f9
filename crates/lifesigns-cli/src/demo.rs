//! A whole small world on loopback: see `lifesigns demo --help`.

mod outage;
mod random;
mod services;
mod traffic;
