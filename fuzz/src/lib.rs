//! Properties that the fuzz targets share. The package's own tests check them with the
//! corpora (`integration_tests/cases/corpora.rs`).

pub mod properties;
