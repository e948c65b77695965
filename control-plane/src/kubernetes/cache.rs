//! What the API server has, as it was a moment ago: kept by watches, so that no request of a device asks it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, pin_mut};
use kube::{
    Api, ResourceExt,
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::watch, time::sleep};

use crate::journal::Journal;

/// Objects that are read at once: they are much larger than what is kept of them.
const PAGE: u32 = 100;

/// Until a watch that was interrupted begins again.
const WATCH_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Namespace and name.
pub(crate) type Key = (String, String);

/// The objects of one kind, each as far as it counts here.
pub(crate) struct Cache<T>(RwLock<BTreeMap<Key, Arc<T>>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Cache<T> {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Those of a namespace, by name.
    pub(crate) fn of(&self, namespace: &str) -> Vec<Arc<T>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = (namespace.to_owned(), String::new());
        let here = all.range(first..).take_while(|((own, _), _)| own == namespace);
        here.map(|(_, object)| Arc::clone(object)).collect()
    }

    pub(crate) fn all(&self) -> Vec<(Key, Arc<T>)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }

    /// All of them, where there are too many to copy their names.
    pub(crate) fn objects(&self) -> Vec<Arc<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn put(&self, key: Key, object: T) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::new(object));
    }

    fn take(&self, key: &Key) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Of this namespace only those are left.
    fn keep(&self, namespace: &str, names: &BTreeSet<String>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(own, name), _| own != namespace || names.contains(name));
    }
}

/// Whether the difference between two states of an object counts.
pub(crate) type IsNews<T> = fn(&T, &T) -> bool;

/// One watch: what it is of, where it keeps what it sees, and whom it tells.
pub(crate) struct Watch<T> {
    pub(crate) api: Api<DynamicObject>,
    pub(crate) namespace: String,
    pub(crate) cache: Arc<Cache<T>>,
    /// What of an object counts here.
    pub(crate) read: fn(DynamicObject) -> T,
    pub(crate) is_news: IsNews<T>,
    /// Where what devices get depends on it: how many of these watches are interrupted.
    pub(crate) behind: Option<Arc<AtomicUsize>>,
    /// Is told after each change that counts.
    pub(crate) changed: Arc<dyn Fn() + Send + Sync>,
    pub(crate) journal: Arc<Journal>,
}

impl<T: Send + Sync + 'static> Watch<T> {
    /// Follows it from now on. What comes back says when everything was seen once.
    pub(crate) fn start(self, kind: String) -> watch::Receiver<bool> {
        let (ready, seen) = watch::channel(false);
        tokio::spawn(async move { self.follow(&kind, &ready).await });
        seen
    }

    async fn follow(&self, kind: &str, ready: &watch::Sender<bool>) {
        let mut trouble = String::new();
        let mut is_behind = false;
        loop {
            self.follow_once(kind, ready, (&mut trouble, &mut is_behind)).await;
            sleep(WATCH_RETRY_INTERVAL).await;
        }
    }

    /// Until it is to be read anew.
    async fn follow_once(
        &self,
        kind: &str,
        ready: &watch::Sender<bool>,
        (trouble, is_behind): (&mut String, &mut bool),
    ) {
        let events = watcher(self.api.clone(), watcher::Config::default().page_size(PAGE)).default_backoff();
        pin_mut!(events);
        let mut names = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    if !std::mem::take(trouble).is_empty() {
                        self.journal.say(&format!("the watch of {kind} in '{}' works again", self.namespace));
                    }
                    let is_whole = matches!(event, Event::InitDone);
                    self.take(event, &mut names, ready);
                    if let Some(behind) = self.behind.as_ref().filter(|_| is_whole && *is_behind) {
                        *is_behind = false;
                        behind.fetch_sub(1, Relaxed);
                    }
                }
                Err(error) => {
                    // the same trouble once
                    if error.to_string() != *trouble {
                        *trouble = error.to_string();
                        let namespace = &self.namespace;
                        self.journal.say(&format!("failed to watch {kind} in '{namespace}': {trouble}"));
                    }
                    if let Some(behind) = &self.behind {
                        if !std::mem::replace(is_behind, true) {
                            behind.fetch_add(1, Relaxed);
                        }
                        // A watch that goes on doesn't say when it has caught up; one that begins does.
                        return;
                    }
                }
            }
        }
    }

    fn take(&self, event: Event<DynamicObject>, names: &mut BTreeSet<String>, ready: &watch::Sender<bool>) {
        let key = |object: &DynamicObject| (self.namespace.clone(), object.name_any());
        match event {
            Event::Init => return names.clear(),
            // What is there already is new as well: nothing is missing in the meantime.
            Event::InitApply(object) => {
                names.insert(object.name_any());
                self.cache.put(key(&object), (self.read)(object));
                return;
            }
            Event::InitDone => {
                self.cache.keep(&self.namespace, names);
                ready.send_replace(true);
            }
            Event::Apply(object) => {
                let (key, new) = (key(&object), (self.read)(object));
                let is_news = self.cache.get(&key.0, &key.1).is_none_or(|old| (self.is_news)(&old, &new));
                self.cache.put(key, new);
                if !is_news {
                    return;
                }
            }
            Event::Delete(object) => self.cache.take(&key(&object)),
        }
        (self.changed)();
    }
}
