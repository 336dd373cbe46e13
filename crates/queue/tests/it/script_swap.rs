//! A proxy between the queue and Redis that replaces one Lua script, to plant bugs without changing the code of the queue.

use redis::Script;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Redis's limit for a bulk string is far higher; our entries are far smaller.
const ARGUMENT_BYTES_MAX: usize = 16 << 20;

/// The script to replace, and its replacement.
#[derive(Clone)]
struct Swap {
    sha: Vec<u8>,
    instead: String,
}

/// Starts a proxy to the server at `port` that runs `instead` for calls of `script`. Returns its URL.
pub(crate) async fn start(port: u16, script: &str, instead: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let swap = Swap { sha: Script::new(script).get_hash().as_bytes().to_vec(), instead };
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(carry(client, port, swap.clone()));
        }
    });
    url
}

async fn carry(client: TcpStream, port: u16, swap: Swap) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
        () = carry_commands(from_client, to_server, &swap) => {}
    }
}

async fn carry_commands(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swap: &Swap) {
    let mut buffer = Vec::new();
    loop {
        while let Some((mut command, length)) = parse(&buffer) {
            buffer.drain(..length);
            if command[0].eq_ignore_ascii_case(b"EVALSHA") && command[1] == swap.sha {
                command[0] = b"EVAL".to_vec();
                command[1] = swap.instead.clone().into_bytes();
            }
            if to.write_all(&encode(&command)).await.is_err() {
                return;
            }
        }
        if from.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// The first command in the buffer and its length, once it is complete. Clients send arrays of bulk strings.
fn parse(buffer: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (count, mut at) = number(buffer, 0, b'*')?;
    let mut command = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, start) = number(buffer, at, b'$')?;
        command.push(buffer.get(start..start + length)?.to_vec());
        at = start + length + 2;
    }
    (at <= buffer.len()).then_some((command, at))
}

/// Parses a line such as `$12`: the number, and the start of the next line.
fn number(buffer: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let rest = buffer.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    assert_eq!(rest[0], mark, "not a command");
    let number = str::from_utf8(&rest[1..end]).unwrap().parse().unwrap();
    assert!(number <= ARGUMENT_BYTES_MAX, "{number} bytes");
    Some((number, at + end + 2))
}

fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
