//! Rows of the store.

use super::json::Writer;

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// Hash that identifies the line in its order.
    pub item_id: u32,
    /// Product.
    pub product_id: i64,
    /// Number of pieces.
    pub amount: i64,
    /// Price of a piece, in hundredths.
    pub price: i64,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Key.
    pub order_id: i64,
    /// Time when it was placed.
    pub timestamp: i64,
    /// Time of the last change that the store stamps; 0 in rows from before the column existed.
    pub updated_at: i64,
    /// Status: `N` is incomplete.
    pub status: char,
    /// Account of the customer; 0 for guests.
    pub user_id: i64,
    /// Store or vendor.
    pub company_id: i64,
    /// Storefront.
    pub storefront_id: i64,
    /// True if vendors' orders were made of it; such an order is never listed.
    pub is_parent: bool,
    /// Order that it was split off; 0 if none.
    pub parent_order_id: i64,
    /// First name.
    pub firstname: String,
    /// Last name.
    pub lastname: String,
    /// E-mail of the customer.
    pub email: String,
    /// Lines.
    pub lines: Vec<OrderLine>,
    /// Shipping cost, in hundredths.
    pub shipping_cost: i64,
    /// Notes of the customer, and the place of the number of edits.
    pub notes: String,
    /// Staff notes.
    pub details: String,
    /// Administrator who manages it.
    pub issuer_id: Option<i64>,
    /// Shipments, oldest first.
    pub shipment_ids: Vec<i64>,
}

impl Order {
    /// Returns the sum of the lines, in hundredths.
    pub fn subtotal(&self) -> i64 {
        self.lines.iter().map(|line| line.amount * line.price).sum()
    }

    /// Returns the total, in hundredths.
    pub fn total(&self) -> i64 {
        self.subtotal() + self.shipping_cost
    }
}

/// A product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Key.
    pub product_id: i64,
    /// Creation date, which an edit may move.
    pub timestamp: i64,
    /// Time of the last save.
    pub updated_timestamp: i64,
    /// Name.
    pub name: String,
    /// Code.
    pub code: String,
    /// Status.
    pub status: char,
    /// Owner.
    pub company_id: i64,
    /// Price, in hundredths.
    pub price: i64,
    /// Pieces in stock.
    pub amount: i64,
    /// Weight, in thousandths.
    pub weight: i64,
    /// Categories; a product without one is never listed.
    pub category_ids: Vec<i64>,
}

/// A user account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Key.
    pub user_id: i64,
    /// `C` customer, `A` administrator, `V` staff of a vendor.
    pub user_type: char,
    /// Status.
    pub status: char,
    /// First name.
    pub firstname: String,
    /// Last name.
    pub lastname: String,
    /// E-mail.
    pub email: String,
    /// Phone number.
    pub phone: String,
    /// Store or vendor.
    pub company_id: i64,
    /// Time of registration.
    pub timestamp: i64,
    /// Time of the last visit; 0 if never.
    pub last_login: i64,
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartLine {
    /// Hash that identifies the line in its cart.
    pub item_id: u32,
    /// Product.
    pub product_id: i64,
    /// Number of pieces.
    pub amount: i64,
    /// Price of a piece, in hundredths.
    pub price: i64,
    /// Time when it was first stored or last saved.
    pub timestamp: i64,
    /// Storefront.
    pub storefront_id: i64,
}

/// A cart: all lines of one user, in CS-Cart of one user and company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart {
    /// Account, or the number of a guest's session.
    pub user_id: i64,
    /// Company in CS-Cart; 0 in Multi-Vendor.
    pub company_id: i64,
    /// True if the user has an account.
    pub is_registered: bool,
    /// Order that was begun from it.
    pub order_id: Option<i64>,
    /// Contact data that a guest typed: first name, last name and e-mail.
    pub contact: Option<(String, String, String)>,
    /// Lines; a cart without one is deleted.
    pub lines: Vec<CartLine>,
}

impl Cart {
    /// Returns the time of the newest line.
    pub fn newest(&self) -> i64 {
        self.lines.iter().map(|line| line.timestamp).max().unwrap_or(0)
    }

    /// Returns the sum of all lines, in hundredths.
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.amount * line.price).sum()
    }
}

/// A shipment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// Key.
    pub shipment_id: i64,
    /// Order.
    pub order_id: i64,
    /// Time of the order.
    pub order_timestamp: i64,
    /// Time when it was made.
    pub timestamp: i64,
    /// Customer.
    pub user_id: i64,
    /// First name.
    pub firstname: String,
    /// Last name.
    pub lastname: String,
    /// Status.
    pub status: char,
    /// Comments.
    pub comments: String,
    /// Tracking number.
    pub tracking_number: String,
    /// Lines of the order and numbers of pieces.
    pub products: Vec<(u32, i64)>,
}

/// A value of a small row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// An integer column.
    Int(i64),
    /// An amount of money, in hundredths.
    Money(i64),
    /// A column of text.
    Text(String),
    /// A JSON value.
    Json(String),
}

/// A row of a small list: categories, statuses and others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallRow {
    /// Key.
    pub id: i64,
    /// Names and values, in order.
    pub cells: Vec<(&'static str, Cell)>,
}

impl SmallRow {
    /// Returns a value as a number; 0 if it is not one.
    pub fn number(&self, name: &str) -> i64 {
        match self.cell(name) {
            Some(Cell::Int(number) | Cell::Money(number)) => *number,
            _ => 0,
        }
    }

    /// Returns a value as text; empty if it is not one.
    pub fn text(&self, name: &str) -> &str {
        match self.cell(name) {
            Some(Cell::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns a value.
    pub fn cell(&self, name: &str) -> Option<&Cell> {
        self.cells.iter().find(|(known, _)| *known == name).map(|(_, cell)| cell)
    }

    /// Sets a value.
    pub fn set(&mut self, name: &'static str, value: Cell) {
        match self.cells.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.cells.push((name, value)),
        }
    }

    /// Writes all values except some.
    pub(crate) fn write(&self, out: &mut Writer, except: &[&str]) {
        for (name, cell) in self.cells.iter().filter(|(name, _)| !except.contains(name)) {
            match cell {
                Cell::Int(value) => out.int(name, *value),
                Cell::Money(value) => out.money(name, *value),
                Cell::Text(value) => out.text(name, value),
                Cell::Json(value) => out.raw(name, value),
            };
        }
    }
}
