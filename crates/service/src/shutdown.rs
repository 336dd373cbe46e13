//! Turns SIGTERM and SIGINT into a token that everything long-running watches.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::log_output;

/// A token that the first SIGTERM or SIGINT cancels. The second one ends the process at once, with the exit code a
/// shell gives a process killed by that signal: work that is not acknowledged is then done again by someone else.
///
/// # Errors
/// When the system refuses to hand over its signals.
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
        tracing::info!(signal = name, "stopping: finishing what was accepted; a second signal stops at once");
        cancelled.cancel();
        let (name, exit_code) = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "stopped at once");
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
