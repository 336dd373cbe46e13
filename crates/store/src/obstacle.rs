//! What keeps Landfall's tables from being made in a database that has none of them.

use std::fmt;

/// Seen before anything is made, so that a person learns what to change and not which statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The role may not make tables in the schema that its tables would lie in.
    MayNotCreate { role: String, schema: String },
    /// No schema of the role's `search_path` exists.
    NoSchema,
    /// Tables of these names belong to another application.
    NamesTaken { tables: Vec<String> },
}

impl Obstacle {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::MayNotCreate { role, schema } => {
                format!("as its owner: GRANT CREATE ON SCHEMA {schema} TO {role}")
            }
            Self::NoSchema => {
                "make a schema that the role's search_path names, or name another database".to_owned()
            }
            Self::NamesTaken { .. } => {
                "let DATABASE_URL name a database of its own: CREATE DATABASE landfall".to_owned()
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MayNotCreate { role, schema } => {
                write!(f, "the role {role} may not make tables in the schema {schema}")
            }
            Self::NoSchema => f.write_str("the role's search_path names no schema that exists"),
            Self::NamesTaken { tables } => {
                write!(f, "it has tables of the same names that are not Landfall's: {}", tables.join(", "))
            }
        }
    }
}
