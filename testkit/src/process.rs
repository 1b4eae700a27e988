//! Processes of servers: whether they run, and how they are stopped.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Whether a process is there and has not ended.
pub(crate) fn is_running(pid: Pid) -> bool {
    !matches!(state(&format!("/proc/{}/stat", pid.as_raw_nonzero())), None | Some('Z'))
}

/// Stops a process until it is told to go on. When this returns none of its threads does anything: the signal reaches
/// one after the other, and on a machine that has much to do the others answer meanwhile.
///
/// # Panics
///
/// If it does not stop within half a minute.
pub(crate) fn freeze(pid: Pid) {
    let _may_be_gone = kill_process(pid, Signal::STOP);
    let started = Instant::now();
    while is_moving(pid) {
        assert!(started.elapsed() < Duration::from_secs(30), "a process does not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_moving(pid: Pid) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else { return false };
    let mut states = threads.flatten().filter_map(|thread| state(thread.path().join("stat").to_str()?));
    states.any(|state| !matches!(state, 'T' | 't' | 'Z' | 'X'))
}

/// The letter for what a process or a thread does.
fn state(stat: &str) -> Option<char> {
    // The name in parentheses may have anything in it; what follows the last one has not.
    fs::read_to_string(stat).ok()?.rsplit_once(')')?.1.trim_start().chars().next()
}
