//! The crates that are published, in the order in which they can be.

use std::path::Path;

use semver::Version;
use serde_json::Value;

use crate::run::Failed;
use crate::workspace::Workspace;

/// What all names begin with; short names and tags leave it out.
const PREFIX: &str = "clawexchange-";

/// A crate that is published.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// As its manifest has it.
    pub(crate) version: Version,
    /// From the root, with `/` between.
    pub(crate) folder: String,
    /// Crates of ours that it is built of; those of its tests alone do not count.
    pub(crate) needs: Vec<String>,
    /// Whether code can name it; otherwise it is a program and nothing else.
    pub(crate) is_library: bool,
}

impl Crate {
    pub(crate) fn short(&self) -> &str {
        self.name.strip_prefix(PREFIX).unwrap_or(&self.name)
    }

    pub(crate) fn tag(&self, version: &Version) -> String {
        format!("{}-v{version}", self.short())
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.short() == name
    }

    fn read(package: &Value, root: &Path) -> Result<Self, Failed> {
        let text = |member: &str| package.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, manifest) = (text("name"), text("manifest_path"));
        let version = text("version").parse();
        let version =
            version.map_err(|e| Failed::new(format!("the version of {name} in {manifest} is none: {e}")))?;
        let folder = Path::new(&manifest).parent().and_then(|folder| folder.strip_prefix(root).ok());
        let folder = folder.map(|f| f.iter().map(|p| p.to_string_lossy()).collect::<Vec<_>>().join("/"));
        let folder =
            folder.ok_or_else(|| Failed::new(format!("{manifest} lies outside of {}", root.display())))?;
        let targets = package.get("targets").and_then(Value::as_array).into_iter().flatten();
        let mut kinds = targets.filter_map(|t| t.get("kind").and_then(Value::as_array)).flatten();
        let is_library = kinds.any(|kind| kind == "lib" || kind == "proc-macro");
        let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        let needs = dependencies
            .filter(|d| {
                d.get("path").is_some_and(Value::is_string) && d.get("kind").is_none_or(|k| k != "dev")
            })
            .filter_map(|d| d.get("name").and_then(Value::as_str).map(ToOwned::to_owned))
            .collect();
        Ok(Self { name, version, folder, needs, is_library })
    }
}

/// All of them: whatever a crate needs stands before it.
#[derive(Debug)]
pub(crate) struct Crates(Vec<Crate>);

impl Crates {
    pub(crate) fn of(workspace: &Workspace) -> Result<Self, Failed> {
        // `publish = false` is an empty list of registries.
        let is_published = |p: &&Value| {
            p.get("publish").and_then(Value::as_array).is_none_or(|registries| !registries.is_empty())
        };
        let published = workspace.packages().filter(is_published);
        let mut crates = published.map(|p| Crate::read(p, &workspace.root)).collect::<Result<Vec<_>, _>>()?;
        crates.sort_by(|a, b| a.name.cmp(&b.name));
        Self::ordered(crates)
    }

    fn ordered(mut waiting: Vec<Crate>) -> Result<Self, Failed> {
        let names: Vec<_> = waiting.iter().map(|c| c.name.clone()).collect();
        for c in &waiting {
            if let Some(need) = c.needs.iter().find(|need| !names.contains(need)) {
                return Err(Failed::new(format!("{} is published and needs {need}, which is not", c.name)));
            }
        }
        let mut placed: Vec<Crate> = Vec::new();
        while !waiting.is_empty() {
            let is_ready = |c: &Crate| c.needs.iter().all(|need| placed.iter().any(|p| p.name == *need));
            let Some(at) = waiting.iter().position(is_ready) else {
                let names: Vec<_> = waiting.iter().map(|c| c.name.as_str()).collect();
                return Err(Failed::new(format!("these need each other in a circle: {}", names.join(", "))));
            };
            placed.push(waiting.remove(at));
        }
        Ok(Self(placed))
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Crate> {
        self.0.iter()
    }

    /// The crate of this name, short or whole.
    pub(crate) fn called(&self, name: &str) -> Result<&Crate, Failed> {
        self.iter().find(|c| c.is_called(name)).ok_or_else(|| {
            let known: Vec<_> = self.iter().map(Crate::short).collect();
            Failed::new(format!("no crate that is published is called {name}"))
                .hinting(format!("there are {}", known.join(", ")))
        })
    }

    /// Those of these names, or all if there are none, in the order in which they can be published.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<&Crate>, Failed> {
        let asked = names.iter().map(|name| self.called(name)).collect::<Result<Vec<_>, _>>()?;
        let is_asked = |c: &&Crate| names.is_empty() || asked.iter().any(|a| a.name == c.name);
        Ok(self.iter().filter(is_asked).collect())
    }

    /// The crates that are built of this one, directly or through another.
    pub(crate) fn dependents(&self, name: &str) -> Vec<&Crate> {
        let mut found: Vec<&Crate> = Vec::new();
        // One pass is enough: what stands between the two stands between them in this order too.
        for c in self.iter() {
            if c.needs.iter().any(|need| need == name || found.iter().any(|f| f.name == *need)) {
                found.push(c);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_of(name: &str, needs: &[&str]) -> Crate {
        Crate {
            name: format!("{PREFIX}{name}"),
            version: Version::new(0, 1, 0),
            folder: format!("crates/{name}"),
            needs: needs.iter().map(|need| format!("{PREFIX}{need}")).collect(),
            is_library: true,
        }
    }

    fn shorts(crates: &[&Crate]) -> Vec<String> {
        crates.iter().map(|c| c.short().to_owned()).collect()
    }

    #[test]
    fn a_crate_stands_after_all_that_it_is_built_of() {
        let crates =
            vec![built_of("a", &["c"]), built_of("b", &["a", "c"]), built_of("c", &[]), built_of("d", &[])];
        let crates = Crates::ordered(crates).unwrap();
        assert_eq!(shorts(&crates.select(&[]).unwrap()), ["c", "a", "b", "d"]);
        assert_eq!(shorts(&crates.dependents("clawexchange-c")), ["a", "b"], "through another too");
        let asked = ["b".to_owned(), "clawexchange-c".to_owned()];
        assert_eq!(shorts(&crates.select(&asked).unwrap()), ["c", "b"], "in an order that can be published");
    }

    #[test]
    fn a_circle_a_stranger_and_an_unpublished_need_are_told() {
        let circle = Crates::ordered(vec![built_of("a", &["b"]), built_of("b", &["a"])]).unwrap_err();
        assert!(circle.to_string().contains("circle"), "{circle}");
        let unpublished = Crates::ordered(vec![built_of("a", &["testkit"])]).unwrap_err();
        assert!(unpublished.to_string().contains("testkit"), "{unpublished}");
        let crates = Crates::ordered(vec![built_of("a", &[])]).unwrap();
        assert_eq!(crates.called("z").unwrap_err().hint(), Some("there are a"));
    }
}
