//! Where workloads come from: the edge API and a directory of manifests, made one. The server wins a
//! workload's and a profile's name. What a source could not say this time stays as it was, for that source
//! alone: what one can't read keeps nothing alive that the other removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::{
    eviction,
    model::{
        event::Setup,
        gather::gather,
        update::UpdateRules,
        workload::{Content, DesiredState, Profile, Workload},
    },
    mounts::socket_mount_warning,
    sanitize,
};

/// The sources that the settings name.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) server: Option<Source>,
    pub(super) manifests: Option<Source>,
    /// The unix sockets that posts are taken at.
    sockets: Vec<PathBuf>,
}

/// What one source wants, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// It was read in this process, from itself or from what it said last.
    known: bool,
    partial: bool,
    profiles: Vec<Profile>,
    update: Option<Box<UpdateRules>>,
    /// What is to run, names that stay at their last good version among them.
    workloads: BTreeMap<Arc<str>, Arc<Workload>>,
    /// Names that were never understood: their pods stay, if there are any.
    unreadable: BTreeSet<Arc<str>>,
    /// Names of workloads that are for other devices.
    elsewhere: Vec<String>,
    /// Sentences about parts that were skipped.
    problems: Vec<String>,
}

/// What all sources want together.
#[derive(Debug, Default)]
pub(super) struct MergedSources {
    pub(super) profiles: Vec<Profile>,
    /// The device's: the server's if it says anything.
    pub(super) update: Option<Box<UpdateRules>>,
    pub(super) workloads: BTreeMap<Arc<str>, Arc<Workload>>,
    pub(super) unreadable: BTreeSet<Arc<str>>,
    pub(super) problems: BTreeSet<String>,
}

impl Source {
    /// The source was read.
    pub(super) fn set_desired(&mut self, desired: DesiredState, problems: Vec<String>) {
        let before = std::mem::take(&mut self.workloads);
        for workload in desired.workloads {
            self.workloads.insert(workload.name().into(), workload);
        }
        self.unreadable =
            gather(desired.unreadable.iter().map(|name| Arc::from(&*sanitize::sanitize_line(name))));
        for (name, workload) in before {
            if self.unreadable.contains(&name) {
                self.workloads.entry(name).or_insert(workload);
            }
        }
        self.unreadable.retain(|name| !self.workloads.contains_key(name));
        (self.known, self.partial) = (true, desired.partial);
        (self.profiles, self.update, self.problems) = (desired.profiles, desired.update, problems);
        self.elsewhere = desired.elsewhere;
    }

    /// The names of what this source wants, and whether each is understood.
    pub(super) fn workload_names(&self) -> impl Iterator<Item = (&Arc<str>, bool)> {
        let unreadable = self.unreadable.iter().map(|name| (name, false));
        self.workloads.keys().map(|name| (name, true)).chain(unreadable)
    }
}

impl Sources {
    pub(super) fn new(setup: &mut Setup) -> Self {
        Self {
            server: setup.server.as_ref().map(|_| Source::default()),
            manifests: setup.manifests.then(Source::default),
            sockets: std::mem::take(&mut setup.sockets),
        }
    }

    /// A workload could not be understood, and it isn't known what it was before.
    pub(super) fn is_any_unreadable(&self) -> bool {
        self.all().any(|source| !source.unreadable.is_empty())
    }

    /// Names of workloads that are for other devices.
    pub(super) fn foreign_workloads(&self) -> Vec<String> {
        self.all().flat_map(|source| source.elsewhere.iter().cloned()).collect()
    }

    /// Whose workload of this name counts: the server's, if it names one, whether that is understood or not.
    pub(super) fn who_asks_for(&self, name: &str) -> &'static str {
        let has = |it: &Source| it.workloads.contains_key(name) || it.unreadable.contains(name);
        self.labelled_sources().find(|(_, source)| has(source)).map_or("none", |(whose, _)| whose)
    }

    /// Names of workloads that are understood, and that the server has nothing to do with.
    pub(super) fn only_of_manifests(&self) -> BTreeSet<Arc<str>> {
        let names = self.manifests.iter().flat_map(|it| it.workloads.keys());
        names.filter(|name| self.who_asks_for(name) == "manifests").cloned().collect()
    }

    /// The sources with what they are called, the one that wins first.
    fn labelled_sources(&self) -> impl Iterator<Item = (&'static str, &Source)> {
        let server = self.server.iter().map(|it| ("server", it));
        server.chain(self.manifests.iter().map(|it| ("manifests", it)))
    }

    fn all(&self) -> impl Iterator<Item = &Source> {
        self.labelled_sources().map(|(_, source)| source)
    }

    /// What is to run, as far as it is understood.
    pub(super) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.all().flat_map(|source| source.workloads.values()).map(|workload| &workload.content)
    }

    /// Something is known of what is to run.
    pub(super) fn any_known(&self) -> bool {
        self.all().any(|source| source.known)
    }

    /// All that is to run is known.
    pub(super) fn all_known(&self) -> bool {
        self.all().all(|source| source.known && !source.partial)
    }

    pub(super) fn merged(&self) -> MergedSources {
        let mut merged = MergedSources::default();
        let twice = |what: &str, name: &str| {
            format!("{what} '{name}': both the server and a manifest define it; the server's counts")
        };
        for (whose, source) in self.labelled_sources() {
            let defined: BTreeSet<String> = gather(merged.profiles.iter().map(|it| it.name.clone()));
            for profile in &source.profiles {
                if defined.contains(&profile.name) {
                    merged.problems.insert(twice("profile", &profile.name));
                } else {
                    merged.profiles.push(profile.clone());
                }
            }
            if merged.update.is_some() && source.update.is_some() {
                let said =
                    "update: both the server and a manifest define the device's rules; the server's count";
                merged.problems.insert(said.to_owned());
            }
            merged.update = merged.update.or_else(|| source.update.clone());
            for (name, _) in source.workload_names() {
                if self.who_asks_for(name) != whose {
                    merged.problems.insert(twice("workload", name));
                } else if let Some(workload) = source.workloads.get(name) {
                    let doubts =
                        [eviction::priority(workload).err(), socket_mount_warning(workload, &self.sockets)];
                    let doubts = doubts.into_iter().flatten();
                    merged.problems.extend(doubts.map(|it| format!("workload '{name}': {it}")));
                    merged.workloads.insert(name.clone(), workload.clone());
                } else {
                    merged.unreadable.insert(name.clone());
                }
            }
            merged.problems.extend(source.problems.iter().cloned());
        }
        merged
    }
}
