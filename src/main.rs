//! The binary: everything is in the library.

fn main() -> std::process::ExitCode {
    mtv_sentinel::cli::main()
}
