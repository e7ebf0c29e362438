//! What to do about a lease that was read, and how one is claimed. Pure: the moment is passed in.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// There is none: create it.
    Create,
    /// Nobody holds it, or its holder is dead: take it.
    Take,
    /// It is held.
    Wait,
}

/// The lease as it was last seen, and since when it is like that.
#[derive(Debug, Default)]
pub(super) struct Watched(Option<(String, Instant)>);

impl Watched {
    /// Judges a lease read at `now`. Only a lease seen unchanged for its whole duration is taken from its holder.
    pub(super) fn judge(&mut self, lease: Option<&Lease>, now: Instant) -> Move {
        let Some(lease) = lease else {
            self.0 = None;
            return Move::Create;
        };
        if holder(lease).is_none() {
            return Move::Take;
        }
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.0 {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                self.0 = Some((version, now));
                now
            }
        };
        if now.duration_since(since) > duration(lease) { Move::Take } else { Move::Wait }
    }
}

/// Who holds a lease.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(15);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(15))
}

/// The lease held by `identity`, at the version that was read.
pub(super) fn claimed(read: Option<&Lease>, name: &str, identity: &str, duration: Duration) -> Lease {
    let now = MicroTime(Timestamp::now());
    let before = read.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let is_renewal = read.and_then(holder) == Some(identity);
    let transitions = before.lease_transitions.unwrap_or(0);
    Lease {
        metadata: read.map_or_else(
            || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            |lease| lease.metadata.clone(),
        ),
        spec: Some(LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
            acquire_time: if is_renewal { before.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if is_renewal || read.is_none() { transitions } else { transitions + 1 }),
            ..before
        }),
    }
}

/// The lease held by nobody.
pub(super) fn released(held: &Lease) -> Lease {
    let spec = held.spec.clone().unwrap_or_default();
    Lease {
        metadata: held.metadata.clone(),
        spec: Some(LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), ..spec }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(holder: Option<&str>, version: &str) -> Lease {
        let mut lease = claimed(None, "l", holder.unwrap_or_default(), 15 * SECOND);
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[test]
    fn a_lease_that_is_absent_or_free_is_taken_at_once() {
        let mut watched = Watched::default();
        let now = Instant::now();
        assert_eq!(watched.judge(None, now), Move::Create);
        assert_eq!(watched.judge(Some(&lease(None, "1")), now), Move::Take);
        assert_eq!(watched.judge(Some(&released(&lease(Some("a"), "1"))), now), Move::Take);
    }

    #[test]
    fn a_held_lease_is_taken_only_after_it_was_seen_unchanged_for_its_duration() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut judge = |version, seconds| watched.judge(Some(&lease(Some("a"), version)), start + seconds * SECOND);
        assert_eq!(judge("1", 0), Move::Wait);
        assert_eq!(judge("1", 14), Move::Wait);
        assert_eq!(judge("2", 15), Move::Wait, "it was renewed");
        assert_eq!(judge("2", 30), Move::Wait);
        assert_eq!(judge("2", 31), Move::Take);
    }

    #[test]
    fn the_time_that_the_holder_wrote_does_not_count() {
        let mut old = lease(Some("a"), "1");
        let spec = old.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
        assert_eq!(Watched::default().judge(Some(&old), Instant::now()), Move::Wait);
    }

    #[test]
    fn a_lease_says_whose_it_is_for_how_long_and_since_when() {
        let spec = |lease: &Lease| lease.spec.clone().unwrap_or_default();
        let made = claimed(None, "l", "a", 15 * SECOND);
        assert_eq!(made.metadata.name.as_deref(), Some("l"));
        assert_eq!(spec(&made).lease_duration_seconds, Some(15));
        assert!(spec(&made).renew_time.is_some() && spec(&made).acquire_time == spec(&made).renew_time);
        let mut old = made;
        old.spec.get_or_insert_default().acquire_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
        let taken = spec(&claimed(Some(&old), "l", "b", 15 * SECOND));
        assert_eq!(taken.acquire_time, taken.renew_time, "a new holder has it since now");
    }

    #[test]
    fn a_lease_that_is_given_up_is_the_same_one_and_free_at_once() {
        let free = released(&lease(Some("a"), "7"));
        assert_eq!((holder(&free), free.metadata.resource_version.as_deref()), (None, Some("7")));
        let seconds = free.spec.and_then(|spec| spec.lease_duration_seconds);
        assert_eq!(seconds, Some(1), "for candidates that look at the duration alone");
    }

    #[test]
    fn a_claim_keeps_the_version_and_counts_changes_of_the_holder() {
        let first = lease(Some("a"), "7");
        let spec = |lease: &Lease| lease.spec.clone().unwrap_or_default();
        let renewed = claimed(Some(&first), "l", "a", 15 * SECOND);
        assert_eq!(renewed.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(spec(&renewed).lease_transitions, Some(0));
        assert_eq!(spec(&renewed).acquire_time, spec(&first).acquire_time);
        let taken = claimed(Some(&first), "l", "b", 15 * SECOND);
        assert_eq!((holder(&taken), spec(&taken).lease_transitions), (Some("b"), Some(1)));
    }
}
