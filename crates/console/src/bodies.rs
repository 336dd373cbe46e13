//! Who may read bodies: what models wrote, and what OpenAI sent. The setting `CONSOLE_BODIES` is enforced here, for every
//! call alike.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde_json::value::{RawValue, to_raw_value};

/// The setting `CONSOLE_BODIES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bodies {
    /// For everybody who may read
    All,
    /// Only for operators
    Operator,
    /// Only in the database
    None,
}

/// Whether the caller of a request may read bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyAccess {
    Granted,
    Withheld(BodiesWithheld),
}

/// Why bodies are withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodiesWithheld {
    #[error("bodies are only for operators: CONSOLE_BODIES is `operator`")]
    NotOperator,
    #[error("the console gives out no bodies: CONSOLE_BODIES is `none`")]
    Always,
}

/// The fields of all kinds of rows that hold what a model wrote, or a whole object or event as OpenAI sent it.
const BODY_FIELDS: [&str; 6] =
    ["body", "citations", "detailed_explanation", "output_text", "raw", "required_actions"];

impl Bodies {
    pub(crate) fn for_caller(self, is_operator: bool) -> BodyAccess {
        match (self, is_operator) {
            (Self::All, _) | (Self::Operator, true) => BodyAccess::Granted,
            (Self::Operator, false) => BodyAccess::Withheld(BodiesWithheld::NotOperator),
            (Self::None, _) => BodyAccess::Withheld(BodiesWithheld::Always),
        }
    }
}

impl BodyAccess {
    /// Refuses a call whose answer is nothing but bodies.
    pub(crate) fn require(self) -> Result<(), BodiesWithheld> {
        match self {
            Self::Granted => Ok(()),
            Self::Withheld(why) => Err(why),
        }
    }

    /// A row as the caller may see it: bodies that are withheld are null.
    pub(crate) fn row(self, row: Box<RawValue>) -> serde_json::Result<Box<RawValue>> {
        if self == Self::Granted {
            return Ok(row);
        }
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(row.get())?;
        for name in BODY_FIELDS {
            if let Some(value) = fields.get_mut(name) {
                *value = RawValue::NULL.to_owned();
            }
        }
        to_raw_value(&fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_decides_who_reads_bodies() {
        let is_granted = |setting: Bodies| {
            [false, true].map(|is_operator| setting.for_caller(is_operator).require().is_ok())
        };
        assert_eq!(is_granted(Bodies::All), [true, true]);
        assert_eq!(is_granted(Bodies::Operator), [false, true]);
        assert_eq!(is_granted(Bodies::None), [false, false]);
    }

    #[test]
    fn withheld_bodies_are_null_and_all_else_is_unchanged() {
        let row = || RawValue::from_string(r#"{"id":"resp_1","n":1.50,"raw":{"a":1},"body":"x"}"#.to_owned());
        let shown = |access: BodyAccess| access.row(row().unwrap()).unwrap().get().to_owned();
        assert_eq!(shown(BodyAccess::Granted), row().unwrap().get());
        assert_eq!(
            shown(Bodies::None.for_caller(true)),
            r#"{"body":null,"id":"resp_1","n":1.50,"raw":null}"#
        );
    }
}
