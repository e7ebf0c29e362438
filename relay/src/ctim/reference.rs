//! External references: where else something is told or defined.

use std::borrow::Cow;

use serde::Serialize;

use super::{Description, ShortDescription};

/// A page or a document elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExternalReference<'a> {
    /// What is there, where there is no address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Description<'a>>,
    /// What it is called there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Cow<'a, str>>,
    /// Whose it is.
    pub source_name: ShortDescription<'a>,
    /// Its address: an absolute URL of at most 2,048 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
}
