//! A `catalex` built without the trainer runs `build`, `train` and `retrain` in the program `catalex-train` next to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::support::outcome;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/training_program.sh");

/// The built program in a folder `site-packages/catalex/bin`, next to a script that prints how it was called. Both are
/// links and not copies: Linux does not execute a file that is open for writing, and a process that another test starts
/// at the same time could inherit the file descriptor of a copy.
fn package(folder: &Path, with_trainer: bool) -> Command {
    let bin = folder.join("site-packages/catalex/bin");
    if !bin.exists() {
        fs::create_dir_all(&bin).unwrap();
        fs::hard_link(env!("CARGO_BIN_EXE_catalex"), bin.join("catalex")).unwrap();
    }
    if with_trainer && !bin.join("catalex-train").exists() {
        symlink(SCRIPT, bin.join("catalex-train")).unwrap();
    }
    let mut command = Command::new(bin.join("catalex"));
    command.env_remove("LIBTORCH").env("LD_LIBRARY_PATH", "/usr/lib").current_dir(folder);
    command
}

fn torch(folder: &Path, version: &str) {
    let lib = folder.join("site-packages/torch/lib");
    fs::create_dir_all(&lib).unwrap();
    fs::write(lib.join("libtorch_cpu.so"), "").unwrap();
    fs::write(lib.with_file_name("version.py"), format!("__version__ = '{version}'\n")).unwrap();
}

#[test]
fn training_commands_run_in_catalex_train() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    torch(folder.path(), "2.13.0+cpu");
    let lib = folder.path().join("site-packages/torch/lib").canonicalize().unwrap();
    for arguments in [
        &["build", "c.csv", "--out", "o"][..],
        &["train", "x.npy", "--out", "two words", "--levels=3"],
        &["--progress", "json", "retrain", "i", "--out", "o"],
    ] {
        let output = package(folder.path(), true).args(arguments).output().unwrap();
        let expected = format!("{}:/usr/lib|{}\n", lib.display(), arguments.join(" "));
        assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap()), (Some(7), expected));
    }
    let output = package(folder.path(), true).arg("--version").output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"catalex "), "other commands run in catalex itself");
}

#[test]
fn a_missing_trainer_or_libtorch_is_an_error_with_advice() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let train = ["train", "x.npy", "--out", "o"];
    let says = |with_trainer| outcome(&package(folder.path(), with_trainer).args(train).output().unwrap());
    let (code, without) = says(false);
    assert!(code == 1 && without.contains("no catalex-train next to it"), "{without}");
    let (code, no_torch) = says(true);
    assert!(code == 1 && no_torch.contains("pip install 'catalex[train]'"), "{no_torch}");
    torch(folder.path(), "2.12.1+cu130");
    let (code, old) = says(true);
    assert!(code == 1 && old.contains("contains libtorch 2.12.1") && old.contains("torch==2.13.0"), "{old}");
}
