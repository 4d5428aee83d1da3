//! Runs a command in `catalex-train`, the program that contains the trainer and is installed next to this one.
//!
//! The Python package has two programs, so that commands that do not train also run without libtorch.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use catalex::Error;

const PROGRAM: &str = "catalex-train";
/// The version of libtorch that the trainer is linked with.
const VERSION: &str = "2.13.0";
const LIBRARY: &str = "libtorch_cpu.so";
const HELP: &str = "run pip install 'catalex[train]' (or uv tool install, or pipx install); for the CPU build, which \
                    is 4 GB smaller, first run uv pip install torch==2.13.0 --torch-backend cpu";

/// Replaces this process by `catalex-train` with the same arguments.
///
/// # Errors
/// [`Error::Unavailable`] if the program or a libtorch of the right version is missing, or the program cannot be run.
pub(super) fn run(verb: &str) -> Result<Infallible, Error> {
    let program = env::current_exe().ok().map(|this| this.with_file_name(PROGRAM)).filter(|program| program.is_file());
    let program = program.ok_or_else(|| Error::Unavailable {
        what: verb.into(),
        reason: format!("this program was built without the trainer, and there is no {PROGRAM} next to it"),
        help: "install the wheel of catalex, which contains both programs, or build with the default features".into(),
    })?;
    let listed = listed(env::var_os("LD_LIBRARY_PATH"));
    let folder = find_libtorch(candidates(&listed, env::var_os("LIBTORCH"), &program))?;
    let folders = std::iter::once(&folder).chain(listed.iter().filter(|other| **other != folder));
    let failed = |e: std::io::Error| Error::Unavailable {
        what: verb.into(),
        reason: format!("{} cannot be run: {e}", program.display()),
        help: "install catalex again".into(),
    };
    let path = env::join_paths(folders).map_err(|e| failed(std::io::Error::other(e)))?;
    // The usage messages of catalex-train take the program name from argument 0.
    let mut command = Command::new(&program);
    Err(failed(command.arg0("catalex").args(env::args_os().skip(1)).env("LD_LIBRARY_PATH", path).exec()))
}

/// The folders in `LD_LIBRARY_PATH`, without empty entries, which would stand for the current folder.
fn listed(path: Option<OsString>) -> Vec<PathBuf> {
    path.iter().flat_map(env::split_paths).filter(|folder| !folder.as_os_str().is_empty()).collect()
}

/// The folders that may contain libtorch: those in `LD_LIBRARY_PATH`, then `lib` in the folder `LIBTORCH`, then
/// `torch/lib` in the `site-packages` that contains the program as `catalex/bin/catalex-train`.
fn candidates(listed: &[PathBuf], libtorch: Option<OsString>, program: &Path) -> Vec<PathBuf> {
    let own = libtorch.filter(|path| !path.is_empty()).map(|path| Path::new(&path).join("lib"));
    let package = program.ancestors().nth(3).map(|packages| packages.join("torch/lib"));
    listed.iter().cloned().chain(own).chain(package).collect()
}

/// The first folder that contains libtorch of the right version or of an unknown version.
fn find_libtorch(candidates: Vec<PathBuf>) -> Result<PathBuf, Error> {
    let mut found = candidates.into_iter().filter(|folder| folder.join(LIBRARY).is_file()).peekable();
    let first = found.peek().map(|folder| (folder.display().to_string(), version(folder)));
    let fitting = found.find(|folder| version(folder).is_none_or(|version| version == VERSION));
    fitting.ok_or_else(|| Error::Unavailable {
        what: format!("libtorch {VERSION}"),
        reason: match first {
            Some((folder, Some(version))) => format!("{folder} contains libtorch {version}"),
            _ => "it is neither in the Python package torch, nor in LIBTORCH or LD_LIBRARY_PATH".into(),
        },
        help: HELP.into(),
    })
}

/// The version of libtorch in a folder `lib`, without a suffix such as `+cpu`. It is stated in the parent folder: in
/// `version.py` of the package torch, or in `build-version` of a libtorch archive.
fn version(folder: &Path) -> Option<String> {
    let read = |name: &str| fs::read_to_string(folder.parent()?.join(name)).ok();
    let stated = match read("version.py") {
        Some(text) => {
            let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
            line.trim_matches(['\'', '"']).to_owned()
        }
        None => read("build-version")?,
    };
    stated.trim().split('+').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder `NAME/lib` with libtorch, whose version is stated in a file.
    fn libtorch(parent: &Path, name: &str, stated: Option<(&str, &str)>) -> PathBuf {
        let folder = parent.join(name).join("lib");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(LIBRARY), "").unwrap();
        if let Some((file, text)) = stated {
            fs::write(folder.with_file_name(file), text).unwrap();
        }
        folder
    }

    #[test]
    fn empty_entries_of_the_search_path_are_ignored() {
        assert_eq!(listed(None), Vec::<PathBuf>::new());
        assert_eq!(listed(Some("".into())), Vec::<PathBuf>::new());
        assert_eq!(listed(Some(":/a::/b:".into())), ["/a", "/b"].map(PathBuf::from));
    }

    #[test]
    fn libtorch_of_the_right_version_is_found() {
        let made = tempfile::tempdir().unwrap();
        let at = |name, stated| libtorch(made.path(), name, stated);
        let old =
            at("old", Some(("version.py", "from typing import *\n__version__ = '2.12.1+cu130'\ndebug = False\n")));
        let package = at("torch", Some(("version.py", "__version__ = '2.13.0+cpu'\n")));
        let archive = at("archive", Some(("build-version", "2.13.0+cu130\n")));
        let unknown = at("unknown", None);
        let empty = made.path().join("empty");
        for fits in [&package, &archive, &unknown] {
            assert_eq!(find_libtorch(vec![empty.clone(), old.clone(), fits.clone()]).unwrap(), *fits);
        }
        let says = |folders: Vec<PathBuf>| find_libtorch(folders).unwrap_err().to_string();
        let wrong = says(vec![empty.clone(), old]);
        assert!(wrong.contains("old/lib contains libtorch 2.12.1") && wrong.contains("torch==2.13.0"), "{wrong}");
        let none = says(vec![empty]);
        assert!(none.contains("the Python package torch") && none.contains("'catalex[train]'"), "{none}");
    }

    #[test]
    fn libtorch_is_searched_in_environment_variables_and_site_packages() {
        let program = Path::new("/site-packages/catalex/bin/catalex-train");
        let found = candidates(&["/a".into()], Some("/libtorch".into()), program);
        assert_eq!(found, ["/a", "/libtorch/lib", "/site-packages/torch/lib"].map(PathBuf::from));
        assert_eq!(candidates(&[], Some("".into()), program).len(), 1);
    }
}
