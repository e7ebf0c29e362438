//! Observables: what is asked about. As received ([`RawObservable`]), then typed ([`Observable`]).

/// An observable as it stood in the request body: both strings are non-empty, nothing else is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawObservable {
    /// `type` on the wire; case-sensitive.
    pub kind: String,
    /// `value` on the wire.
    pub value: String,
}
