//! Many clients that come at the same moment.

use std::net::TcpStream;
use std::time::Duration;

use test_support::signed_webhook::SignedWebhook;

use crate::harness::{Landfall, log_field};

/// The standard library has places for 128.
const CLIENTS: usize = 500;
/// A client that finds no place knocks again a second later (RFC 6298).
const FIRST_KNOCK: Duration = Duration::from_millis(900);

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_clients_finds_a_place_to_wait_at_once() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    let address = log_field(&landfall.ingest.wait_for_log("ingest.addr"), "ingest.addr").parse().unwrap();
    // While it is stopped it lets nobody in: all of them wait together.
    landfall.ingest.signal("STOP");
    let knock = |_| TcpStream::connect_timeout(&address, FIRST_KNOCK);
    let waiting: Result<Vec<TcpStream>, _> = (0..CLIENTS).map(knock).collect();
    landfall.ingest.signal("CONT");
    assert_eq!(waiting.unwrap().len(), CLIENTS);
    assert_eq!(landfall.post(&SignedWebhook::new("batch.completed", "batch_1")).await.0, 200);
}
