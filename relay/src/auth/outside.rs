//! The way out to JWKS hosts: where their names are looked up, and how many connections were opened. A relay asks the
//! system; whoever must know what a relay asks for brings names of its own and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::ClientBuilder;
use reqwest::dns::Resolve;
use tower::util::MapRequestLayer;

use super::resolver::{PublicResolver, SystemNames};

/// The world beyond this process, as a client of JWKS hosts reaches it.
#[derive(Clone)]
pub struct Outside {
    names: Arc<dyn Resolve>,
    connections: Arc<AtomicUsize>,
}

impl Default for Outside {
    fn default() -> Self {
        Self::named_by(Arc::new(SystemNames))
    }
}

impl Outside {
    /// A world in which names have the addresses that `names` gives them.
    #[must_use]
    pub fn named_by(names: Arc<dyn Resolve>) -> Self {
        Self { names, connections: Arc::default() }
    }

    /// Connections begun so far, to whatever host; those that found no address are counted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A client that reaches this world, and private addresses in it only if they are allowed.
    pub(super) fn open_to(&self, client: ClientBuilder, allow_private: bool) -> ClientBuilder {
        let connections = Arc::clone(&self.connections);
        client.dns_resolver(PublicResolver { names: Arc::clone(&self.names), allow_private }).connector_layer(
            MapRequestLayer::new(move |request| {
                connections.fetch_add(1, Ordering::Relaxed);
                request
            }),
        )
    }
}
