//! Outcomes in words.

use super::{coverage::Kind, *};

pub(super) fn meaning(verdict: &restart_policy::PodStatus) -> Kind {
    match verdict {
        restart_policy::PodStatus::Running { missed } if missed.is_empty() => Kind::PodRuns,
        restart_policy::PodStatus::Running { .. } => Kind::PodFailed,
        restart_policy::PodStatus::Finished { .. } => Kind::PodEnded,
        restart_policy::PodStatus::Broken { .. } => Kind::PodBroken,
    }
}

pub(super) fn shown(fact: &Fact) -> String {
    match fact {
        Fact::Pods(pods) => {
            let pods: Vec<_> = pods.iter().map(|pod| pod.id.as_str()).collect();
            format!("there are the pods [{}]", pods.join(", "))
        }
        Fact::Pulled { fetched, .. } => {
            let images: Vec<_> = fetched.iter().map(|it| it.image.as_str()).collect();
            format!("pulled [{}]", images.join(", "))
        }
        Fact::Fit { holders, .. } => format!("it would start; wanted ports have {holders:?}"),
        Fact::Pod(pod) => {
            let states: Vec<_> = pod.containers.iter().map(|it| format!("{:?}", it.state)).collect();
            let torn = if pod.torn { ", torn" } else { "" };
            format!("the pod is there: {}; CPU {:?}{torn}", states.join(", "), pod.cpu)
        }
        Fact::Gone => "there is no such thing".into(),
        Fact::Limited => "limited".into(),
        Fact::Ended => "ended".into(),
        Fact::Probed { healthy, .. } => if *healthy { "well" } else { "sick" }.into(),
        Fact::Usage(uses) => format!("{} pods use some", uses.len()),
    }
}
