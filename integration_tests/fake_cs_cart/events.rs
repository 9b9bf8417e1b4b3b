//! Events in the life of a shop: orders, edits, stock, accounts, shipments, messages.

use super::data::Data;
use super::random::Random;
use super::rows::{Order, OrderLine, Product, Shipment, User};
use super::sample;
use super::table::Note;

impl Data {
    /// Creates an order as the checkout does: incomplete. Returns its id.
    pub fn place_order(&mut self, random: &mut Random) -> i64 {
        self.create_order(random, self.now)
    }

    /// Imports an order with a date of its own: it is created as incomplete with that date, and gets its status at
    /// once, which stamps it. Returns its id.
    pub fn import_order(&mut self, random: &mut Random, timestamp: i64) -> i64 {
        let id = self.create_order(random, timestamp);
        self.set_status(id, 'P');
        id
    }

    /// Imports an order that stays incomplete: nothing stamps it after its creation. Returns its id.
    pub fn import_incomplete_order(&mut self, random: &mut Random, timestamp: i64) -> i64 {
        self.create_order(random, timestamp)
    }

    fn create_order(&mut self, random: &mut Random, timestamp: i64) -> i64 {
        let id = self.next_id("orders");
        let company_id = random.pick(&self.companies()).copied().unwrap_or(1);
        let line = |random: &mut Random| OrderLine {
            item_id: random.next_number() as u32 | 1,
            product_id: 1 + random.below(20),
            amount: 1 + random.below(4),
            price: 100 + random.below(20_000),
        };
        let lines = (0..=random.below(3)).map(|_| line(random)).collect();
        let order = Order {
            order_id: id,
            timestamp,
            updated_at: timestamp,
            status: 'N',
            user_id: 0,
            company_id,
            storefront_id: company_id,
            is_parent: false,
            parent_order_id: 0,
            firstname: "New".to_owned(),
            lastname: format!("Customer {id}"),
            email: format!("customer{id}@example.com"),
            lines,
            shipping_cost: 500,
            notes: String::new(),
            details: String::new(),
            issuer_id: None,
            shipment_ids: Vec::new(),
        };
        let moment = self.next_step();
        self.orders.put(id, order, moment, Note::Stamped);
        id
    }

    /// Returns the ids of all companies.
    pub fn companies(&self) -> Vec<i64> {
        self.small.get("companies").map_or_else(Vec::new, super::table::Table::keys)
    }

    /// Sets the status of an order, which stamps it.
    pub fn set_status(&mut self, id: i64, status: char) -> bool {
        self.change_order(id, Note::Stamped, |order| order.status = status)
    }

    /// Edits an order: notes, and a line that is changed, removed or added. The edit stamps it.
    pub fn edit_order(&mut self, id: i64, random: &mut Random) -> bool {
        let number = random.next_number();
        let kind = random.below(4);
        self.change_order(id, Note::Stamped, |order| {
            order.notes = format!("Edit {number}");
            match kind {
                0 if order.lines.len() > 1 => drop(order.lines.remove(0)),
                1 => {
                    let line = OrderLine { item_id: number as u32 | 1, product_id: 1, amount: 1, price: 1234 };
                    order.lines.push(line);
                }
                _ => {
                    if let Some(line) = order.lines.first_mut() {
                        line.amount += 1;
                    }
                }
            }
        })
    }

    /// Changes an order without stamping it: the details, the shipping cost, or the account of a guest's order.
    pub fn change_order_silently(&mut self, id: i64, random: &mut Random) -> bool {
        let number = random.next_number();
        let kind = random.below(3);
        self.change_order(id, Note::Silent, |order| match kind {
            0 => order.details = format!("Details {number}"),
            1 => order.shipping_cost += 25,
            _ => order.user_id += 1,
        })
    }

    /// Makes a shipment of an order, which does not stamp the order. Returns its id.
    pub fn ship_order(&mut self, id: i64) -> Option<i64> {
        let order = self.orders.get(id)?.clone();
        let shipment_id = self.next_id("shipments");
        let shipment = Shipment {
            shipment_id,
            order_id: id,
            order_timestamp: order.timestamp,
            timestamp: self.now,
            user_id: order.user_id,
            firstname: order.firstname,
            lastname: order.lastname,
            status: 'S',
            comments: String::new(),
            tracking_number: String::new(),
            products: order.lines.iter().map(|line| (line.item_id, line.amount)).collect(),
        };
        let moment = self.next_step();
        self.shipments.put(shipment_id, shipment, moment, Note::Silent);
        self.change_order(id, Note::Silent, |order| order.shipment_ids.push(shipment_id));
        Some(shipment_id)
    }

    /// Deletes a shipment, which does not stamp its order.
    pub fn delete_shipment(&mut self, id: i64) -> bool {
        let Some(order) = self.shipments.get(id).map(|shipment| shipment.order_id) else {
            return false;
        };
        self.change_order(order, Note::Silent, |order| order.shipment_ids.retain(|known| *known != id));
        self.delete("shipments", id)
    }

    /// Adds a product. Returns its id.
    pub fn add_product(&mut self) -> i64 {
        let id = self.next_id("products");
        let product = Product {
            product_id: id,
            timestamp: self.now,
            updated_timestamp: self.now,
            name: format!("Product {id}"),
            code: format!("P{id:06}"),
            status: 'A',
            company_id: 1,
            price: 1000 + id,
            amount: 10,
            weight: 0,
            category_ids: vec![1],
        };
        let moment = self.next_step();
        self.products.put(id, product, moment, Note::Stamped);
        id
    }

    /// Saves a product with another price and name.
    pub fn edit_product(&mut self, id: i64) -> bool {
        self.change_product(id, Note::Stamped, |product| {
            product.price += 1;
            product.name = format!("Product {id} of {}", product.price);
        })
    }

    /// Saves a product with another creation date.
    pub fn move_product(&mut self, id: i64, timestamp: i64) -> bool {
        self.change_product(id, Note::Stamped, |product| {
            product.timestamp = timestamp.max(1);
            product.price += 1;
        })
    }

    /// Takes a piece out of stock, as an order does: no date moves.
    pub fn take_stock(&mut self, id: i64) -> bool {
        self.change_product(id, Note::Silent, |product| product.amount -= 1)
    }

    /// Adds an account. Returns its id.
    pub fn add_user(&mut self, user_type: char) -> i64 {
        let id = self.next_id("users");
        let user = User {
            user_id: id,
            user_type,
            status: 'A',
            firstname: "New".to_owned(),
            lastname: format!("User {id}"),
            email: format!("user{id}@example.com"),
            phone: String::new(),
            company_id: i64::from(user_type != 'A'),
            timestamp: self.now,
            last_login: 0,
        };
        let moment = self.next_step();
        self.users.put(id, user, moment, Note::Silent);
        id
    }

    /// Adds a call request or a product review. Returns its id.
    pub fn add_message(&mut self, object: &'static str) -> i64 {
        let id = self.next_id(object);
        let row = match object {
            "call_requests" => sample::call_request(id, self.now, 1),
            _ => sample::review(id, self.now, 1),
        };
        let moment = self.next_step();
        self.small(object).put(id, row, moment, Note::Silent);
        id
    }
}
