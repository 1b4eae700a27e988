//! Reads packs and says all that is wrong with them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use clawexchange_ssg_core::{Pattern, PatternError, RuleMode};
use regex_syntax::hir::Hir;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{self, Lines};
use super::{OwnPacks, OwnRule, PackProblem, PackText};
use crate::checks::Check;
use crate::detectors::{Detectors, distance};
use crate::pack::{PATTERN_BYTES_MAX, RuleSpec, with_terms};
use crate::rule::{compiled, try_parsed};
use crate::shape::alternatives;

/// Whose packs are read: those that ship may have rules that are found by code, and short literals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Own,
    Shipped,
}

/// What was read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) rules: Vec<OwnRule>,
    pub(super) modes: BTreeMap<String, RuleMode>,
    pub(super) problems: Vec<PackProblem>,
    pub(super) compiled_bytes: usize,
    pub(super) compile_time: Duration,
}

/// Nobody reads on after so many problems.
const PROBLEMS_MAX: usize = 50;
/// The longest name of a file.
const NAME_CHARS_MAX: usize = 100;
/// The longest id: it stands in labels of metrics and in events.
const ID_BYTES_MAX: usize = 64;
/// The longest match, which windows are made for.
const MATCH_BYTES_MAX: usize = 9 << 10;
/// Literals of a rule, and how long each may be. Shorter ones stand everywhere.
const LITERALS_MAX: usize = 300;
const LITERAL_BYTES: Range<usize> = 3..101;
/// Words near, how long each may be, and how far away.
const WORDS_MAX: usize = 200;
const WORD_BYTES_MAX: usize = 60;
const REACH_MAX: usize = 1000;
/// Sentences for people.
const DESCRIPTION_CHARS_MAX: usize = 300;
const SHOWN_CHARS_MAX: usize = 64;
const LABELS_MAX: usize = 16;
/// Examples of each sort, and how long one may be.
const EXAMPLES_MAX: usize = 50;
const EXAMPLE_BYTES_MAX: usize = 16 << 10;

/// Reads all files; what is well is given beside what is wrong.
pub(super) fn read(texts: &[PackText], whose: Whose) -> Read {
    let mut all =
        All { whose, read: Read::default(), ids: HashMap::new(), known: HashSet::new(), modes: Vec::new() };
    if whose == Whose::Own {
        all.known = Detectors::default().rules().map(|rule| rule.id.to_owned()).collect();
    }
    all.hold_bounds(texts);
    for (file, pack) in texts.iter().enumerate() {
        if all.read.problems.is_empty() || pack.text.len() <= OwnPacks::FILE_BYTES_MAX {
            all.file(file, pack);
        }
    }
    all.settle_modes();
    all.read.problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    all.read.problems.truncate(PROBLEMS_MAX);
    all.read
}

struct All {
    whose: Whose,
    read: Read,
    /// Where each id was first, for saying so.
    ids: HashMap<String, String>,
    /// Ids of rules that ship.
    known: HashSet<String>,
    /// Modes, and where they were said.
    modes: Vec<(String, RuleMode, PackProblem)>,
}

/// A file while it is read.
struct File<'t> {
    at: usize,
    name: &'t str,
    lines: Lines<'t>,
    terms: BTreeMap<String, String>,
}

impl File<'_> {
    fn problem(&self, at: usize, what: impl Into<String>, hint: impl Into<String>) -> PackProblem {
        let (line, column) = self.lines.place(at);
        // What is quoted of a file from elsewhere is one harmless line.
        let clean =
            |text: String| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        PackProblem {
            file: self.name.to_owned(),
            line,
            column,
            what: clean(what.into()),
            hint: clean(hint.into()),
        }
    }
}

