//! Any text is a config or a list of problems, in every syntax.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use switchboard::config::{Environment, Syntax, load_text};

fuzz_target!(|text: &str| {
    let environment: Environment = [("HOME", "/home/x"), ("A", "value")].into_iter().collect();
    for syntax in [Syntax::Json, Syntax::Yaml, Syntax::Toml] {
        let loaded = load_text(text, syntax, Path::new("/etc/switchboard.any"), &environment);
        for problem in &loaded.problems {
            let _ = problem.render(false);
        }
    }
});
