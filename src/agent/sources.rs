//! Where workloads come from: the edge API and a directory of manifests, made one. The server wins a
//! workload's and a profile's name. What a source could not say this time stays as it was, for that source
//! alone: what one can't read keeps nothing alive that the other removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::{
    eviction, legible,
    model::{
        event::Setup,
        gather::gather,
        workload::{Content, Desired, Profile, Workload},
    },
    mounts::lone_socket,
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
    /// What is to run, names that are held at their last good version among them.
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
pub(super) struct Merged {
    pub(super) profiles: Vec<Profile>,
    pub(super) workloads: BTreeMap<Arc<str>, Arc<Workload>>,
    pub(super) unreadable: BTreeSet<Arc<str>>,
    pub(super) problems: BTreeSet<String>,
}

impl Source {
    /// The source was read.
    pub(super) fn read(&mut self, desired: Desired, problems: Vec<String>) {
        let before = std::mem::take(&mut self.workloads);
        for workload in desired.workloads {
            self.workloads.insert(workload.name().into(), workload);
        }
        self.unreadable = gather(desired.unreadable.iter().map(|name| Arc::from(&*legible::line(name))));
        for (name, workload) in before {
            if self.unreadable.contains(&name) {
                self.workloads.entry(name).or_insert(workload);
            }
        }
        self.unreadable.retain(|name| !self.workloads.contains_key(name));
        (self.known, self.partial) = (true, desired.partial);
        (self.profiles, self.problems) = (desired.profiles, problems);
        self.elsewhere = desired.elsewhere;
    }

    /// The names of what this source wants, and whether each is understood.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Arc<str>, bool)> {
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
    pub(super) fn elsewhere(&self) -> Vec<String> {
        self.all().flat_map(|source| source.elsewhere.iter().cloned()).collect()
    }

    /// Who asks for the workload of this name.
    pub(super) fn of(&self, name: &str) -> &'static str {
        let has = |source: &Option<Source>| {
            source.as_ref().is_some_and(|it| it.workloads.contains_key(name) || it.unreadable.contains(name))
        };
        if has(&self.server) {
            "server"
        } else if has(&self.manifests) {
            "manifests"
        } else {
            "none"
        }
    }

    fn all(&self) -> impl Iterator<Item = &Source> {
        self.server.iter().chain(&self.manifests)
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

    pub(super) fn merged(&self) -> Merged {
        let mut merged = Merged::default();
        for source in self.all() {
            let defined: BTreeSet<String> = gather(merged.profiles.iter().map(|it| it.name.clone()));
            let others = source.profiles.iter().filter(|profile| !defined.contains(&profile.name));
            merged.profiles.extend(others.cloned());
            for (name, workload) in &source.workloads {
                if merged.workloads.contains_key(name) {
                    merged.problems.insert(format!(
                        "workload '{name}': both the server and a manifest define it; the server's counts"
                    ));
                } else {
                    let doubts = [eviction::priority(workload).err(), lone_socket(workload, &self.sockets)];
                    let doubts = doubts.into_iter().flatten();
                    merged.problems.extend(doubts.map(|it| format!("workload '{name}': {it}")));
                    merged.workloads.insert(name.clone(), workload.clone());
                }
            }
            merged.unreadable.extend(source.unreadable.iter().cloned());
            merged.problems.extend(source.problems.iter().cloned());
        }
        merged.unreadable.retain(|name| !merged.workloads.contains_key(name));
        merged
    }
}
