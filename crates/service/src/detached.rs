//! Runs work that may block forever, such as reading a FIFO or a file on an unavailable network file system, in a
//! thread that is never joined. The Tokio runtime waits for its blocking threads on shutdown, so SIGTERM would have no
//! effect.

use std::io;

/// Runs `work` in a new thread and returns its result. If the returned future is dropped, the thread continues until it
/// ends or the process exits.
///
/// # Errors
/// When the kernel cannot create a thread, or `work` panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Sending fails only if the caller was dropped.
    let thread = move || drop(sender.send(work()));
    std::thread::Builder::new().name("detached".to_owned()).spawn(thread)?;
    receiver.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_runtime_shuts_down_while_work_is_stuck() {
        let (release, stuck) = mpsc::channel::<()>();
        let (ended, has_ended) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let work = run(move || stuck.recv().ok());
                assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
            });
            drop(runtime);
            ended.send(()).unwrap();
        });
        has_ended.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(release);
    }

    #[tokio::test]
    async fn the_result_is_returned_and_a_panic_is_an_error() {
        assert_eq!(run(|| 7).await.unwrap(), 7);
        assert!(run(|| -> i32 { panic!("on purpose") }).await.is_err());
    }
}
