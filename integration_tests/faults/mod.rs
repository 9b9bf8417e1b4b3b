//! Faults of the store and the network: no row is lost, nothing hangs, no secret is shown, and an error has
//! its reason.

mod answers;
mod hostile;
mod pages;
mod row;
mod run;
mod table;
