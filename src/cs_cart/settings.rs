//! The settings of a CS-Cart store, as the client needs them.

use url::Url;

use crate::secret::Secret;

/// The settings of a store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the store, with its path. Ends with `/`.
    pub base: Url,
    /// E-mail address of the administrator.
    pub email: String,
    /// API key of the administrator.
    pub api_key: Secret,
    /// True if the server rewrites URLs (`/api/…`). If false, requests name `api.php`.
    pub rewrite: bool,
    /// Types of the users to read: `C`, `A`, `V`.
    pub user_types: Vec<String>,
    /// True if orders are read whose checkout was not finished.
    pub include_incomplete_orders: bool,
    /// Storefronts to read; empty for all.
    pub storefront_ids: Vec<u64>,
    /// Language of names.
    pub language: String,
    /// Rows per request.
    pub rows_per_request: usize,
    /// Maximum number of concurrent requests.
    pub concurrency: usize,
}
