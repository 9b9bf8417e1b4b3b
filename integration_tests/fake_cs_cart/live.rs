//! A seeded schedule of changes that are made before requests are answered.

use super::data::{CartKey, Data};
use super::options::Live;
use super::random::Random;
use super::rows::{Cart, Cell};
use super::table::Note;

/// Changes of a schedule and their frequencies.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Seed.
    pub seed: u64,
    /// Maximum number of changes before a request; each number up to it is as likely.
    pub changes: i64,
    /// Number of the first request (of this schedule) before which something changes, from 1.
    pub first: usize,
    /// Number of the last such request, if there is one.
    pub last: Option<usize>,
    /// Maximum number of seconds by which the clock moves before a change.
    pub seconds: i64,
    /// Share of the changes before which the clock stands still (percent).
    pub ties: u8,
    /// Weights of the tables: orders, products, users, carts, shipments, messages (call requests and reviews).
    pub weights: [i64; 6],
    /// True if rows are deleted.
    pub deletes: bool,
    /// True if orders with dates of the past are imported, some of which stay incomplete.
    pub imports: bool,
    /// True if rows are changed where no date shows it.
    pub is_silent: bool,
    /// True if edits move the creation dates of products.
    pub moves: bool,
    /// True if the types of users change.
    pub retypes: bool,
    /// True if guests' carts join those of accounts.
    pub merges: bool,
    /// True if a cart that is saved is missing until the next request: its lines are deleted and written again.
    pub saves_slowly: bool,
    /// Companies in which new carts are opened: 0 in Multi-Vendor.
    pub cart_companies: Vec<i64>,
}

impl Schedule {
    /// Creates a schedule with changes of all kinds: up to three before each request.
    pub fn new(seed: u64) -> Schedule {
        Schedule {
            seed,
            changes: 3,
            first: 1,
            last: None,
            seconds: 30,
            ties: 30,
            weights: [6, 3, 2, 4, 2, 1],
            deletes: true,
            imports: true,
            is_silent: true,
            moves: true,
            retypes: true,
            merges: true,
            saves_slowly: false,
            cart_companies: vec![1, 2],
        }
    }

    /// Creates a schedule that changes only one table: `orders`, `products`, `users`, `carts`, `shipments` or
    /// `messages`.
    pub fn of(seed: u64, table: &str) -> Schedule {
        let tables = ["orders", "products", "users", "carts", "shipments", "messages"];
        Schedule { weights: tables.map(|name| i64::from(name == table)), ..Schedule::new(seed) }
    }

    /// Returns the hook for `Options::live`.
    pub fn live(self) -> Live {
        let mut player = Player::new(self);
        Box::new(move |data, _| player.before_request(data))
    }

    /// Makes this many changes at once, as between two syncs.
    pub fn play(self, data: &mut Data, changes: usize) {
        let mut player = Player::new(self);
        for _ in 0..changes {
            player.change(data);
        }
        player.complete(data);
    }
}

/// Returns a hook for `Options::between` that deletes one of the chosen orders in this many of a hundred answers.
pub fn delete_chosen(seed: u64, percent: u8) -> Live {
    let mut random = Random::new(seed);
    Box::new(move |data, _| {
        let chosen = random.pick(&data.chosen).copied();
        if let Some(id) = chosen.filter(|_| random.percent(percent)) {
            data.delete("orders", id);
        }
    })
}

struct Player {
    schedule: Schedule,
    random: Random,
    requests: usize,
    /// Orders that the checkout created and has not given their status yet.
    placed: Vec<i64>,
    /// Carts that are being saved.
    saved: Vec<Cart>,
}

impl Player {
    fn new(schedule: Schedule) -> Player {
        let random = Random::new(schedule.seed);
        Player { schedule, random, requests: 0, placed: Vec::new(), saved: Vec::new() }
    }

    fn before_request(&mut self, data: &mut Data) {
        self.requests += 1;
        // The clock stands still between the creation of an order and its status.
        self.complete(data);
        let schedule = &self.schedule;
        if self.requests < schedule.first || schedule.last.is_some_and(|last| self.requests > last) {
            return;
        }
        for _ in 0..self.random.below(schedule.changes + 1) {
            self.change(data);
        }
    }

    /// Ends what takes two steps: orders that were created get their status, carts that are saved come back.
    fn complete(&mut self, data: &mut Data) {
        for cart in std::mem::take(&mut self.saved) {
            data.put_cart(cart, Note::Silent);
        }
        for id in std::mem::take(&mut self.placed) {
            data.set_status(id, 'O');
        }
    }

    fn change(&mut self, data: &mut Data) {
        if !self.random.percent(self.schedule.ties) {
            self.complete(data);
            data.tick(1 + self.random.below(self.schedule.seconds));
        }
        let weights = self.schedule.weights;
        let mut at = self.random.below(weights.iter().sum());
        let table = weights.iter().position(|weight| {
            at -= weight;
            at < 0
        });
        match table {
            Some(0) => self.order(data),
            Some(1) => self.product(data),
            Some(2) => self.user(data),
            Some(3) => self.cart(data),
            Some(4) => self.shipment(data),
            _ => self.message(data),
        }
    }

    /// Returns one of some keys; often one of the first or the last, where walks begin and end.
    fn pick<K: Copy>(&mut self, keys: &[K]) -> Option<K> {
        let quarter = (keys.len() / 4).max(1).min(keys.len());
        let part = match self.random.below(4) {
            0 => &keys[..quarter],
            1 => &keys[keys.len() - quarter..],
            _ => keys,
        };
        self.random.pick(part).copied()
    }

