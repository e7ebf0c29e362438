//! From an honest answer and a fault to the bytes that are sent. Pure but for compression.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::script::{Answer, At, Fault, How};
use crate::wire::{Reply, Step, head, open_head};

/// The honest answer as it is sent.
pub(super) fn honest(answer: &Answer, gzipped: bool) -> Reply {
    let answer = if gzipped { gzipped_answer(answer) } else { answer.clone() };
    Reply::new(answer.status, &answer.headers, &answer.body)
}

/// How `fault` turns `answer` out. `gzipped` is whether the client takes gzip.
pub(super) fn with_fault(answer: &Answer, fault: &Fault, gzipped: bool) -> Reply {
    match fault {
        Fault::Honest | Fault::Change(_) | Fault::Then(_) | Fault::ClampLimit(_) => honest(answer, gzipped),
        Fault::Status { status, headers, body } => Reply::new(*status, headers, body),
        Fault::Break(at, how) => {
            let end = match how {
                How::Reset => Step::Reset,
                How::Close => Step::Close,
                How::Stall => Step::Stall,
            };
            let head = head(answer.status, &answer.headers, answer.body.len()).freeze();
            let mut steps = match at {
                At::Start => vec![],
                At::Headers => vec![Step::Send(half(&head))],
                At::Body => vec![Step::Send(head), Step::Send(half(&answer.body))],
            };
            // What is sent right before a reset may never be read; the pause lets it arrive.
            if *how == How::Reset && !steps.is_empty() {
                steps.push(Step::Wait(std::time::Duration::from_millis(20)));
            }
            steps.push(end);
            Reply(steps)
        }
        Fault::ContentLength(off) => {
            let length = answer.body.len().saturating_add_signed(isize::try_from(*off).unwrap_or_default());
            let head = head(answer.status, &answer.headers, length).freeze();
            Reply(vec![Step::Send(head), Step::Send(answer.body.clone()), Step::Close])
        }
        Fault::TruncatedGzip => {
            let mut answer = gzipped_answer(answer);
            answer.body = half(&answer.body);
            Reply::new(answer.status, &answer.headers, &answer.body)
        }
        Fault::GzipBomb(mebibytes) => bomb(answer, *mebibytes),
        Fault::Drip(at_once, every) => {
            let bytes = answer.body.clone();
            let head = head(answer.status, &answer.headers, bytes.len()).freeze();
            Reply(vec![Step::Send(head), Step::Drip { bytes, at_once: *at_once, every: *every }])
        }
        Fault::Raw(bytes) => Reply(vec![Step::Send(bytes.clone()), Step::Close]),
    }
}

fn half(bytes: &Bytes) -> Bytes {
    bytes.slice(..bytes.len() / 2)
}

fn gzipped_answer(answer: &Answer) -> Answer {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let body = encoder.write_all(&answer.body).and_then(|()| encoder.finish()).unwrap_or_default();
    let mut headers = answer.headers.clone();
    headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    Answer { status: answer.status, headers, body: body.into() }
}

/// A gzip stream made of one compressed MiB of blanks, repeated: a fully flushed block refers to nothing before it.
fn bomb(answer: &Answer, mebibytes: u32) -> Reply {
    let blanks = vec![b' '; 1 << 20];
    let mut deflate = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 16);
    let flushed = deflate.compress_vec(&blanks, &mut block, FlushCompress::Full);
    debug_assert!(matches!(flushed, Ok(Status::Ok)) && deflate.total_in() == 1 << 20, "the block holds all blanks");
    let mut head = open_head(200, &answer.headers);
    head.extend_from_slice(b"content-encoding: gzip\r\nconnection: close\r\n\r\n");
    let gzip_header = Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    Reply(vec![
        Step::Send(head.freeze()),
        Step::Send(gzip_header),
        Step::Repeat(block.into(), mebibytes),
        Step::Close,
    ])
}
