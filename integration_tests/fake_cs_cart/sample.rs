//! Sample data: the same for the same seed and sizes.

use super::data::{Data, START};
use super::json::quoted;
use super::options::Edition;
use super::random::Random;
use super::rows::{Cart, CartLine, Cell, Order, OrderLine, Product, Shipment, SmallRow, User};

/// Sizes and properties of a sample store.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Seed of everything random.
    pub seed: u64,
    /// Number of orders.
    pub orders: usize,
    /// Number of products.
    pub products: usize,
    /// Number of customers; some administrators and vendors' users are added.
    pub users: usize,
    /// Number of carts.
    pub carts: usize,
    /// Number of shipments.
    pub shipments: usize,
    /// Number of call requests, and of product reviews.
    pub messages: usize,
    /// Share of the orders, products and cart lines that have the same second as the one before (percent).
    pub ties: u8,
    /// Share of incomplete orders (percent).
    pub incomplete: u8,
    /// Share of orders from before `updated_at` existed, the oldest ones (percent).
    pub upgraded: u8,
    /// Number of orders and products that are dated ahead of the store's clock.
    pub ahead: usize,
    /// Number of companies (stores or vendors), each with a storefront in CS-Cart.
    pub companies: usize,
    /// Time of the oldest order.
    pub from: i64,
    /// Time of the store's clock at the start.
    pub now: i64,
}

/// Time between the oldest order of a sample and its clock: about a year, in seconds.
const SPAN: i64 = 365 * 86_400;

const FIRST: [&str; 8] = ["John", "Zoë", "Łukasz", "Ana \"Nan\"", "O'Neill", "李", "Jean/Marc", "Amélie 🛒"];
const LAST: [&str; 8] = ["Doe", "Müller", "Nowak", "García", "Smith & Sons", "Kim", "de la Cruz", "Ørsted"];

impl Sample {
    /// Creates the sizes of a store with this many orders and the other tables in proportion.
    pub fn new(seed: u64, orders: usize) -> Sample {
        Sample {
            seed,
            orders,
            products: (orders / 10).max(20),
            users: (orders / 4).max(20),
            carts: (orders / 10).max(20),
            shipments: (orders / 2).max(10),
            messages: (orders / 20).max(10),
            ties: 20,
            incomplete: 4,
            upgraded: 0,
            ahead: 0,
            companies: 2,
            from: START - SPAN,
            now: START,
        }
    }

    /// Makes the data for an edition.
    pub fn data(&self, edition: Edition) -> Data {
        let mut data = Data::empty();
        data.now = self.now;
        let mut maker = Maker { sample: self, edition, random: Random::new(self.seed) };
        super::sample_lists::fill(self, &mut data);
        maker.products(&mut data);
        maker.users(&mut data);
        maker.orders(&mut data);
        maker.carts(&mut data);
        maker.shipments(&mut data);
        maker.messages(&mut data);
        data
    }
}

struct Maker<'s> {
    sample: &'s Sample,
    edition: Edition,
    random: Random,
}

