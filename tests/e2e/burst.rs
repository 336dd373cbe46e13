//! Many clients that connect at the same moment.

use std::net::TcpStream;
use std::time::Duration;

use test_support::signed_webhook::SignedWebhook;

use crate::harness::{Landfall, log_field};

/// The standard library's accept backlog is 128.
const CLIENTS: usize = 500;
/// If the accept backlog is full, a client retries its SYN after a second (RFC 6298).
const FIRST_SYN_TIMEOUT: Duration = Duration::from_millis(900);

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_clients_finds_a_place_to_wait_at_once() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    let address = log_field(&landfall.ingest.wait_for_log("ingest.addr"), "ingest.addr").parse().unwrap();
    // A stopped process accepts no connections: all clients wait in the backlog.
    landfall.ingest.signal("STOP");
    let connect = |_| TcpStream::connect_timeout(&address, FIRST_SYN_TIMEOUT);
    let waiting: Result<Vec<TcpStream>, _> = (0..CLIENTS).map(connect).collect();
    landfall.ingest.signal("CONT");
    assert_eq!(waiting.unwrap().len(), CLIENTS);
    assert_eq!(landfall.post(&SignedWebhook::new("batch.completed", "batch_1")).await.0, 200);
}
