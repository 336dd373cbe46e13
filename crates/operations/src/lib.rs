//! What people and programs may do with an installation: no HTTP, no printing. The command `landfall` uses it, and an
//! HTTP API can do the same through it.

pub mod dead_letters;
pub mod fetch;
pub mod model_output;
mod object_id;
mod object_state;
mod record;
pub mod replay;
pub mod requeue;
mod result_lines;
mod result_pages;
pub mod wait;

pub use object_id::{ObjectId, ObjectKind, UnknownPrefix};
pub use object_state::{ObjectState, states};
pub use record::{RecordError, find, record};
pub use result_lines::{LineFormat, write_head, write_lines};
pub use result_pages::ResultPages;
