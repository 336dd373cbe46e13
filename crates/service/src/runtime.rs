//! The async runtime of a program, from its start to its end.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::shutdown;

/// Why a program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("could not start the async runtime")]
    Start(#[source] std::io::Error),
    #[error("could not install the signal handlers")]
    Signals(#[source] std::io::Error),
}

/// Runs a program on several threads. The token that it gets is cancelled by SIGTERM; when it returns, nothing that it has
/// accepted may still be running.
///
/// # Errors
/// When the runtime cannot start, and those of the program.
pub fn run<F, E>(program: impl FnOnce(CancellationToken) -> F) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
    E: From<RuntimeError>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(RuntimeError::Start)?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown::on_signal().map_err(RuntimeError::Signals)?;
        program(shutdown).await
    });
    // A DNS lookup that is still running need not delay the exit.
    runtime.shutdown_background();
    ended
}
