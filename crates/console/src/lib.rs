//! The console: the read side of Landfall. It serves what workers have stored as an HTTP API, and pages for
//! people.
//!
//! Read `server.rs` first: it names every route. Each file of `api` has the calls of one part of the API.
//!
//! # Guarantees
//! * It starts, and says what is wrong, while Redis or the database is down.
//! * It reads over a few connections of its own, and the database ends a read that takes longer than 5 seconds, so that it
//!   leaves the database to the workers.
//! * Nothing is read without a token, except on a loopback address, where everybody may read, and a result through a signed
//!   link, which is valid for that result alone.
//! * Any number of clients that wait for objects cost one connection to Redis, and no query of the database until
//!   something changes that one of them waits for. While Redis is down, it is one query a second.
//! * Those who wait for the same object share one answer, which is read and written once.
//!
//! # Not promised
//! * Reads of what was stored by a transaction that has not ended.

mod access;
mod api;
mod authorize;
mod bodies;
mod changes;
mod database;
mod day_reader;
mod facts;
mod hosts;
mod login_limit;
mod origin;
mod pages;
mod presence;
mod problem;
mod program;
mod proxy;
mod result_links;
mod role;
mod server;
mod session;
mod settings;
mod shared_answer;
mod startup;
mod state;
mod targets_file;
mod waiting;

pub use program::main;
pub use settings::Settings;
pub use startup::run;
