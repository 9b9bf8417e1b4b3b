//! Surroundings of one answer: switches, data and parameters.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::data::Data;
use super::json::Writer;
use super::options::{Account, Edition, Options, Version};
use super::query::Query;

/// Orders that were written before, each with the number of the change that made it; true for complete rows.
pub(crate) type RowCache = RefCell<HashMap<(bool, i64), (u64, Arc<str>)>>;

/// Everything that an answer depends on.
pub(crate) struct Context<'a> {
    /// Switches.
    pub(crate) options: &'a Options,
    /// Data.
    pub(crate) data: &'a Data,
    /// Name of the object that is read.
    pub(crate) object: &'static str,
    /// Parameters.
    pub(crate) query: &'a Query,
    /// Number of the request, which decides the order of ties.
    pub(crate) n: u64,
    /// Store or vendor that the path names, or that the account belongs to.
    pub(crate) company: Option<i64>,
    /// Version of the API.
    pub(crate) api: &'a str,
    /// Account that asks.
    pub(crate) account: &'a Account,
    /// Rows that were written before.
    pub(crate) cache: &'a RowCache,
}

impl Context<'_> {
    /// Returns an empty JSON text with the columns of this store.
    pub(crate) fn writer(&self) -> Writer {
        Writer::new(self.options.columns)
    }

    /// Returns true if the server has this version or a later one.
    pub(crate) fn is_at_least(&self, version: Version) -> bool {
        self.options.version >= version
    }

    /// Returns true for CS-Cart, false for Multi-Vendor.
    pub(crate) fn is_ultimate(&self) -> bool {
        self.options.edition == Edition::Ultimate
    }

    /// Returns true if a row of this company is inside the request's store or vendor, and passes the filters
    /// `company_id` (if the list reads it) and `company_ids`.
    pub(crate) fn is_in_company(&self, company_id: i64, reads_company_id: bool) -> bool {
        let one = self.query.number("company_id").filter(|_| reads_company_id);
        self.company.is_none_or(|company| company == company_id)
            && one.is_none_or(|company| company == company_id)
            && self.query.numbers("company_ids").is_none_or(|companies| companies.contains(&company_id))
    }
}
