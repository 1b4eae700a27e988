//! Logistic regression by FTRL-proximal, in an order that is always the same and with nothing but operations that
//! every machine rounds alike: no function of a mathematical library is called.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts are far below what a float can hold, and weights are kept within bounds"
)]

use clawexchange_detectors::model::learning::{
    CUES, Read, WINDOW_BYTES_MAX, WINDOW_PIECES, WINDOW_TOKENS_MIN, scale,
};

use crate::inputs::Text;

/// How the model is learned.
pub(crate) struct Settings {
    pub(crate) buckets: usize,
    pub(crate) epochs: u32,
    /// How fast weights move, and how strongly they are held back.
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
    pub(crate) l1: f64,
    pub(crate) l2: f64,
    /// The share of n-grams that are left out at each step, others every time, so that the model relies on none alone.
    pub(crate) left_out: f64,
    /// How much more often than in ordinary sentences a cue stands in those of attacks.
    pub(crate) cue_ratio: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            buckets: 1 << 19,
            epochs: 8,
            alpha: 0.05,
            beta: 1.0,
            l1: 0.2,
            l2: 1.0,
            left_out: 0.3,
            cue_ratio: 2.0,
        }
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { epochs, alpha, beta, l1, l2, left_out, cue_ratio, .. } = self;
        write!(
            f,
            "FTRL-proximal, {epochs} epochs, alpha {alpha}, beta {beta}, L1 {l1}, L2 {l2}, {left_out} of the n-grams left \
             out at each step; a cue stands {cue_ratio} times as often in attacks"
        )
    }
}

/// Weights are kept in hundredths of a logit, in eight bits.
const HUNDRED: f64 = 100.0;
const WEIGHT_MAX: f64 = 1.27;
/// Beyond this score, in logits, a window teaches nothing.
const SURE: f64 = 4.0;

/// What was learned.
pub(crate) struct Learned {
    pub(crate) weights: Vec<i8>,
    pub(crate) cues: Vec<u8>,
    pub(crate) bias: [i32; WINDOW_PIECES],
}

struct Learner<'s> {
    settings: &'s Settings,
    w: Vec<f64>,
    z: Vec<f64>,
    n: Vec<f64>,
    steps: u64,
    /// The buckets of one step, kept so that they are not allocated anew.
    kept: Vec<u32>,
}

impl Learner<'_> {
    fn new(settings: &Settings) -> Learner<'_> {
        // Behind the buckets stand the biases.
        let zeros = || vec![0.0; settings.buckets + WINDOW_PIECES];
        Learner { settings, w: zeros(), z: zeros(), n: zeros(), steps: 0, kept: Vec::new() }
    }

    fn weight(&self, at: usize) -> f64 {
        self.w.get(at).copied().unwrap_or(0.0)
    }

    fn score(&self, window: &[&Read]) -> f64 {
        let mut sum = 0.0;
        for at in window.iter().flat_map(|piece| &piece.buckets) {
            sum += self.weight(*at as usize);
        }
        self.weight(self.settings.buckets + window.len() - 1) + sum * scale_of(window)
    }

    /// Learns one window, without some of its n-grams.
    fn teach(&mut self, window: &[&Read], is_attack: bool, weight: f64) {
        const PARTS: u64 = 256;
        let out = self.settings.left_out * PARTS as f64;
        self.steps += 1;
        let salt = mixed(self.steps);
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let all = window.iter().flat_map(|piece| &piece.buckets).copied();
        kept.extend(all.filter(|bucket| (mixed(u64::from(*bucket) ^ salt) % PARTS) as f64 >= out));
        let scale = scale_of(window) / (1.0 - self.settings.left_out);
        let bias = self.settings.buckets + window.len() - 1;
        let mut sum = 0.0;
        for bucket in &kept {
            sum += self.weight(*bucket as usize);
        }
        let score = self.weight(bias) + sum * scale;
        if (if is_attack { score } else { -score }) < SURE {
            let gradient = (sigmoid(score) - f64::from(is_attack)) * weight;
            self.step(bias, gradient, false);
            for bucket in &kept {
                self.step(*bucket as usize, gradient * scale, true);
            }
        }
        self.kept = kept;
    }

    fn step(&mut self, at: usize, gradient: f64, is_held_back: bool) {
        let s = self.settings;
        let (Some(w), Some(z), Some(n)) = (self.w.get_mut(at), self.z.get_mut(at), self.n.get_mut(at)) else {
            return;
        };
        let more = *n + gradient * gradient;
        *z += gradient - (more.sqrt() - n.sqrt()) / s.alpha * *w;
        *n = more;
        let l1 = if is_held_back { s.l1 } else { 0.0 };
        *w = if z.abs() <= l1 {
            0.0
        } else {
            -(*z - l1.copysign(*z)) / ((s.beta + n.sqrt()) / s.alpha + s.l2)
        };
        *w = w.clamp(-WEIGHT_MAX, WEIGHT_MAX);
    }
}

fn scale_of(window: &[&Read]) -> f64 {
    scale(window.iter().map(|piece| piece.cues.len()).sum())
}

