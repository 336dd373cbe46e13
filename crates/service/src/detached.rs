//! Runs what may block forever, such as reading a file that is a FIFO or lies on a network file system that is away, in a
//! thread that is never joined. A Tokio runtime waits for its blocking threads before it ends: SIGTERM would have no effect.

use std::io;

/// The result of `work`, which runs in a thread of its own. When the returned future is dropped the thread goes on, at
/// most until the process ends.
///
/// # Errors
/// When the kernel has no thread left, or `work` panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // The caller was dropped when it cannot be sent.
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
    fn a_runtime_ends_although_work_is_stuck() {
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
    async fn a_result_comes_back_and_a_panic_is_an_error() {
        assert_eq!(run(|| 7).await.unwrap(), 7);
        assert!(run(|| -> i32 { panic!("on purpose") }).await.is_err());
    }
}
