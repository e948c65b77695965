//! What one input may cost: processor time and memory, both by its length.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{ALLOCATOR, Target};

/// Without optimization all takes longer.
const SLOWNESS: u32 = if cfg!(debug_assertions) && cfg!(not(feature = "engine")) { 12 } else { 1 };
/// Coverage and debug assertions cost, too.
const TIME: Duration = Duration::from_millis(100);
const TIME_PER_BYTE: Duration = Duration::from_micros(4);
const MEMORY_PER_BYTE: usize = 100;

/// Lets a target read an input. Memory is counted for the whole process: let nothing else go on.
///
/// # Panics
/// When a promise is broken, or it took too much.
pub fn run(target: &Target, input: &[u8]) {
    ALLOCATOR.reset_peak_usage();
    let (memory, time) = (ALLOCATOR.current_usage(), processor_time());
    (target.run)(input);
    let time = processor_time().saturating_sub(time);
    let memory = ALLOCATOR.peak_usage().saturating_sub(memory);
    let length = u32::try_from(input.len()).unwrap_or(u32::MAX);
    let most = (TIME + TIME_PER_BYTE * length) * SLOWNESS;
    assert!(time <= most, "{length} bytes take {time:?} of the processor, more than {most:?}");
    let most = target.memory + MEMORY_PER_BYTE * input.len();
    assert!(memory <= most, "{length} bytes take {memory} bytes of memory, more than {most}");
}

/// Of this thread: what else the machine does doesn't count.
#[allow(clippy::disallowed_methods)]
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
