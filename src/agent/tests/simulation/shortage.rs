//! What the device runs short of.

use super::{
    coverage::Kind,
    device::Device,
    model::pressure::{Level, Pressure, Resource},
    rules::Holds,
    *,
};

impl Device<'_> {
    pub(super) fn press(&mut self, resource: Resource, level: Level) -> Holds {
        if self.rules.levels[resource as usize] == level {
            return Ok(());
        }
        self.say(|| format!("{resource} is {level:?}"));
        self.rules.pressed(resource, level, self.now);
        let available = if level == Level::Fine { 200 << 20 } else { 10 << 20 };
        let pressure = Pressure { resource, level, available, reserve: 32 << 20, stalled: 0 };
        let kind = if level == Level::Fine { Kind::Relieved } else { Kind::Pressed };
        self.decide(Event::Pressure(pressure), &[(None, kind)])
    }
}
