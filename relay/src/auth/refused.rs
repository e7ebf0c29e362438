//! Why a caller is refused. The texts are the original relay's; what it answered with HTTP 500 has a text of the same
//! style.

use crate::error::{ErrorEntry, code};

/// The reason for a refusal; `Display` is what the caller reads after `Authorization failed: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no `Authorization` header.
    #[error("Authorization header is missing")]
    HeaderMissing,
    /// The header is not `Bearer <token>`, or there are two.
    #[error("Wrong authorization type")]
    NotBearer,
    /// The token cannot be read.
    #[error("Wrong JWT structure")]
    Structure,
    /// `jwks_host` is missing.
    #[error("jwks_host is missing in JWT payload. Make sure custom_jwks_host field is present in module_type")]
    JwksHostMissing,
    /// `jwks_host` is not in the allow-list.
    #[error("Wrong jwks_host in JWT payload. Make sure domain follows the visibility.<region>.cisco.com structure")]
    JwksHostNotAllowed,
    /// The keys of an allowed `jwks_host` could not be fetched. Same text, as in the original.
    #[error("Wrong jwks_host in JWT payload. Make sure domain follows the visibility.<region>.cisco.com structure")]
    JwksUnavailable,
    /// A claim that is needed is missing, or the JWKS has no `keys`.
    #[error("Wrong JWT payload structure")]
    PayloadStructure,
    /// No usable key has the token's `kid`.
    #[error("kid from JWT header not found in API response")]
    UnknownKid,
    /// The signature is not this key's, or not RS256.
    #[error(
        "Failed to decode JWT with provided key. Make sure domain in custom_jwks_host corresponds to your SecureX instance region."
    )]
    Signature,
    /// The signature is not the shared secret's, or not HS256.
    #[error("Failed to decode JWT with provided key")]
    SharedSecret,
    /// `exp` has passed.
    #[error("Token has expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("Token is not yet valid")]
    NotYetValid,
    /// `exp` is missing though `auth.requireExp` is set.
    #[error("Token has no exp claim")]
    ExpMissing,
    /// `aud` is not one of the configured audiences.
    #[error("Wrong configuration-token-audience")]
    Audience,
    /// The claim `key` is null. The caller reads `Authorization failed.` alone.
    #[error("the key is null")]
    KeyIsNull,
    /// The claim `key` is not a text that can be sent to OTX.
    #[error("Authorization failed on AlienVault OTX side")]
    KeyUnsendable,
    /// No key file has the name in the claim `key_ref`, at most 64 characters of it.
    #[error("Unknown key_ref {0}")]
    UnknownKeyRef(String),
}

impl Refused {
    /// The metric label of this reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HeaderMissing => "header_missing",
            Self::NotBearer => "not_bearer",
            Self::Structure => "token_structure",
            Self::JwksHostMissing => "jwks_host_missing",
            Self::JwksHostNotAllowed => "jwks_host_not_allowed",
            Self::JwksUnavailable => "jwks_unavailable",
            Self::PayloadStructure => "payload_structure",
            Self::UnknownKid => "unknown_kid",
            Self::Signature | Self::SharedSecret => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::ExpMissing => "exp_missing",
            Self::Audience => "audience",
            Self::KeyIsNull => "key_null",
            Self::KeyUnsendable => "key_unsendable",
            Self::UnknownKeyRef(_) => "unknown_key_ref",
        }
    }
}

impl From<Refused> for ErrorEntry {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::KeyIsNull => Self::fatal(code::AUTHORIZATION, "Authorization failed."),
            other => Self::authorization(&other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_fatal_and_has_the_reason_behind_the_colon() {
        let entry = ErrorEntry::from(Refused::Audience);
        assert_eq!(
            serde_json::json!(entry),
            serde_json::json!({
                "code": "authorization error",
                "message": "Authorization failed: Wrong configuration-token-audience",
                "type": "fatal"
            })
        );
    }

    #[test]
    fn a_null_key_has_no_reason() {
        assert_eq!(ErrorEntry::from(Refused::KeyIsNull).message, "Authorization failed.");
    }
}