impl Maker<'_> {
    /// Returns times from `from` to `to`, ascending; some share a second. The last `ahead` ones are in the future.
    fn times(&mut self, number: usize, from: i64, to: i64, ahead: usize) -> Vec<i64> {
        let step = ((to - from) / number.max(1) as i64).max(1);
        let mut time = from;
        let mut times: Vec<i64> = Vec::with_capacity(number);
        for index in 0..number {
            if index == 0 || !self.random.percent(self.sample.ties) {
                time = (time + 1 + self.random.below(2 * step)).min(to);
            }
            let is_ahead = index + ahead >= number;
            times.push(if is_ahead { self.sample.now + 3600 + index as i64 } else { time });
        }
        times
    }

    fn company(&mut self) -> i64 {
        1 + self.random.below(self.sample.companies.max(1) as i64)
    }

    fn storefront(&mut self, company: i64) -> i64 {
        if self.edition == Edition::Ultimate { company } else { 1 + self.random.below(2) }
    }

    fn name(&mut self) -> (String, String) {
        let first = self.random.pick(&FIRST).copied().unwrap_or_default();
        let last = self.random.pick(&LAST).copied().unwrap_or_default();
        (first.to_owned(), last.to_owned())
    }

    fn products(&mut self, data: &mut Data) {
        let sample = self.sample;
        let times = self.times(sample.products, sample.from - SPAN, sample.now - 86_400, sample.ahead);
        for (id, timestamp) in (1..).zip(times) {
            let edit = timestamp + self.random.below((sample.now - timestamp).max(1));
            let product = Product {
                product_id: id,
                timestamp,
                updated_timestamp: edit.min(sample.now),
                name: format!("Product {id}"),
                code: format!("P{id:06}"),
                status: if id % 9 == 0 { 'D' } else { 'A' },
                company_id: self.company(),
                price: 100 + self.random.below(50_000),
                amount: self.random.below(200),
                weight: self.random.below(9_000),
                // The server lists no product without a category.
                category_ids: if id % 17 == 0 { Vec::new() } else { vec![1 + id % 5, 6] },
            };
            data.products.seed(id, product);
        }
    }

    fn users(&mut self, data: &mut Data) {
        let sample = self.sample;
        let mut types = vec!['A', 'A'];
        if self.edition == Edition::MultiVendor {
            types.extend(['V', 'V', 'V']);
        }
        types.extend(std::iter::repeat_n('C', sample.users));
        let times = self.times(types.len(), sample.from - SPAN, sample.now - 3600, 0);
        for ((id, user_type), timestamp) in (1..).zip(types).zip(times) {
            let (firstname, lastname) = self.name();
            let user = User {
                user_id: id,
                user_type,
                status: if id % 13 == 0 { 'D' } else { 'A' },
                firstname,
                lastname,
                email: if id == 1 { super::options::EMAIL.to_owned() } else { format!("user{id}@example.com") },
                phone: format!("+1 555 {id:04}"),
                company_id: if user_type == 'A' { 0 } else { self.company() },
                timestamp,
                last_login: if id % 3 == 0 { 0 } else { timestamp + 60 },
            };
            data.users.seed(id, user);
        }
    }

    /// Makes the lines of an order.
    fn lines(&mut self, products: i64) -> Vec<OrderLine> {
        let number = 1 + self.random.below(3);
        let line = |_| OrderLine {
            item_id: self.random.next_number() as u32 | 1,
            product_id: 1 + self.random.below(products.max(1)),
            amount: 1 + self.random.below(4),
            price: 100 + self.random.below(20_000),
        };
        (0..number).map(line).collect()
    }

    fn orders(&mut self, data: &mut Data) {
        let sample = self.sample;
        let customers: Vec<i64> =
            data.users.iter().filter(|(_, user)| user.user_type == 'C').map(|(id, _)| *id).collect();
        let times = self.times(sample.orders, sample.from, sample.now - 600, sample.ahead);
        for (id, timestamp) in (1..).zip(times) {
            let user_id = if self.random.percent(30) { 0 } else { self.random.pick(&customers).copied().unwrap_or(0) };
            let (firstname, lastname) = self.name();
            let company_id = self.company();
            let later = self.random.below(3 * 86_400);
            // An order that was imported as incomplete keeps its date as change date, also one that is ahead.
            let is_ahead = timestamp > sample.now && id % 2 == 0;
            let updated_at = if is_ahead { timestamp } else { (timestamp + later).min(sample.now) };
            let is_upgraded = (id as usize * 100) <= sample.orders * usize::from(sample.upgraded);
            let order = Order {
                order_id: id,
                timestamp,
                updated_at: if is_upgraded { 0 } else { updated_at },
                // At least one order of each sample is incomplete.
                status: if self.random.percent(sample.incomplete) || (id == 12 && sample.incomplete > 0) {
                    'N'
                } else {
                    self.random.pick(&['P', 'C', 'O', 'I']).copied().unwrap_or('O')
                },
                user_id,
                company_id,
                storefront_id: self.storefront(company_id),
                is_parent: self.edition == Edition::MultiVendor && id % 31 == 0,
                parent_order_id: if self.edition == Edition::MultiVendor && id % 31 == 1 && id > 1 {
                    id - 1
                } else {
                    0
                },
                firstname,
                lastname,
                email: format!("customer{id}@example.com"),
                lines: self.lines(sample.products as i64),
                shipping_cost: 500 + self.random.below(10) * 50,
                notes: if id % 4 == 0 { format!("Note of {id} / №") } else { String::new() },
                details: String::new(),
                issuer_id: if id % 6 == 0 { Some(2) } else { None },
                shipment_ids: Vec::new(),
            };
            data.orders.seed(id, order);
        }
    }

    fn carts(&mut self, data: &mut Data) {
        let sample = self.sample;
        let customers: Vec<i64> =
            data.users.iter().filter(|(_, user)| user.user_type == 'C').map(|(id, _)| *id).collect();
        let times = self.times(sample.carts, sample.now - 29 * 86_400, sample.now - 60, 0);
        for (index, time) in times.into_iter().enumerate() {
            let is_registered = index % 3 != 0;
            let known = customers.get(index / 3 % customers.len().max(1)).copied().filter(|_| is_registered);
            let company = self.company();
            let user_id = known.unwrap_or(3_000_000_000 + index as i64);
            let key = (user_id, if self.edition == Edition::Ultimate { company } else { 0 });
            let mut lines = data.carts.get(key).map_or_else(Vec::new, |cart| cart.lines.clone());
            for line in 0..=self.random.below(3) {
                let time = (time + line * self.random.below(7200)).min(sample.now);
                lines.push(self.cart_line(time, company));
            }
            let contact = (known.is_none() && index % 2 == 0)
                .then(|| ("Guest".to_owned(), format!("No {index}"), format!("guest{index}@example.com")));
            let order_id = if index % 8 == 0 { Some(1 + index as i64) } else { None };
            let cart = Cart { user_id, company_id: key.1, is_registered: known.is_some(), order_id, contact, lines };
            data.carts.seed(key, cart);
        }
    }

    fn cart_line(&mut self, timestamp: i64, company: i64) -> CartLine {
        CartLine {
            item_id: self.random.next_number() as u32 | 1,
            product_id: 1 + self.random.below(self.sample.products.max(1) as i64),
            amount: 1 + self.random.below(3),
            price: 100 + self.random.below(9_000),
            timestamp,
            storefront_id: self.storefront(company),
        }
    }

    fn shipments(&mut self, data: &mut Data) {
        let orders: Vec<i64> = data.orders.keys();
        for id in 1..=self.sample.shipments as i64 {
            let Some(order_id) = self.random.pick(&orders).copied() else {
                return;
            };
            let Some(order) = data.orders.get(order_id).cloned() else { continue };
            let shipment = Shipment {
                shipment_id: id,
                order_id,
                order_timestamp: order.timestamp,
                timestamp: (order.timestamp + self.random.below(86_400)).min(self.sample.now),
                user_id: order.user_id,
                firstname: order.firstname.clone(),
                lastname: order.lastname.clone(),
                status: 'S',
                comments: String::new(),
                tracking_number: format!("1Z{id:08}"),
                products: order.lines.iter().map(|line| (line.item_id, line.amount)).collect(),
            };
            data.shipments.seed(id, shipment);
            let mut order = order;
            order.shipment_ids.push(id);
            data.orders.seed(order_id, order);
        }
    }

    fn messages(&mut self, data: &mut Data) {
        let number = self.sample.messages;
        let times = self.times(number, self.sample.from, self.sample.now - 60, 0);
        for (id, time) in (1..).zip(times) {
            let request = call_request(id, time, self.company());
            data.small("call_requests").seed(id, request);
            let review = review(id, time, 1 + id % self.sample.products.max(1) as i64);
            data.small("product_reviews").seed(id, review);
        }
    }
}

