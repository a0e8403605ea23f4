use super::*;
use crate::request::{HostReport, NodeReport, NodeState};

fn setting(text: &str) -> Setting {
    text.parse().unwrap()
}

fn configuration(file: &str, settings: &[&str]) -> Result<Configuration, LabError> {
    let path = tempfile::NamedTempFile::new().unwrap();
    fs::write(path.path(), file).unwrap();
    let settings: Vec<Setting> = settings.iter().map(|s| setting(s)).collect();
    let files = Files { configuration: Some(path.path()), topology: None };
    Configuration::read(&LabName::default(), files, &settings)
}

fn report() -> Report {
    let host = |name: &str| HostReport { host: name.into(), addresses: vec![], netns: format!("/proc/7/fd/{name}") };
    let node = |id: String| NodeReport {
        node: id,
        state: NodeState::Dead,
        pid: None,
        ended: None,
        full: Vec::new(),
        log: "log".into(),
        control: "control".into(),
    };
    Report {
        keeper: 7,
        complete: false,
        hosts: vec![host("net-first"), host("net-second")],
        nodes: Plan::node_ids(3).into_iter().map(node).collect(),
        faults: Vec::new(),
        relays: Vec::new(),
    }
}

fn node(file: &str, settings: &[&str]) -> Table {
    let folder = Folder::of(&LabName::default());
    toml::from_str(&configuration(file, settings).unwrap().node("b", &folder, &report()).unwrap()).unwrap()
}

#[test]
fn values_are_toml_and_else_texts() {
    let key = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let cases: [(&str, &str, Value); 7] = [
        ("hold_ms_max=200", "hold_ms_max", Value::Integer(200)),
        ("choose.redirectors=equal", "choose.redirectors", "equal".into()),
        ("choose.redirectors=\"equal\"", "choose.redirectors", "equal".into()),
        ("choose.per_interface_key=true", "choose.per_interface_key", Value::Boolean(true)),
        ("log=a=b", "log", "a=b".into()),
        ("log=", "log", "".into()),
        ("log=1\nnode = 2", "log", "1\nnode = 2".into()),
    ];
    for (text, path, value) in cases {
        assert_eq!(setting(text), Setting { key: key(path), value }, "{text}");
    }
    for bad in ["", "log", "=1", "a..b=1"] {
        assert!(bad.parse::<Setting>().is_err(), "{bad}");
    }
}

#[test]
fn identity_wins_over_the_file_and_settings_over_all() {
    let file = "node = \"x\"\nlog = \"debug\"\nhold_ms_max = 50\n[interfaces.first]\ntap = \"t\"\nvrid = 9\n";
    let node =
        node(file, &["hold_ms_max=200", "interfaces.second.tap=mine", "routes=[{to='0.0.0.0/0',via='10.2.0.254'}]"]);
    let first = node["interfaces"]["first"].as_table().unwrap();
    assert_eq!(node["node"].as_str(), Some("b"));
    assert_eq!(node["log"].as_str(), Some("debug"));
    assert_eq!(node["hold_ms_max"].as_integer(), Some(200));
    assert_eq!(first["tap"].as_str(), Some("b-first"));
    assert_eq!(first["vrid"].as_integer(), Some(9));
    assert_eq!(first["netns"].as_str(), Some("/proc/7/fd/net-first"));
    assert_eq!(node["interfaces"]["second"]["tap"].as_str(), Some("mine"));
    assert_eq!(node["mesh"]["listen"].as_str(), Some("10.9.0.12:7400"));
    assert_eq!(node["mesh"]["peers"].to_string(), "{ a = \"10.9.0.11:7400\", c = \"10.9.0.13:7400\" }");
    let folder = Folder::of(&LabName::default());
    for (key, file) in [
        ("ca", "keys/ca.pem"),
        ("certificate", "keys/node-b.pem"),
        ("key", "keys/node-b.key"),
        ("key_log", "b/key-log"),
    ] {
        assert_eq!(node["mesh"][key].as_str(), folder.path().join(file).to_str());
    }
    assert_eq!(node["plugins"].as_array().unwrap().len(), 2);
    assert_eq!(node["routes"][0]["via"].as_str(), Some("10.2.0.254"));
}

#[test]
fn an_empty_chain_stays_empty() {
    assert!(node("plugins = []", &[]).get("plugins").unwrap().as_array().unwrap().is_empty());
    assert!(node("", &["plugins=[]"]).get("plugins").unwrap().as_array().unwrap().is_empty());
}

#[test]
fn own_hosts_get_the_gateways_of_their_network() {
    let file = "[lab.hosts.guest]\nnetwork = \"second\"\naddresses = [\"10.2.0.101/24\"]\n";
    let plan = configuration(file, &["interfaces.second.mtu=9000"]).unwrap();
    let plan = plan.plan(&LabName::default(), Plan::node_ids(1)).unwrap();
    let names: Vec<_> = plan.namespaces().collect();
    assert_eq!(names, ["net-first", "net-second", "net-mesh", "client", "server", "a", "guest"]);
    let guest = plan.hosts.last().unwrap();
    assert_eq!(guest.gateways, ["10.2.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(plan.mtu, PerInterface { first: 1500, second: 9000 });
}

#[test]
fn mistakes_are_named() {
    let plan =
        |file, settings| configuration(file, settings).and_then(|c| c.plan(&LabName::default(), Plan::node_ids(1)));
    let cases = [
        ("log = \"info\"\nnode = ", &[][..], ":2: not TOML: "),
        ("", &["interfaces.first.mtu=big"], "interfaces.first.mtu"),
        ("log = \"info\"", &["log.level=1"], "log is string"),
        ("[lab.hosts.client]\nnetwork = \"first\"\naddresses = []", &[], "already"),
        ("[lab.hosts.A]\nnetwork = \"first\"\naddresses = []", &[], "host's name"),
        ("[lab.hosts.x]\nnetwork = \"third\"\naddresses = []", &[], "third"),
        ("[lab]\nhost = 1", &[], ": lab.host: there is no such key"),
        ("lab = 1", &[], ": lab = 1: a table is expected"),
        ("[lab]\nhosts = 1", &[], ": lab.hosts = 1: a table is expected"),
        ("[lab.hosts.x]\nnetwork = \"first\"\naddresses = [\"10.1.0.9\"]", &[], ": [lab.hosts.x]: "),
        ("[lab.hosts.x]\nnetwork = \"first\"\naddresses = [\"10.1.0.100/24\"]", &[], "the address of client"),
        ("[lab.hosts.x]\nnetwork = \"second\"\naddresses = [\"fd00:2::11/64\"]", &[], "the address of a;"),
    ];
    for (file, settings, expected) in cases {
        let said = plan(file, settings).unwrap_err().to_string();
        assert!(said.contains(expected) && said.lines().count() == 1, "{file} {settings:?}: {said}");
    }
    let two = "[lab.hosts.x]\nnetwork = \"first\"\naddresses = [\"10.1.0.9/24\"]\n";
    let same = plan(&format!("{two}{}", two.replace("hosts.x", "hosts.y")), &[]).unwrap_err().to_string();
    assert!(same.contains("[lab.hosts.y]: 10.1.0.9 is the address of x"), "{same}");
}
