//! What stands in `examples/` and in the README works.

use crate::home::{Home, project};

#[test]
fn every_example_config_loads_without_an_error() {
    for entry in std::fs::read_dir(project("examples/config")).unwrap() {
        let path = entry.unwrap().path();
        let ran = Home::empty().run(&["--config", path.to_str().unwrap(), "config", "validate"]);
        assert_eq!(ran.code, 0, "{}: {ran:#?}", path.display());
    }
}

#[test]
fn every_example_script_is_a_server_that_passes_the_check() {
    for entry in std::fs::read_dir(project("examples/mock")).unwrap() {
        let path = entry.unwrap().path();
        let home = Home::with(&format!(
            "servers: {{ example: {{ command: BIN, args: [mock, '{}'] }} }}",
            path.display()
        ));
        home.run(&["check"]).code(0).says("example     ✓");
    }
}

#[test]
fn every_config_of_the_readme_loads_without_an_error() {
    every_config_loads("README.md");
    every_config_loads("docs/calls.md");
    every_config_loads("docs/discovery.md");
    every_config_loads("docs/admin.md");
    every_config_loads("docs/profiles.md");
}

fn every_config_loads(page: &str) {
    let page = std::fs::read_to_string(project(page)).unwrap();
    let mut seen = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap_or_default();
        let extension = match language {
            "json" | "jsonc" => "json",
            "yaml" | "toml" => language,
            _ => continue,
        };
        let home = Home::empty();
        home.write(&format!("switchboard.{extension}"), text);
        home.write("policy.cedar", "permit (principal, action, resource);");
        let mut command = home.command(&["config", "validate"]);
        // The variables in the examples.
        let ran = home.finish(
            command.envs(
                ["SEARCH_TOKEN", "TEAM", "LAPTOP_TOKEN", "GUEST_TOKEN", "HOOK_TOKEN", "SWITCHBOARD_TOKEN"]
                    .map(|name| (name, "x")),
            ),
        );
        assert_eq!(ran.code, 0, "{text}\n{ran:#?}");
        seen += 1;
    }
    assert!(seen > 0, "the page shows how to write a config");
}
