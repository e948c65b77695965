//! Images that the agent pulled and nothing needs any more are removed: a device's disk is small. Those that were
//! there before, loaded by hand or built into the device, stay.

use std::collections::BTreeMap;

use super::model::{
    gather::gather,
    image::{PulledImage, PulledImages},
    order::{Fact, Failure, Ticket},
    workload::{Content, Engine},
};

/// What was pulled, and what of it goes.
#[derive(Debug, Default)]
pub(super) struct ImageCleanup {
    pulled: PulledImages,
    changed: bool,
    /// Something may not be needed any more.
    due: bool,
    /// A removal came to nothing because its podman could not be reached.
    lost: bool,
    under_way: BTreeMap<Ticket, (Engine, String)>,
}

impl ImageCleanup {
    pub(super) fn new(pulled: PulledImages) -> Self {
        Self { pulled, ..Self::default() }
    }

    /// An image was pulled. One that was here before, and not by us, stays whatever happens.
    pub(super) fn add_pulled(&mut self, engine: Engine, fetched: PulledImage) {
        let PulledImage { image, before } = fetched;
        let is_ours = before.is_none() || self.pulled.contains(&(engine, image.clone()));
        if is_ours {
            self.due = true;
            let names = [Some(image), before].into_iter().flatten();
            for name in names {
                self.changed |= self.pulled.insert((engine, name));
            }
        }
    }

    /// A pod has gone, or something else is to run.
    pub(super) fn request_cleanup(&mut self) {
        self.due = true;
    }

    /// Whether it is time to look for what can go.
    pub(super) fn is_due(&self) -> bool {
        self.due && !self.pulled.is_empty()
    }

    /// An engine answers: what could not be asked of it is asked again.
    pub(super) fn retry_lost(&mut self) {
        self.due |= std::mem::take(&mut self.lost);
    }

    /// What can go, beside what these contents need; [`mark_ordered`](Self::mark_ordered) must follow for each.
    pub(super) fn unused<'a>(
        &mut self,
        contents: impl Iterator<Item = &'a Content>,
    ) -> Vec<(Engine, String)> {
        self.due = false;
        let used: PulledImages = gather(contents.flat_map(|it| it.images().map(|image| (it.engine, image))));
        let is_under_way = |it: &(Engine, String)| self.under_way.values().any(|other| other == it);
        self.pulled.iter().filter(|it| !used.contains(*it) && !is_under_way(it)).cloned().collect()
    }

    pub(super) fn mark_ordered(&mut self, ticket: Ticket, image: (Engine, String)) {
        self.under_way.insert(ticket, image);
    }

    /// Whether this was the removal of an image. One that is still in use is tried again with the next look.
    pub(super) fn on_removal_done(&mut self, ticket: Ticket, result: &Result<Fact, Failure>) -> bool {
        let Some(image) = self.under_way.remove(&ticket) else { return false };
        self.lost |= matches!(result, Err(Failure::Engine(_)));
        if matches!(result, Ok(Fact::Gone)) {
            self.changed |= self.pulled.remove(&image);
        }
        true
    }

    /// All that was pulled, if that has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Option<PulledImages> {
        std::mem::take(&mut self.changed).then(|| self.pulled.clone())
    }
}