impl All {
    fn hold_bounds(&mut self, texts: &[PackText]) {
        let mut wrong = |file: &str, what: String, hint: &str| {
            let file = file.chars().take(NAME_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c });
            let hint = hint.to_owned();
            self.read.problems.push(PackProblem { file: file.collect(), line: 1, column: 1, what, hint });
        };
        if texts.len() > OwnPacks::FILES_MAX {
            let what = format!("there are {} files, and {} are the most", texts.len(), OwnPacks::FILES_MAX);
            wrong("packs", what, "put rules of one sort into one file");
        }
        let bytes: usize = texts.iter().map(|t| t.text.len()).sum();
        if bytes > OwnPacks::BYTES_MAX {
            let what = format!("all files have {bytes} bytes, and {} are the most", OwnPacks::BYTES_MAX);
            wrong("packs", what, "take out rules and examples that are not needed");
        }
        let mut names = HashSet::new();
        for PackText { name, text } in texts {
            let is_name = (1..=NAME_CHARS_MAX).contains(&name.chars().count())
                && !name.chars().any(|c| c.is_control() || c == '/' || c == '\\');
            if !is_name {
                wrong(name, "its name cannot be used".to_owned(), "name it as acme.toml");
            }
            if !names.insert(name) {
                wrong(name, "it is there twice".to_owned(), "give each file a name of its own");
            }
            if text.len() > OwnPacks::FILE_BYTES_MAX {
                let what =
                    format!("it has {} bytes, and {} are the most", text.len(), OwnPacks::FILE_BYTES_MAX);
                wrong(name, what, "put its rules into several files");
            }
        }
    }

    fn file(&mut self, at: usize, pack: &PackText) {
        let mut file = File { at, name: &pack.name, lines: Lines::of(&pack.text), terms: BTreeMap::new() };
        let (root, errors) = DeTable::parse_recoverable(&pack.text);
        for error in errors.iter().take(PROBLEMS_MAX) {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().lines().next().unwrap_or("it is no TOML").to_owned();
            self.read.problems.push(file.problem(at, what, "write it as TOML 1.0"));
        }
        if !errors.is_empty() {
            // What was made of a broken file would be judged wrongly.
            return;
        }
        let members = place::members(root.get_ref());
        // Terms first, wherever they stand.
        for member in members.iter().filter(|member| member.name == "terms") {
            match place::read(member.value) {
                Ok(terms) => file.terms = terms,
                Err((span, what)) => {
                    let hint = "a term is a name and an alternation, such as drop = 'ignore|forget'";
                    self.read.problems.push(file.problem(span.start, what, hint));
                }
            }
        }
        for member in &members {
            match member.name {
                "terms" => {}
                "modes" => self.modes_of(&file, member.value),
                "rule" => self.rules_of(&file, member.value),
                other => {
                    let what = format!("there is no `{other}` in a pack");
                    let hint = "a pack has [[rule]], [terms] and [modes]";
                    self.read.problems.push(file.problem(member.at.start, what, hint));
                }
            }
        }
    }

    fn modes_of(&mut self, file: &File<'_>, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(modes) = value.get_ref() else {
            let hint = "write [modes], and below it a line such as some-rule = \"shadow\"";
            self.read.problems.push(file.problem(value.span().start, "modes is no table", hint));
            return;
        };
        for member in place::members(modes) {
            let id = member.name.to_owned();
            match place::read(member.value) {
                Ok(mode) => {
                    let nearest = self.known.iter().min_by_key(|known| distance(known, &id));
                    let hint = nearest.map_or_else(String::new, |nearest| format!("did you mean {nearest}?"));
                    let unknown = file.problem(member.at.start, format!("there is no rule {id}"), hint);
                    self.modes.push((id, mode, unknown));
                }
                Err((span, what)) => {
                    let hint = "a mode is enforce, shadow or off";
                    self.read.problems.push(file.problem(span.start, what, hint));
                }
            }
        }
    }

    /// Modes are of rules that ship: one's own say theirs themselves, so that nobody looks for it in two places.
    fn settle_modes(&mut self) {
        for (id, mode, mut unknown) in std::mem::take(&mut self.modes) {
            if self.ids.contains_key(&id) && self.whose == Whose::Own {
                unknown.what = format!("rule {id} is one of these packs");
                "write mode = … beside its id".clone_into(&mut unknown.hint);
                self.read.problems.push(unknown);
            } else if !self.known.contains(&id) {
                self.read.problems.push(unknown);
            } else if self.read.modes.insert(id.clone(), mode).is_some() {
                unknown.what = format!("the mode of rule {id} is said twice");
                "say it in one file".clone_into(&mut unknown.hint);
                self.read.problems.push(unknown);
            }
        }
    }

    fn rules_of(&mut self, file: &File<'_>, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(rules) = value.get_ref() else {
            let hint = "each rule begins with a line [[rule]]";
            self.read.problems.push(file.problem(value.span().start, "rule is no list of tables", hint));
            return;
        };
        for table in rules {
            if self.read.rules.len() >= OwnPacks::RULES_MAX && self.whose == Whose::Own {
                let what = format!("there are more than {} rules", OwnPacks::RULES_MAX);
                let hint = "take out what is never found, or join patterns of one sort";
                self.read.problems.push(file.problem(table.span().start, what, hint));
                return;
            }
            match place::read::<RuleSpec>(table) {
                Ok(spec) => self.rule(file, table, spec),
                Err((span, what)) => {
                    let hint = "docs/rules.md lists the members of a rule";
                    self.read.problems.push(file.problem(span.start, what, hint));
                }
            }
        }
    }

    fn rule(&mut self, file: &File<'_>, table: &Spanned<DeValue<'_>>, mut spec: RuleSpec) {
        file.name.clone_into(&mut spec.pack);
        if self.whose == Whose::Shipped {
            file.name.trim_end_matches(".toml").clone_into(&mut spec.pack);
        }
        let mut judge = Judge { file, table, whose: self.whose, id: spec.id.clone(), problems: Vec::new() };
        if self.known.contains(&spec.id) {
            let hint = "give it an id of its own; [modes] switches rules that ship";
            judge.say("id", None, "a rule that ships has this id", hint);
        }
        let here = format!("{} line {}", file.name, file.lines.place(table.span().start).0);
        if let Some(first) = self.ids.insert(spec.id.clone(), here) {
            judge.say(
                "id",
                None,
                format!("this id is there already, in {first}"),
                "give each rule an id of its own",
            );
        }
        judge.words(&mut spec);
        judge.lists(&spec);
        judge.examples(&spec);
        let (bytes, time) = judge.expression(&mut spec);
        self.read.compiled_bytes += bytes;
        self.read.compile_time += time;
        if self.whose == Whose::Own && self.read.compiled_bytes > OwnPacks::COMPILED_BYTES_MAX && bytes > 0 {
            let what = format!(
                "with this rule the expressions take {} bytes of memory, and {} are the most",
                self.read.compiled_bytes,
                OwnPacks::COMPILED_BYTES_MAX
            );
            judge.say("pattern", None, what, "make repetitions and alternations smaller");
        }
        let is_well = judge.problems.is_empty();
        self.read.problems.append(&mut judge.problems);
        if is_well {
            let of = |name: &str, count: usize| {
                (0..count).map(|at| file.lines.place(place::of_member(table, name, Some(at)))).collect()
            };
            let examples = [of("positive", spec.positive.len()), of("negative", spec.negative.len())];
            let head = file.lines.place(place::of_member(table, "id", None));
            self.read.rules.push(OwnRule { spec, file: file.at, head, examples });
        }
    }
}

