//! The README says which test shows each piece of the guide: all that it names are there.

use std::path::Path;

/// All Rust text below a folder.
fn texts(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, table) = readme.split_once("piece by piece").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut code = String::new();
    texts(&root.join("tests"), &mut code);
    texts(&root.join("src"), &mut code);
    let mut named = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let shown_by = row.trim_end_matches(" |").rsplit('|').next().unwrap();
        let tests: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "nothing shows this: {row}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}()")), "there is no test `{test}`: {row}");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
    for path in table.split('`').skip(1).step_by(2).filter(|word| word.starts_with("examples/")) {
        assert!(root.join(path).exists(), "{path}");
    }
}
