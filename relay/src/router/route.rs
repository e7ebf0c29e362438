//! The routes of the relay listener. Paths with doubled or trailing slashes mean the same as without, as they did for
//! the original behind its server; any other path has no route.

use std::borrow::Cow;

use crate::config::Answers;

/// A path that has an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /deliberate/observables`.
    Deliberate,
    /// `POST /health`.
    Health,
    /// `POST /observe/observables`.
    Observe,
    /// `POST /refer/observables`.
    Refer,
    /// `POST /tiles`.
    Tiles,
    /// `POST /tiles/tile`.
    Tile,
    /// `POST /tiles/tile-data`.
    TileData,
    /// `POST /version`.
    Version,
    /// `GET /watchdog`.
    Watchdog,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 9] = [
        Self::Deliberate,
        Self::Health,
        Self::Observe,
        Self::Refer,
        Self::Tiles,
        Self::Tile,
        Self::TileData,
        Self::Version,
        Self::Watchdog,
    ];

    /// The route of a request's path, where answers are of this kind.
    pub(super) fn of(path: &str, answers: Answers) -> Option<Self> {
        let path = tidied(path);
        Self::ALL.into_iter().find(|route| route.path() == path && route.is_served(answers))
    }

    /// Whether a relay with answers of this kind has it: the original knew five of them.
    #[must_use]
    pub const fn is_served(self, answers: Answers) -> bool {
        match self {
            Self::Deliberate | Self::Tiles | Self::Tile | Self::TileData => matches!(answers, Answers::Rich),
            Self::Health | Self::Observe | Self::Refer | Self::Version | Self::Watchdog => true,
        }
    }

    /// Its path, as it stands in logs and metrics.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Deliberate => "/deliberate/observables",
            Self::Health => "/health",
            Self::Observe => "/observe/observables",
            Self::Refer => "/refer/observables",
            Self::Tiles => "/tiles",
            Self::Tile => "/tiles/tile",
            Self::TileData => "/tiles/tile-data",
            Self::Version => "/version",
            Self::Watchdog => "/watchdog",
        }
    }

    /// Its methods, as `OPTIONS` lists them.
    #[must_use]
    pub const fn methods(self) -> &'static str {
        match self {
            Self::Watchdog => "GET, HEAD, OPTIONS",
            _ => "POST, OPTIONS",
        }
    }

    /// Its name among the `supported-apis` of a registration; `None` for what the platform does not ask.
    #[must_use]
    pub fn supported_api(self) -> Option<&'static str> {
        match self {
            Self::Version | Self::Watchdog => None,
            api => Some(api.path().trim_start_matches('/')),
        }
    }
}

fn tidied(path: &str) -> Cow<'_, str> {
    if path.len() < 2 || !(path.ends_with('/') || path.contains("//")) {
        return Cow::Borrowed(path);
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Cow::Owned(format!("/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_and_trailing_slashes_go() {
        for path in ["/a/b", "//a/b", "/a///b/", "/a/b//"] {
            assert_eq!(tidied(path), "/a/b", "{path}");
        }
        for path in ["/", "//", "///"] {
            assert_eq!(tidied(path), "/", "{path}");
        }
        assert_eq!(tidied("*"), "*");
    }

    #[test]
    fn answers_as_the_originals_have_its_five_routes() {
        let served = Route::ALL.into_iter().filter(|route| Route::of(route.path(), Answers::Parity) == Some(*route));
        let paths: Vec<_> = served.map(Route::path).collect();
        assert_eq!(paths, ["/health", "/observe/observables", "/refer/observables", "/version", "/watchdog"]);
    }

    #[test]
    fn every_route_is_found_by_its_path_and_by_no_other_spelling() {
        for route in Route::ALL {
            assert_eq!(Route::of(route.path(), Answers::Rich), Some(route));
            assert_eq!(Route::of(&route.path().to_uppercase(), Answers::Rich), None);
        }
    }
}