/// Looks at one rule.
struct Judge<'a, 't> {
    file: &'a File<'a>,
    table: &'a Spanned<DeValue<'t>>,
    whose: Whose,
    id: String,
    problems: Vec<PackProblem>,
}

impl Judge<'_, '_> {
    fn say(&mut self, member: &str, item: Option<usize>, what: impl Into<String>, hint: &str) {
        let at = place::of_member(self.table, member, item);
        let id: String = self.id.chars().take(ID_BYTES_MAX).collect();
        self.problems.push(self.file.problem(at, format!("rule {id}: {}", what.into()), hint));
    }

    /// Its id, its points and its sentences.
    fn words(&mut self, spec: &mut RuleSpec) {
        if spec.id.len() > ID_BYTES_MAX {
            self.say("id", None, format!("an id has at most {ID_BYTES_MAX} bytes"), "shorten it");
        }
        if spec.score == 0 && spec.confidence.is_none() && self.whose == Whose::Own {
            let hint = "say score = 1 to 100, or severity and confidence";
            self.say("id", None, "it says no score", hint);
        }
        match spec.points() {
            Ok(points) => spec.score = points,
            Err(what) => self.say("confidence", None, what, "say score, or severity and confidence"),
        }
        match Pattern::named(&spec.id, spec.category, spec.score, &spec.labels) {
            Ok(_) => {}
            Err(error @ PatternError::Id) => {
                self.say("id", None, error.to_string(), "write it as acme-token");
            }
            Err(error @ PatternError::Label) => {
                self.say("labels", None, error.to_string(), "write it as ACME_TOKEN");
            }
            Err(error) => self.say("score", None, error.to_string(), "a score is 0 to 100"),
        }
        if spec.severity.is_some_and(|severity| severity.points_max() < spec.score) {
            self.say("score", None, "so many points are too many for its severity", "raise the severity");
        }
        if spec.proven && spec.score < 85 {
            self.say("proven", None, "what is evidence by itself has 85 points or more", "raise the score");
        }
        if !(1..=4).contains(&spec.level) {
            self.say("level", None, "a level is 1 to 4", "1 is looked for first");
        }
        let count = spec.description.chars().count();
        if !(1..=DESCRIPTION_CHARS_MAX).contains(&count) || spec.description.chars().any(char::is_control) {
            let what = format!("a description is one line of 1 to {DESCRIPTION_CHARS_MAX} characters");
            self.say("description", None, what, "say what was found, for people");
        }
        let source = &spec.source;
        let is_page = source.starts_with("https://") && !source.contains(char::is_whitespace);
        let is_standard = ["RFC ", "ISO ", "ISO/IEC ", "BIP "].iter().any(|body| source.starts_with(body));
        if !(source.is_empty() || is_page || is_standard) || source.chars().any(char::is_control) {
            let hint = "write https://…, or a standard as RFC 7519, section 3";
            self.say("source", None, "a source is a page or a standard", hint);
        }
        let shown = spec.shown.as_deref().unwrap_or("x");
        let is_plain = shown.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if !(1..=SHOWN_CHARS_MAX).contains(&shown.len()) || !is_plain {
            let what = format!("what is shown is 1 to {SHOWN_CHARS_MAX} plain characters");
            self.say("shown", None, what, "write it as [acme badge]");
        }
    }