    fn order(&mut self, data: &mut Data) {
        let keys = data.orders.keys();
        let Some(id) = self.pick(&keys) else { return };
        match self.random.below(10) {
            0 | 1 => {
                let id = data.place_order(&mut self.random);
                self.placed.push(id);
            }
            2 if self.schedule.deletes => {
                data.delete("orders", id);
            }
            3 if self.schedule.imports => {
                // Some are dated ahead.
                let time = data.now - self.random.below(300 * 86_400) + 10 * 86_400;
                if self.random.percent(25) {
                    data.import_incomplete_order(&mut self.random, time);
                } else {
                    data.import_order(&mut self.random, time);
                }
            }
            4 if self.schedule.is_silent => {
                data.change_order_silently(id, &mut self.random);
            }
            5 if self.schedule.is_silent => {
                let _ = data.ship_order(id);
            }
            6 | 7 => {
                let status = self.random.pick(&['P', 'C', 'O', 'I']).copied().unwrap_or('O');
                data.set_status(id, status);
            }
            _ => {
                data.edit_order(id, &mut self.random);
            }
        }
    }

    fn product(&mut self, data: &mut Data) {
        let keys = data.products.keys();
        let Some(id) = self.pick(&keys) else { return };
        match self.random.below(8) {
            0 => {
                let _ = data.add_product();
            }
            1 if self.schedule.deletes => {
                let _ = data.delete("products", id);
            }
            2 | 3 if self.schedule.moves => {
                let time = data.now - 600 * 86_400 + self.random.below(700 * 86_400);
                data.move_product(id, time);
            }
            4 if self.schedule.is_silent => {
                let _ = data.take_stock(id);
            }
            _ => {
                let _ = data.edit_product(id);
            }
        }
    }

    fn user(&mut self, data: &mut Data) {
        let keys: Vec<i64> = data.users.keys().into_iter().filter(|id| *id > 1).collect();
        let Some(id) = self.pick(&keys) else { return };
        match self.random.below(6) {
            0 | 1 => {
                let _ = data.add_user('C');
            }
            2 | 3 if self.schedule.deletes => {
                let _ = data.delete("users", id);
            }
            4 if self.schedule.retypes => {
                let user_type = self.random.pick(&['C', 'A', 'V']).copied().unwrap_or('C');
                data.change_user(id, |user| user.user_type = user_type);
            }
            _ => {
                let _ = data.change_user(id, |user| user.lastname.push('x'));
            }
        }
    }

    fn cart(&mut self, data: &mut Data) {
        let keys: Vec<CartKey> = data.carts.keys();
        let Some(key) = self.pick(&keys) else { return };
        let company = self.random.pick(&self.schedule.cart_companies).copied().unwrap_or(0);
        match self.random.below(10) {
            0 | 1 => {
                let _ = data.new_guest(company, &mut self.random);
            }
            2 => {
                let is_registered = data.carts.get(key).is_some_and(|cart| cart.is_registered);
                data.fill_cart(key, is_registered, &mut self.random);
            }
            3 if self.schedule.deletes => {
                let _ = data.buy_cart(key, &mut self.random);
            }
            4 if self.schedule.deletes => {
                let _ = data.empty_cart(key);
            }
            5 if self.schedule.deletes => {
                let _ = data.drop_newest_line(key);
            }
            6 if self.schedule.merges => {
                let is_guest = |key: &CartKey| data.carts.get(*key).is_some_and(|cart| !cart.is_registered);
                let (guests, accounts): (Vec<CartKey>, Vec<CartKey>) = keys.iter().copied().partition(is_guest);
                if let (Some(guest), Some(account)) = (self.pick(&guests), self.pick(&accounts)) {
                    data.merge_cart(guest, (account.0, guest.1));
                }
            }
            7 => data.expire_carts(),
            _ => {
                let keeps_times = self.random.percent(70);
                data.save_cart(key, keeps_times);
                if self.schedule.saves_slowly {
                    self.saved.extend(data.carts.get(key).cloned());
                    data.empty_cart(key);
                }
            }
        }
    }

    fn shipment(&mut self, data: &mut Data) {
        let (orders, shipments) = (data.orders.keys(), data.shipments.keys());
        let Some(id) = self.pick(&shipments) else { return };
        match self.random.below(4) {
            0 => {
                let _ = self.pick(&orders).and_then(|order| data.ship_order(order));
            }
            1 | 2 if self.schedule.deletes => {
                let _ = data.delete_shipment(id);
            }
            _ => {
                let number = format!("1Z{}", self.random.below(1_000_000));
                data.change_shipment(id, |shipment| shipment.tracking_number = number);
            }
        }
    }

    fn message(&mut self, data: &mut Data) {
        let object = *self.random.pick(&["call_requests", "product_reviews"]).unwrap_or(&"call_requests");
        let keys = data.small(object).keys();
        let Some(id) = self.pick(&keys) else { return };
        match self.random.below(4) {
            0 => {
                let _ = data.add_message(object);
            }
            1 | 2 if self.schedule.deletes => {
                let _ = data.delete(object, id);
            }
            _ => {
                let _ = data.change_small(object, id, |row| row.set("status", Cell::Text("D".to_owned())));
            }
        }
    }
}
