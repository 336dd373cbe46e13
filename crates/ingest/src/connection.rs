//! A client's connection as actix sees it: the socket, and its seat in the crowd.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::crowd::{Crowd, Seat};

pub(crate) struct Connection {
    stream: TcpStream,
    seat: Arc<Seat>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, crowd: &Arc<Crowd>) -> Self {
        // Answers are one write each: nothing is gained by holding them back. A socket that is gone is noticed soon enough.
        stream.set_nodelay(true).ok();
        Self { stream, seat: crowd.enter() }
    }

    pub(crate) fn seat(&self) -> Arc<Seat> {
        self.seat.clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.seat.leave();
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        // With nothing read it is the end, as if the client had gone.
        self.seat.wait(read, context, || Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.seat.wait(written, context, || Err(ErrorKind::BrokenPipe.into()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.seat.wait(written, context, || Err(ErrorKind::BrokenPipe.into()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seat.end_turn(context);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl ActixStream for Connection {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, context)
    }
}

#[cfg(test)]
mod tests {
    use test_support::wait::DEADLINE;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// A connection, and its client.
    async fn pair(crowd: &Arc<Crowd>) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Connection::new(listener.accept().await.unwrap().0, crowd), client)
    }

    #[tokio::test]
    async fn who_waits_and_has_to_go_reads_the_end_and_writes_nothing_more() {
        let crowd = Crowd::new(2);
        let (mut reading, _client) = pair(&crowd).await;
        let (mut writing, _client_that_does_not_read) = pair(&crowd).await;
        let read = tokio::spawn(async move { reading.read(&mut [0; 8]).await });
        let write = tokio::spawn(async move {
            loop {
                if let Err(error) = writing.write_all(&[0; 64 * 1024]).await {
                    return error;
                }
            }
        });
        // Each newcomer sends the oldest away, whether it waits by now or not.
        let _third = pair(&crowd).await;
        assert_eq!(timeout(DEADLINE, read).await.unwrap().unwrap().unwrap(), 0);
        let _fourth = pair(&crowd).await;
        assert_eq!(timeout(DEADLINE, write).await.unwrap().unwrap().kind(), ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn who_has_to_go_still_reads_what_has_come() {
        let crowd = Crowd::new(1);
        let (mut connection, mut client) = pair(&crowd).await;
        client.write_all(b"POST").await.unwrap();
        let _next = pair(&crowd).await;
        let mut text = String::new();
        timeout(DEADLINE, connection.read_to_string(&mut text)).await.unwrap().unwrap();
        assert_eq!(text, "POST");
    }
}
