//! `switchboard auth …`: exit codes and words. Logins themselves are tested in `tests/real/oauth.rs`.

use std::net::TcpListener;

use serde_json::json;

use super::home::Home;

const CONFIG: &str = r#"
servers:
  files: { url: "http://127.0.0.1:PORT/mcp" }
  fixed: { url: "https://fixed.invalid/mcp", headers: { Authorization: "Bearer x" } }
  own: { url: "https://own.invalid/mcp", auth: { type: client_credentials, client_id: me, client_secret: hunter2 } }
  none: { url: "https://none.invalid/mcp", auth: { type: none } }
  child: { command: x }
  off: { url: "https://off.invalid/mcp", enabled: false }
  unset: { url: "https://unset.invalid/mcp", auth: { client_id: "${SWITCHBOARD_TEST_UNSET}" } }
"#;

/// A home in which nobody listens at the first server's address.
fn home() -> Home {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    Home::with(&CONFIG.replace("PORT", &port.to_string()))
}

fn login(name: &str) -> [&str; 4] {
    ["auth", "login", name, "--no-browser"]
}

#[test]
fn who_cannot_be_logged_in_to_is_told_why() {
    let home = home();
    home.run(&login("nobody")).code(5).warns("there is no server `nobody`");
    home.run(&login("fiels")).code(5).warns("did you mean `files`");
    home.run(&login("fixed")).code(1).warns("has an `Authorization` header");
    home.run(&login("own")).code(1).warns("logs in there by itself");
    home.run(&login("none")).code(1).warns("`auth: none`");
    home.run(&login("child")).code(1).warns("not reached over HTTP");
    home.run(&login("off")).code(1).warns("switched off");
    home.run(&login("unset")).code(78).warns("SWITCHBOARD_TEST_UNSET");
    home.run(&login("files")).code(6).warns("the server cannot be reached");
    home.run(&["auth", "login"]).code(2);
    assert!(!home.path("state/auth").exists(), "nothing was kept");
}

#[test]
fn the_status_of_every_server() {
    let home = home();
    let ran = home.run(&["auth", "status"]).code(0).says("no-login").says("header in the config");
    assert!(!ran.out.contains("hunter2"));
    let status = home.run(&["auth", "status", "--json"]).code(0).json();
    let states: Vec<_> =
        status["servers"].as_array().unwrap().iter().map(|server| server["state"].clone()).collect();
    assert_eq!(json!(states), json!(["no-login", "not-needed", "not-needed", "not-needed", "not-needed"]));
    home.run(&["auth", "status", "files"]).code(4).says("switchboard auth login files");
    home.run(&["auth", "status", "fixed"]).code(0);
    home.run(&["auth", "status", "nobody"]).code(5);
    home.run(&["auth", "logout", "files"]).code(0).warns("There is no login at `files`");
}

#[cfg(unix)]
#[test]
fn credentials_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    home.run(&["auth", "logout", "files"]).code(0);
    let folder = home.path("state/auth");
    let lock = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let file = lock.with_extension("json");
    std::fs::write(&file, "{}").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    home.run(&["auth", "status", "files"]).code(1).says("chmod 600");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.run(&["auth", "status", "files"]).code(4);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.run(&["auth", "status", "files"]).code(1).says("chmod 700");
}
