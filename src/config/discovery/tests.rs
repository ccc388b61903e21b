use std::path::Path;

use super::*;
use crate::config::{Environment, Loaded, Syntax, load_text};

fn load(yaml: &str, variables: &[(&str, &str)]) -> Loaded {
    let environment: Environment = variables.iter().copied().collect();
    load_text(yaml, Syntax::Yaml, Path::new("/etc/switchboard/c.yaml"), &environment)
}

fn discovery(yaml: &str) -> Option<DiscoveryConfig> {
    let loaded = load(yaml, &[("CONSUL_TOKEN", "t0ken")]);
    let problems: Vec<String> = loaded.problems.iter().map(|problem| problem.one_line()).collect();
    assert_eq!(problems, [] as [&str; 0], "{yaml}");
    loaded.config.discovery
}

#[test]
fn everything_can_be_said() {
    let said = discovery(
        "servers: {}\ndiscovery: { network: { base_urls: ['http://box'], ports: [1, 2] }, files: [cursor, ./mcp.json],\
         \n  services: ['consul://:${CONSUL_TOKEN}@h:8500', mdns], auto_register: { match: 'http://box:*', tools: [a, 'b*'] }, interval: 1m, timeout: 2s, max_concurrent: 3, ask_remotes: true }\n",
    );
    let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(*text)).collect();
    let expected = DiscoveryConfig {
        network: Some(NetworkDiscovery { base_urls: vec!["http://box".into()], ports: vec![1, 2] }),
        services: vec!["consul://:t0ken@h:8500".into(), "mdns".into()],
        files: vec!["cursor".into(), "/etc/switchboard/mcp.json".into()],
        auto_register: AutoRegister::Matching {
            addresses: globs(&["http://box:*"]),
            tools: globs(&["a", "b*"]),
        },
        ask_remotes: true,
        interval: Some(Duration::from_secs(60)),
        timeout: Duration::from_secs(2),
        max_concurrent: 3,
    };
    assert_eq!(said, Some(expected));
    assert!(!format!("{said:?}").contains("t0ken"));
}

#[test]
fn what_is_not_said_is_not_looked_for() {
    assert_eq!(discovery("servers: {}\n"), None);
    assert_eq!(discovery("servers: {}\ndiscovery: { enabled: false, files: [cursor] }\n"), None);
    assert_eq!(discovery("servers: {}\ndiscovery: { enabled: true }\n"), Some(DiscoveryConfig::default()));
    let files = discovery("servers: {}\ndiscovery: { enabled: true, files: [zed] }\n").unwrap();
    assert_eq!((files.network, files.auto_register), (None, AutoRegister::Never));
    let usual = discovery("servers: {}\ndiscovery: { network: {}, auto_register: true }\n").unwrap();
    assert_eq!(
        (usual.network, usual.auto_register),
        (Some(NetworkDiscovery::default()), AutoRegister::Reached)
    );
}

#[test]
fn the_missions_shape_and_its_variable_mean_the_same() {
    let mission = "proxy:\n  servers: []\n  discovery: { enabled: true, network_discovery: true, ports: [8001], timeout: 3, config_paths: [./a.json] }\n";
    let said = discovery(mission).unwrap();
    assert_eq!(said.network.unwrap().ports, [8001]);
    assert_eq!(
        (said.timeout, said.files),
        (Duration::from_secs(3), vec!["/etc/switchboard/a.json".to_owned()])
    );
    let none = discovery("proxy:\n  servers: []\n  discovery: { enabled: true, network_discovery: false }\n")
        .unwrap();
    assert_eq!(none.network.unwrap().base_urls, [""; 0]);
    assert_eq!(load(mission, &[("DISCOVERY_ENABLED", "false")]).config.discovery, None);
    let on = load("proxy: { servers: [] }\n", &[("DISCOVERY_ENABLED", "true")]).config.discovery;
    assert_eq!(on, Some(DiscoveryConfig::default()));
}

#[test]
fn mistakes_have_a_place_and_a_remedy_and_register_nothing() {
    for (said, words) in [
        ("services: ['ldap://h']", "`ldap://h`, which is no registry"),
        ("services: ['consul://${NOT_SET}@h']", "`NOT_SET` is not set"),
        ("files: [curser]", "did you mean `cursor`"),
        ("network: { base_urls: [localhost] }", "write `http://host`"),
        ("network: { ports: [0] }", "from 1 to 65535"),
        ("auto_register: maybe", "cannot be a string"),
        ("auto_register: { tools: [a] }", "needs `match`"),
        ("auto_register: { match: [], tools: [a] }", "needs `match`"),
        ("auto_register: { match: [5] }", "needs `match`"),
        ("auto_register: { match: ['*'], only: [a] }", "unknown key `only`"),
        ("max_concurrent: 0", "from 1 to 100"),
        ("interval: 5", "did you mean \"5s\""),
    ] {
        let loaded = load(&format!("servers: {{}}\ndiscovery:\n  {said}\n"), &[]);
        let [problem] = &loaded.problems[..] else { panic!("{said}: {:#?}", loaded.problems) };
        let text = problem.render(false);
        assert!(
            text.contains(words) && problem.place.as_ref().is_some_and(|place| place.line == 3),
            "{said}: {text}"
        );
        let rule = loaded.config.discovery.map(|discovery| discovery.auto_register).unwrap_or_default();
        assert_eq!(rule, AutoRegister::Never, "{said}");
    }
}
