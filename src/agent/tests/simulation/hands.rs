//! What people do by hand.

use super::{
    device::Device,
    model::question::{Asker, Question},
    rules::Holds,
    wishes::NAMES,
    *,
};

impl Device<'_> {
    /// A person removes a pod behind the agent's back.
    pub(super) fn vanish(&mut self, pod: usize) -> Holds {
        let Some((engine, id)) = self.pod(pod) else { return Ok(()) };
        self.say(|| format!("a person removes {id}"));
        self.engines[engine].pods.remove(&id);
        self.rules.meddled.insert(id);
        Ok(())
    }

    /// A person asks the agent for a new pod of a workload.
    pub(super) fn restart(&mut self, name: usize) -> Holds {
        let name = NAMES[name % NAMES.len()];
        self.say(|| format!("a person wants '{name}' to be started anew"));
        self.decide(Event::Asked(Asker(0), Question::Restart(name.into())), &[])
    }
}
