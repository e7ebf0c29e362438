//! What passed the proxy: one entry a request, in the order in which the proxy saw them, kept in memory and written as
//! JSON lines.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::call::Call;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Number since the proxy's start, from 1.
    pub number: u64,
    /// What it was about.
    #[serde(flatten)]
    pub call: Call,
    /// Status that the API server answered; none when it never saw the request or has not answered.
    pub status: Option<u16>,
    /// `metadata.resourceVersion` of that answer.
    pub resource_version: Option<String>,
    /// The plan's action struck this request.
    pub struck: bool,
    /// What was sent; not written into files, as it may be a secret.
    #[serde(skip)]
    pub body: Bytes,
}

/// The entries of one proxy.
#[derive(Default)]
pub(super) struct Trace {
    entries: Mutex<Vec<Entry>>,
}

impl Trace {
    /// Notes a request and returns its number.
    pub fn begin(&self, call: Call, body: Bytes, struck: bool) -> u64 {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let number = entries.len() as u64 + 1;
        entries.push(Entry { number, call, status: None, resource_version: None, struck, body });
        number
    }

    /// Notes what the API server answered.
    pub fn answered(&self, number: u64, status: u16, resource_version: Option<String>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.number == number) {
            entry.status = Some(status);
            entry.resource_version = resource_version;
        }
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(File::create(path)?);
        for entry in self.entries() {
            serde_json::to_writer(&mut file, &entry)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}
