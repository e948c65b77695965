//! Processors and memory.

use super::tree::{HostFs, checked_byte_count, clean};
use crate::wire::edge_api::hardware::{Cpu, Memory};

/// No processor has as many flags.
const MAX_CPU_FLAGS: usize = 512;

pub(super) fn cpu(tree: &HostFs) -> Cpu {
    let cpuinfo = tree.text("proc/cpuinfo").unwrap_or_default();
    // the first processor speaks for all
    let value = |keys: &[&str]| {
        let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| keys.contains(&key.trim())).map(|(_, value)| value.trim())
    };
    let listed = cpuinfo.lines().filter(|line| line.split(':').next().map(str::trim) == Some("processor"));
    let listed = u32::try_from(listed.count()).ok().filter(|count| *count > 0);
    let flags: Vec<String> = value(&["flags", "Features"])
        .map(|flags| flags.split_whitespace().take(MAX_CPU_FLAGS).filter_map(clean).collect())
        .unwrap_or_default();
    Cpu {
        architecture: tree.first_line("proc/sys/kernel/arch").or_else(|| Some(std::env::consts::ARCH.into())),
        count: tree
            .first_line("sys/devices/system/cpu/online")
            .and_then(|list| cpus_in_list(&list))
            .or(listed),
        model_name: value(&["model name", "cpu model", "uarch"])
            .and_then(clean)
            .or_else(|| arm_core_name(value(&["CPU implementer"])?, value(&["CPU part"])?)),
        frequency: highest_frequency(tree).or_else(|| {
            // With this flag the kernel tells a measurement, which never stays the same.
            let steady = !flags.iter().any(|flag| flag == "aperfmperf");
            let mhz: f64 = value(&["cpu MHz"])?.parse().ok()?;
            (steady && mhz.is_finite() && mhz > 0.0).then_some(mhz)
        }),
        flags,
    }
}

/// How many a kernel's list like `0-3,6` names.
pub(super) fn cpus_in_list(list: &str) -> Option<u32> {
    let mut count = 0_u32;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// In MHz, of the fastest kind of core.
fn highest_frequency(tree: &HostFs) -> Option<f64> {
    let policies = "sys/devices/system/cpu/cpufreq";
    let frequency = |name: &String| tree.number::<u32>(&format!("{policies}/{name}/cpuinfo_max_freq"));
    let khz = tree.dir_entries(policies)?.iter().filter_map(frequency).max()?;
    (khz > 0).then(|| f64::from(khz) / 1000.0)
}

/// The 64-bit ARM kernel tells numbers only. Source: Linux, arch/arm64/include/asm/cputype.h.
fn arm_core_name(implementer: &str, part: &str) -> Option<String> {
    const ARM_IMPLEMENTER: &str = "0x41";
    let name = match part {
        "0xb76" => "ARM1176",
        "0xc07" => "Cortex-A7",
        "0xc08" => "Cortex-A8",
        "0xc09" => "Cortex-A9",
        "0xc0f" => "Cortex-A15",
        "0xd03" => "Cortex-A53",
        "0xd04" => "Cortex-A35",
        "0xd05" => "Cortex-A55",
        "0xd07" => "Cortex-A57",
        "0xd08" => "Cortex-A72",
        "0xd09" => "Cortex-A73",
        "0xd0a" => "Cortex-A75",
        "0xd0b" => "Cortex-A76",
        "0xd0c" => "Neoverse-N1",
        "0xd41" => "Cortex-A78",
        "0xd42" => "Cortex-A78AE",
        _ => return None,
    };
    (implementer == ARM_IMPLEMENTER).then(|| name.to_owned())
}

pub(super) fn memory(tree: &HostFs) -> Option<Memory> {
    let meminfo = tree.text("proc/meminfo").unwrap_or_default();
    let usable_bytes = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|value| checked_byte_count(value.trim().strip_suffix("kB")?.trim().parse().ok()?, 1024));
    let memory = Memory { physical_bytes: physical_memory(tree), usable_bytes };
    (memory != Memory::default()).then_some(memory)
}

/// What can be plugged in and out is counted in blocks; other kernels don't tell.
fn physical_memory(tree: &HostFs) -> Option<u64> {
    let blocks = "sys/devices/system/memory";
    let size = u64::from_str_radix(&tree.first_line(&format!("{blocks}/block_size_bytes"))?, 16).ok()?;
    let is_block =
        |name: &&String| name.strip_prefix("memory").is_some_and(|number| number.parse::<u32>().is_ok());
    let count = tree.dir_entries(blocks)?.iter().filter(is_block).count();
    checked_byte_count(u64::try_from(count).ok()?, size).filter(|bytes| *bytes > 0)
}
