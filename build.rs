//! Lets the binary and the tests find the libtorch they were linked with, without LD_LIBRARY_PATH.

fn main() {
    // Without the trainer, a change of LIBTORCH must not trigger a rebuild.
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_TRAIN").is_none() {
        return;
    }
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
    // In the Python package, the program is in site-packages/catalex/bin. `pack_wheel.py` keeps only this entry.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../../torch/lib");
    }
}
