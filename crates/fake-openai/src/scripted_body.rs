//! A response body written by a script: slowly, in part, or with a pause. actix closes the connection when a body ends
//! with an error or before its Content-Length, but drops what it has not flushed; such an end is therefore deferred by
//! one poll, so that everything before it is written first.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

/// Ends a body that is cut off.
#[derive(Debug, thiserror::Error)]
#[error("an injected fault closed the connection")]
pub(crate) struct Cut;

/// The script's side of the body. It buffers a single chunk, which applies the client's backpressure to the script.
pub(crate) struct BodyWriter(mpsc::Sender<Result<Bytes, Cut>>);

impl BodyWriter {
    /// Sends a chunk. Returns `false` if the client has disconnected.
    pub(crate) async fn write(&self, bytes: Bytes) -> bool {
        self.0.send(Ok(bytes)).await.is_ok()
    }

    /// Closes the connection.
    pub(crate) async fn cut(self) {
        self.0.send(Err(Cut)).await.ok();
    }
}

/// The chunks of a script, as a body.
pub(crate) struct ScriptedBody {
    pieces: mpsc::Receiver<Result<Bytes, Cut>>,
    /// An end that is reported on the next poll.
    deferred_end: Option<Option<Result<Bytes, Cut>>>,
}

/// Spawns `script`; the stream yields what it writes.
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

/// The next chunk of an ordinary body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut BoxBody) -> Option<Bytes> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await?.ok()
}

/// The length of an ordinary body.
pub(crate) fn length(body: &BoxBody) -> u64 {
    match body.size() {
        BodySize::Sized(bytes) => bytes,
        BodySize::None | BodySize::Stream => 0,
    }
}
