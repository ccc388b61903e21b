//! `logs`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::home::Home;

/// A home whose server says something on stderr, with colours.
fn loud() -> Home {
    let home = Home::with("servers: { loud: { command: BIN, args: [mock, HERE/loud.mock.yaml] } }");
    home.script("loud", "on: { start: { stderr: \"one\\n\\e[31mtwo\\e[0m\\nthree\" } }\ntools: [x]\n");
    home.run(&["check"]).code(0);
    home
}

#[test]
fn what_a_server_wrote_is_printed_and_cannot_steer_the_terminal() {
    let home = loud();
    let ran = home.run(&["logs", "loud"]).code(0).says(" #1 one\n").says(" #1 three\n");
    assert!(ran.out.contains("two"), "{ran:#?}");
    let ran = home.run(&["logs", "loud", "-n", "1"]).code(0);
    assert_eq!(ran.out.lines().count(), 1, "{ran:#?}");
    let ran = home.run(&["logs", "loud", "--json", "--lines", "1"]).code(0);
    let json = ran.json();
    assert_eq!(
        (&json["server"], &json["generation"], &json["message"]),
        (&"loud".into(), &1.into(), &"three".into())
    );
}

#[test]
fn names_and_silence() {
    let home = loud();
    home.run(&["logs", "luod"]).code(5).warns("did you mean `loud`?");
    home.run(&["logs"]).code(0).warns("nothing was logged yet");
    std::fs::create_dir_all(home.path("state/logs")).unwrap();
    let line = "{\"timestamp\":\"T\",\"level\":\"WARN\",\"message\":\"it broke\",\"target\":\"x\",\"server\":\"a\"}\n";
    std::fs::write(home.path("state/logs/switchboard.2026-01-01.log"), "old\n").unwrap();
    std::fs::write(home.path("state/logs/switchboard.2026-01-02.log"), line).unwrap();
    let ran = home.run(&["logs"]).code(0);
    assert_eq!(ran.out, "T WARN  it broke  server=a\n");
    assert_eq!(home.run(&["logs", "--json"]).code(0).json()["message"], "it broke");
}

#[cfg(unix)]
#[test]
fn following_prints_what_comes_until_it_is_interrupted() {
    let home = loud();
    let mut command = home.command(&["logs", "loud", "--follow", "-n", "0", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let log = home.path("state/logs/servers/loud.log");
    // It begins at the end of the file, whenever it gets there: lines come until one is seen.
    let writer = std::thread::spawn({
        let (log, stop) = (log.clone(), home.path("stop"));
        move || {
            for count in 0.. {
                use std::io::Write;
                let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&log).unwrap();
                writeln!(file, "T #7 line {count}").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(20));
                if stop.exists() {
                    return;
                }
            }
        }
    });
    let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(line["generation"], 7);
    // The file takes turns with another, as it does when it is full.
    std::fs::rename(&log, log.with_extension("log.1")).unwrap();
    let turned = |line: &str| line.contains("line") && log.exists();
    assert!(lines.by_ref().take(1000).any(|line| turned(&line.unwrap())));
    std::fs::write(home.path("stop"), "").unwrap();
    writer.join().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(crate::home::wait(&mut child), 130);
}
