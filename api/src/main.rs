//! The `flowledger` program. Everything it does is in [`cli`]; everything that decides is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
