//! `doctor`.

use std::path::Path;

use serde_json::Value;

use crate::home::Home;
use crate::{GONE, two_servers, with_more};

/// The findings, but for those that say that all is well. Other processes of this machine are not ours to judge.
fn findings(home: &Home, args: &[&str], code: i32) -> Vec<Value> {
    let areas: &[&str] = if args.is_empty() { &["config", "programs", "state", "network"] } else { args };
    let args: Vec<&str> = ["doctor", "--json"].iter().chain(areas).copied().collect();
    let json = home.run(&args).code(code).json();
    let all = json["findings"].as_array().unwrap().clone();
    all.into_iter().filter(|it| it["level"] != "ok").collect()
}

fn says(findings: &[Value], level: &str, what: &str) -> Value {
    let found = findings.iter().find(|it| it["what"].as_str().unwrap().contains(what));
    let found = found.unwrap_or_else(|| panic!("no {what:?} in {findings:#?}"));
    assert_eq!(found["level"], level, "{found:#}");
    found.clone()
}

#[cfg(unix)]
fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn all_well_and_nothing_is_started() {
    let home = two_servers();
    let areas = ["doctor", "config", "programs", "state"];
    let ran = home.run(&areas).code(0).says("config     ✓").says("2 servers").says("programs   ✓");
    ran.says("nothing that needs you");
    assert_eq!(home.read("starts"), "", "no server was started");
    home.run(&["tools"]).code(0);
    home.run(&areas).code(0).says("state      ✓");
}

#[test]
fn what_servers_lack_is_told_with_its_remedy() {
    let needy = "  needy: { command: BIN, env: { KEY: \"${NO_SUCH_VARIABLE}\" } }\n";
    let astray = "  astray: { command: BIN, cwd: HERE/nowhere }\n";
    let home = with_more(&format!("{GONE}{needy}{astray}  typo: {{ comand: x }}\n"));
    let found = findings(&home, &[], 3);
    assert_eq!(says(&found, "error", "SB-SPAWN-001")["server"], "gone");
    assert_eq!(says(&found, "warning", "`NO_SUCH_VARIABLE` is not set")["server"], "needy");
    assert_eq!(says(&found, "error", "does not exist (SB-SPAWN-003)")["server"], "astray");
    let typo = says(&found, "error", "unknown key `comand`");
    assert!(typo["what"].as_str().unwrap().contains("switchboard.yaml:8:11"), "{typo:#}");
    assert_eq!(typo["remedy"], "did you mean `command`?");
    let none = findings(&Home::empty(), &[], 3);
    says(&none, "warning", "no config file");
}

#[cfg(unix)]
#[test]
fn a_runtime_that_does_not_work_is_told() {
    let home = Home::with("servers: { a: { command: npx, args: [x], env: { PATH: HERE/bin } } }");
    std::fs::create_dir(home.path("bin")).unwrap();
    for (name, says) in [("npx", "9.0.0"), ("node", "v16.20.0")] {
        home.write(&format!("bin/{name}"), &format!("#!/bin/sh\necho {says}\n"));
        mode(&home.path(&format!("bin/{name}")), 0o755);
    }
    says(&findings(&home, &[], 3), "warning", "node is version 16");
    home.write("bin/node", "#!/bin/sh\necho broken >&2\nexit 1\n");
    says(&findings(&home, &[], 3), "error", "node does not work: broken");
    std::fs::remove_file(home.path("bin/node")).unwrap();
    says(&findings(&home, &[], 3), "error", "no `node` on the PATH");
}

#[cfg(unix)]
#[test]
fn who_may_read_and_change_what() {
    let home = Home::with("servers: { a: { command: BIN, env: { API_KEY: sk-0123456789abcdef } } }");
    let config = home.path("switchboard.yaml");
    mode(&config, 0o644);
    let found = findings(&home, &[], 3);
    let plain =
        says(&found, "warning", "1 plain secret in the config, which every user of this machine may read");
    assert!(!plain.to_string().contains("sk-0123456789abcdef"), "{plain:#}");
    mode(&config, 0o600);
    says(&findings(&home, &[], 0), "note", "1 plain secret in the config: ");
    mode(&config, 0o602);
    says(&findings(&home, &[], 3), "warning", "every user of this machine may change the config file");
    mode(&config, 0o600);
    mode(&home.path(""), 0o777);
    says(&findings(&home, &[], 3), "error", "every user of this machine may replace files in");
    mode(&home.path(""), 0o700);
}

