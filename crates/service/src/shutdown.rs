//! Converts SIGTERM and SIGINT into a token that all long-running tasks observe.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::log_output;

/// Returns a token that the first SIGTERM or SIGINT cancels. The second signal ends the process immediately, with the
/// exit code that a shell reports for that signal; unacknowledged work is then redone by another process.
///
/// # Errors
/// When signal handlers cannot be installed.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await.0;
        tracing::info!(signal = name, "stopping: finishing accepted work; a second signal stops immediately");
        cancelled.cancel();
        let (name, exit_code) = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "stopped immediately");
        log_output::flush();
        std::process::exit(exit_code);
    });
    Ok(token)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", 128 + 15),
        _ = interrupt.recv() => ("SIGINT", 128 + 2),
    }
}
