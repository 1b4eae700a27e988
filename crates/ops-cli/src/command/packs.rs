//! Rule packs of one's own, read from a file or a folder.

use std::path::{Path, PathBuf};

use clawexchange_audit::NOTE_BYTES_MAX;
use clawexchange_detectors::{DetectorsError, OwnPacks, PackText};

use crate::command;
use crate::report::CliError;

/// Reads a file, or each `*.toml` of a folder, and checks them.
pub(crate) fn read(path: &Path) -> Result<OwnPacks, CliError> {
    Ok(OwnPacks::read(texts(path)?)?)
}

/// The same, where problems are to be listed and no failure: the packs, or all that is wrong with them.
pub(crate) fn checked(
    path: &Path,
) -> Result<Result<OwnPacks, Vec<clawexchange_detectors::PackProblem>>, CliError> {
    match OwnPacks::read(texts(path)?) {
        Ok(packs) => Ok(Ok(packs)),
        Err(DetectorsError::OwnPacks { problems }) => Ok(Err(problems)),
        Err(error) => Err(error.into()),
    }
}

/// Where the signature of packs lies.
pub(crate) fn note_path(packs: &Path) -> PathBuf {
    if packs.is_dir() {
        return packs.join("rules.note");
    }
    let mut name = packs.as_os_str().to_owned();
    name.push(".note");
    name.into()
}

/// The signature of packs, if there is one.
pub(crate) fn note(packs: &Path) -> Result<Option<String>, CliError> {
    let path = note_path(packs);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = command::read_bounded(&path, NOTE_BYTES_MAX)?;
    // One that is no text is refused like any other that cannot be read.
    Ok(Some(String::from_utf8(bytes).unwrap_or_default()))
}

fn texts(path: &Path) -> Result<Vec<PackText>, CliError> {
    let doing = || format!("read {}", path.display());
    let is_folder = std::fs::metadata(path).map_err(|e| CliError::io(doing(), e))?.is_dir();
    let files = if is_folder { in_folder(path)? } else { vec![path.to_owned()] };
    if files.is_empty() {
        return Err(CliError::usage(format!("there is no *.toml in {}", path.display())));
    }
    // One more than there may be is read, so that too many are seen as such.
    files.iter().take(OwnPacks::FILES_MAX + 1).map(|file| text(file)).collect()
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let doing = || format!("read {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| CliError::io(doing(), e))? {
        let path = entry.map_err(|e| CliError::io(doing(), e))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn text(file: &Path) -> Result<PackText, CliError> {
    let text = command::read_text(file, OwnPacks::FILE_BYTES_MAX)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(PackText::new(name, text))
}
