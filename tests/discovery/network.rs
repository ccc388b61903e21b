//! Hosts and ports.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::mock::Mock;
use crate::strangers::{Stranger, answer, closed_port};
use crate::{Machine, names, port, server, text, tools};

/// One after the other, `--port N`.
fn ports<'p>(ports: &[&'p str]) -> Vec<&'p str> {
    ports.iter().flat_map(|port| ["--port", port]).collect()
}

/// The mission's `discover_servers`: real servers of both eras on chosen ports, among everybody else who may listen on one.
#[test]
fn test_discovery() {
    let legacy = Mock::http("server: { name: old }\ntools: { read_file: ok, write_file: ok }\n");
    let modern = Mock::http("server: { name: new }\nrevisions: [2026-07-28]\ntools: { query: ok }\n");
    let events = Mock::start("--sse", "server: { name: events }\ntools: { listen: ok }\n");
    let root = Mock::http("server: { name: root }\ntools: { dig: ok }\nhttp:\n  path: /\n");
    let slow = Mock::http("server: { name: slow }\non: { initialize: { delay: 1s } }\ntools: { wait: ok }\n");
    let silent = Stranger::silent();
    let page = Stranger::http(answer("200 OK\r\ncontent-type: text/html", b"<html>Welcome</html>"));
    let missing = Stranger::http(answer("404 Not Found", b""));
    let ssh = Stranger::rude(b"SSH-2.0-OpenSSH_9.2\r\n");
    let garbage = Stranger::http(answer("200 OK\r\ncontent-type: application/json", &vec![b'['; 5 << 20]));
    let closed = closed_port();
    let all = [&legacy, &modern, &events, &root, &slow].map(|mock| port(&mock.url).to_owned());
    let strangers = [&silent, &page, &missing, &ssh, &garbage].map(|stranger| stranger.port.as_str());
    let mut arguments: Vec<&str> = all.iter().map(String::as_str).chain(strangers).collect();
    arguments.push(&closed);
    let arguments = ports(&arguments);

    let found = Machine::new().discover(&[&arguments[..], &["--timeout", "4s"]].concat());
    assert_eq!(names(&found), ["events", "new", "old", "root", "slow"], "{found:#}");
    let entry = |name: &str| server(&found, name)["entry"].clone();
    assert_eq!(entry("old"), json!({ "url": format!("http://localhost:{}/mcp", port(&legacy.url)) }));
    assert_eq!(entry("root"), json!({ "url": format!("http://localhost:{}/", port(&root.url)) }));
    assert_eq!(
        entry("events"),
        json!({ "url": format!("http://localhost:{}/sse", port(&events.url)), "type": "sse" })
    );
    assert_eq!(tools(server(&found, "old")), ["read_file", "write_file"]);
    assert_eq!(tools(server(&found, "new")), ["query"]);
    assert_eq!(server(&found, "new")["protocol_version"], "2026-07-28");
    assert_eq!(server(&found, "old")["protocol_version"], "2025-11-25");
    assert_eq!(server(&found, "old")["tools"][0]["input_schema"]["type"], "object");
    // Nobody is no failure; somebody else is, with the reason.
    let failed = found["failed"].as_array().unwrap();
    assert_eq!(failed.len(), strangers.len(), "{found:#}");
    for stranger in strangers {
        let place = format!("http://localhost:{stranger}");
        let one = failed
            .iter()
            .find(|one| one["endpoint"] == place.as_str())
            .unwrap_or_else(|| panic!("{place}: {found:#}"));
        assert!(!one["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(found["looked_at"], 11);
    // Nothing was called, and the sessions were ended.
    for mock in [&legacy, &modern, &root, &slow] {
        assert_eq!(mock.messages("tools/call").len(), 0);
    }
    legacy.wait_for("the goodbye", |requests| requests.iter().any(|seen| seen.method == "DELETE"));
}

#[test]
fn a_search_ends_in_time_and_knocks_no_more_than_it_must() {
    let silent: Vec<Stranger> = (0..6).map(|_| Stranger::silent()).collect();
    let page = Stranger::http(answer("404 Not Found", b""));
    let list: Vec<&str> = silent.iter().map(|one| one.port.as_str()).chain([page.port.as_str()]).collect();
    let began = Instant::now();
    let found = Machine::new().discover(&[&ports(&list)[..], &["--timeout", "700ms"]].concat());
    let took = began.elapsed();
    // All side by side: one round. Generous, for machines that are busy.
    assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(found["failed"].as_array().unwrap().len(), 7, "{found:#}");
    for one in &silent {
        // One to see whether somebody listens, and one on which both questions are asked, or one for each.
        assert!((2..=3).contains(&one.connections()), "{}", one.connections());
    }
    let requests = page.requests();
    assert!(requests.len() <= 9, "{requests:#?}");
    assert!(
        requests.iter().all(|line| line.starts_with("POST ") || line.starts_with("GET ")),
        "{requests:#?}"
    );
}

#[test]
fn no_more_are_tried_at_once_than_the_config_allows() {
    // All ports of one stranger are one place here: what counts is how many connections it holds at once.
    let silent: Vec<Stranger> = (0..4).map(|_| Stranger::silent()).collect();
    let list: Vec<&str> = silent.iter().map(|one| one.port.as_str()).collect();
    let machine = Machine::with_config(&format!(
        "servers: {{}}\ndiscovery: {{ network: {{ base_urls: [http://localhost], ports: [{}] }}, timeout: 500ms, max_concurrent: 1 }}\n",
        list.join(", ")
    ));
    let began = Instant::now();
    let found = machine.discover(&[]);
    assert!(began.elapsed() >= Duration::from_millis(4 * 500 - 100), "{:?}", began.elapsed());
    assert_eq!(found["failed"].as_array().unwrap().len(), 4);
    assert!(silent.iter().all(|one| one.most_at_once() <= 2));
}

#[test]
fn redirects_to_other_origins_are_not_followed() {
    let victim = Stranger::http(answer("200 OK", b"{}"));
    let head = format!("307 Temporary Redirect\r\nlocation: http://localhost:{}/mcp", victim.port);
    let sly = Stranger::http(answer(&head, b""));
    let found = Machine::new().discover(&["--port", &sly.port]);
    assert_eq!(names(&found), [""; 0]);
    assert_eq!(found["failed"].as_array().unwrap().len(), 1, "{found:#}");
    assert_eq!(victim.connections(), 0);
}

#[test]
fn a_server_that_wants_a_login_is_found_and_a_page_that_wants_one_is_not() {
    let challenge = "bearer: secret\n  challenge: 'Bearer resource_metadata=\"{{mock.url}}/meta\"'";
    let server_ = Mock::http(&format!("tools: [echo]\nhttp:\n  {challenge}\n"));
    let page = Mock::http("tools: [echo]\nhttp:\n  bearer: secret\n");
    let found = Machine::new().discover(&ports(&[port(&server_.url), port(&page.url)]));
    let [locked] = &found["servers"].as_array().unwrap()[..] else { panic!("{found:#}") };
    assert!(locked["problem"].as_str().unwrap().contains("auth login"), "{found:#}");
    assert_eq!(locked["asked"], false);
    assert_eq!(found["failed"][0]["code"], "SB-AUTH-003", "{found:#}");
}

#[test]
fn what_strangers_say_does_not_steer_the_terminal() {
    let name = r#""\e[31mred\e]0;title\a\u202Eevil""#;
    let mock = Mock::http(&format!(
        "server: {{ name: {name}, instructions: {name} }}\ntools: {{ \"a\\e[2Jb\": ok }}\n"
    ));
    let output = Machine::new().run(&["--port", port(&mock.url)]);
    let page = text(&output.stdout);
    assert!(page.contains("1 new server") && page.contains("switchboard discover --port"), "{page}");
    assert!(!page.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{page:?}");
    assert!(!text(&output.stderr).contains('\u{1b}'));
}

#[test]
fn two_servers_of_one_name_are_told_apart_and_one_of_the_config_is_known() {
    let [one, two, three] = [(), (), ()].map(|()| Mock::http("server: { name: same }\ntools: [echo]\n"));
    let machine = Machine::with_config(&format!("servers:\n  mine: {{ url: \"{}\" }}\n", one.url));
    let found = machine.discover(&ports(&[port(&one.url), port(&two.url), port(&three.url)]));
    let expected = [&two, &three].map(|mock| format!("same-{}", port(&mock.url)));
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).chain(["mine"]).collect();
    expected.sort_unstable();
    assert_eq!(names(&found), expected, "{found:#}");
    let known = server(&found, "mine");
    assert_eq!((&known["known_as"], &known["status"]), (&json!("mine"), &json!("registered")));
}

#[test]
fn a_switchboard_is_not_put_behind_a_switchboard() {
    let mock = Mock::http("server: { name: switchboard }\ntools: [echo]\n");
    let found = Machine::new().discover(&["--url", &mock.url]);
    let [one] = &found["servers"].as_array().unwrap()[..] else { panic!("{found:#}") };
    assert!(one["problem"].as_str().unwrap().contains("circles"), "{found:#}");
}

#[test]
fn addresses_that_are_none_are_told() {
    let found = Machine::new().discover(&["--url", "ftp://localhost", "--url", "http://"]);
    assert_eq!(found["failed"].as_array().unwrap().len(), 2, "{found:#}");
}
