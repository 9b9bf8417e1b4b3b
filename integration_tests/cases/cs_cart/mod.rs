//! The tests of `source-cs-cart`, by theme. Each runs the executable against the fake CS-Cart store.
//!
//! - [`store`]: configs, runs and requests that many of these tests need.
//! - [`syncs`]: syncs of one store into one destination, compared with everything that the store had meanwhile.
//! - The others have tests: the streams, what goes wrong in an answer, a changing store, the rules of the walks,
//!   settings that change, privacy, politeness, and the commands.

mod answers;
mod broken_rows;
mod carts;
mod changing;
mod check;
mod commands;
mod edges;
mod files;
mod incomplete_orders;
mod incremental;
mod kills;
mod politeness;
mod privacy;
mod refusals;
mod settings;
mod store;
mod streams;
mod syncs;
mod totals;
mod walks;
