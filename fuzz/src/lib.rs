//! Holds what the fuzz targets share: the properties, which the package's own tests replay from the
//! corpora (`integration_tests/cases/corpora.rs`).

pub mod properties;
