//! Events of carts: lines added and removed, carts saved, bought, merged at sign-in and expired.

use super::data::{CartKey, Data};
use super::random::Random;
use super::rows::{Cart, CartLine};
use super::table::Note;

/// Age at which the lines of guests are deleted: 30 days, in seconds.
const EXPIRY: i64 = 30 * 86_400;

impl Data {
    /// Makes a line of a cart that is stored now.
    fn new_line(&self, random: &mut Random, storefront_id: i64) -> CartLine {
        CartLine {
            item_id: random.next_number() as u32 | 1,
            product_id: 1 + random.below(20),
            amount: 1 + random.below(3),
            price: 100 + random.below(9_000),
            timestamp: self.now,
            storefront_id,
        }
    }

    /// Opens a cart with one line. A cart that exists gets the line.
    pub fn fill_cart(&mut self, key: CartKey, is_registered: bool, random: &mut Random) {
        let storefront = self.carts.get(key).and_then(|cart| cart.lines.first()).map(|line| line.storefront_id);
        let line = self.new_line(random, storefront.unwrap_or_else(|| key.1.max(1)));
        let mut cart = self.carts.get(key).cloned().unwrap_or(Cart {
            user_id: key.0,
            company_id: key.1,
            is_registered,
            order_id: None,
            contact: None,
            lines: Vec::new(),
        });
        cart.lines.push(line);
        self.put_cart(cart, Note::Silent);
    }

    /// Opens the cart of a new guest in a company. Returns its key.
    pub fn new_guest(&mut self, company: i64, random: &mut Random) -> CartKey {
        let key = (3_000_000_000 + random.below(1_000_000_000), company);
        self.fill_cart(key, false, random);
        key
    }

    /// Removes the newest line of a cart; without lines it is gone.
    pub fn drop_newest_line(&mut self, key: CartKey) -> bool {
        let Some(mut cart) = self.carts.get(key).cloned() else {
            return false;
        };
        let newest = (0..cart.lines.len()).max_by_key(|at| cart.lines[*at].timestamp);
        if let Some(newest) = newest {
            cart.lines.remove(newest);
        }
        self.put_cart(cart, Note::Silent);
        true
    }

    /// Saves a cart with other amounts: all its lines are written again, with their times (if the cart was loaded from
    /// the database since) or with the current time.
    pub fn save_cart(&mut self, key: CartKey, keeps_times: bool) -> bool {
        let Some(mut cart) = self.carts.get(key).cloned() else {
            return false;
        };
        for line in &mut cart.lines {
            line.amount += 1;
            if !keeps_times {
                line.timestamp = self.now;
            }
        }
        self.put_cart(cart, Note::Silent);
        true
    }

    /// Deletes a cart: it is emptied.
    pub fn empty_cart(&mut self, key: CartKey) -> bool {
        let moment = self.next_step();
        self.carts.delete(key, moment).is_some()
    }

    /// Buys a cart: it is gone, and there is an order.
    pub fn buy_cart(&mut self, key: CartKey, random: &mut Random) -> bool {
        let id = self.place_order(random);
        self.set_status(id, 'O');
        self.empty_cart(key)
    }

    /// Moves the lines of a guest's cart, with their times, to the cart of an account that signs in.
    pub fn merge_cart(&mut self, guest: CartKey, user: CartKey) -> bool {
        let Some(from) = self.carts.get(guest).cloned().filter(|_| guest != user) else {
            return false;
        };
        let mut cart = self.carts.get(user).cloned().unwrap_or(Cart {
            user_id: user.0,
            company_id: user.1,
            is_registered: true,
            order_id: None,
            contact: None,
            lines: Vec::new(),
        });
        cart.lines.extend(from.lines);
        self.put_cart(cart, Note::Merged);
        self.empty_cart(guest);
        true
    }

    /// Deletes the lines of guests that are older than 30 days.
    pub fn expire_carts(&mut self) {
        let oldest = self.now - EXPIRY;
        let is_old = |cart: &Cart| !cart.is_registered && cart.lines.iter().any(|line| line.timestamp < oldest);
        let carts: Vec<Cart> = self.carts.iter().map(|(_, cart)| cart).filter(|cart| is_old(cart)).cloned().collect();
        for mut cart in carts {
            cart.lines.retain(|line| line.timestamp >= oldest);
            self.put_cart(cart, Note::Silent);
        }
    }
}
