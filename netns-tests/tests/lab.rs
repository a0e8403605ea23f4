//! The lab itself: what it builds, how its commands behave, and that nothing of it stays, whatever happens.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use netns_tests::{Lab, Running, binary, eventually, pause};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Every process whose command line names the lab's folder: keeper and nodes, and the steps between.
fn processes(name: &str) -> Vec<String> {
    let mark = format!("/{name}");
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let lines = entries.filter_map(|path| {
        let line = fs::read_to_string(path.join("cmdline")).ok()?.replace('\0', " ");
        let named = line.split_whitespace().any(|word| word.ends_with(&mark) || word.contains(&format!("{mark}/")));
        named.then(|| format!("{} {line}", path.display()))
    });
    lines.collect()
}

/// The inodes of the lab's network namespaces.
fn namespaces(lab: &Lab) -> BTreeSet<u64> {
    let status = lab.status();
    let paths = status["hosts"].as_array().unwrap().iter().map(|host| host["netns"].as_str().unwrap());
    paths.map(|path| fs::metadata(path).unwrap().ino()).collect()
}

/// The inodes of all namespaces that a process is in or has open.
fn namespaces_in_use() -> BTreeSet<u64> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let files = processes.flat_map(|process| {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten().map(|file| file.path());
        open.chain([process.join("ns/net"), process.join("ns/pid")]).collect::<Vec<_>>()
    });
    let links = files.filter_map(|file| fs::read_link(file).ok());
    links.filter_map(|link| link.to_str()?.split_once(":[")?.1.strip_suffix(']')?.parse().ok()).collect()
}

fn folders(name: &str) -> Vec<PathBuf> {
    let roots = [PathBuf::from("/run/herald"), PathBuf::from("/tmp/herald-65534")];
    roots.into_iter().map(|root| root.join(name)).filter(|folder| folder.exists()).collect()
}

#[track_caller]
fn assert_nothing_left(name: &str) {
    let (processes, folders) = (processes(name), folders(name));
    assert!(processes.is_empty() && folders.is_empty(), "left behind: {processes:?} {folders:?}");
}

