use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use herald_core::limits::{COMPARED_KEY_LEN_MAX, COMPARED_KEYS_MAX};
use herald_core::mesh::Differences;

mod every_option;

const GOOD: &str = r#"node = "a"
[cluster]
id = "lab"
secret = "0123456789abcdef"
[interfaces.first]
tap = "t1"
addresses = ["10.1.0.11/24", "fe80::11/64"]
virtual_addresses = ["10.1.0.1", "fe80::1"]
[interfaces.second]
tap = "t2"
addresses = ["10.2.0.11/24", "fe80::12/64"]
virtual_addresses = ["10.2.0.1"]
[mesh]
listen = "10.9.0.11:7400"
peers = { b = "10.9.0.12:7400", c = "10.9.0.13:7400" }
ca = "/keys/ca.pem"
certificate = "/keys/node-a.pem"
key = "/keys/node-a.key"
"#;

/// Loads a text as if it were the file `x.toml`.
fn load(text: &str, sets: &[&str]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    fs::write(&file, text).unwrap();
    let sets: Vec<_> = sets.iter().map(|s| (*s).to_owned()).collect();
    let folder = format!("{}/", folder.path().display());
    Config::load(&file, &sets).map_err(|error| error.to_string().replace(&folder, ""))
}

fn refusal(text: &str, sets: &[&str]) -> String {
    let error = load(text, sets).expect_err("must be refused");
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let config = load(GOOD, &[]).unwrap();
    assert_eq!(config.control, Path::new("/run/herald/a.sock"));
    assert_eq!((config.options.hold_ms_max, config.options.timeouts.tcp_established_s), (20, 7440));
    assert_eq!((config.options.interfaces.first.vrid, config.options.interfaces.second.vrid), (1, 2));
    assert_eq!(config.members.iter().map(|n| n.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

/// What replaces which text of the good file, and how the error starts.
const WRONG_LINES: &[(&str, &str, &str)] = &[
    ("node = \"a\"", "node = \"A\"", "x.toml:1: node = \"A\": allowed is 1 to 16 characters of a-z"),
    ("node = \"a\"", "node = 5", "x.toml:1: node = 5: allowed is 1 to 16 characters"),
    ("node = \"a\"", "nod = \"a\"", "x.toml:1: nod = \"a\": there is no such key; node, log,"),
    ("node = \"a\"", "node = ", "x.toml:1: not TOML: "),
    ("node = \"a\"", "node = \"a\"\nlog = \"herald=loud\"", "x.toml:2: log = \"herald=loud\": allowed is a level"),
    (
        "node = \"a\"",
        "node = \"a\"\nvrrp.advert_centiseconds = 4096",
        "x.toml:2: vrrp.advert_centiseconds = 4096: allowed is a number from 1 to 4095",
    ),
    ("node = \"a\"", "node = \"a\"\nvrrp.preempt = 1", "x.toml:2: vrrp.preempt = 1: allowed is true or false"),
    (
        "node = \"a\"",
        "node = \"a\"\nroles = \"vrrp\"",
        "x.toml:2: roles = \"vrrp\": allowed is \"priority\" or \"static\"",
    ),
    (
        "node = \"a\"",
        "node = \"a\"\nredirect = \"air\"",
        "x.toml:2: redirect = \"air\": allowed is \"ethernet\" or \"mesh\"",
    ),
    (
        "node = \"a\"",
        "node = \"a\"\nmidstream = \"x\"",
        "x.toml:2: midstream = \"x\": allowed is \"drop\", \"reset\" or \"pick-up\"",
    ),
    ("node = \"a\"", "node = \"a\"\nhold_ms_max = 0", "x.toml:2: hold_ms_max = 0: allowed is a number from 1 to 10000"),
    ("node = \"a\"", "node = \"a\"\nhold_ms_max = -1", "x.toml:2: hold_ms_max = -1: allowed is a number from 1"),
    (
        "node = \"a\"",
        "node = \"a\"\nhold_ms_max = \"20\"",
        "x.toml:2: hold_ms_max = \"20\": allowed is a number from 1",
    ),
    ("node = \"a\"", "node = \"a\"\ncontrol = \"\"", "x.toml:2: control = \"\": allowed is the path"),
    (
        "node = \"a\"",
        "node = \"a\"\nroles = \"static\"",
        "x.toml: holders is missing: roles = \"static\" needs [holders]",
    ),
    (
        "[mesh]",
        "[holders]\nfirst = \"a\"\nsecond = \"b\"\n[mesh]",
        "x.toml:13: holders = {\"first\":\"a\",\"second\":\"b\"}: is for roles = \"static\"",
    ),
    ("id = \"lab\"", "id = \"\"", "x.toml:3: cluster.id = \"\": allowed is a text"),
    ("id = \"lab\"", "", "x.toml:2: cluster.id is missing: allowed is a text"),
    (
        "secret = \"0123456789abcdef\"",
        "secret = \"short\"",
        "x.toml:4: cluster.secret = (hidden): allowed is a text of at least 16",
    ),
    (
        "secret = \"0123456789abcdef\"",
        "secret = 12",
        "x.toml:4: cluster.secret = (hidden): allowed is a text of at least 16",
    ),
    ("tap = \"t1\"", "", "x.toml:5: interfaces.first.tap is missing: allowed is a device name"),
    ("tap = \"t1\"", "tap = \"a/b\"", "x.toml:6: interfaces.first.tap = \"a/b\": allowed is a device name"),
    ("tap = \"t1\"", "tap = \"sixteen-letters-\"", "x.toml:6: interfaces.first.tap = \"sixteen-letters-\": allowed"),
    (
        "tap = \"t1\"",
        "tap = \"t1\"\nvrid = 300",
        "x.toml:7: interfaces.first.vrid = 300: allowed is a number from 1 to 255",
    ),
    (
        "tap = \"t1\"",
        "tap = \"t1\"\nvrid = 0",
        "x.toml:7: interfaces.first.vrid = 0: allowed is a number from 1 to 255",
    ),
    (
        "tap = \"t1\"",
        "tap = \"t1\"\nmtu = 1279",
        "x.toml:7: interfaces.first.mtu = 1279: allowed is a number from 1280",
    ),
    ("tap = \"t1\"", "tap = \"t1\"\npriority = 255", "x.toml:7: interfaces.first.priority = 255: allowed is a number"),
    (
        "tap = \"t1\"",
        "tap = \"t1\"\nmac = \"01:00:5e:00:00:01\"",
        "x.toml:7: interfaces.first.mac = \"01:00:5e:00:00:01\": allowed is a unicast",
    ),
    (
        "tap = \"t1\"",
        "tap = \"t1\"\nmac = \"00:00:5e:00:01:09\"",
        "x.toml:7: interfaces.first.mac = \"00:00:5e:00:01:09\": allowed",
    ),
    (
        "tap = \"t1\"",
        "tap = \"t1\"\nmac = \"02:00\"",
        "x.toml:7: interfaces.first.mac = \"02:00\": allowed is a unicast MAC",
    ),
    (
        "tap = \"t1\"",
        "tap = \"t1\"\nspeed = 1",
        "x.toml:7: interfaces.first.speed = 1: there is no such key; tap, netns,",
    ),
    ("[interfaces.second]", "[interfaces.third]", "x.toml: interfaces.second.tap is missing: allowed is a device name"),
    ("tap = \"t2\"", "tap = \"t1\"", "x.toml:10: interfaces.second.tap = \"t1\": interfaces.first has the same TAP"),
    ("[\"10.1.0.11/24\", \"fe80::11/64\"]", "[]", "x.toml:7: interfaces.first.addresses = []: allowed is a list"),
    (
        "10.1.0.11/24",
        "10.1.0.11",
        "x.toml:7: interfaces.first.addresses.0 = \"10.1.0.11\": allowed is a host's address with prefix length",
    ),
    ("10.1.0.11/24", "10.1.0.11/33", "x.toml:7: interfaces.first.addresses.0 = \"10.1.0.11/33\": allowed"),
    ("10.1.0.11/24", "10.1.0.0/24", "x.toml:7: interfaces.first.addresses.0 = \"10.1.0.0/24\": allowed"),
    ("10.1.0.11/24", "10.1.0.255/24", "x.toml:7: interfaces.first.addresses.0 = \"10.1.0.255/24\": allowed"),
    ("10.1.0.11/24", "127.0.0.1/8", "x.toml:7: interfaces.first.addresses.0 = \"127.0.0.1/8\": allowed"),
    ("10.1.0.11/24", "224.0.0.5/24", "x.toml:7: interfaces.first.addresses.0 = \"224.0.0.5/24\": allowed"),
    (
        "\"fe80::11/64\"",
        "\"10.1.0.11/24\"",
        "x.toml:7: interfaces.first.addresses.1 = \"10.1.0.11/24\": 10.1.0.11 is here twice",
    ),
    (
        "\"fe80::11/64\"",
        "\"10.1.0.12/16\"",
        "x.toml:7: interfaces.first.addresses.1 = \"10.1.0.12/16\": lies inside or round",
    ),
    (
        "10.2.0.11/24",
        "10.1.0.12/24",
        "x.toml:11: interfaces.second.addresses.0 = \"10.1.0.12/24\": overlaps 10.1.0.11/24",
    ),
    (
        "\"10.1.0.1\"",
        "\"10.3.0.1\"",
        "x.toml:8: interfaces.first.virtual_addresses.0 = \"10.3.0.1\": allowed is an address inside",
    ),
    ("\"10.1.0.1\"", "\"10.1.0.11\"", "x.toml:8: interfaces.first.virtual_addresses.0 = \"10.1.0.11\": is also one of"),
    ("\"fe80::1\"", "\"10.1.0.1\"", "x.toml:8: interfaces.first.virtual_addresses.1 = \"10.1.0.1\": is here twice"),
    ("\"fe80::1\"", "\"x\"", "x.toml:8: interfaces.first.virtual_addresses.1 = \"x\": allowed is an address"),
    ("listen = \"10.9.0.11:7400\"", "", "x.toml:13: mesh.listen is missing: a node with peers needs it"),
    (
        "listen = \"10.9.0.11:7400\"",
        "listen = \"10.9.0.11\"",
        "x.toml:14: mesh.listen = \"10.9.0.11\": allowed is ADDRESS:PORT",
    ),
    ("listen = \"10.9.0.11:7400\"", "listen = \"10.9.0.11:0\"", "x.toml:14: mesh.listen = \"10.9.0.11:0\": allowed"),
    (
        "b = \"10.9.0.12:7400\"",
        "a = \"10.9.0.12:7400\"",
        "x.toml:15: mesh.peers.a = \"10.9.0.12:7400\": is this node itself",
    ),
    ("b = \"10.9.0.12:7400\"", "B = \"10.9.0.12:7400\"", "x.toml:15: mesh.peers"),
    ("b = \"10.9.0.12:7400\"", "b = \"10.9.0.13:7400\"", "x.toml:15: mesh.peers.c = \"10.9.0.13:7400\": another peer"),
    ("b = \"10.9.0.12:7400\"", "b = \"10.9.0.11:7400\"", "x.toml:15: mesh.peers.b = \"10.9.0.11:7400\": another peer"),
    ("b = \"10.9.0.12:7400\"", "b = \"0.0.0.0:7400\"", "x.toml:15: mesh.peers.b = \"0.0.0.0:7400\": allowed is"),
    ("ca = \"/keys/ca.pem\"", "", "x.toml:13: mesh.ca is missing: links are secure"),
    ("certificate = \"/keys/node-a.pem\"", "", "x.toml:13: mesh.certificate is missing: links are secure"),
    ("key = \"/keys/node-a.key\"", "", "x.toml:13: mesh.key is missing: links are secure"),
    ("key = \"/keys/node-a.key\"", "key = \"\"", "x.toml:18: mesh.key = \"\": allowed is the path"),
    ("key = \"/keys/node-a.key\"", "key = 7", "x.toml:18: mesh.key = 7: allowed is the path"),
    ("b = \"10.9.0.12:7400\"", "b = \"host\"", "x.toml:15: mesh.peers.b = \"host\": allowed is ADDRESS:PORT"),
];

#[test]
fn each_wrong_line_gives_one_clear_error() {
    for (old, new, expected) in WRONG_LINES {
        assert!(GOOD.contains(old), "{old}");
        let error = refusal(&GOOD.replacen(old, new, 1), &[]);
        assert!(error.starts_with(expected), "for {new:?}\n  got  {error}\n  want {expected}");
    }
}

/// What follows the good file, and how the error starts.
const WRONG_SECTIONS: &[(&str, &str)] = &[
    ("[choose]\nweight = 0", "x.toml:20: choose.weight = 0: allowed is a number from 1"),
    ("[choose]\nper_interface_key = 1", "x.toml:20: choose.per_interface_key = 1: allowed is true or false"),
    ("[choose]\nredirectors = \"never\"", "x.toml:20: choose.redirectors = \"never\": allowed is \"last-resort\""),
    ("[timeouts]\nudp_s = 0", "x.toml:20: timeouts.udp_s = 0: allowed is a number of seconds from 1"),
    ("[timeouts]\nudp_s = 604801", "x.toml:20: timeouts.udp_s = 604801: allowed is a number of seconds"),
    ("[timeouts]\ntcp_s = 1", "x.toml:20: timeouts.tcp_s = 1: there is no such key; tcp_established_s,"),
    ("[testing]\nannouncement_delay_ms = 99999", "x.toml:20: testing.announcement_delay_ms = 99999: allowed"),
    ("[[routes]]\nto = \"192.0.2.0/24\"", "x.toml:19: routes.0.via is missing: allowed is a gateway's address"),
    (
        "[[routes]]\nto = \"192.0.2.1/24\"\nvia = \"10.2.0.254\"",
        "x.toml:20: routes.0.to = \"192.0.2.1/24\": has bits behind",
    ),
    (
        "[[routes]]\nto = \"10.2.0.0/24\"\nvia = \"10.2.0.254\"",
        "x.toml:20: routes.0.to = \"10.2.0.0/24\": is a connected",
    ),
    (
        "[[routes]]\nto = \"192.0.2.0/24\"\nvia = \"10.3.0.254\"",
        "x.toml:21: routes.0.via = \"10.3.0.254\": allowed is a",
    ),
    ("[[routes]]\nto = \"192.0.2.0/24\"\nvia = \"10.2.0.11\"", "x.toml:21: routes.0.via = \"10.2.0.11\": allowed is a"),
    (
        "[[routes]]\nto = \"192.0.2.0/24\"\nvia = \"fe80::9\"",
        "x.toml:21: routes.0.via = \"fe80::9\": is of another family",
    ),
    (
        "[[routes]]\nto = \"2001:db8:9::/64\"\nvia = \"fe80::9\"",
        "x.toml:21: routes.0.via = \"fe80::9\": is link-local, so the route needs interface",
    ),
    (
        "[[routes]]\nto = \"192.0.2.0/24\"\nvia = \"10.2.0.9\"\ninterface = \"first\"",
        "x.toml:21: routes.0.via = \"10.2.0.9\": is in a network of the second interface",
    ),
    (
        "[[routes]]\nto = \"192.0.2.0/24\"\nvia = [\"10.2.0.9\", \"10.2.0.9\"]",
        "x.toml:21: routes.0.via = [\"10.2.0.9\",\"10.2.0.9\"]: names 10.2.0.9 twice",
    ),
    (
        "[[routes]]\nto = \"192.0.2.0/24\"\nvia = []",
        "x.toml:21: routes.0.via = []: allowed is a gateway's address on a connected network, or a list",
    ),
    (
        "[[routes]]\nto = \"192.0.2.0/24\"\nvia = \"10.2.0.9\"\n[[routes]]\nto = \"192.0.2.0/24\"\nvia = \"10.2.0.8\"",
        "x.toml:23: routes.1.to = \"192.0.2.0/24\": has a route already",
    ),
    ("[[plugins]]\nname = \"ACL\"", "x.toml:20: plugins.0.name = \"ACL\": allowed is a name"),
    ("[[plugins]]\nname = \"acl\"\nconfig = 3", "x.toml:21: plugins.0.config = 3: allowed is a table"),
    ("[[plugins]]\nnme = \"acl\"", "x.toml:20: plugins.0.nme = \"acl\": there is no such key; name, config"),
    (
        "[[plugins]]\nname = \"acl\"\n[[plugins]]\nname = \"acl\"",
        "x.toml:22: plugins.1.name = \"acl\": is in the chain already",
    ),
    (
        "[interfaces.third]\ntap = \"t3\"",
        "x.toml:19: interfaces.third = {\"tap\":\"t3\"}: there is no such key; first, second may",
    ),
    ("[extra]\nx = 1", "x.toml:19: extra = {\"x\":1}: there is no such key"),
    (
        "[holders]\nfirst = \"a\"\nsecond = \"d\"",
        "x.toml:21: holders.second = \"d\": allowed is the id of this node or of a peer",
    ),
];

#[test]
fn each_wrong_section_gives_one_clear_error() {
    for (section, expected) in WRONG_SECTIONS {
        let roles = if section.starts_with("[holders]") { &["roles=static"][..] } else { &[] };
        let error = refusal(&format!("{GOOD}{section}\n"), roles);
        assert!(error.starts_with(expected), "for {section:?}\n  got  {error}\n  want {expected}");
    }
}

#[test]
fn an_empty_and_a_missing_file_are_refused() {
    assert!(refusal("", &[]).starts_with("x.toml: node is missing: allowed is 1 to 16 characters"));
    let error = Config::load(Path::new("/nonexistent/x.toml"), &[]).expect_err("must be refused").to_string();
    assert!(error.starts_with("/nonexistent/x.toml: cannot be read: No such file"), "{error}");
}

#[test]
fn flags_win_and_are_named_in_errors() {
    let config =
        load(GOOD, &["timeouts.udp_s=1", "hold_ms_max=200", "cluster.id=other", "log=debug,herald=trace"]).unwrap();
    assert_eq!((config.options.timeouts.udp_s, config.options.hold_ms_max), (1, 200));
    assert_eq!((config.options.cluster.id.as_str(), config.options.log.as_str()), ("other", "debug,herald=trace"));
    let config = load(GOOD, &["plugins=[{name=\"acl\",config={default=\"drop\"}}]", "mesh.listen=[::1]:7400"]).unwrap();
    assert_eq!(config.options.plugins.first().map(|p| p.config.to_string()), Some("default = \"drop\"\n".to_owned()));
    assert!(
        refusal(GOOD, &["timeouts.udp_s=0"]).starts_with("flag --set timeouts.udp_s=...: timeouts.udp_s = 0: allowed")
    );
    assert!(refusal(GOOD, &["timeout.udp_s=1"]).contains("timeout = {\"udp_s\":1}: there is no such key; node, log"));
    for wrong in ["timeouts.udp_s", "=1", ".a=1"] {
        assert!(refusal(GOOD, &[wrong]).contains("KEY=VALUE is expected"), "{wrong}");
    }
}

#[test]
fn by_default_the_first_two_members_hold_the_two_roles() {
    let priorities = |node: &str, peers: &[&str]| {
        let peers: Vec<_> = peers.iter().enumerate().map(|(i, p)| format!("{p} = \"10.9.1.{}:7400\"", i + 1)).collect();
        let text = GOOD
            .replace("node = \"a\"", &format!("node = \"{node}\""))
            .replace("b = \"10.9.0.12:7400\", c = \"10.9.0.13:7400\"", &peers.join(", "));
        let PerInterface { first, second } = load(&text, &[]).unwrap().priorities;
        (first, second)
    };
    assert_eq!(priorities("a", &["b", "c"]), (102, 100));
    assert_eq!(priorities("b", &["a", "c"]), (101, 102));
    assert_eq!(priorities("c", &["a", "b"]), (100, 101));
    assert_eq!(priorities("a", &["b"]), (101, 100));
    assert_eq!(priorities("b", &["a"]), (100, 101));
    assert_eq!(priorities("a", &[]), (100, 100));
}

#[test]
fn default_macs_are_local_unicast_stable_and_distinct() {
    let mut seen = BTreeSet::new();
    for cluster in ["lab", "other"] {
        for node in ["a", "b", "c", "ab"] {
            let text = GOOD
                .replace("node = \"a\"", &format!("node = \"{node}\""))
                .replace("b = \"10.9.0.12:7400\", c = ", "z = ");
            let set = format!("cluster.id={cluster}");
            let config = load(&text, &[&set]).unwrap();
            assert_eq!(config.macs, load(&text, &[&set]).unwrap().macs);
            for interface in Interface::BOTH {
                let mac = config.macs[interface];
                assert_eq!(mac.0.first().copied(), Some(0x02));
                assert!(seen.insert(mac), "{mac} twice");
            }
        }
    }
}

/// The keys that a node with this configuration finds to differ at one with the other.
fn differences(one: &Config, other: &Config) -> Differences {
    Differences::between(&one.compared, &other.compared)
}

#[test]
fn a_difference_is_told_by_its_key_and_by_what_it_means() {
    let good = load(GOOD, &[]).unwrap();
    let differ = |sets: &[&str]| {
        let Differences { must, should } = differences(&good, &load(GOOD, sets).unwrap());
        (must.join(" "), should.join(" "))
    };
    for own in [
        "log=debug",
        "choose.weight=7",
        "hold_ms_max=50",
        "interfaces.first.priority=7",
        "mesh.key=/k",
        "mesh.listen=10.9.0.7:1",
    ] {
        assert_eq!(differ(&[own]), (String::new(), String::new()), "{own}");
    }
    for (sets, key) in [
        (&["redirect=mesh"][..], "redirect"),
        (&["choose.redirectors=equal"], "choose.redirectors"),
        (&["choose.per_interface_key=true"], "choose.per_interface_key"),
        (&["interfaces.first.vrid=9"], "interfaces.first.vrid"),
        (&["interfaces.second.virtual_addresses=[\"10.2.0.2\"]"], "interfaces.second.virtual_addresses"),
        (&["vrrp.advert_centiseconds=20"], "vrrp.advert_centiseconds"),
        (&["testing.announcements=false"], "testing.announcements"),
        (&["roles=static", "holders={first=\"a\",second=\"c\"}"], "roles holders.first holders.second"),
    ] {
        assert_eq!(differ(sets), (key.to_owned(), String::new()), "{sets:?}");
    }
    let secret = differ(&["cluster.secret=another secret text"]);
    assert_eq!(secret, ("cluster.secret".to_owned(), "plugins".to_owned()), "and what may hold secrets of its own");
    for (set, key) in [
        ("timeouts.udp_s=9", "timeouts.udp_s"),
        ("midstream=pick-up", "midstream"),
        ("interfaces.first.mtu=9000", "interfaces.first.mtu"),
        ("interfaces.first.addresses=[\"10.1.0.11/16\",\"fe80::11/64\"]", "interfaces.first.addresses"),
        ("routes=[{to=\"192.0.2.0/24\",via=\"10.2.0.9\"}]", "routes"),
        ("plugins=[{name=\"acl\"}]", "plugins"),
        ("mesh.peers.d=10.9.0.14:7400", "mesh.peers"),
    ] {
        assert_eq!(differ(&[set]), (String::new(), key.to_owned()), "{set}");
    }
}

#[test]
fn what_makes_a_node_itself_is_no_difference() {
    let as_b = GOOD
        .replace("node = \"a\"", "node = \"b\"")
        .replace("10.9.0.11", "10.9.0.99")
        .replace("b = \"10.9.0.12:7400\"", "a = \"10.9.0.11:7400\"")
        .replace("10.1.0.11/24", "10.1.0.12/24")
        .replace("10.2.0.11/24", "10.2.0.12/24")
        .replace("\"10.1.0.1\", \"fe80::1\"", "\"fe80::1\", \"10.1.0.1\"");
    let chain = |of: &str, lines: &str| {
        format!("plugins=[{{name=\"{of}/x.so\",config={{path=\"{of}/log{of}\",lines={lines}}}}}]")
    };
    let a = load(GOOD, &[&chain("/of/a", "1")]).unwrap();
    assert_eq!(differences(&a, &load(&as_b, &[&chain("/of/b", "1")]).unwrap()), Differences::default());
    assert_eq!(differences(&a, &load(&as_b, &[&chain("/of/b", "2")]).unwrap()).should, ["plugins"]);
    assert!(a.compared.len() <= COMPARED_KEYS_MAX && a.compared.iter().all(|s| s.key.len() <= COMPARED_KEY_LEN_MAX));
}

#[test]
fn the_secret_is_never_shown() {
    let config = load(GOOD, &[]).unwrap();
    let shown = config.to_toml().unwrap();
    assert!(shown.contains("secret = \"(hidden)\"") && shown.contains("priority = 102"), "{shown}");
    assert!(!shown.contains("0123456789abcdef") && !format!("{config:?}").contains("0123456789abcdef"));
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_configuration_is_good() {
    let mut files = Vec::new();
    toml_files(&configs(), &mut files);
    assert!(files.len() >= 5, "{files:?}");
    // Those of labs are the lab's to read.
    for file in files.iter().filter(|file| !file.starts_with(configs().join("topologies"))) {
        Config::load(file, &[]).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_three_nodes_do_not_differ() {
    let [a, b, c] =
        ["a", "b", "c"].map(|n| Config::load(&configs().join(format!("three-nodes/{n}.toml")), &[]).unwrap());
    assert_eq!([differences(&a, &b), differences(&a, &c)], [Differences::default(), Differences::default()]);
}

#[test]
fn a_draft_of_the_lab_accuses_what_its_user_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let refusal = |own: &str, all: &str, sets: &[&str]| {
        fs::write(&file, own).unwrap();
        let flags = sets.iter().map(|set| set.split('=').next().unwrap().to_owned()).collect();
        let draft = Draft { text: all, file: Some(&file), flags };
        Config::of_draft(&draft).unwrap_err().to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    let with = |more: &str| format!("{more}\n{GOOD}");
    let of_line = "x.toml:2: hold_ms_max = 0: allowed is ";
    assert!(refusal("log = \"info\"\nhold_ms_max = 0", &with("hold_ms_max = 0"), &[]).starts_with(of_line));
    let of_flag = "flag --set hold_ms_max=...: hold_ms_max = 0: allowed is ";
    assert!(refusal("hold_ms_max = 5", &with("hold_ms_max = 0"), &["log=info", "hold_ms_max=0"]).starts_with(of_flag));
    let of_list = "flag --set plugins=...: plugins.0.name is missing: ";
    assert!(refusal("", &with("plugins = [{}]"), &["plugins=[{}]"]).starts_with(of_list));
    let of_table = "flag --set hold.ms=...: hold = ";
    assert!(refusal("", &with("hold = { ms = 1 }"), &["hold.ms=1"]).starts_with(of_table));
    let of_nobody = "configuration of the lab's nodes: node = 5: ";
    assert!(refusal("", &GOOD.replace("node = \"a\"", "node = 5"), &["hold_ms_max=5"]).starts_with(of_nobody));
}
