//! Guarantee 2 with group commit: a worker that dies while many events share a transaction loses and repeats none.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use test_support::wait;
use webhook::EventState;

use crate::harness::{Database, Landfall};

const EVENTS: usize = 40;

/// A client that holds a lock until it is dropped.
struct TableLock(Child);

impl TableLock {
    /// No other client can write the table `events`; reading goes on.
    async fn on_events(url: &str) -> Self {
        let mut client = Command::new("psql")
            .args(["-qAtX", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql is installed with PostgreSQL");
        let commands = "BEGIN; LOCK TABLE events IN EXCLUSIVE MODE;\n";
        client.stdin.as_mut().unwrap().write_all(commands.as_bytes()).unwrap();
        let held = "SELECT count(*) FROM pg_locks WHERE relation = 'events'::regclass \
                    AND mode = 'ExclusiveLock' AND granted";
        wait::until("the lock", async || (ask(url, held) == "1").then_some(())).await;
        Self(client)
    }
}

impl Drop for TableLock {
    fn drop(&mut self) {
        // The end of its input ends the client and its transaction.
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

fn ask(url: &str, select: &str) -> String {
    let output = Command::new("psql").args(["-qAtX", url, "-c", select]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Two slots are enough to fetch all of them: a slot is free as soon as its event waits for its group.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_inside_a_group_commit_loses_and_repeats_nothing() {
    let settings = [("LEASE_SECS", "1"), ("WORKER_CONCURRENCY", "2")];
    let mut landfall = Landfall::start_on_with(Database::Postgres, 1, &settings).await;
    let url = landfall.database_url().to_owned();
    let lock = TableLock::on_events(&url).await;
    let mut sent = Vec::new();
    for _ in 0..EVENTS {
        sent.push(landfall.send("response.completed", "resp_demo_research").await);
    }
    let all_fetched = async || (landfall.fake.requests().len() >= EVENTS).then_some(());
    wait::until("every response is fetched", all_fetched).await;
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO events%'";
    wait::until("a group that waits for the table", async || (ask(&url, waiting) == "t").then_some(())).await;
    landfall.workers.pop().unwrap().kill();
    assert_eq!(ask(&url, "SELECT count(*) FROM events"), "0", "nothing was committed");
    assert_eq!(landfall.backlog(), i64::try_from(EVENTS).unwrap(), "nothing was acknowledged");

    drop(lock);
    landfall.add_worker();
    landfall.settled().await;
    for webhook_id in &sent {
        let event = landfall.event(webhook_id).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{webhook_id}");
    }
    assert_eq!(ask(&url, "SELECT count(*) FROM events"), EVENTS.to_string());
    assert_eq!(ask(&url, "SELECT count(*) FROM responses"), "1");
}
