//! What a service depends on, as checks see it: servers that answer, and servers that take the connection and are
//! never heard of again.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    thread,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How a dependency is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// It answers every request with 200 at once.
    Well,
    /// It accepts and never answers.
    Hung,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/// Starts as many of them, on one thread that ends with the process.
pub(crate) fn start(count: usize, state: State) -> io::Result<Vec<SocketAddr>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut addresses = Vec::new();
    for _ in 0..count {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        addresses.push(listener.local_addr()?);
        let _guard = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        runtime.spawn(accept(listener, state));
    }
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(addresses)
}

async fn accept(listener: TcpListener, state: State) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // A check that hangs up ends its task; nobody has to know.
        tokio::spawn(serve(stream, state));
    }
}

async fn serve(mut stream: TcpStream, state: State) -> io::Result<()> {
    let mut buffer = vec![0; 2048];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        match state {
            State::Hung => {}
            State::Well => {
                filled += count;
                if buffer[..filled].ends_with(b"\r\n\r\n") {
                    stream.write_all(ANSWER).await?;
                    filled = 0;
                }
            }
        }
    }
}
