//! Reads some fields of a JSON object without building the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Deserializer;
use serde_json::de::Read;
use serde_json::value::RawValue;

/// The raw values of some fields. If a field is repeated, the last one counts, as in Python and JavaScript.
///
/// # Errors
/// When the text is not exactly one JSON object.
pub fn fields<'a, const N: usize>(
    mut json: Deserializer<impl Read<'a>>,
    names: [&'static str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    struct Fields<const N: usize>([&'static str; N]);

    impl<'de, const N: usize> Visitor<'de> for Fields<N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            // Raw JSON, because a key may contain a lone surrogate, which is not valid in a string.
            while let Some(key) = map.next_key::<&'de RawValue>()? {
                let key = decoded(key).unwrap_or_default();
                match self.0.iter().position(|name| *name == key) {
                    Some(index) => found[index] = Some(map.next_value::<&'de RawValue>()?),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(found)
        }
    }

    let found = json.deserialize_map(Fields(names))?;
    json.end()?;
    Ok(found)
}

/// A JSON string. Nearly all contain no escapes, and are returned without copying.
pub(crate) fn decoded(raw: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !quoted.contains('\\') {
        return Some(Cow::Borrowed(quoted));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}
