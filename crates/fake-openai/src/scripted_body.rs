//! A body sent as a script says: slowly, in part, or with a pause. actix closes the connection when a body ends in an
//! error or short of its Content-Length, but forgets what it has not written yet; so an end like that is held back for
//! one turn, in which what came before it is written.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

/// The end of a body that was cut.
#[derive(Debug, thiserror::Error)]
#[error("the fault asked for the connection to be closed")]
pub(crate) struct Cut;

/// Where a script puts what is to be sent. One piece at a time, so that a script keeps pace with the client.
pub(crate) struct BodyWriter(mpsc::Sender<Result<Bytes, Cut>>);

impl BodyWriter {
    /// Whether the client is still there.
    pub(crate) async fn write(&self, bytes: Bytes) -> bool {
        self.0.send(Ok(bytes)).await.is_ok()
    }

    /// Closes the connection.
    pub(crate) async fn cut(self) {
        self.0.send(Err(Cut)).await.ok();
    }
}

/// The pieces a script writes, as a body.
pub(crate) struct ScriptedBody {
    pieces: mpsc::Receiver<Result<Bytes, Cut>>,
    /// An end that waits for what came before it to be written.
    deferred_end: Option<Option<Result<Bytes, Cut>>>,
}

/// Runs `script` beside the answer; what it writes is the stream.
pub(crate) fn scripted<F>(script: impl FnOnce(BodyWriter) -> F) -> ScriptedBody
where
    F: Future<Output = ()> + 'static,
{
    let (sender, pieces) = mpsc::channel(1);
    actix_web::rt::spawn(script(BodyWriter(sender)));
    ScriptedBody { pieces, deferred_end: None }
}

impl Stream for ScriptedBody {
    type Item = Result<Bytes, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(end) = self.deferred_end.take() {
            return Poll::Ready(end);
        }
        match self.pieces.poll_recv(context) {
            Poll::Ready(end @ (None | Some(Err(Cut)))) => {
                self.deferred_end = Some(end);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }
}

/// The next piece of an ordinary answer; none at its end.
pub(crate) async fn next_chunk(body: &mut BoxBody) -> Option<Bytes> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await?.ok()
}

/// How long an ordinary answer's body is.
pub(crate) fn length(body: &BoxBody) -> u64 {
    match body.size() {
        BodySize::Sized(bytes) => bytes,
        BodySize::None | BodySize::Stream => 0,
    }
}
