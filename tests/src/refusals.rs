//! Why a token is refused, to the letter: what stands behind `Authorization failed: `.

/// Not `Bearer <token>`.
pub const WRONG_TYPE: &str = "Wrong authorization type";
/// The token cannot be read.
pub const STRUCTURE: &str = "Wrong JWT structure";
/// Not signed by the key that the token names, or not RS256.
pub const SIGNATURE: &str = "Failed to decode JWT with provided key. Make sure domain in custom_jwks_host corresponds to your \
                         SecureX instance region.";
/// No usable key of that name.
pub const KID: &str = "kid from JWT header not found in API response";
/// A host that is not allowed, or that gives no keys.
pub const HOST: &str =
    "Wrong jwks_host in JWT payload. Make sure domain follows the visibility.<region>.cisco.com structure";
/// No host is named.
pub const NO_HOST: &str =
    "jwks_host is missing in JWT payload. Make sure custom_jwks_host field is present in module_type";
/// Meant for another relay.
pub const AUDIENCE_TEXT: &str = "Wrong configuration-token-audience";
/// No key that OTX could accept.
pub const OTX_SIDE: &str = "Authorization failed on AlienVault OTX side";
/// A claim is missing that cannot be.
pub const PAYLOAD: &str = "Wrong JWT payload structure";
/// No `Authorization` header.
pub const NO_HEADER: &str = "Authorization header is missing";
/// `exp` has passed.
pub const EXPIRED: &str = "Token has expired";
/// `nbf` or `iat` lies ahead.
pub const NOT_YET: &str = "Token is not yet valid";
