//! Names for a relay that is watched: a resolver that says what it is told to and remembers every question.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A resolver of a test.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<String, Vec<SocketAddr>>,
    /// What every other name has.
    others: Vec<SocketAddr>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    /// Names of which every one leads to `others`.
    #[must_use]
    pub fn all_at(others: SocketAddr) -> Self {
        Self { others: vec![others], ..Self::default() }
    }

    /// Gives a name its addresses; a port that is not 0 is used where the URL has none.
    #[must_use]
    pub fn with(mut self, name: &str, addresses: &[SocketAddr]) -> Self {
        self.known.insert(name.to_owned(), addresses.to_vec());
        self
    }

    /// Every name that was asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(name.as_str().to_owned());
        let found = self.known.get(name.as_str()).unwrap_or(&self.others).clone();
        Box::pin(async move {
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}
