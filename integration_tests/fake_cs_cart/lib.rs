//! A fake CS-Cart or Multi-Vendor store for tests: a real HTTP/1.1 server over a store that the test can change.
//!
//! It is written from public facts about the API alone. It has the data ([`Data`]), the switches ([`Options`]), the
//! faults ([`Fault`]), the request log ([`RecordedRequest`]) and the server. It must not use anything of the
//! connector: no file of this folder names the crate under test, so that a misreading of the API in the connector
//! cannot be repeated here. Only tests of the fake store itself are here.
//!
//! ```ignore
//! let store = FakeCsCart::sample(Options::default(), &Sample::new(1, 500));
//! let url = store.url(); // sign in with EMAIL and KEY
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a store that cannot serve ends the program that asked for it"
)]

mod access;
mod answer;
mod cart_events;
mod context;
mod data;
mod events;
mod fault;
mod history;
mod json;
mod judge;
mod live;
mod objects;
mod options;
mod page;
mod period;
mod query;
mod random;
mod route;
mod rows;
mod sample;
mod sample_lists;
mod seen;
mod server;
mod table;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

pub use data::{CartKey, Data, START};
pub use fault::{Fault, WARNING};
pub use history::{History, Key, Truth};
pub use json::Columns;
pub use judge::{Excuse, Judge, Verdict};
pub use live::{Schedule, delete_chosen};
pub use options::{
    Account, DateHeader, EMAIL, Edition, Envelope, FaultHook, KEY, Live, Options, PageCap, Rights, Version, WeakHost,
};
pub use random::Random;
pub use rows::{Cart, CartLine, Cell, Order, OrderLine, Product, Shipment, SmallRow, User};
pub use sample::Sample;
pub use seen::{Counters, RecordedRequest};
pub use table::{Moment, Note, Table, Version as RowVersion};

use route::State;
use server::Shared;

/// A running fake store. Dropping it stops the server.
pub struct FakeCsCart {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl FakeCsCart {
    /// Starts a server on a free port of 127.0.0.1.
    pub fn start(options: Options, data: Data) -> FakeCsCart {
        FakeCsCart::start_on(0, options, data)
    }

    /// Starts a server with sample data of the edition.
    pub fn sample(options: Options, sample: &Sample) -> FakeCsCart {
        let data = sample.data(options.edition);
        FakeCsCart::start(options, data)
    }

    /// Starts a server on this port.
    pub fn start_on(port: u16, options: Options, data: Data) -> FakeCsCart {
        let listener = TcpListener::bind((options.address, port)).expect("a port of this machine");
        let address = listener.local_addr().expect("a socket");
        let shared = Arc::new(Shared::new(State { data, options, cache: Default::default(), answered: 0 }));
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("fake-cs-cart".to_owned())
            .spawn(move || server::accept(&listener, &served))
            .expect("a thread");
        FakeCsCart { shared, address, thread: Some(thread) }
    }

    /// Returns the address of the store, with its folder: `http://127.0.0.1:PORT/shop`.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.shared.state().options.folder)
    }

    /// Returns the address of the socket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads or changes the data. No request is answered meanwhile; do not call the store from inside.
    pub fn data<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R {
        let mut state = self.shared.state();
        state.cache.get_mut().clear();
        f(&mut state.data)
    }

    /// Changes the switches. No request is answered meanwhile; do not call the store from inside.
    pub fn options<R>(&self, f: impl FnOnce(&mut Options) -> R) -> R {
        let mut state = self.shared.state();
        state.cache.get_mut().clear();
        f(&mut state.options)
    }

    /// Returns the current moment of the store.
    pub fn moment(&self) -> Moment {
        self.shared.state().data.moment()
    }

    /// Copies the data with all its versions, for [`Judge`].
    pub fn history(&self) -> History {
        let state = self.shared.state();
        History::new(&state.data, &state.options)
    }

    /// Returns the request log, in order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.all()
    }

    /// Returns the sums over the request log.
    pub fn counters(&self) -> Counters {
        self.shared.log.counters()
    }

    /// Clears the request log; numbers start at 1 again.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }
}

impl Drop for FakeCsCart {
    fn drop(&mut self) {
        self.shared.stop(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
