//! The room for requests that wait for others. It is taken before it is known who asks; once that is known, a caller who
//! holds much of it is not given the last of it, so that one who asks too much does not shut out the rest. Nobody queues:
//! there is room, or there is not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::otx::key::Scope;

/// The part of the room that is kept for those who hold less than as much themselves.
const KEPT: usize = 8;

/// Room for so many requests at once.
#[derive(Debug)]
pub(super) struct Room {
    slots: Semaphore,
    kept: usize,
    held: Mutex<HashMap<Scope, usize>>,
}

/// That a caller holds a place, until dropped.
#[derive(Debug)]
pub struct Share<'a> {
    room: &'a Room,
    scope: Scope,
}

impl Room {
    pub(super) fn new(size: usize) -> Self {
        Self { slots: Semaphore::new(size), kept: size / KEPT, held: Mutex::default() }
    }

    /// A place for somebody yet unknown.
    pub(super) fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.try_acquire().ok()
    }

    /// Lets the caller with this key keep the place that was entered for it.
    pub(super) fn share(&self, scope: Scope) -> Option<Share<'_>> {
        let mut held = self.lock();
        let count = held.entry(scope).or_default();
        if *count >= self.kept && self.slots.available_permits() < self.kept {
            return None;
        }
        *count += 1;
        Some(Share { room: self, scope })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut held = self.room.lock();
        if let Some(count) = held.get_mut(&self.scope) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.scope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;
    use crate::otx::key::OtxKey;

    fn scope(key: &str) -> Scope {
        OtxKey::new(&key.into()).unwrap().scope()
    }

    fn places<'a>(room: &'a Room, key: &str, most: usize) -> Vec<(SemaphorePermit<'a>, Share<'a>)> {
        std::iter::from_fn(|| Some((room.enter()?, room.share(scope(key))?))).take(most).collect()
    }

    #[test]
    fn the_last_eighth_is_for_those_who_hold_less_than_it() {
        let room = Room::new(64);
        let loud = places(&room, "loud", 100);
        assert_eq!(loud.len(), 56);
        assert_eq!(places(&room, "quiet", 100).len(), 8);
        drop(loud);
        assert_eq!(places(&room, "quiet", 100).len(), 56);
        assert!(room.lock().is_empty(), "who has left is remembered: {room:?}");
    }

    #[test]
    fn little_room_is_kept_for_nobody() {
        let room = Room::new(2);
        assert_eq!(places(&room, "only", 100).len(), 2);
    }
}
