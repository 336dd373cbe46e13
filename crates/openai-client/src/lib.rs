//! A thin client for the few OpenAI GET endpoints that Landfall uses. It looks up ids; it knows nothing about events
//! and never writes.
//!
//! Objects are parsed leniently: a field that is missing or has another type than documented is `None`, never an error,
//! and [`Fetched::raw`] contains the response byte for byte. [`ApiError::advice`] says whether a retry can help. Every
//! body has a size limit and every wait a time limit; only downloads may take as long as bytes keep arriving.

mod access;
mod agent_artifacts;
mod agent_items;
mod agent_sessions;
mod batch_input;
mod batch_line;
mod batches;
mod body_memory;
mod byte_range;
mod citations;
mod client;
mod container_files;
mod content_coding;
mod download;
mod endpoint;
mod error;
mod evals;
mod exchange;
mod files;
mod fine_tuning;
mod fine_tuning_parts;
mod images;
mod lenient;
mod line_splitter;
mod models;
mod openai_host;
mod page;
mod permissions;
mod phase;
mod responses;
pub mod result_file;
mod retry_hint;
mod safety_alerts;
mod tokens;

pub use access::Access;
pub use agent_artifacts::AgentArtifact;
pub use agent_sessions::{AgentSession, AgentTurn};
pub use batch_input::BatchInputLine;
pub use batch_line::{BatchLine, LineError};
pub use batches::Batch;
pub use body_memory::{BodyMemory, BodyReservation};
pub use citations::{Citation, CitationKind};
pub use client::{Client, ClientConfig, Fetched};
pub use container_files::ContainerFile;
pub use download::Download;
pub use endpoint::{Endpoint, Observed, Observer};
pub use error::{Advice, ApiError, ClientError, ErrorKind, Refusal};
pub use evals::EvalRun;
pub use files::FileObject;
pub use fine_tuning::FineTuningJob;
pub use fine_tuning_parts::{FineTuningCheckpoint, FineTuningEvent};
pub use images::{EmbeddedImage, ImageType, NotBase64, images_of_batch_body};
pub use line_splitter::{LINE_BYTES_MAX, LineSplitter, LineTooLong};
pub use models::Model;
pub use page::Page;
pub use permissions::{Permission, Scope};
pub use phase::Phase;
pub use responses::Response;
pub use safety_alerts::SafetyAlert;
pub use tokens::Tokens;
