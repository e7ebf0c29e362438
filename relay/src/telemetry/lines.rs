//! Log lines on their way to standard error: kept in memory, written by a thread of their own, so that a reader who
//! does not keep up never holds up a request. When too much waits, lines are lost and counted; whoever ends the
//! process calls [`flush`] first.

use std::io::{self, Write, stderr};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Most bytes that wait to be written.
const MOST_WAITING: usize = 1 << 20;
/// How long the first line waits for others, so that they are written together.
const GATHERING: Duration = Duration::from_millis(5);
/// How long the end of the process waits for a reader who does not keep up.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Those that go to standard error.
static LINES: LazyLock<Lines> = LazyLock::new(Lines::default);

/// Lines that are written soon.
#[derive(Debug, Default)]
pub(super) struct Lines {
    waiting: Mutex<Waiting>,
    /// There is something to write, where there was nothing.
    arrived: Condvar,
    /// There is nothing to write any more.
    written: Condvar,
    lost: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Bytes taken from here are not written yet.
    is_writing: bool,
}

/// The way to standard error.
///
/// # Errors
/// When the writing thread cannot be started.
pub(super) fn to_stderr() -> io::Result<&'static Lines> {
    let thread = std::thread::Builder::new().name("log".to_owned());
    thread.spawn(|| LINES.write_to(&mut stderr()))?;
    Ok(&LINES)
}

/// Waits until every line so far is written, or nobody seems to read them.
pub fn flush() {
    LINES.flush(LAST_WAIT);
}

/// How many lines were lost because nobody read them fast enough.
pub(crate) fn lost() -> Counter {
    LINES.lost.clone()
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len() + line.len() > MOST_WAITING {
            self.lost.inc();
            return;
        }
        let is_first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.arrived.notify_one();
        }
    }

    /// Writes lines as they come, forever. Lines that cannot be written are lost.
    fn write_to(&self, out: &mut impl Write) {
        let mut bytes = Vec::new();
        loop {
            let waiting = self.arrived.wait_while(self.waiting(), |waiting| waiting.bytes.is_empty());
            drop(waiting);
            std::thread::sleep(GATHERING);
            let mut waiting = self.waiting();
            std::mem::swap(&mut bytes, &mut waiting.bytes);
            waiting.is_writing = true;
            drop(waiting);
            if out.write_all(&bytes).is_err() {
                self.lost.inc_by(memchr::memchr_iter(b'\n', &bytes).count() as u64);
            }
            bytes.clear();
            self.waiting().is_writing = false;
            self.written.notify_all();
        }
    }

    fn flush(&self, longest: Duration) {
        let is_under_way = |waiting: &mut Waiting| waiting.is_writing || !waiting.bytes.is_empty();
        let _timed_out = self.written.wait_timeout_while(self.waiting(), longest, is_under_way);
    }
}

/// Takes whole lines.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for &'static Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// Bytes that a reader was given and that count as read when told so.
    struct Written {
        bytes: Vec<u8>,
        read: Sender<()>,
    }

    struct Slow(Sender<Written>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (read, may_go_on) = channel();
            self.0.send(Written { bytes: bytes.to_vec(), read }).map_err(io::Error::other)?;
            may_go_on.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (&'static Lines, Receiver<Written>) {
        let lines: &'static Lines = Box::leak(Box::default());
        let (sender, written) = channel();
        std::thread::spawn(|| lines.write_to(&mut Slow(sender)));
        (lines, written)
    }

    #[test]
    fn lines_are_written_in_order_and_together() {
        let (lines, written) = lines();
        lines.push(b"one\n");
        lines.push(b"two\n");
        let mut text = Vec::new();
        while text.len() < 8 {
            let Written { bytes, read } = written.recv_timeout(DEADLINE).unwrap();
            text.extend(bytes);
            read.send(()).unwrap();
        }
        assert_eq!(text, b"one\ntwo\n");
    }

    #[test]
    fn a_flush_waits_for_the_reader_but_not_forever() {
        let (lines, written) = lines();
        lines.push(b"one\n");
        let Written { read, .. } = written.recv_timeout(DEADLINE).unwrap();
        lines.flush(Duration::from_millis(10));
        assert!(lines.waiting().is_writing);
        read.send(()).unwrap();
        lines.flush(DEADLINE);
        assert!(!lines.waiting().is_writing);
    }

    #[test]
    fn a_reader_who_does_not_keep_up_costs_lines_and_they_are_counted() {
        let (lines, written) = lines();
        lines.push(b"one\n");
        let _never_read_on = written.recv_timeout(DEADLINE).unwrap();
        let line = vec![b'\n'; MOST_WAITING / 4];
        for _ in 0..6 {
            lines.push(&line);
        }
        assert_eq!(lines.lost.get(), 2);
    }

    #[test]
    fn lines_that_cannot_be_written_are_lost() {
        let (lines, written) = lines();
        drop(written);
        lines.push(b"one\n");
        lines.push(b"two\n");
        lines.flush(DEADLINE);
        assert_eq!(lines.lost.get(), 2);
    }
}