    /// Literals, words and checks.
    fn lists(&mut self, spec: &RuleSpec) {
        if spec.labels.len() > LABELS_MAX {
            self.say("labels", None, format!("a rule has at most {LABELS_MAX} labels"), "leave some out");
        }
        for (name, names) in [("checks", &spec.checks), ("proofs", &spec.proofs)] {
            for (at, check) in names.iter().enumerate() {
                if names.len() > LABELS_MAX || Check::parse(check).is_none() {
                    let check: String = check.chars().take(ID_BYTES_MAX).collect();
                    let what = format!("there is no check {check}");
                    self.say(name, Some(at), what, "docs/rules.md lists the checks");
                }
            }
        }
        let literals = [("prefixes", &spec.prefixes), ("keywords", &spec.keywords), ("also", &spec.also)];
        if self.whose == Whose::Own {
            for (name, literals) in literals {
                if literals.len() > LITERALS_MAX {
                    let what =
                        format!("there are {} {name}, and {LITERALS_MAX} are the most", literals.len());
                    self.say(name, None, what, "name stems that several matches have");
                }
                for (at, literal) in
                    literals.iter().enumerate().filter(|(_, l)| !LITERAL_BYTES.contains(&l.len()))
                {
                    let what = format!("a literal has {} bytes, and 3 to 100 are right", literal.len());
                    self.say(name, Some(at), what, "a shorter one stands in every text; name a longer part");
                }
            }
        }
        if !spec.pattern.is_empty() && spec.prefixes.is_empty() && spec.keywords.is_empty() && !spec.digits {
            let hint = "name prefixes or keywords of which every match has one, or say digits = true";
            self.say("pattern", None, "it does not say where to look", hint);
        }
        if spec.context.len() > WORDS_MAX && self.whose == Whose::Own {
            let what = format!("there are {} words, and {WORDS_MAX} are the most", spec.context.len());
            self.say("context", None, what, "leave some out");
        }
        for (at, word) in spec.context.iter().enumerate() {
            if word.is_empty() || word.len() > WORD_BYTES_MAX || *word != word.to_lowercase() {
                let what = format!("a word near is 1 to {WORD_BYTES_MAX} bytes in lower case");
                self.say("context", Some(at), what, "write it in lower case");
            }
        }
        if spec.reach > REACH_MAX {
            self.say("reach", None, format!("words stand at most {REACH_MAX} bytes away"), "lower it");
        }
    }

