//! When events were received, in parts of a time.

use chrono::TimeDelta;
use store::EventsInSlot;
use webhook::{EventState, Family};

use crate::fixture::Fixture;
use crate::samples::{at, completion, event};

pub(crate) async fn events_are_counted_by_when_they_were_received(fixture: Fixture) {
    let store = &fixture.store;
    assert!(store.event_spans().await.unwrap().is_empty());
    let edges = [at(0), at(60), at(120), at(180)];
    assert!(store.count_events_in_slots(&edges).await.unwrap().is_empty());
    assert!(store.count_events_in_slots(&edges[..1]).await.unwrap().is_empty());
    for (number, (family, secs)) in
        [(Family::Response, 0), (Family::Response, 59), (Family::Response, 60), (Family::Batch, 179)]
            .into_iter()
            .enumerate()
    {
        let mut event = event(&format!("wh_{number}"), "resp_1");
        (event.family, event.received_at) = (family, at(secs));
        store.record_delivery(&event, 1).await.unwrap();
    }
    let mut outside = event("wh_outside", "resp_1");
    outside.received_at = at(180);
    store.record_delivery(&outside, 1).await.unwrap();
    store.complete_event(&completion("wh_0")).await.unwrap();
    let in_slot = |slot, family: Family, state: EventState, count| EventsInSlot {
        slot,
        family: family.into(),
        state: state.into(),
        count,
    };
    let mut counted = store.count_events_in_slots(&edges).await.unwrap();
    counted.sort_by(|a, b| (a.slot, a.state.as_str()).cmp(&(b.slot, b.state.as_str())));
    assert_eq!(
        counted,
        [
            in_slot(0, Family::Response, EventState::Received, 1),
            in_slot(0, Family::Response, EventState::Stored, 1),
            in_slot(1, Family::Response, EventState::Received, 1),
            in_slot(2, Family::Batch, EventState::Received, 1),
        ]
    );
    let spans = store.event_spans().await.unwrap();
    let received =
        spans.iter().find(|span| span.family == Family::Response && span.state == EventState::Received);
    let received = received.unwrap();
    assert_eq!((received.first_received_at, received.last_received_at), (at(59), at(180)));
    assert_eq!(spans.len(), 3);
}

pub(crate) async fn the_lags_of_stored_events_are_sampled(fixture: Fixture) {
    let store = &fixture.store;
    for number in 0..3 {
        let webhook_id = format!("wh_{number}");
        let mut event = event(&webhook_id, "resp_1");
        event.received_at = at(number);
        event.created_at = (number < 2).then(|| at(-number));
        store.record_delivery(&event, 1).await.unwrap();
        store.complete_event(&completion(&webhook_id)).await.unwrap();
    }
    let edges: Vec<_> = (0..60).map(|minute| at(minute * 60)).collect();
    let families = [Family::Response.into(), Family::Batch.into()];
    let lags = store.stored_lags(&families, &edges, 10).await.unwrap();
    let seen: Vec<_> = lags.iter().map(|lag| (lag.slot, lag.lag)).collect();
    assert_eq!(seen, [(0, TimeDelta::seconds(11)), (0, TimeDelta::seconds(10))]);
    assert_eq!(store.stored_lags(&families, &edges, 1).await.unwrap().len(), 1);
    assert!(store.stored_lags(&[], &edges, 10).await.unwrap().is_empty());
}
