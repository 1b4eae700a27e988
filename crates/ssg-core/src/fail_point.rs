//! Places at which a test may kill the process, to see what survives. Debug builds only.

/// Ends the process here, without unwinding or flushing, if `CLAW_FAIL_POINT` names this place.
///
/// `CLAW_FAIL_POINT=<name>` kills at the first pass, `<name>:<n>` at the n-th. In a build without debug assertions
/// the macro is empty and no name of a place stands in the binary.
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::pass_fail_point($name);
    };
}

/// Counts a pass; called by [`fail_point!`](crate::fail_point).
#[cfg(debug_assertions)]
#[doc(hidden)]
pub fn pass_fail_point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSES: AtomicU64 = AtomicU64::new(0);

    let armed = ARMED.get_or_init(|| {
        let setting = std::env::var("CLAW_FAIL_POINT").ok()?;
        let (name, nth) = setting.split_once(':').unwrap_or((&setting, "1"));
        Some((name.to_owned(), nth.parse().unwrap_or(1)))
    });
    if let Some((place, nth)) = armed
        && place == name
        && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        std::process::abort();
    }
}
