//! The crate's errors as Python's.

use catalex::ErrorKind;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// An error of the crate as the one of `catalex.errors` that its kind asks for.
pub(crate) fn to_py(error: catalex::Error) -> PyErr {
    match error.kind() {
        ErrorKind::Input => of_class(0, "InputError", &error),
        ErrorKind::Config => of_class(1, "ConfigError", &error),
        ErrorKind::Artifact => of_class(2, "ArtifactError", &error),
        ErrorKind::Environment => of_class(3, "ResourceError", &error),
    }
}

/// The error of a folder that is no model, or a damaged one.
pub(crate) fn model_error(error: &catalex::Error) -> PyErr {
    of_class(4, "ModelError", error)
}

fn of_class(place: usize, name: &str, error: &catalex::Error) -> PyErr {
    static CLASSES: [PyOnceLock<Py<PyType>>; 5] = [const { PyOnceLock::new() }; 5];
    Python::attach(|py| match CLASSES[place].import(py, "catalex.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), error.to_string()),
        Err(missing) => missing,
    })
}

/// An error of arguments that do not fit.
pub(crate) fn mismatch(what: &str, expected: &str, got: impl ToString, help: &str) -> PyErr {
    to_py(catalex::Error::mismatch(what, expected, got, help))
}
