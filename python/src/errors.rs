//! The crate's errors as Python's.

use catalex::ErrorKind;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// An error of the crate as the one of `catalex.errors` that its kind asks for.
pub(crate) fn to_py(error: catalex::Error) -> PyErr {
    static CLASSES: [PyOnceLock<Py<PyType>>; 4] = [const { PyOnceLock::new() }; 4];
    let (place, name) = match error.kind() {
        ErrorKind::Input => (0, "InputError"),
        ErrorKind::Config => (1, "ConfigError"),
        ErrorKind::Artifact => (2, "ArtifactError"),
        ErrorKind::Environment => (3, "ResourceError"),
    };
    Python::attach(|py| match CLASSES[place].import(py, "catalex.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), error.to_string()),
        Err(missing) => missing,
    })
}

/// An error of arguments that do not fit.
pub(crate) fn mismatch(what: &str, expected: &str, got: impl ToString, help: &str) -> PyErr {
    to_py(catalex::Error::mismatch(what, expected, got, help))
}
