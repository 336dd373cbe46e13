//! Unusual entries: very many fields, very large bodies.

use std::time::Duration;

use test_support::redis::RedisServer;
use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, entry, one};

const MANY: usize = 4500;

/// Adds an entry whose known fields come after `others` unknown ones.
async fn add_with_fields(queue: &TestQueue, key: String, others: usize) {
    let mut command = redis::cmd("XADD");
    command.arg(key).arg("*");
    for n in 0..others {
        command.arg(format!("field_{n}")).arg(n);
    }
    for (name, value) in [("v", "1"), ("id", "wh_1"), ("project", "default"), ("type", "batch.completed")] {
        command.arg(name).arg(value);
    }
    command.arg("timestamp").arg(1_750_287_078).arg("received_ms").arg(1_750_287_078_123_i64);
    command.arg("body").arg(entry("wh_1").body);
    command.exec_async(&mut queue.raw().await).await.unwrap();
}

#[tokio::test]
async fn an_entry_with_thousands_of_fields_can_be_given_up_and_redriven() {
    let queue = TestQueue::start();
    add_with_fields(&queue, queue.keys.events(FAMILY), MANY).await;
    let mut consumer = queue.consumer("a", LONG).await;
    let delivery = one(&mut consumer).await;
    delivery.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
    let delivery = one(&mut consumer).await;
    assert_eq!(delivery.content, Ok(entry("wh_1").into()));
    delivery.dead_letter(Reason::Rejected, "400", None).await.unwrap();
    let letter = queue.admin.dead_letters(FAMILY, 1).await.unwrap().pop().unwrap();
    assert_eq!((letter.content, letter.reason), (Ok(entry("wh_1")), Some(Reason::Rejected)));
    let fields: Vec<(String, Vec<String>)> = queue.command("XRANGE dead - +").await;
    let dropped = fields[0].1.iter().position(|field| field == "_dropped_fields").unwrap();
    assert_eq!(fields[0].1[dropped + 1], (MANY - 1000).to_string());

    queue.admin.redrive(FAMILY, &letter.id).await.unwrap().unwrap();
    let again = one(&mut consumer).await;
    assert_eq!(again.content.as_ref().unwrap().body, entry("wh_1").body);
    again.ack().await.unwrap();
}

#[tokio::test]
async fn a_letter_with_thousands_of_fields_can_be_redriven_and_discarded() {
    let queue = TestQueue::start();
    for _ in 0..2 {
        add_with_fields(&queue, queue.keys.dead(FAMILY), MANY).await;
    }
    let letters = queue.admin.dead_letters(FAMILY, 2).await.unwrap();
    assert!(queue.admin.redrive(FAMILY, &letters[0].id).await.unwrap().is_some());
    assert!(queue.admin.discard(FAMILY, &letters[1].id).await.unwrap());
    assert_eq!(queue.stats().await.undelivered, 1);
}

/// The longest run of a script since the last call, in microseconds.
async fn longest_script_us(queue: &TestQueue) -> u64 {
    type Slow = (u64, u64, u64, Vec<Vec<u8>>, String, String);
    let slow: Vec<Slow> = queue.command("SLOWLOG GET -1").await;
    queue.command::<()>("SLOWLOG RESET").await;
    let scripts = slow.iter().filter(|(_, _, _, words, ..)| words[0].starts_with(b"EVAL"));
    scripts.map(|(_, _, micros, ..)| *micros).max().unwrap()
}

/// Compared with a script that copies the fields, so that the result does not depend on the machine.
#[tokio::test]
async fn no_script_copies_many_large_bodies_at_once() {
    const ENTRIES: usize = 150;
    let slow_log = ["--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000"];
    let queue = TestQueue::on(RedisServer::start_with(&slow_log));
    let body = vec![b'x'; 1 << 20];
    let mut add = redis::cmd("XADD");
    add.arg(queue.keys.events(FAMILY)).arg("*").arg("v").arg(1).arg("body").arg(body);
    for _ in 0..ENTRIES {
        add.exec_async(&mut queue.raw().await).await.unwrap();
    }
    let (mut a, mut b) = (queue.consumer("a", LONG).await, queue.consumer("b", Duration::ZERO).await);
    queue.command::<()>("SLOWLOG RESET").await;

    assert_eq!(queue.stats().await.undelivered, ENTRIES as u64);
    let held = a.receive_now(ENTRIES - 1).await.unwrap();
    assert_eq!(held.len(), ENTRIES - 1);
    a.audit_now().await.unwrap();
    let ids: Vec<String> = held.iter().map(|delivery| delivery.entry_id.clone()).collect();
    assert_eq!(queue.admin.unsettled(FAMILY, &ids).await.unwrap().len(), ids.len());
    for delivery in held {
        delivery.release().await.unwrap();
    }
    let due = a.receive_now(ENTRIES).await.unwrap();
    assert_eq!(due.len(), ENTRIES);
    a.audit_now().await.unwrap();
    let abandoned = b.receive_now(ENTRIES).await.unwrap();
    assert_eq!((abandoned.len(), abandoned[0].crashes), (ENTRIES, 1));
    let longest = longest_script_us(&queue).await;

    let copy_all = "return #redis.call('XRANGE', KEYS[1], '-', '+')";
    let mut copy = redis::cmd("EVAL");
    copy.arg(copy_all).arg(1).arg(queue.keys.events(FAMILY));
    copy.exec_async(&mut queue.raw().await).await.unwrap();
    let all = longest_script_us(&queue).await;
    println!("longest script: {longest} us; a copy of {ENTRIES} bodies: {all} us");
    assert!(longest * 3 < all, "{longest} us, against {all} us for a copy of all");
}
