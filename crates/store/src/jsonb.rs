//! JSON to and from PostgreSQL as text: parsed by the server only.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef, Postgres};
use sqlx::{Decode, Encode, Type, ValueRef as _};

/// From `pg_type.dat`; these never change.
const JSON_OID: Oid = Oid(114);
const JSONB_OID: Oid = Oid(3802);
/// The first byte of a `jsonb` on the wire; text follows.
pub(crate) const JSONB_VERSION: u8 = 1;

/// For a column of type `jsonb`.
pub(crate) struct Jsonb<'a>(pub(crate) &'a str);

impl Type<Postgres> for Jsonb<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSONB_OID)
    }
}

impl Encode<'_, Postgres> for Jsonb<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.push(JSONB_VERSION);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

/// For a column of type `json`.
pub(crate) struct VerbatimJson<'a>(pub(crate) &'a str);

impl Type<Postgres> for VerbatimJson<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSON_OID)
    }
}

impl Encode<'_, Postgres> for VerbatimJson<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

/// Decodes both types.
pub(crate) struct JsonText(pub(crate) String);

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSONB_OID)
    }

    fn compatible(found: &PgTypeInfo) -> bool {
        [JSON_OID, JSONB_OID].map(PgTypeInfo::with_oid).contains(found)
    }
}

impl Decode<'_, Postgres> for JsonText {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let is_jsonb = *value.type_info() == PgTypeInfo::with_oid(JSONB_OID);
        let is_binary = value.format() == PgValueFormat::Binary;
        let bytes = value.as_bytes()?;
        let text = match bytes.split_first() {
            Some((&JSONB_VERSION, text)) if is_jsonb && is_binary => text,
            Some((version, _)) if is_jsonb && is_binary => {
                return Err(format!("jsonb of the unknown version {version}").into());
            }
            _ => bytes,
        };
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }
}