fn down(name: &str) {
    let output = Command::new(binary()).args(["lab", "down", "--name", name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn keeper(name: &str) -> Pid {
    let line = processes(name).into_iter().find(|line| line.contains(" lab keeper ")).unwrap();
    let pid = line.trim_start_matches("/proc/").split_whitespace().next().unwrap().parse().unwrap();
    Pid::from_raw(pid)
}

fn node_state(lab: &Lab, node: &str) -> String {
    let status = lab.status();
    let mut nodes = status["nodes"].as_array().unwrap().iter();
    nodes.find(|n| n["node"] == node).unwrap()["state"].as_str().unwrap().to_owned()
}

#[test]
fn hosts_have_the_addresses_and_gateways_of_the_drawing() {
    let lab = Lab::up("drawing").guest().start();
    let configuration = folders(lab.name())[0].join("a/config.toml");
    assert_eq!(fs::metadata(configuration).unwrap().permissions().mode() & 0o777, 0o600, "it has a secret");
    let addresses = |host: &str| lab.exec(host, &["cat", "/proc/net/fib_trie", "/proc/net/if_inet6"]).ok();
    for (host, v4, v6) in [
        ("client", "10.1.0.100", "fd000001000000000000000000000100"),
        ("server", "10.2.0.100", "fd000002000000000000000000000100"),
        ("a", "10.9.0.11", "00000000000000000000000000000001"),
        ("c", "10.9.0.13", "00000000000000000000000000000001"),
        ("guest", "10.1.0.101", "00000000000000000000000000000001"),
    ] {
        let found = addresses(host);
        assert!(found.contains(v4) && found.contains(v6) && found.contains("127.0.0.1"), "{host}: {found}");
    }
    // Destination, gateway: 0.0.0.0 by 10.1.0.1 and ::/0 by fd00:1::1.
    assert!(lab.exec("client", &["cat", "/proc/net/route"]).ok().contains("eth0\t00000000\t0100010A"));
    let v6 = lab.exec("client", &["cat", "/proc/net/ipv6_route"]).ok();
    assert!(
        v6.lines().any(|l| l.starts_with(&"0".repeat(32)) && l.contains("fd000001000000000000000000000001")),
        "{v6}"
    );
    assert_eq!(lab.exec("net-first", &["cat", "/proc/net/if_inet6"]).ok().lines().count(), 0, "bridges say nothing");
    for key in ["iptables", "ip6tables", "arptables"] {
        let path = format!("/proc/sys/net/bridge/bridge-nf-call-{key}");
        if Path::new(&path).exists() {
            assert_eq!(lab.exec("net-first", &["cat", &path]).ok().trim(), "0");
        }
    }
}

#[test]
fn up_returns_when_the_mesh_is_full_and_both_roles_are_held() {
    let lab = Lab::up("roles").start();
    let status = lab.status();
    assert_eq!((&status["roles"]["first"]["holder"], &status["roles"]["second"]["holder"]), (&"a".into(), &"b".into()));
    assert_eq!(lab.json("c", &["roles"]), status["roles"]);
    for node in status["nodes"].as_array().unwrap() {
        assert_eq!(node["state"], "running");
        let line = fs::read_to_string(format!("/proc/{}/cmdline", node["pid"])).unwrap();
        assert!(line.contains(lab.name()), "{line}");
    }
}

#[test]
fn one_node_alone_holds_both_roles() {
    let lab = Lab::up("one").nodes(1).start();
    let roles = lab.json("a", &["roles"]);
    assert_eq!((&roles["first"]["holder"], &roles["second"]["holder"]), (&"a".into(), &"a".into()));
}

#[test]
fn exec_gives_the_exit_code_of_the_command() {
    let lab = Lab::up("exec").nodes(1).start();
    let code = |program: &[&str]| lab.exec("client", program).code;
    assert_eq!(code(&["true"]), 0);
    assert_eq!(code(&["sh", "-c", "exit 7"]), 7);
    assert_eq!(code(&["sh", "-c", "kill -9 $$"]), 128 + 9);
    assert_eq!(code(&["/no/such/program"]), 127);
    assert_eq!(code(&["/"]), 126);
    let unknown = lab.exec("nowhere", &["true"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("client, server, a"), "{}", unknown.stderr);
    assert_eq!(lab.command("exec").arg("client").status().unwrap().code(), Some(2), "no command is wrong usage");
}

#[test]
fn exec_inherits_environment_directory_and_input() {
    let lab = Lab::up("inherit").nodes(1).start();
    let mut exec = lab.command("exec");
    exec.args(["a", "--", "sh", "-c", "pwd; echo $COLOUR $HERALD_LAB $HERALD_CONTROL; cat"]);
    exec.env("COLOUR", "green").current_dir("/usr").stdin(fs::File::open("/proc/sys/kernel/ostype").unwrap());
    let output = exec.output().unwrap();
    let control = lab.status()["nodes"][0]["control"].as_str().unwrap().to_owned();
    let expected = format!("/usr\ngreen {} {control}\nLinux\n", lab.name());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn exec_passes_signals_to_the_command() {
    let lab = Lab::up("signals").nodes(1).start();
    let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = lab.spawn("client", &["sh", "-c", script]);
    eventually(LIMIT, "the command runs", || running.stdout().contains("ready").then_some(()));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait(LIMIT).code, 42);
}

/// Commands that are sent a signal as early as can be.
const EARLY: u32 = 50;

#[test]
fn exec_passes_the_earliest_signal_to_the_command_and_blocks_none_for_it() {
    let lab = Lab::up("early").nodes(1).start();
    // To the whole group, so also to the `exec` that is just starting it.
    let script = "trap 'exit 42' TERM; kill -TERM 0; while :; do sleep 0.05; done";
    for _ in 0..EARLY {
        let mut exec = lab.command("exec");
        let ended = exec.args(["client", "--", "sh", "-c", script]).process_group(0).status().unwrap();
        assert_eq!(ended.code(), Some(42), "{ended}");
    }
    let blocked = |of: &str| of.lines().find(|line| line.starts_with("SigBlk:")).map(str::to_owned);
    let command = lab.exec("client", &["cat", "/proc/self/status"]).ok();
    assert_eq!(blocked(&command), blocked(&fs::read_to_string("/proc/thread-self/status").unwrap()));
}

#[test]
fn down_ends_every_process_and_namespace() {
    let lab = Lab::up("down").start();
    let name = lab.name().to_owned();
    let within = namespaces(&lab);
    let running = lab.spawn("client", &["sh", "-c", "trap '' TERM HUP; echo ready; while :; do sleep 0.05; done"]);
    eventually(LIMIT, "the command runs", || running.stdout().contains("ready").then_some(()));
    let background = "setsid sleep 1000 >/dev/null 2>&1 & echo $!";
    let _orphan = lab.exec("server", &["sh", "-c", background]).ok();
    assert_eq!(within.len(), 8);
    assert!(within.is_subset(&namespaces_in_use()));
    drop(lab);
    assert_nothing_left(&name);
    assert_eq!(running.wait(LIMIT).code, 128 + 9);
    assert!(within.is_disjoint(&namespaces_in_use()));
}

#[test]
fn up_killed_at_any_step_leaves_nothing_after_down() {
    // After the n-th line that `up` prints; 0 is before the first.
    for lines in 0..=7 {
        let wanted = Lab::up("kill");
        let mut up = wanted.command().stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(up.stdout.take().unwrap());
        for _ in 0..lines {
            assert_ne!(said.read_line(&mut String::new()).unwrap(), 0, "`up` printed fewer than {lines} lines");
        }
        up.kill().unwrap();
        up.wait().unwrap();
        down(wanted.name());
        assert_nothing_left(wanted.name());
    }
}

#[test]
fn up_killed_at_any_moment_leaves_nothing_after_down() {
    // Spread over the time that building and starting take; what the kernel makes of each moment differs anyway.
    for millis in (0..40).map(|n| n * 5) {
        let wanted = Lab::up("moment");
        let mut up = wanted.command().stdout(Stdio::null()).spawn().unwrap();
        pause(Duration::from_millis(millis));
        up.kill().unwrap();
        up.wait().unwrap();
        down(wanted.name());
        assert_nothing_left(wanted.name());
    }
}

#[test]
fn up_killed_before_its_end_takes_the_lab_with_it() {
    let wanted = Lab::up("alone");
    let mut up = wanted.command().stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().starts_with("node b started")));
    up.kill().unwrap();
    up.wait().unwrap();
    let name = wanted.name();
    eventually(LIMIT, "the keeper ends the lab by itself", || {
        (processes(name).is_empty() && folders(name).is_empty()).then_some(())
    });
    drop(wanted.start());
}

#[test]
fn a_dead_lab_is_named_as_such_and_cleared() {
    let lab = Lab::up("dead").nodes(1).start();
    kill(keeper(lab.name()), Signal::SIGKILL).unwrap();
    let said = eventually(LIMIT, "the lab is dead", || {
        let output = lab.command("status").output().unwrap();
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    });
    assert!(said.contains("dead") && said.contains("herald lab down --name"), "{said}");
    let name = lab.name().to_owned();
    drop(lab);
    assert_nothing_left(&name);
}

#[test]
fn down_removes_a_lab_whose_keeper_is_stopped() {
    let lab = Lab::up("stopped").nodes(1).start();
    kill(keeper(lab.name()), Signal::SIGSTOP).unwrap();
    let name = lab.name().to_owned();
    drop(lab);
    assert_nothing_left(&name);
}

#[test]
fn down_ends_an_up_that_is_at_work() {
    let wanted = Lab::up("atwork");
    let mut up = wanted.command().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().starts_with("network built")));
    down(wanted.name());
    // It may have finished just before; then `down` removed a complete lab.
    let _either = up.wait().unwrap();
    assert_nothing_left(wanted.name());
}

