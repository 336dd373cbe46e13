//! A database value from a closed set of names, which another version of Landfall may have written.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// An enum defined by `closed_set!`.
pub trait ClosedSet: Copy + PartialEq + FromStr {
    /// The name of this member, as users see it.
    fn as_str(self) -> &'static str;
}

/// A member of a closed set, or a name that this version does not know and shows unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaybeKnown<T> {
    Known(T),
    Unknown(String),
}

impl<T: ClosedSet> MaybeKnown<T> {
    /// The member, if this version knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(member) => Some(*member),
            Self::Unknown(_) => None,
        }
    }

    /// The name, as users see it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(member) => member.as_str(),
            Self::Unknown(name) => name,
        }
    }
}

impl<T> From<T> for MaybeKnown<T> {
    fn from(member: T) -> Self {
        Self::Known(member)
    }
}

impl<T: ClosedSet> PartialEq<T> for MaybeKnown<T> {
    fn eq(&self, member: &T) -> bool {
        self.known().is_some_and(|known| known == *member)
    }
}

impl<T: ClosedSet> FromStr for MaybeKnown<T> {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Unknown(text.to_owned()), Self::Known))
    }
}

impl<T: ClosedSet> fmt::Display for MaybeKnown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: ClosedSet> Serialize for MaybeKnown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventState;

    #[test]
    fn a_name_from_another_version_is_shown_unchanged() {
        let read = |text: &str| text.parse::<MaybeKnown<EventState>>().unwrap();
        assert_eq!(read("dead"), MaybeKnown::from(EventState::Dead));
        assert_eq!(read("dead"), EventState::Dead);
        assert_eq!((read("asleep").known(), read("asleep").as_str()), (None, "asleep"));
        assert_eq!(format!("{:<8}|{:<5}|", read("asleep"), read("dead")), "asleep  |dead |");
        assert_eq!(serde_json::to_string(&[read("asleep"), read("dead")]).unwrap(), r#"["asleep","dead"]"#);
        assert_ne!(read("asleep"), EventState::Dead);
    }
}