#[cfg(unix)]
#[test]
fn what_is_safe_is_repaired() {
    let home = two_servers();
    home.run(&["tools"]).code(0);
    let state = home.path("state");
    mode(&state, 0o755);
    let auth = state.join("auth");
    std::fs::create_dir_all(&auth).unwrap();
    mode(&auth, 0o700);
    let login = auth.join("a-0123.json");
    std::fs::write(&login, "{}").unwrap();
    mode(&login, 0o644);
    let catalog = std::fs::read_dir(state.join("catalog")).unwrap().flatten();
    let catalog = catalog.map(|entry| entry.path()).find(|path| path.extension().unwrap() == "json").unwrap();
    let stored = std::fs::read_to_string(&catalog).unwrap();
    std::fs::write(&catalog, stored.replace("saved_at", "saved_ad")).unwrap();
    let socket = state.join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let left = state.join("catalog/left.tmp");
    std::fs::write(&left, "").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    std::fs::File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();

    let found = findings(&home, &["state"], 3);
    for what in ["others may read", "nobody listens on", "was left by a process", "its checksum is wrong"] {
        assert_eq!(says(&found, "warning", what)["fix"], "possible");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
    assert_eq!(mode_of(&state), 0o755, "nothing is done without being asked");

    let ran = home.run(&["doctor", "state", "--fix"]).code(0).says("done: chmod 700").says("done: rm ");
    ran.says("done: mv ").says("nothing that needs you");
    assert_eq!((mode_of(&state), mode_of(&login)), (0o700, 0o600));
    assert!(!socket.exists() && !left.exists() && !catalog.exists());
    assert_eq!(findings(&home, &["state"], 0).len(), 0);
    home.run(&["tools"]).code(0).says("notes__add");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_has_lost_its_switchboard_is_found() {
    let home = two_servers();
    let run = format!("{:032x}", std::process::id());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "sleep 300 & echo $!"]).env("SWITCHBOARD_CHILD", format!("{run}/files/1"));
    let ran = home.finish(shell.stdout(std::process::Stdio::null()));
    let pid = ran.out.trim().to_owned();
    let json = home.run(&["doctor", "processes", "--json"]).code(3).json();
    let found =
        json["findings"].as_array().unwrap().iter().find(|it| it["what"].as_str().unwrap().contains(&pid));
    let found = found.unwrap_or_else(|| panic!("{json:#}"));
    assert_eq!((&found["server"], &found["level"]), (&"files".into(), &"warning".into()));
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn the_network_as_the_variables_say() {
    let home =
        Home::with("servers: { a: { url: \"http://127.0.0.1:9/mcp\" } }\nhttp: { listen: 127.0.0.1:0 }\n");
    let mut command = home.command(&["doctor", "network", "--json"]);
    for name in ["NO_PROXY", "no_proxy", "https_proxy", "http_proxy", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.env("HTTP_PROXY", "http://proxy.example:3128").env("HTTPS_PROXY", "http://");
    let json = home.finish(command.env("SSL_CERT_FILE", "/no/such/file")).code(3).json();
    let found = json["findings"].as_array().unwrap();
    assert_eq!(says(found, "warning", "would be looked for behind the proxy")["server"], "a");
    says(found, "warning", "`HTTPS_PROXY` is no address");
    says(found, "warning", "`SSL_CERT_FILE` names `/no/such/file`");
    says(found, "ok", "`http.listen`: 127.0.0.1:0 is free");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    home.write(
        "switchboard.yaml",
        &format!("servers: {{}}\nhttp: {{ listen: \"{}\" }}\n", taken.local_addr().unwrap()),
    );
    says(&findings(&home, &[], 0), "note", "is in use");
}
