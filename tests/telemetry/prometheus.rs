//! The examples for Prometheus and Grafana, tried with a real Prometheus: one on the `PATH`, else the package of the system, which
//! is unpacked beside the other software that tests drive (see `tests/support/real.rs`).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard::telemetry::metrics::{FAMILIES, Kind};

use super::numbers::Numbers;
use super::{TOKEN, TOOLS, admin, counted, get, house, metrics};

const WHERE: &str = "install Prometheus (`prometheus` and `promtool`), or let the tests unpack Debian's package with `apt-get`";

/// A program of Prometheus.
fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let has_both =
            |folder: &PathBuf| ["prometheus", "promtool"].iter().all(|name| folder.join(name).is_file());
        std::env::split_paths(&path).find(has_both).unwrap_or_else(unpacked)
    });
    folder.join(name)
}

fn unpacked() -> PathBuf {
    let cache = std::env::var_os("SWITCHBOARD_TEST_CACHE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/real"), PathBuf::from);
    let folder = cache.join("prometheus");
    let programs = folder.join("usr/bin");
    if programs.join("promtool").is_file() {
        return programs;
    }
    let parts = tempfile::tempdir_in({
        std::fs::create_dir_all(&cache).unwrap();
        &cache
    })
    .unwrap();
    eprintln!("telemetry: unpacking the package `prometheus` into {}", folder.display());
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program).args(arguments).current_dir(parts.path()).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !run("apt-get", &["download", "prometheus"]) {
        run("apt-get", &["update"]);
        assert!(run("apt-get", &["download", "prometheus"]), "{WHERE}");
    }
    let mut files = std::fs::read_dir(parts.path()).unwrap().flatten().map(|file| file.path());
    let package = files.find(|file| file.extension().is_some_and(|kind| kind == "deb")).expect(WHERE);
    let root = parts.path().join("root");
    assert!(run("dpkg-deb", &["-x", package.to_str().unwrap(), root.to_str().unwrap()]), "{WHERE}");
    // Somebody else may have been quicker.
    let _ = std::fs::rename(&root, &folder);
    assert!(programs.join("promtool").is_file(), "{WHERE}");
    programs
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[track_caller]
fn passes(what: &str, output: &Output) {
    let text = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&text));
}

