//! Keeps rollups in memory or in one SQLite file.