/// The windows of a text: how many pieces on end, and the last of them. Pieces without a cue are left out.
fn windows<'t>(text: &'t Text, cues: &[u8]) -> Vec<Vec<&'t Read>> {
    let is_cue = |cue: &u16| {
        let cue = usize::from(*cue);
        cues.get(cue >> 3).is_some_and(|byte| byte >> (cue & 7) & 1 == 1)
    };
    let hot: Vec<_> = text.pieces.iter().filter(|piece| piece.cues.iter().any(is_cue)).collect();
    let mut all = Vec::new();
    for end in 0..hot.len() {
        let mut window: Vec<&Read> = Vec::new();
        for piece in hot.get(..=end).unwrap_or(&[]).iter().rev().take(WINDOW_PIECES) {
            let last = hot.get(end).map_or(0, |piece| piece.folded.end);
            if last - piece.folded.start > WINDOW_BYTES_MAX && !window.is_empty() {
                break;
            }
            window.push(piece);
            if window.iter().map(|piece| piece.cues.len()).sum::<usize>() >= WINDOW_TOKENS_MIN {
                all.push(window.clone());
            }
        }
    }
    all
}

/// Stems that stand more often in attacks.
fn cues_of(texts: &[&Text], settings: &Settings) -> Vec<u8> {
    let mut often = vec![[0.0_f64; 2]; CUES];
    let mut pieces = [0.0_f64; 2];
    for text in texts {
        for piece in &text.pieces {
            let side = usize::from(text.is_attack);
            if let Some(count) = pieces.get_mut(side) {
                *count += 1.0;
            }
            let mut cues = piece.cues.clone();
            cues.sort_unstable();
            cues.dedup();
            for cue in cues {
                if let Some(count) = often.get_mut(usize::from(cue)).and_then(|both| both.get_mut(side)) {
                    *count += 1.0;
                }
            }
        }
    }
    let mut bits = vec![0_u8; CUES / 8];
    for (cue, [ordinary, attacks]) in often.iter().enumerate() {
        let is_cue =
            *attacks > 0.0 && attacks / pieces[1] > settings.cue_ratio * (ordinary + 0.5) / pieces[0];
        if is_cue && let Some(byte) = bits.get_mut(cue >> 3) {
            *byte |= 1 << (cue & 7);
        }
    }
    bits
}

/// Which windows of an attack are learned as one: all at first, then the stronger half of those that there are.
fn chosen(learner: &Learner<'_>, windows: &[Vec<&Read>], epoch: u32) -> f64 {
    const ALL: usize = 4;
    if windows.len() <= ALL || epoch == 0 {
        return f64::NEG_INFINITY;
    }
    let mut scores: Vec<f64> = windows.iter().map(|window| learner.score(window)).collect();
    scores.sort_by(f64::total_cmp);
    scores.get(scores.len() / 2).copied().unwrap_or(f64::NEG_INFINITY)
}

/// Learns from these texts.
pub(crate) fn learn(texts: &[&Text], settings: &Settings) -> Learned {
    let cues = cues_of(texts, settings);
    let all: Vec<_> = texts.iter().map(|text| windows(text, &cues)).collect();
    let mut learner = Learner::new(settings);
    for epoch in 0..settings.epochs {
        for at in order(texts.len(), epoch) {
            let (Some(text), Some(windows)) = (texts.get(at), all.get(at)) else { continue };
            if text.is_attack {
                let least = chosen(&learner, windows, epoch);
                let share = (8.0 / windows.len() as f64).min(1.0).sqrt();
                for window in windows {
                    let score = learner.score(window);
                    if score >= least {
                        learner.teach(window, true, text.weight * share);
                    }
                }
            } else {
                for window in windows {
                    learner.teach(window, false, text.weight);
                }
            }
        }
    }
    let mut weights: Vec<i8> = learner.w.iter().map(|w| whole(*w * HUNDRED) as i8).collect();
    let bias = std::array::from_fn(|k| whole(learner.weight(settings.buckets + k) * HUNDRED));
    weights.truncate(settings.buckets);
    Learned { weights, cues, bias }
}

/// To the nearest whole number, halves away from zero.
fn whole(x: f64) -> i32 {
    (x + 0.5_f64.copysign(x)) as i32
}

/// The texts in an order of each epoch's own.
fn order(count: usize, epoch: u32) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    all.sort_by_key(|at| (mixed((*at as u64) << 8 | u64::from(epoch)), *at));
    all
}

/// One step of SplitMix64.
pub(crate) const fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// `1 / (1 + e^-x)`. The exponential is a power of two and a polynomial, so that it is the same everywhere.
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exponential(-x.clamp(-30.0, 30.0)))
}

fn exponential(x: f64) -> f64 {
    let halvings = (x * std::f64::consts::LOG2_E + 0.5_f64.copysign(x)) as i64;
    let rest = x - halvings as f64 * std::f64::consts::LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..16 {
        term = term * rest / f64::from(k);
        sum += term;
    }
    sum * f64::from_bits(u64::try_from(1023 + halvings).unwrap_or(0) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::file;
    use crate::inputs::Inputs;

    #[test]
    fn the_same_texts_make_the_same_model_byte_for_byte() {
        let settings = Settings { buckets: 1 << 16, epochs: 2, ..Settings::default() };
        let train = || {
            let inputs = Inputs::of_our_own(settings.buckets).unwrap();
            let texts: Vec<&Text> = inputs.texts.iter().collect();
            file(&learn(&texts, &settings), &inputs, [100, 200])
        };
        let first = train();
        assert!(first == train());
        assert!(first.iter().filter(|b| **b != 0).count() > 10_000);
    }

    #[test]
    fn the_exponential_is_one() {
        for x in [-30.0, -2.5, -0.1, 0.0, 0.3, 1.0, 7.7, 29.0] {
            assert!((exponential(x) / f64::exp(x) - 1.0).abs() < 1e-14, "{x}");
        }
    }
}
