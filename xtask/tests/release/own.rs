//! Our own workspace, copied, released to a registry on loopback, and used from there by programs outside of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sandbox::{Sandbox, cargo};

/// How many uploads a run makes before it is killed.
const BEFORE_THE_KILL: usize = 3;

#[test]
fn every_crate_is_published_in_spite_of_a_kill_and_can_be_built_upon() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let own = Sandbox::with_home(scratch.join("cargo-home"));
    copy(&root(), &own.root());
    own.commit("Begin");
    point_to_the_sandbox(&own);
    own.commit("Point to the sandbox");
    own.release(&["prepare", "--execute"]).expect("a preparation of all crates");
    own.commit("Release");

    own.publish_and_kill_after(BEFORE_THE_KILL);
    let resumed = own.publish(&[]).expect("the same command again");
    assert_eq!(resumed.stdout.matches("there already").count(), BEFORE_THE_KILL, "{}", resumed.stdout);

    let uploaded = own.registry.uploaded();
    let plan = own.plan(&[]);
    let wanted: Vec<_> = plan
        .iter()
        .map(|step| format!("{}@{}", step["crate"].as_str().unwrap(), step["version"].as_str().unwrap()))
        .collect();
    assert_eq!(uploaded, wanted, "each once, whatever it needs before it");
    assert_eq!(own.tags().len(), uploaded.len());

    let consumers = Consumers { own: &own, target: scratch.join("consumers"), uploaded };
    consumers.forget_earlier_uploads();
    consumers.all();
}

/// Programs outside of the workspace that name what was uploaded.
struct Consumers<'s> {
    own: &'s Sandbox,
    /// One for all of them, kept from run to run: all but our own crates is built once.
    target: PathBuf,
    uploaded: Vec<String>,
}

impl Consumers<'_> {
    fn all(&self) {
        self.runs("detectors", include_str!("consumers/detectors.rs"), &[("detectors", "")], "");
        let tokio =
            "tokio = { version = \"1\", default-features = false, features = [\"macros\", \"rt\"] }\n";
        self.runs("ssg-core", include_str!("consumers/ssg_core.rs"), &[("ssg-core", "")], tokio);
        let axum = format!(
            "{tokio}axum = {{ version = \"0.8\", default-features = false }}\n\
             tower = {{ version = \"0.5\", default-features = false, features = [\"util\"] }}\n"
        );
        let needs = [("rate-limiter", "\"http\""), ("ssg-core", "")];
        self.runs("rate-limiter", include_str!("consumers/rate_limiter.rs"), &needs, &axum);
        let source = include_str!("consumers/quarantine_audit.rs");
        let needs =
            [("audit", ""), ("database", "\"migrate\""), ("quarantine", ""), ("ssg-core", "\"testing\"")];
        let threads = "tokio = { version = \"1\", default-features = false, features = [\"macros\", \"rt-multi-thread\"] }\n";
        // Built whole, the ORM alone takes a minute and a half.
        if std::env::var_os("CLAW_TEST_FULL").is_some() {
            self.runs("quarantine-audit", source, &needs, threads);
        } else {
            self.cargo("check", "quarantine-audit", source, &needs, threads);
        }
    }

    fn runs(&self, name: &str, source: &str, ours: &[(&str, &str)], theirs: &str) {
        let said = self.cargo("run", name, source, ours, theirs);
        assert_eq!(said, "works\n", "{name}");
    }

    /// Lets cargo loose on a package that has nothing to do with the workspace, with the lock file of the workspace:
    /// so nothing has to be fetched, and what is built is what we test with.
    fn cargo(&self, act: &str, name: &str, source: &str, ours: &[(&str, &str)], theirs: &str) -> String {
        let folder = self.own.beside("consumers").join(name);
        std::fs::create_dir_all(folder.join("src")).unwrap();
        std::fs::write(folder.join("src/main.rs"), source).unwrap();
        std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let mut manifest = format!(
            "[package]\nname = \"{name}-consumer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [profile.dev]\ndebug = false\nincremental = false\n\n[dependencies]\n{theirs}"
        );
        for (short, features) in ours {
            let (name, version) = self.version_of(short);
            writeln!(
                manifest,
                "{name} = {{ version = \"{version}\", registry = \"local\", features = [{features}] }}"
            )
            .unwrap();
        }
        std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        let mut cargo = cargo(&[act, "--quiet", "--offline"], &folder);
        let answer = self.own.run(cargo.env("CARGO_TARGET_DIR", &self.target)).expect(name);
        is_locked_as_we_are(&folder);
        answer.stdout
    }

    fn version_of(&self, short: &str) -> (String, String) {
        let name = format!("clawexchange-{short}");
        let found = self.uploaded.iter().find_map(|u| u.strip_prefix(&format!("{name}@")));
        (name, found.unwrap().to_owned())
    }

    /// Each run has its uploads at an address of its own, so that what was built of earlier ones is of no use.
    fn forget_earlier_uploads(&self) {
        for part in ["deps", ".fingerprint", "build"] {
            for entry in std::fs::read_dir(self.target.join("debug").join(part)).into_iter().flatten() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let is_ours =
                    name.trim_start_matches("lib").starts_with("clawexchange") || name.contains("consumer");
                match (is_ours, path.is_dir()) {
                    (false, _) => {}
                    (true, true) => std::fs::remove_dir_all(path).unwrap(),
                    (true, false) => std::fs::remove_file(path).unwrap(),
                }
            }
        }
    }
}

