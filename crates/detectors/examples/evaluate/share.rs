//! Shares of a whole, with how sure they are.

use std::fmt;

use serde::Serialize;

/// So many of so many.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Share {
    pub(crate) part: u32,
    pub(crate) whole: u32,
}

impl Share {
    pub(crate) fn of<T>(all: &[T], is: impl Fn(&T) -> bool) -> Self {
        let mut share = Self::default();
        for one in all {
            share.add(is(one));
        }
        share
    }

    pub(crate) fn add(&mut self, is: bool) {
        self.whole += 1;
        self.part += u32::from(is);
    }

    pub(crate) fn percent(self) -> f64 {
        100.0 * f64::from(self.part) / f64::from(self.whole.max(1))
    }

    /// Wilson's interval of 95 %, in percent.
    pub(crate) fn interval(self) -> (f64, f64) {
        const Z: f64 = 1.96;
        let n = f64::from(self.whole.max(1));
        let p = f64::from(self.part) / n;
        let middle = p + Z * Z / (2.0 * n);
        let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        let bound = |value: f64| (100.0 * value / scale).clamp(0.0, 100.0);
        (bound(middle - reach), bound(middle + reach))
    }
}

/// `94.1 (92.0–95.7)`, or a dash where there is no whole.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.whole == 0 {
            return f.pad("–");
        }
        let (low, high) = self.interval();
        f.pad(&format!("{:.1} ({low:.1}–{high:.1})", self.percent()))
    }
}