/// Makes a call request.
pub(crate) fn call_request(id: i64, time: i64, company: i64) -> SmallRow {
    let text = |text: &str| Cell::Text(text.to_owned());
    let cells = vec![
        ("company_id", Cell::Int(company)),
        ("order_id", Cell::Int(0)),
        ("user_id", Cell::Int(id % 5)),
        ("product_id", Cell::Int(id)),
        ("timestamp", Cell::Int(time)),
        ("status", text("new")),
        ("name", Cell::Text(format!("Caller {id}"))),
        ("phone", Cell::Text(format!("+1 555 {id:04}"))),
        ("notes", text("")),
        ("cart_products", Cell::Json("[]".to_owned())),
    ];
    SmallRow { id, cells }
}

/// Makes a product review.
pub(crate) fn review(id: i64, time: i64, product: i64) -> SmallRow {
    let text = |text: &str| Cell::Text(text.to_owned());
    let message = format!("{{\"advantages\":\"\",\"disadvantages\":\"\",\"comment\":{}}}", quoted("Très bien / ok"));
    let cells = vec![
        ("product_id", Cell::Int(product)),
        ("user_id", Cell::Int(id % 7)),
        ("product_review_timestamp", Cell::Int(time)),
        ("rating_value", Cell::Int(1 + id % 5)),
        ("is_buyer", text("Y")),
        ("is_anon", text("N")),
        ("name", Cell::Text(format!("Reviewer {id}"))),
        ("status", text("A")),
        ("helpfulness", Cell::Int(id % 3)),
        ("reply_timestamp", Cell::Int(0)),
        ("message", Cell::Json(message)),
    ];
    SmallRow { id, cells }
}
