//! The event parser: it never panics, and everything it returns is part of the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use webhook::Event;

fuzz_target!(|body: &[u8]| {
    let Ok(event) = Event::parse(body) else {
        return;
    };
    assert!(!event.kind.as_str().is_empty());
    assert!(event.kind.as_str().chars().count() <= 128);
    let texts = [event.event_id.clone(), event.object_id()];
    assert!(texts.into_iter().flatten().all(|text| !text.is_empty()));
    if let Some(data) = event.data {
        let data = data.get().as_bytes();
        assert!(body.windows(data.len()).any(|part| part == data));
    }
});
