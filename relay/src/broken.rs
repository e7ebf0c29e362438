//! Defects planted on purpose, to prove that the suites would notice them. Without the feature `broken-variants`, as
//! shipped, [`is`] is a constant false and nothing of this is compiled in; with it a process has at most one defect, the
//! one that its environment names in `THREATRELAY_BROKEN`.

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Keys are fetched from whatever host a token names.
    AnyJwksHost,
    /// The audience is whatever the request's `Host` says.
    AudienceFromHost,
    /// An `aud` of a wrong type fits.
    AudienceOfAnyType,
    /// `exp` is not looked at.
    ExpIgnored,
    /// `nbf` and `iat` are not looked at.
    NbfIgnored,
    /// A token may be signed by HS256 with the name of the key.
    Hs256WithPublicSecret,
    /// Critical extensions of the header are ignored.
    CritIgnored,
    /// Keys of 1024 bits are used.
    WeakKeys,
    /// Of keys with one name one is used.
    AmbiguousKeys,
    /// An allowed name may lead to a private address.
    PrivateJwksAddress,
    /// Every unknown `kid` causes a fetch.
    KidsFetchFreely,
    /// A JWKS document may have any size.
    EndlessJwks,
    /// Redirects of OTX are followed.
    RedirectsFollowed,
    /// What OTX said to one key is told to all.
    CacheWithoutScope,
    /// The first caller's limit holds for all.
    LimitOfAnother,
    /// A request body may have any size.
    EndlessBody,
    /// Compressed answers are read to their end.
    DecompressedNotCounted,
    /// Values stand in paths as they came.
    SegmentNotEncoded,
    /// Retries are not counted.
    RetriesWithoutBudget,
    /// A key that cannot be sent is told in the answer.
    SecretInErrorText,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 20] = [
        Self::AnyJwksHost,
        Self::AudienceFromHost,
        Self::AudienceOfAnyType,
        Self::ExpIgnored,
        Self::NbfIgnored,
        Self::Hs256WithPublicSecret,
        Self::CritIgnored,
        Self::WeakKeys,
        Self::AmbiguousKeys,
        Self::PrivateJwksAddress,
        Self::KidsFetchFreely,
        Self::EndlessJwks,
        Self::RedirectsFollowed,
        Self::CacheWithoutScope,
        Self::LimitOfAnother,
        Self::EndlessBody,
        Self::DecompressedNotCounted,
        Self::SegmentNotEncoded,
        Self::RetriesWithoutBudget,
        Self::SecretInErrorText,
    ];
}

/// The environment variable that names the defect of a process.
pub const VARIABLE: &str = "THREATRELAY_BROKEN";

/// Whether this process has that defect.
#[cfg(not(feature = "broken-variants"))]
#[must_use]
pub const fn is(_: Defect) -> bool {
    false
}

/// Whether this process has that defect.
#[cfg(feature = "broken-variants")]
#[must_use]
pub fn is(defect: Defect) -> bool {
    use std::sync::LazyLock;
    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());
    NAMED.as_deref().is_some_and(|named| named == format!("{defect:?}"))
}

/// `own`, or with [`Defect::LimitOfAnother`] what the first caller had.
#[must_use]
pub fn limit(own: usize) -> usize {
    static FIRST: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    if is(Defect::LimitOfAnother) { *FIRST.get_or_init(|| own) } else { own }
}
