//! Why Landfall's tables cannot be created in a database that has none.

use std::fmt;

/// Detected before any table is created, so that the message says what to change instead of which statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The role may not create tables in its current schema.
    MayNotCreate { role: String, schema: String },
    /// No schema of the role's `search_path` exists.
    NoSchema,
    /// Tables of these names belong to another application.
    NamesTaken { tables: Vec<String> },
}

impl Obstacle {
    /// How to fix it.
    pub fn hint(&self) -> String {
        match self {
            Self::MayNotCreate { role, schema } => {
                format!("run as the schema's owner: GRANT CREATE ON SCHEMA {schema} TO {role}")
            }
            Self::NoSchema => {
                "create a schema that the role's search_path names, or use another database".to_owned()
            }
            Self::NamesTaken { .. } => {
                "use a separate database: run CREATE DATABASE landfall, and name it in DATABASE_URL"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MayNotCreate { role, schema } => {
                write!(f, "the role {role} may not create tables in the schema {schema}")
            }
            Self::NoSchema => f.write_str("no schema in the role's search_path exists"),
            Self::NamesTaken { tables } => {
                write!(f, "it has tables with the same names that are not Landfall's: {}", tables.join(", "))
            }
        }
    }
}
