//! Faults of the store and of the way to it: whatever goes wrong, no row is lost, nothing hangs, no
//! secret is told, and what ends says why.

mod answers;
mod hostile;
mod pages;
mod row;
mod run;
mod table;
