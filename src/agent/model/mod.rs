//! The vocabulary: what the agent, its workers and its readers speak of. Nothing here decides anything, and nothing here
//! imports anything from above.
//!
//! | file | what it names |
//! |---|---|
//! | [`workload`] | a workload, its content and id; a source's whole wish |
//! | [`specification`] | a pod specification |
//! | [`outline`] | the little of a pod specification that rules need |
//! | [`schedule`] | back-off and cron |
//! | [`order`] | what an engine is asked to do, and what it answers |
//! | [`probe`] | how a container is asked whether it is well |
//! | [`phase`] | where a workload's pod is |
//! | [`deployment`] | a Deployment as a cluster tells it |
//! | [`image`] | images that the agent pulled |
//! | [`run`] | how a workload's last run ended |
//! | [`pressure`] | what a device can run short of |
//! | [`subsystem`] | subsystems of the agent that what is around it can keep from their work |
//! | [`fallback`] | what a workload returns to when its update fails |
//! | [`update`], [`waiting`] | when a content may be replaced, and what waits for that |
//! | [`stop`] | what was stopped by hand |
//! | [`call`] | what the edge API is asked, and what it answers |
//! | [`record`] | what is to be kept over a restart |
//! | [`question`] | what people and programs on the device ask |
//! | [`report`] | how everything is, for those who ask |
//! | [`notice`] | what the agent has to say by itself |
//! | [`hysteresis`] | what is to be remembered of conditions |
//! | [`history`] | what it said of late |
//! | [`event`] | all that comes in, and all that goes out |
//! | [`time`], [`quantity`], [`confidential`], [`random`], [`vec_map`], [`mod@gather`] | time, sizes, Secrets, chance, collections |

pub mod call;
mod canonical;
pub mod confidential;
pub mod deployment;
pub mod event;
pub mod fallback;
pub mod gather;
pub mod history;
pub mod hysteresis;
pub mod image;
pub mod notice;
pub mod order;
pub mod outline;
pub mod phase;
pub mod pressure;
pub mod probe;
pub mod quantity;
pub mod question;
pub mod random;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod specification;
pub mod stop;
pub mod subsystem;
pub mod time;
pub mod update;
pub mod vec_map;
pub mod waiting;
pub mod workload;
