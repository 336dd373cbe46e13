//! What people and programs may do with an installation: no HTTP, no printing. The command `landfall` uses it, and an
//! HTTP API can do the same through it.

pub mod checks;
pub mod day;
pub mod dead_letter_acts;
pub mod dead_letter_groups;
pub mod dead_letters;
mod error_object;
pub mod fetch;
mod import_activity;
pub mod model_output;
mod object_id;
mod object_state;
pub mod quantity;
mod record;
pub mod replay;
pub mod requeue;
mod result_lines;
mod result_pages;
mod sources;
pub mod status;
pub mod targets;
pub mod wait;

pub use error_object::error_message;
pub use import_activity::{ImportActivity, import_activity};
pub use object_id::{ObjectId, ObjectKind, UnknownPrefix};
pub use object_state::{ObjectState, states};
pub use record::{RecordError, find, record};
pub use result_lines::{LineFormat, write_head, write_lines};
pub use result_pages::ResultPages;
pub use sources::{Source, SourceLocation, sources};
