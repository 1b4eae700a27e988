//! Attacks, altered at random until they pass: the verdict is all that an attacker sees.

use std::error::Error;

use clawexchange_ssg_core::Verdict;

use crate::arguments::Arguments;
use crate::corpus::{Family, Text, mixed};
use crate::disguises::{digit_for, look_alike};
use crate::judge::{Here, Judge};
use crate::share::Share;

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(mixed(self.0) % bound).unwrap_or(0)
    }
}

/// One character in so many may be altered: beyond that a reader would no longer follow.
const SPARED: usize = 8;

/// Prints the share of attacks caught plain that pass after some mutations, by family. Values are left out: another
/// value is another secret.
pub(crate) fn survive(judge: &Judge, attacks: &[Text], arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let phrases: Vec<Text> = attacks.iter().filter(|text| text.family.is_of_phrases()).cloned().collect();
    let plain = judge.all(&phrases, "judged plain")?;
    let caught: Vec<_> =
        phrases.iter().zip(plain).filter(|(_, o)| o.is_noticed()).map(|(text, _)| text).collect();
    let passed = judge.each(&caught, "mutated", |here, text| climb(here, text, arguments))?;
    println!(
        "{:<20} {:>8} {:>20} {:>14}   {} mutations, seed {}",
        "family", "attacks", "passed, in %", "tries, median", arguments.tries, arguments.seed
    );
    for family in Family::ALL.into_iter().map(Some).chain([None]) {
        let of: Vec<_> = caught
            .iter()
            .zip(&passed)
            .filter(|(text, _)| family.is_none_or(|family| text.family == family))
            .map(|(_, tries)| *tries)
            .collect();
        let mut tries: Vec<u32> = of.iter().copied().flatten().collect();
        tries.sort_unstable();
        let median = tries.get(tries.len() / 2).map_or("–".to_owned(), u32::to_string);
        let share = Share::of(&of, Option::is_some);
        if share.whole > 0 {
            println!(
                "{:<20} {:>8} {share:>20} {median:>14}",
                family.map_or("all", Family::label),
                share.whole
            );
        }
    }
    Ok(())
}

/// After how many tries a text passes. What lowers the verdict, or leaves it, is kept and altered further.
fn climb(here: &Here<'_>, text: &Text, arguments: &Arguments) -> Result<Option<u32>, Box<dyn Error>> {
    let seed = text.text.bytes().fold(arguments.seed, |seed, b| mixed(seed ^ u64::from(b)));
    let mut dice = Dice(seed);
    let original: Vec<char> = text.text.chars().collect();
    let most = (original.len() / SPARED).max(2);
    let (mut kept, mut changes, mut worst) = (original.clone(), 0, here.text(&text.text)?.verdict);
    for attempt in 1..=arguments.tries {
        if changes >= most {
            (kept, changes) = (original.clone(), 0);
        }
        let mut next = kept.clone();
        let made = 1 + dice.below(3);
        for _ in 0..made {
            mutate(&mut next, &mut dice);
        }
        let Ok(outcome) = here.text(&next.iter().collect::<String>()) else { continue };
        if outcome.verdict == Verdict::Pass {
            return Ok(Some(attempt));
        }
        if outcome.verdict <= worst {
            (kept, changes, worst) = (next, changes + made, outcome.verdict);
        }
    }
    Ok(None)
}

/// One small change that a reader would hardly notice.
fn mutate(text: &mut Vec<char>, dice: &mut Dice) {
    let at = dice.below(text.len());
    let Some(c) = text.get(at).copied() else { return };
    let put = |text: &mut Vec<char>, c: Option<char>| {
        if let (Some(place), Some(c)) = (text.get_mut(at), c) {
            *place = c;
        }
    };
    match dice.below(12) {
        0 => put(text, look_alike(c)),
        1 => put(text, digit_for(c)),
        2 => text.insert(at, '\u{200b}'),
        3 => put(text, c.to_uppercase().next()),
        4 => text.insert(at, ' '),
        5 => text.insert(at, ['-', '.', '_', '*', '\''].get(dice.below(5)).copied().unwrap_or('-')),
        6 => text.insert(at, c),
        7 if text.len() > 8 => _ = text.remove(at),
        8 if at + 1 < text.len() => text.swap(at, at + 1),
        9 if c == ' ' => put(text, Some('\n')),
        9 => put(text, char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_alphanumeric())),
        10 => {
            // A small word more.
            let words = ["please ", "now ", "just ", "kindly ", "simply ", "really "];
            let start = text.iter().take(at).rposition(|c| *c == ' ').map_or(0, |space| space + 1);
            let word = words.get(dice.below(words.len())).copied().unwrap_or_default();
            text.splice(start..start, word.chars());
        }
        _ => put(text, Some('\u{301}').filter(|_| c == '\'')),
    }
}
