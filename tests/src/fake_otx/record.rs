//! What a fake OTX was asked: one entry a call, without the key itself.

use super::script::Route;
use crate::wire::Request;
use threatrelay::demo::upstream::{Dataset, KEY_HEADER};

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its kind.
    pub route: Route,
    /// `GET` ...
    pub method: String,
    /// Path and query, as received.
    pub target: String,
    /// Headers as received, without the key.
    pub headers: Vec<(String, String)>,
    /// Whose key it carried.
    pub key: Key,
}

/// Whose key a call carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// None.
    None,
    /// One that no account has.
    Unknown,
    /// This account's.
    Of(String),
}

impl Call {
    pub(super) fn of(request: &Request, dataset: &Dataset) -> Self {
        let key = match request.header(KEY_HEADER) {
            None => Key::None,
            Some(key) => dataset
                .content()
                .accounts
                .iter()
                .find(|account| account.key == key)
                .map_or(Key::Unknown, |account| Key::Of(account.username.clone())),
        };
        let headers = request.headers.iter().filter(|(name, _)| name != KEY_HEADER).cloned().collect();
        Self {
            route: Route::of(&request.target),
            method: request.method.clone(),
            target: request.target.clone(),
            headers,
            key,
        }
    }
}