/// Every expression of the dashboard.
fn dashboard() -> Vec<String> {
    fn find(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    match value {
                        Value::String(text) if key == "expr" => found.push(text.clone()),
                        // `label_values(metric, label)` is Grafana's own.
                        Value::String(text) if key == "query" && text.starts_with("label_values(") => {
                            found.push(
                                text.trim_start_matches("label_values(")
                                    .split(',')
                                    .next()
                                    .unwrap()
                                    .to_owned(),
                            );
                        }
                        other => find(other, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| find(value, found)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(examples().join("grafana/switchboard.json")).unwrap();
    let mut found = Vec::new();
    find(&serde_json::from_str(&text).unwrap(), &mut found);
    assert!(found.len() > 15, "{found:?}");
    // What Grafana puts in their place.
    found
        .iter()
        .map(|text| {
            text.replace("$__rate_interval", "5m").replace("$server", ".*").replace("$instance", ".*")
        })
        .collect()
}

#[test]
fn rules_and_the_scrape_config_are_right_and_each_alert_is_tried() {
    let folder = examples().join("prometheus");
    let promtool = |arguments: &[&str]| {
        Command::new(program("promtool")).args(arguments).current_dir(&folder).output().unwrap()
    };
    passes("rules", &promtool(&["check", "rules", "switchboard.rules.yml"]));
    passes("the scrape config", &promtool(&["check", "config", "--syntax-only", "prometheus.yml"]));
    passes("the tests of the rules", &promtool(&["test", "rules", "switchboard.test.yml"]));
    let rules = std::fs::read_to_string(folder.join("switchboard.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(folder.join("switchboard.test.yml")).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires =
            tests.split("alert_rule_test").any(|part| part.contains(alert) && part.contains("exp_labels"));
        assert!(fires, "{alert} is not tried");
    }
}

#[test]
fn the_examples_speak_of_metrics_that_there_are() {
    let rules = std::fs::read_to_string(examples().join("prometheus/switchboard.rules.yml")).unwrap();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for family in FAMILIES {
        known.insert(family.name.to_owned());
        if matches!(family.kind, Kind::Histogram | Kind::Summary) {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", family.name)));
        }
    }
    let all = dashboard().join("\n") + &rules;
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    for word in all.split(|character| !is_part(character)).filter(|word| word.starts_with("switchboard_")) {
        assert!(known.contains(word) || word == "switchboard_", "there is no metric {word}");
    }
    // The dashboard's expressions are ones.
    let folder = tempfile::tempdir().unwrap();
    let expressions = dashboard();
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(index, expr)| json!({ "record": format!("r{index}"), "expr": expr }))
        .collect();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, json!({ "groups": [{ "name": "g", "rules": rules }] }).to_string()).unwrap();
    passes(
        "the dashboard",
        &Command::new(program("promtool")).args(["check", "rules"]).arg(&file).output().unwrap(),
    );
}

/// A Prometheus that runs; it is killed with the value.
struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// One that reads from this address by the example's config, but more often.
    fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = std::fs::read_to_string(examples().join("prometheus/prometheus.yml")).unwrap();
        let config = example.replace("127.0.0.1:7700", target).replace("interval: 15s", "interval: 200ms");
        assert!(config.contains(target));
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.path().join("switchboard.token"), TOKEN).unwrap();
        let rules = examples().join("prometheus/switchboard.rules.yml");
        std::fs::copy(rules, folder.path().join("switchboard.rules.yml")).unwrap();
        // It cannot be asked for its port: somebody may take a free one before it does, and then it is given another one.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut child = Command::new(program("prometheus"))
                .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address={free}"))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
            let (sender, ready) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                for line in lines {
                    if line.contains("Server is ready") {
                        let _ = sender.send(());
                    }
                }
            });
            if ready.recv_timeout(Duration::from_secs(60)).is_ok() {
                return Self { child, address: free.to_string(), _folder: folder };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("Prometheus does not start");
    }

    /// What an expression gives now.
    fn ask(&self, expression: &str) -> Vec<Value> {
        let query: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (head, body) = get(&self.address, &format!("/api/v1/query?query={query}"));
        let start = body.find('{').unwrap_or_default();
        let end = body.rfind('}').map_or(body.len(), |end| end + 1);
        let answer: Value = serde_json::from_str(&body[start..end]).unwrap_or_default();
        assert!(
            head.starts_with("HTTP/1.1 200") && answer["status"] == "success",
            "{expression}: {head}\n{body}"
        );
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// The one number that an expression gives, once there is one that fits.
    #[track_caller]
    fn until(&self, expression: &str, fits: impl Fn(f64) -> bool) -> f64 {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.ask(expression);
            if let [only] = &found[..]
                && let Some(number) = only["value"][1].as_str().and_then(|text| text.parse().ok())
                && fits(number)
            {
                return number;
            }
            assert!(Instant::now() < until, "{expression}: {found:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_real_prometheus_takes_the_text_and_sees_the_numbers() {
    let keys = "cache: { ttl: 1h }, effects: { echo: read }, breaker: {}, concurrency: { max: 3 }, retry: {}";
    let setup = counted()
        .script("a", TOOLS)
        .keys(keys)
        .script("we\\\"ird", TOOLS)
        .entry("gone", "{ command: /nonexistent/server }")
        .config("telemetry: { audit: true }\ninterceptors: [{ match: \"*purge*\", deny: \"no purge\" }]");
    let (house, peer) = house(false, "2025-11-25", setup);
    for number in 0..5 {
        peer.tool("a__echo", json!({ "input": number.to_string() }));
    }
    peer.tool("a__fail", json!({}));
    peer.tool("a__odd", json!({}));
    let text = metrics(&house);
    let mut lint = Command::new(program("promtool"));
    lint.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut lint = lint.spawn().unwrap();
    std::io::Write::write_all(&mut lint.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = lint.wait_with_output().unwrap();
    passes("`promtool check metrics`", &output);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));

    let prometheus = Prometheus::start(&admin(&house));
    assert_eq!(prometheus.until(r#"up{job="switchboard"}"#, |up| up == 1.0), 1.0);
    let ok = r#"switchboard_calls_total{server="a",method="tools/call",outcome="ok"}"#;
    let numbers = Numbers::of(&house);
    assert_eq!(prometheus.until(ok, |count| count == 5.0), numbers.have(ok));
    let sum = prometheus.until(r#"sum(switchboard_tool_calls_total{server="a"})"#, |sum| sum == 7.0);
    assert_eq!(sum, numbers.sum("switchboard_tool_calls_total{server=\"a\""));
    prometheus.until(r#"switchboard_server_up{server="gone"}"#, |up| up == 0.0);
    prometheus.until(r#"count(switchboard_server_up)"#, |count| count == 3.0);
    // It goes on counting what comes, and every expression of the dashboard has an answer.
    peer.tool("a__echo", json!({ "input": "new" }));
    prometheus.until(ok, |count| count == 6.0);
    for expression in dashboard() {
        prometheus.ask(&expression);
    }
    drop(prometheus);
    drop(peer);
    house.close();
}
