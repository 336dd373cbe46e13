//! The decoder of queue entries: any fields decode to an entry or an error, and an entry survives a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queue::Entry;

const NAMES: [&str; 9] =
    ["v", "id", "project", "type", "timestamp", "received_ms", "body", "traceparent", "replay_of"];

fuzz_target!(|fields: (Vec<Vec<u8>>, Vec<(u8, Vec<u8>)>)| {
    let (raw, named) = fields;
    drop(Entry::decode(&raw));

    let version = [b"v".to_vec(), b"1".to_vec()];
    let named = named
        .into_iter()
        .flat_map(|(name, value)| [NAMES[usize::from(name) % NAMES.len()].as_bytes().to_vec(), value]);
    let flat: Vec<Vec<u8>> = version.into_iter().chain(named).collect();
    if let Ok(entry) = Entry::decode(&flat) {
        let again = entry.encode().into_iter().flat_map(|(name, value)| [name.as_bytes().to_vec(), value]);
        assert_eq!(Entry::decode(&again.collect::<Vec<_>>()), Ok(entry));
    }
});
