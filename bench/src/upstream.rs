//! The API behind every gateway: two bodies, as cheaply as possible, so that it is not what is measured.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    thread,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Bytes of the body under `/small` and under `/large`.
pub(crate) const SMALL: usize = 200;
pub(crate) const LARGE: usize = 100_000;

/// Starts it in a thread that ends with the process.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || runtime.block_on(serve(listener)));
    Ok(address)
}

async fn serve(listener: StdListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let answers: &'static [Vec<u8>; 2] = Box::leak(Box::new([answer(SMALL), answer(LARGE)]));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A peer that hangs up ends its task; nobody has to know.
        tokio::spawn(async move { serve_one(stream, answers).await });
    }
}

async fn serve_one(mut stream: TcpStream, answers: &[Vec<u8>; 2]) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            let is_large = buffer.starts_with(b"GET /large ");
            stream.write_all(&answers[usize::from(is_large)]).await?;
            filled = 0;
        }
    }
}

fn answer(length: usize) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}