    fn examples(&mut self, spec: &RuleSpec) {
        for (name, examples) in [("positive", &spec.positive), ("negative", &spec.negative)] {
            if examples.is_empty() && !spec.pattern.is_empty() {
                let hint =
                    "give texts, in parts: positive = [[\"acme_\", \"1234\"]], negative = [[\"acme\"]]";
                self.say("id", None, format!("it has no {name} example"), hint);
            }
            if examples.len() > EXAMPLES_MAX && self.whose == Whose::Own {
                let what = format!("there are {} examples, and {EXAMPLES_MAX} are the most", examples.len());
                self.say(name, None, what, "keep those that tell something apart");
            }
            for (at, parts) in examples.iter().enumerate() {
                let bytes: usize = parts.iter().map(String::len).sum();
                if bytes == 0 || bytes > EXAMPLE_BYTES_MAX {
                    let what =
                        format!("an example has {bytes} bytes, and 1 to {EXAMPLE_BYTES_MAX} are right");
                    self.say(name, Some(at), what, "give the part that matters");
                }
            }
        }
    }

    /// Makes its expression, and says how much memory and time that took.
    fn expression(&mut self, spec: &mut RuleSpec) -> (usize, Duration) {
        let nothing = (0, Duration::ZERO);
        if spec.pattern.is_empty() {
            if self.whose == Whose::Own {
                self.say("id", None, "it has no pattern", "say what it looks for: pattern = '…'");
            }
            return nothing;
        }
        let Some(pattern) = with_terms(&spec.pattern, &self.file.terms) else {
            let what = format!("with its terms the pattern is longer than {PATTERN_BYTES_MAX} bytes");
            self.say("pattern", None, what, "shorten it, or make two rules of it");
            return nothing;
        };
        if let Some(at) = pattern.find("{{") {
            let name: String = pattern.get(at..).unwrap_or("").chars().take(24).collect();
            let what = format!("there is no term for `{name}`");
            self.say("pattern", None, what, "name it in [terms] of the same file");
            return nothing;
        }
        let hir = match try_parsed(&pattern) {
            Ok(hir) => hir,
            Err(error) => {
                let text = error.to_string();
                let last = text.lines().rev().find_map(|line| line.trim().strip_prefix("error: "));
                let what = format!("its pattern is no expression: {}", last.unwrap_or("it cannot be read"));
                self.say("pattern", None, what, "there are no look-arounds and back references");
                return nothing;
            }
        };
        let properties = hir.properties();
        if properties.minimum_len().unwrap_or(0) == 0 {
            let hint = "ask for at least one character that must be there";
            self.say("pattern", None, "its pattern may match nothing at all", hint);
        }
        match properties.maximum_len() {
            Some(longest) if longest <= MATCH_BYTES_MAX => {}
            longest => {
                let is = longest
                    .map_or_else(|| "no longest match".to_owned(), |l| format!("matches of {l} bytes"));
                let what = format!("its pattern has {is}, and {MATCH_BYTES_MAX} bytes are the most");
                self.say("pattern", None, what, "write bounds: {1,60} in place of + and *");
                return nothing;
            }
        }
        let started = Instant::now();
        let bytes = match compiled(&hir) {
            Ok(whole) => of_ways(&hir).unwrap_or_else(|| whole.memory_usage()),
            Err(error) => {
                let what = match error.size_limit() {
                    Some(limit) => format!("its expression takes more than {limit} bytes"),
                    None => format!("its expression cannot be made: {error}"),
                };
                self.say("pattern", None, what, "make its repetitions and alternations smaller");
                return (0, started.elapsed());
            }
        };
        spec.pattern = pattern;
        (bytes, started.elapsed())
    }
}

/// How much the ways of an expression take, each of which may need an automaton of its own; none if it has one way.
fn of_ways(hir: &Hir) -> Option<usize> {
    let ways = alternatives(hir);
    // None is larger than all of them at once.
    let bytes = || ways.iter().filter_map(|way| Some(compiled(way).ok()?.memory_usage())).sum();
    (ways.len() > 1).then(bytes)
}