/// Whoever builds on us with our lock file builds on what we have tested with.
fn is_locked_as_we_are(folder: &Path) {
    let (ours, theirs) = (locked(&root().join("Cargo.lock")), locked(&folder.join("Cargo.lock")));
    let strange: Vec<_> = theirs.difference(&ours).collect();
    assert!(strange.is_empty(), "{} is built of what we do not test: {strange:?}", folder.display());
}

/// Name and version of what a lock file takes from crates.io.
fn locked(file: &Path) -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(file).unwrap();
    let value = |block: &str, key: &str| {
        block.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_matches([' ', '=', '"']).to_owned()))
    };
    let of_crates_io = text.split("[[package]]").filter(|block| block.contains("rust-lang/crates.io-index"));
    of_crates_io.map(|block| (value(block, "name").unwrap(), value(block, "version").unwrap())).collect()
}

/// Copies everything that is kept, links as links.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let (kind, to) = (entry.file_type().unwrap(), to.join(&name));
        if kind.is_symlink() {
            symlink(std::fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else if kind.is_dir() {
            if !["target", ".git", "claw-data", "corpus", "artifacts"].contains(&name.as_str()) {
                copy(&entry.path(), &to);
            }
        } else if name != ".git" {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Lets the manifests of the copy name the registry on loopback, and no other.
fn point_to_the_sandbox(own: &Sandbox) {
    let root = own.read("Cargo.toml");
    let ours = |line: &str| line.starts_with("clawexchange-") && line.contains("path = ");
    let point = |line: &str| {
        if ours(line) {
            line.replace("version = ", "registry = \"local\", version = ")
        } else {
            line.to_owned()
        }
    };
    let pointed = root.lines().map(point).collect::<Vec<_>>().join("\n");
    assert_ne!(pointed, root);
    own.write("Cargo.toml", &pointed);
    for step in own.plan(&[]) {
        let path = manifest_of(own, &step);
        let manifest = own.read(&path);
        own.write(&path, &manifest.replacen("[package]\n", "[package]\npublish = [\"local\"]\n", 1));
    }
}

fn manifest_of(own: &Sandbox, step: &Value) -> String {
    let short = step["crate"].as_str().unwrap().trim_start_matches("clawexchange-");
    let places = [format!("crates/{short}/Cargo.toml"), format!("{short}/Cargo.toml")];
    places.into_iter().find(|place| own.root().join(place).is_file()).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