#[test]
fn a_taken_name_is_refused_and_the_lab_stays() {
    let lab = Lab::up("taken").nodes(1).start();
    let output = Command::new(binary()).args(["lab", "up", "--name", lab.name()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("is taken") && said.contains("herald lab down --name") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(lab.exec("client", &["true"]).code, 0);
}

#[test]
fn two_ups_of_one_name_make_one_lab() {
    let wanted = Lab::up("race").nodes(1);
    let ups: Vec<_> = (0..4).map(|_| Running::start(&mut wanted.command())).collect();
    let codes: Vec<_> = ups.into_iter().map(|up| up.wait(LIMIT * 4)).collect();
    let won = codes.iter().filter(|output| output.code == 0).count();
    assert_eq!(won, 1, "{codes:?}");
    down(wanted.name());
    assert_nothing_left(wanted.name());
}

#[test]
fn two_labs_do_not_meet() {
    let (one, two) = (Lab::up("one").start(), Lab::up("two").start());
    assert!(namespaces(&one).is_disjoint(&namespaces(&two)));
    drop(one);
    assert_eq!(two.status()["nodes"].as_array().unwrap().iter().filter(|n| n["state"] == "running").count(), 3);
    assert_eq!(two.exec("client", &["true"]).code, 0);
}

#[test]
fn nodes_are_broken_and_mended() {
    let lab = Lab::up("mend").start();
    lab.kill("b", "STOP");
    assert_eq!(node_state(&lab, "b"), "stopped");
    lab.kill("b", "SIGCONT");
    assert_eq!(node_state(&lab, "b"), "running");
    lab.kill("b", "kill");
    assert_eq!(node_state(&lab, "b"), "dead");
    let name = lab.name();
    for (line, code, expected) in [
        (&["kill", "b"][..], 1, format!("does not run; start it with `herald lab start --name {name} b`")),
        (&["start", "a"], 1, format!("runs already; end it with `herald lab kill --name {name} a`")),
        (&["kill", "x"], 1, "no node".to_owned()),
        (&["kill", "a", "--signal", "9"], 2, "\"9\" is no signal".to_owned()),
    ] {
        let output = lab.command(line[0]).args(&line[1..]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(&expected) && said.lines().count() == 1, "{said}");
    }
    lab.start("b");
    assert_eq!(node_state(&lab, "b"), "running");
    let _roles = lab.await_mesh(LIMIT, &["a", "b", "c"]);
}

#[test]
fn a_node_that_does_not_come_up_undoes_the_lab() {
    let wanted = Lab::up("unknown").set("plugins", "[{name='acl', config={no_such_key=1}}]");
    let output = wanted.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    // All three refuse it; which of them is seen first is open.
    assert!(said.contains(" ended: exit code") && said.contains("no_such_key"), "{said}");
    assert_nothing_left(wanted.name());
}

#[test]
fn wrong_usage_is_refused_before_anything_is_built() {
    let up = |arguments: &[&str]| {
        let output =
            Command::new(binary()).args(["lab", "up", "--name", "wrong-usage"]).args(arguments).output().unwrap();
        assert_nothing_left("wrong-usage");
        assert!(output.stdout.is_empty(), "a step was told: {output:?}");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (arguments, code, expected) in [
        (&["--nodes", "0"][..], 2, "1..=9"),
        (&["--nodes", "10"], 2, "1..=9"),
        (&["--set", "nothing"], 2, "KEY=VALUE"),
        (&["--config", "/no/such/file"], 1, "/no/such/file"),
        (&["--set", "interfaces.first.mtu=tall"], 1, "interfaces.first.mtu"),
        (
            &["--set", "no_such_key=1"],
            1,
            "flag --set no_such_key=...: no_such_key = 1: there is no such key; node, log",
        ),
        (&["--set", "interfaces.first.vrid=0"], 1, "flag --set interfaces.first.vrid=...: interfaces.first.vrid = 0: "),
        (&["--set", "plugins=[{name='nothing'}]"], 1, "flag --set plugins=...: plugins = "),
    ] {
        let (found, said) = up(arguments);
        assert!(found == code && said.contains(expected), "{arguments:?}: {found} {said}");
    }
    let bad = Command::new(binary()).args(["lab", "up", "--name", "../x"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
}

#[test]
fn a_capture_at_a_bridge_shows_each_frame_once() {
    let lab = Lab::up("capture").nodes(1).guest().start();
    let mut capture = lab.capture("first");
    let _sent = lab.exec("client", &["bash", "-c", "for n in 1 2 3; do echo $n > /dev/udp/10.1.0.101/9; done"]);
    let udp = |bytes: &[u8]| -> Option<Vec<u8>> {
        let packet = SlicedPacket::from_ethernet(bytes).ok()?;
        let (Some(NetSlice::Ipv4(_)), Some(TransportSlice::Udp(udp))) = (&packet.net, &packet.transport) else {
            return None;
        };
        (udp.destination_port() == 9).then(|| udp.payload().to_vec())
    };
    let payloads = |capture: &mut netns_tests::Capture| -> Vec<Vec<u8>> {
        capture.frames().iter().filter_map(|frame| udp(&frame.bytes)).collect()
    };
    // Unicast from one port to another: not for the bridge itself. The kernel's own address resolution takes its time.
    eventually(LIMIT, "the last datagram crosses", || payloads(&mut capture).contains(&b"3\n".to_vec()).then_some(()));
    let frames = capture.stop();
    let seen: Vec<_> = frames.iter().filter_map(|frame| udp(&frame.bytes)).collect();
    assert_eq!(seen, [b"1\n", b"2\n", b"3\n"]);
    assert!(frames.is_sorted_by_key(|frame| frame.at_nanos));
}

/// A user without rights, who can run the program: it may lie where only root can go.
struct Nobody {
    folder: tempfile::TempDir,
    lab: String,
}

impl Drop for Nobody {
    fn drop(&mut self) {
        let _done_already = self.herald(&["lab", "down", "--name", &self.lab]);
    }
}

impl Nobody {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(binary(), folder.path().join("herald")).unwrap();
        for entry in fs::read_dir(binary().parent().unwrap()).unwrap().flatten() {
            if entry.path().extension().is_some_and(|e| e == "so") {
                fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        Self { folder, lab: format!("nobody-{}", std::process::id()) }
    }

    fn herald(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(self.folder.path().join("herald"));
        command.args(arguments).env_remove("XDG_RUNTIME_DIR").env("PATH", "/usr/bin:/bin").current_dir("/");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

/// Gives the TAP driver its permissions back.
struct Permissions(u32);

impl Drop for Permissions {
    fn drop(&mut self) {
        let _as_it_was = fs::set_permissions("/dev/net/tun", fs::Permissions::from_mode(self.0));
    }
}

#[test]
fn an_ordinary_user_needs_root_for_the_tap_driver_at_most() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user; the other tests have shown this one's rootless lab");
        return;
    }
    let nobody = Nobody::new();
    let name = nobody.lab.clone();
    let before = Permissions(fs::metadata("/dev/net/tun").unwrap().permissions().mode() & 0o777);
    fs::set_permissions("/dev/net/tun", fs::Permissions::from_mode(0o600)).unwrap();
    let (code, _, said) = nobody.herald(&["lab", "up", "--name", &name]);
    assert!(code == 1 && said.contains("/dev/net/tun") && said.contains("chmod 0666"), "{code} {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_nothing_left(&name);
    let (code, said, _) = nobody.herald(&["doctor"]);
    assert!(code == 1 && said.contains("chmod 0666 /dev/net/tun"), "{code} {said}");

    fs::set_permissions("/dev/net/tun", fs::Permissions::from_mode(0o666)).unwrap();
    let (code, said, wrong) = nobody.herald(&["doctor"]);
    assert_eq!(code, 0, "{said}{wrong}");
    let (code, _, said) = nobody.herald(&["lab", "up", "--name", &name]);
    assert_eq!(code, 0, "{said}");
    let (code, said, _) = nobody.herald(&["lab", "exec", "--name", &name, "client", "--", "sh", "-c", "id -u; exit 5"]);
    assert_eq!((code, said.as_str()), (5, "0\n"));
    let (_, said, _) = nobody.herald(&["lab", "status", "--name", &name, "--json"]);
    let status: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status["roles"]["second"]["holder"], "b");
    let broken = [&["impair", "a", "b", "--loss", "1%"][..], &["cut", "c", "--mesh"], &["heal"]];
    for action in broken.into_iter().chain([&["kill", "c"][..], &["start", "c"], &["down"]]) {
        let (code, _, said) = nobody.herald(&[&["lab"], action, &["--name", &name]].concat());
        assert_eq!(code, 0, "{action:?}: {said}");
    }
    assert_nothing_left(&name);
    drop(before);
}
