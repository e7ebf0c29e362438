//! Which changes of watched objects matter, and to whom. Pure: events of a watch go in, owners to look at come out.
//!
//! An object that comes back unchanged after a relist concerns nobody; one that is missing from the relist was deleted
//! while nobody watched, and concerns its owner as any deletion does. For that only version and owner are remembered.

use std::collections::HashMap;

use kube::Resource;
use kube::runtime::watcher::Event;

/// The objects of one watch: version, and what they concern.
#[derive(Debug)]
pub struct Seen<C> {
    objects: HashMap<String, (String, C)>,
    relisted: HashMap<String, (String, C)>,
}

impl<C> Default for Seen<C> {
    fn default() -> Self {
        Self { objects: HashMap::new(), relisted: HashMap::new() }
    }
}

impl<C: Clone + PartialEq> Seen<C> {
    /// Takes an event; gives what it concerns. `concern` says that of an object.
    pub fn take<K: Resource>(&mut self, event: &Event<K>, concern: impl Fn(&K) -> Option<C>) -> Vec<C> {
        match event {
            Event::Init => {
                self.relisted.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let Some((uid, entry)) = entry(object, &concern) else { return Vec::new() };
                let before = self.objects.get(&uid).cloned();
                self.relisted.insert(uid, entry.clone());
                changed(before, entry)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.relisted);
                let before = std::mem::replace(&mut self.objects, listed);
                let gone = before.into_iter().filter(|(uid, _)| !self.objects.contains_key(uid));
                gone.map(|(_, (_, concerned))| concerned).collect()
            }
            Event::Apply(object) => match entry(object, &concern) {
                Some((uid, entry)) => changed(self.objects.insert(uid, entry.clone()), entry),
                None => self.forget(object),
            },
            Event::Delete(object) => {
                let known = self.forget(object);
                if known.is_empty() { concern(object).into_iter().collect() } else { known }
            }
        }
    }

    fn forget<K: Resource>(&mut self, object: &K) -> Vec<C> {
        let uid = object.meta().uid.as_ref();
        uid.and_then(|uid| self.objects.remove(uid)).map(|(_, concerned)| concerned).into_iter().collect()
    }
}

fn entry<K: Resource, C>(object: &K, concern: impl Fn(&K) -> Option<C>) -> Option<(String, (String, C))> {
    let meta = object.meta();
    Some((meta.uid.clone()?, (meta.resource_version.clone().unwrap_or_default(), concern(object)?)))
}

/// Who is concerned by an object that was like `before`: its owner, and the one it had.
fn changed<C: PartialEq>(before: Option<(String, C)>, (version, concerned): (String, C)) -> Vec<C> {
    match before {
        Some((seen, _)) if seen == version => Vec::new(),
        Some((_, other)) if other != concerned => vec![other, concerned],
        _ => vec![concerned],
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    fn map(uid: &str, version: &str, owner: Option<&str>) -> ConfigMap {
        let metadata = ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            name: owner.map(str::to_owned),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn take(seen: &mut Seen<String>, event: &Event<ConfigMap>) -> Vec<String> {
        seen.take(event, |object| object.metadata.name.clone())
    }

    fn listed(objects: &[ConfigMap]) -> Seen<String> {
        let mut seen = Seen::default();
        relist(&mut seen, objects);
        seen
    }

    fn relist(seen: &mut Seen<String>, objects: &[ConfigMap]) -> Vec<String> {
        let mut concerned = take(seen, &Event::Init);
        for object in objects {
            concerned.extend(take(seen, &Event::InitApply(object.clone())));
        }
        concerned.extend(take(seen, &Event::InitDone));
        concerned
    }

    #[test]
    fn a_change_concerns_the_owner_and_a_repeat_nobody() {
        let mut seen = listed(&[map("1", "1", Some("a"))]);
        assert_eq!(take(&mut seen, &Event::Apply(map("1", "1", Some("a")))), Vec::<String>::new());
        assert_eq!(take(&mut seen, &Event::Apply(map("1", "2", Some("a")))), ["a"]);
        assert_eq!(take(&mut seen, &Event::Apply(map("2", "1", Some("b")))), ["b"]);
    }

    #[test]
    fn a_deletion_concerns_the_owner() {
        let mut seen = listed(&[map("1", "1", Some("a"))]);
        assert_eq!(take(&mut seen, &Event::Delete(map("1", "2", Some("a")))), ["a"]);
        assert_eq!(relist(&mut seen, &[]), Vec::<String>::new());
    }

    #[test]
    fn a_deletion_that_nobody_saw_concerns_the_owner_at_the_relist() {
        let mut seen = listed(&[map("1", "1", Some("a")), map("2", "1", Some("b"))]);
        assert_eq!(relist(&mut seen, &[map("2", "1", Some("b"))]), ["a"]);
        assert_eq!(relist(&mut seen, &[map("2", "1", Some("b"))]), Vec::<String>::new());
    }

    #[test]
    fn an_object_that_loses_its_owner_concerns_the_one_it_had() {
        let mut seen = listed(&[map("1", "1", Some("a"))]);
        assert_eq!(take(&mut seen, &Event::Apply(map("1", "2", None))), ["a"]);
        let mut seen = listed(&[map("1", "1", Some("a"))]);
        assert_eq!(take(&mut seen, &Event::Apply(map("1", "2", Some("b")))), ["a", "b"]);
    }

    #[test]
    fn objects_without_an_owner_concern_nobody() {
        let mut seen = listed(&[]);
        assert_eq!(take(&mut seen, &Event::Apply(map("1", "1", None))), Vec::<String>::new());
    }
}
