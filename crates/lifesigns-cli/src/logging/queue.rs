//! Lines on their way to standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::Format;

/// Lines that wait to be written; with more, the newest are lost.
const MAX_LINES: usize = 4096;

/// The queue of the process, for its last words.
static OF_PROCESS: OnceLock<Queue> = OnceLock::new();

/// Where lines are handed over. All clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    orders: SyncSender<Order>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    /// To be answered when all that came before is written.
    Flush(SyncSender<()>),
}

impl Queue {
    /// Starts the thread that writes to standard error.
    pub(super) fn start(format: Format) -> io::Result<Queue> {
        let queue = Queue::start_to(io::stderr(), format)?;
        // Only the first one counts: a process has one log.
        let _ = OF_PROCESS.set(queue.clone());
        Ok(queue)
    }

    fn start_to(output: impl Write + Send + 'static, format: Format) -> io::Result<Queue> {
        let (orders, received) = mpsc::sync_channel(MAX_LINES);
        let lost = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&lost);
        thread::Builder::new()
            .name("lifesigns-log".to_owned())
            .spawn(move || write(output, &received, &counted, format))?;
        Ok(Queue { orders, lost })
    }

    pub(super) fn writer(&self) -> Writer {
        Writer { queue: self.clone() }
    }

    /// False if it was not written in time.
    fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (done, answer) = mpsc::sync_channel(1);
        let mut order = Order::Flush(done);
        // A queue that is full may be one that nobody empties, or one that is just being emptied.
        loop {
            match self.orders.try_send(order) {
                Ok(()) => break,
                Err(TrySendError::Full(refused)) if Instant::now() < deadline => order = refused,
                Err(_) => return false,
            }
            thread::sleep(Duration::from_millis(1));
        }
        answer.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }
}

pub(super) fn flush(patience: Duration) {
    if let Some(queue) = OF_PROCESS.get() {
        // When nobody reads, there is no one left to tell.
        let _ = queue.flush(patience);
    }
}

/// Hands one event over, which comes in one piece.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Queue,
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.orders.try_send(Order::Write(line.to_vec())).is_err() {
            self.queue.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(mut output: impl Write, orders: &Receiver<Order>, lost: &AtomicU64, format: Format) {
    // There is no one left to tell when writing fails.
    while let Ok(order) = orders.recv() {
        match order {
            Order::Write(line) => {
                let _ = output.write_all(&line);
            }
            Order::Flush(done) => {
                let _ = output.flush();
                let _ = done.send(());
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = output.write_all(loss(lost, format).as_bytes());
        }
    }
}

fn loss(lost: u64, format: Format) -> String {
    let message = "lines of the log are lost: standard error was not read";
    match format {
        Format::Text => format!(" WARN lifesigns::log: {message} lost={lost}\n"),
        Format::Json => {
            let timestamp = jiff::Timestamp::now();
            let line = serde_json::json!({
                "timestamp": format!("{timestamp:.6}"), "level": "WARN", "message": message, "lost": lost,
                "target": "lifesigns::log",
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Sender;

    use super::*;

    /// Takes nothing until it is told to.
    struct Stuck {
        go: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // When the sender is gone, everything goes.
            let _ = self.go.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stuck(format: Format) -> (Queue, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (go, told) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let output = Stuck { go: told, written: Arc::clone(&written) };
        (Queue::start_to(output, format).unwrap(), go, written)
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_is_lost_is_counted() {
        let (queue, go, written) = stuck(Format::Json);
        let sent = MAX_LINES + 100;
        for number in 0..sent {
            queue.writer().write_all(format!("{{\"number\":{number}}}\n").as_bytes()).unwrap();
        }
        assert!(!queue.flush(Duration::from_millis(1)), "it is stuck");
        drop(go);
        assert!(queue.orders.send(Order::Write(b"{\"number\":\"last\"}\n".to_vec())).is_ok());
        assert!(queue.flush(Duration::from_secs(20)));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let lost: u64 = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
        let kept = lines.iter().filter(|line| line["number"].is_number()).count();
        assert_eq!(kept as u64 + lost, sent as u64);
        assert!(lost >= 99, "{lost}");
        assert_eq!(lines.last().unwrap()["number"], "last");
    }

    #[test]
    fn lines_come_in_order() {
        let (queue, go, written) = stuck(Format::Text);
        drop(go);
        (0..100).for_each(|number| queue.writer().write_all(format!("{number}\n").as_bytes()).unwrap());
        assert!(queue.flush(Duration::from_secs(20)));
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(written.lock().unwrap().clone()).unwrap(), expected);
    }
}
