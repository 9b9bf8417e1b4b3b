//! THE TABLE: one row a stream. Everything else (discover, the read, check, the docs' table, the
//! tests) is made from the rows. The order of the rows is the order of the catalog. No code that runs.

/// A list resource of the API, read as a stream.
#[derive(Debug)]
pub struct Stream {
    /// Name of the stream; also the resource's path below `/api/v1/`.
    pub name: &'static str,
    /// Names that configured catalogs and states of the Python connector use for it.
    pub aliases: &'static [&'static str],
    /// Name of the list in the answer (API documentation, resources); the path is understood as well.
    pub list: &'static str,
    /// The key field.
    pub key: &'static str,
    /// Whether the rows carry `updated_at`: without it a stream is read in full each time.
    pub dated: bool,
    /// Whether rows occur whose `updated_at` is null; they match no date filter.
    pub undated_rows: bool,
    /// What the token needs; any one of them will do.
    pub scope: Scope,
    /// JSON schema of the records.
    pub schema: &'static str,
}

/// A right that a token can have (API documentation, scopes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Customers and their addresses.
    People,
    /// Orders and all that belongs to them.
    Orders,
    /// Products and all that belongs to them.
    Catalog,
}

impl Scope {
    /// The name to tick when a token is made.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::People => "read_people",
            Self::Orders => "read_orders",
            Self::Catalog => "read_catalog",
        }
    }
}

/// The field that tells when a row was last changed, in every dated resource.
pub const CURSOR: &str = "updated_at";

macro_rules! schema {
    ($name:literal) => {
        include_str!(concat!("../schemas/", $name, ".json"))
    };
}

/// What most rows have in common.
const USUAL: Stream = Stream {
    name: "",
    aliases: &[],
    list: "",
    key: "id",
    dated: true,
    undated_rows: false,
    scope: Scope::Orders,
    schema: "",
};

/// The streams.
pub static STREAMS: &[Stream] = &[
    Stream {
        name: "customers",
        aliases: &["customers_cart"],
        list: "customers",
        scope: Scope::People,
        schema: schema!("customers"),
        ..USUAL
    },
    Stream { name: "addresses", list: "addresses", scope: Scope::People, schema: schema!("addresses"), ..USUAL },
    Stream { name: "orders", list: "orders", schema: schema!("orders"), ..USUAL },
    Stream { name: "order_items", list: "items", schema: schema!("order_items"), ..USUAL },
    Stream { name: "order_payments", list: "payments", schema: schema!("order_payments"), ..USUAL },
    Stream {
        name: "order_statuses",
        list: "order_statuses",
        undated_rows: true,
        schema: schema!("order_statuses"),
        ..USUAL
    },
    Stream {
        name: "products",
        list: "products",
        undated_rows: true,
        scope: Scope::Catalog,
        schema: schema!("products"),
        ..USUAL
    },
];

/// The stream of this name or alias.
#[must_use]
pub fn find(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name || stream.aliases.contains(&name))
}
