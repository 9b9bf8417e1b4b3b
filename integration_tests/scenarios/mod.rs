//! Scenarios that try to make the connector lose a row.
//!
//! A scenario is a store, its quirks, and the events while it is read. Each is run from
//! seeds (`SCENARIO_SEEDS`, 1 by default; `.ci/seeds` runs more), in both modes, with both sign-ins, with one
//! request at a time and with several. `docs/development/scenarios.md` is the table of all of them.

mod contradictions;
mod deletions;
pub(crate) mod kills;
mod quirks;
mod random;
pub(crate) mod run;
pub(crate) mod stores;
mod table;
