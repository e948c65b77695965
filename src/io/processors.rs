//! How many processors the device has. The agent may be bound to some of them, or to a part of their time; its pods aren't.

use std::{fs, thread::available_parallelism};

/// At least one; without sysfs, as many as the agent itself may use.
pub(super) fn processor_count() -> u64 {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").ok();
    let own = || available_parallelism().map_or(1, |it| it.get() as u64);
    online.and_then(|list| cpus_in_list(&list)).unwrap_or_else(own)
}

/// How many are in a list of the kernel's, as `0-3,6`.
fn cpus_in_list(list: &str) -> Option<u64> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some(u64::from(last.checked_sub(first)?) + 1)
    };
    list.trim().split(',').map(range).sum()
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        for (list, expected) in [("0\n", Some(1)), ("0-3\n", Some(4)), ("0-1,4,6-7\n", Some(5))] {
            assert_eq!(cpus_in_list(list), expected, "{list}");
        }
        for list in ["", "\n", "x", "3-1", "0-", "0,,1", "0-99999999999"] {
            assert_eq!(cpus_in_list(list), None, "{list}");
        }
    }

    #[test]
    fn an_agent_bound_to_one_processor_counts_all() {
        let all = processor_count();
        let bound = std::thread::spawn(|| {
            let may_use = sched_getaffinity(None).unwrap();
            let mut one = CpuSet::new();
            one.set((0..CpuSet::MAX_CPU).find(|it| may_use.is_set(*it)).unwrap());
            sched_setaffinity(None, &one).unwrap();
            (available_parallelism().unwrap().get(), processor_count())
        });
        assert_eq!(bound.join().unwrap(), (1, all));
    }
}
