//! Data of the store: its tables, its clock, and how tests change them.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Cart, Order, Product, Shipment, SmallRow, User};
use super::table::{Moment, Note, Table};

/// Start of the clock of a sample store: 2024-11-18 12:00:00 UTC.
pub const START: i64 = 1_731_931_200;

/// Key of a cart: user and company (0 in Multi-Vendor).
pub type CartKey = (i64, i64);

/// Data of one store.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Store's clock in UNIX seconds. It moves only when a test or `Options::seconds_per_request` moves it.
    pub now: i64,
    step: u64,
    /// Orders.
    pub orders: Table<i64, Order>,
    /// Products.
    pub products: Table<i64, Product>,
    /// User accounts.
    pub users: Table<i64, User>,
    /// Carts.
    pub carts: Table<CartKey, Cart>,
    /// Shipments.
    pub shipments: Table<i64, Shipment>,
    /// Small lists by the name of their object; stores and vendors are `companies`.
    pub small: BTreeMap<&'static str, Table<i64, SmallRow>>,
    /// Greatest key that each table ever had: a database never assigns a key twice.
    greatest: BTreeMap<&'static str, i64>,
    /// Rows with text that is not UTF-8, by object and id: every answer with such a row is empty.
    pub broken: BTreeSet<(&'static str, i64)>,
    /// Ids of the rows that the current answer has chosen, for `Options::between`.
    pub chosen: Vec<i64>,
    /// Orders whose text is broken in the fields that only the complete row has.
    pub broken_inside: BTreeSet<i64>,
}

impl Data {
    /// Creates a store without rows.
    pub fn empty() -> Data {
        Data { now: START, ..Data::default() }
    }

    /// Returns the current moment: what happens later has a greater step.
    pub fn moment(&self) -> Moment {
        Moment { step: self.step, at: self.now }
    }

    /// Moves the clock.
    pub fn tick(&mut self, seconds: i64) {
        self.now += seconds;
    }

    /// Counts one change and returns its moment.
    pub fn next_step(&mut self) -> Moment {
        self.step += 1;
        self.moment()
    }

    /// Returns the next key of a table, which no row ever had.
    pub fn next_id(&mut self, object: &'static str) -> i64 {
        let greatest = match object {
            "orders" => self.orders.greatest(),
            "products" => self.products.greatest(),
            "users" => self.users.greatest(),
            "shipments" => self.shipments.greatest(),
            small => self.small(small).greatest(),
        };
        let known = self.greatest.get(object).copied().unwrap_or(0);
        let id = known.max(greatest.unwrap_or(0)) + 1;
        self.greatest.insert(object, id);
        id
    }

    /// Returns a small list.
    pub fn small(&mut self, object: &'static str) -> &mut Table<i64, SmallRow> {
        self.small.entry(object).or_default()
    }

    /// Changes an order. Returns false if there is none.
    pub fn change_order(&mut self, id: i64, note: Note, change: impl FnOnce(&mut Order)) -> bool {
        let moment = self.next_step();
        self.orders.change(id, moment, note, |order| {
            change(order);
            if note == Note::Stamped {
                order.updated_at = moment.at;
            }
        })
    }

    /// Changes a product. Returns false if there is none.
    pub fn change_product(&mut self, id: i64, note: Note, change: impl FnOnce(&mut Product)) -> bool {
        let moment = self.next_step();
        self.products.change(id, moment, note, |product| {
            change(product);
            if note == Note::Stamped {
                product.updated_timestamp = moment.at;
            }
        })
    }

    /// Changes a user; nothing tells a reader. Returns false if there is none.
    pub fn change_user(&mut self, id: i64, change: impl FnOnce(&mut User)) -> bool {
        let moment = self.next_step();
        self.users.change(id, moment, Note::Silent, change)
    }

    /// Changes a shipment; nothing tells a reader. Returns false if there is none.
    pub fn change_shipment(&mut self, id: i64, change: impl FnOnce(&mut Shipment)) -> bool {
        let moment = self.next_step();
        self.shipments.change(id, moment, Note::Silent, change)
    }

    /// Changes a row of a small list. Returns false if there is none.
    pub fn change_small(&mut self, object: &'static str, id: i64, change: impl FnOnce(&mut SmallRow)) -> bool {
        let moment = self.next_step();
        self.small(object).change(id, moment, Note::Silent, change)
    }

    /// Deletes a row without a trace. Returns false if there is none.
    pub fn delete(&mut self, object: &'static str, id: i64) -> bool {
        let moment = self.next_step();
        match object {
            "orders" => self.orders.delete(id, moment).is_some(),
            "products" => self.products.delete(id, moment).is_some(),
            "users" => self.users.delete(id, moment).is_some(),
            "shipments" => self.shipments.delete(id, moment).is_some(),
            small => self.small(small).delete(id, moment).is_some(),
        }
    }

    /// Inserts or replaces a cart, or deletes it if it has no lines.
    pub fn put_cart(&mut self, cart: Cart, note: Note) {
        let moment = self.next_step();
        let key = (cart.user_id, cart.company_id);
        if cart.lines.is_empty() {
            self.carts.delete(key, moment);
        } else {
            self.carts.put(key, cart, moment, note);
        }
    }
}
