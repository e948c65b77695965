//! Sorted collections of few things. `collect` sorts first, and brings a stable sort and more for each type: 5 KB of
//! the binary.

/// The things, put in one by one: of equal keys the last one stays, as with `collect`.
pub fn gather<C: Default + Extend<T>, T>(things: impl IntoIterator<Item = T>) -> C {
    let mut gathered = C::default();
    gathered.extend(things);
    gathered
}

/// What each is, sorted.
pub(in crate::agent) fn sorted_by_view<T, Seen: Ord>(list: &[T], see: impl Fn(&T) -> Seen) -> Vec<Seen> {
    let mut all: Vec<Seen> = list.iter().map(see).collect();
    all.sort_unstable();
    all
}
