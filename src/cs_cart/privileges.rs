//! The privileges that an administrator needs, by the names that a store gives them.

use crate::stream::Scope;

/// The privileges of an administrator's user group (CS-Cart documentation: privileges). The main administrator has all
/// of them.
#[expect(non_upper_case_globals, reason = "a row of the table names its privilege as it would name a variant")]
pub(super) mod of {
    use super::Scope;

    /// Orders and shipments.
    pub(crate) const Orders: Scope = Scope("view_orders");
    /// Products and all that describes them.
    pub(crate) const Catalog: Scope = Scope("view_catalog");
    /// Users and carts.
    pub(crate) const Users: Scope = Scope("view_users");
    /// Statuses. There is no privilege that only reads them.
    pub(crate) const Statuses: Scope = Scope("manage_order_statuses");
    /// Stores of CS-Cart.
    pub(crate) const Stores: Scope = Scope("view_stores");
    /// Vendors of Multi-Vendor.
    pub(crate) const Vendors: Scope = Scope("view_vendors");
    /// Taxes.
    pub(crate) const Taxes: Scope = Scope("view_taxes");
    /// Shipping methods.
    pub(crate) const Shippings: Scope = Scope("view_shipping");
    /// Languages.
    pub(crate) const Languages: Scope = Scope("view_languages");
    /// User groups.
    pub(crate) const UserGroups: Scope = Scope("view_usergroups");
    /// Call requests, of an add-on.
    pub(crate) const CallRequests: Scope = Scope("view_call_requests");
    /// Product reviews, of an add-on.
    pub(crate) const ProductReviews: Scope = Scope("view_product_reviews");
}
