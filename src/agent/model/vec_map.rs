//! A map of a few things, by keys of which there are only some: engines, kinds of calls, parts of the agent. What a
//! `BTreeMap` needs for each pair of types takes 3 KB of the binary.

/// In the order of its keys.
#[derive(Debug, Clone)]
pub struct VecMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for VecMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> VecMap<K, V> {
    fn search_index(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }

    /// What is known by this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.search_index(key).ok().map(|at| &self.0[at].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.search_index(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether there is something by this key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.search_index(key).is_ok()
    }

    /// What it was before, if there was something.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.search_index(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// What it was, if there was something.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.search_index(key).ok().map(|at| self.0.remove(at).1)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Ord, V> Extend<(K, V)> for VecMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, things: T) {
        things.into_iter().for_each(|(key, value)| drop(self.insert(key, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_a_map_is_and_in_order() {
        let (mut few, mut map) = (VecMap::default(), std::collections::BTreeMap::new());
        for step in 0..1_000_u32 {
            let key = step.wrapping_mul(2_654_435_761) >> 29;
            if step % 3 == 0 {
                assert_eq!(few.remove(&key), map.remove(&key));
            } else {
                assert_eq!(few.insert(key, step), map.insert(key, step));
            }
            assert_eq!((few.get(&key), few.contains_key(&key)), (map.get(&key), map.contains_key(&key)));
            assert!(few.iter().eq(map.iter()), "{few:?}");
        }
        few.values_mut().for_each(|it| *it = 1);
        few.get_mut(&3).into_iter().for_each(|it| *it = 2);
        let mut again = VecMap::default();
        again.extend(few.iter().map(|(key, value)| (*key, *value)));
        assert!(!again.is_empty() && again.iter().eq(few.iter()));
    }
}
