//! What real traffic sees of nodes that die, stop, drain or are cut off. Gaps are printed; what is asserted is that
//! nothing is lost that must not be.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use netns_tests::{Builder, Lab, Load, Outage, Size, binary, eventually, pause, print_takes};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Traffic before the fault, and after it is over.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(2);

/// Labs that run takes side by side: a take mostly waits.
const LABS_AT_ONCE: usize = 2;

/// Variants of a partition: each node or each pair.
const VARIANTS: usize = 3;

const NODES: [&str; 3] = ["a", "b", "c"];

fn holder(lab: &Lab, witness: &str, role: &str) -> Option<String> {
    lab.json(witness, &["roles"])[role]["holder"].as_str().map(str::to_owned)
}

fn others(node: &str) -> Vec<&'static str> {
    NODES.into_iter().filter(|other| *other != node).collect()
}

/// Waits until the other nodes agree that a node holds nothing any more, and who does.
#[track_caller]
fn await_succession(lab: &Lab, node: &str) {
    let others = others(node);
    eventually(LIMIT, &format!("others hold what {node} held"), || {
        let views: Vec<Value> = others.iter().map(|other| lab.json(other, &["roles"])).collect();
        let held = |role: &str| views[0][role]["holder"].as_str().is_some_and(|holder| holder != node);
        (views.iter().all(|view| *view == views[0]) && held("first") && held("second")).then_some(())
    });
}

/// Runs a fault under load, some times, each in a fresh lab; `fault` returns when the cluster is whole again.
fn takes(title: &str, shape: fn(Builder) -> Builder, fault: impl Fn(&Lab) + Sync) -> Vec<Outage> {
    takes_of(Size::asked_for(), title, shape, fault).into_iter().map(|(outage, ())| outage).collect()
}

/// The same for one of three or so variants of a fault, which share the takes.
fn variant_takes(title: &str, shape: fn(Builder) -> Builder, fault: impl Fn(&Lab) + Sync) -> Vec<Outage> {
    let size = Size::asked_for();
    let takes = size.takes.div_ceil(VARIANTS);
    takes_of(Size { takes, ..size }, title, shape, fault).into_iter().map(|(outage, ())| outage).collect()
}

/// The same, with what `fault` returns beside what it cost.
fn takes_of<T: Send>(
    size: Size,
    title: &str,
    shape: fn(Builder) -> Builder,
    fault: impl Fn(&Lab) -> T + Sync,
) -> Vec<(Outage, T)> {
    let take = || {
        let lab = shape(Lab::up("failover")).start();
        let load = Load::start(&lab, size);
        pause(BEFORE);
        let returned = fault(&lab);
        pause(AFTER);
        (load.stop(), returned)
    };
    let mut takes = Vec::with_capacity(size.takes);
    while takes.len() < size.takes {
        let together = LABS_AT_ONCE.min(size.takes - takes.len());
        takes.extend(thread::scope(|scope| {
            let labs: Vec<_> = (0..together).map(|_| scope.spawn(take)).collect();
            labs.into_iter().map(|lab| lab.join().unwrap()).collect::<Vec<_>>()
        }));
    }
    print_takes(title, takes.iter().map(|(outage, _)| outage));
    takes
}

#[track_caller]
fn assert_no_stream_lost(takes: &[Outage]) {
    for outage in takes {
        assert!(outage.streams().count() >= 200, "{outage}");
        assert!(outage.lost().is_empty(), "{outage}");
    }
}

fn default_shape(lab: Builder) -> Builder {
    lab
}

/// One node holds both redirectors: both have the same order of priorities.
fn one_holder(lab: Builder) -> Builder {
    lab.set("interfaces.first.priority", 100).set("interfaces.second.priority", 100)
}

/// An advert every 30 ms instead of 100.
fn fast_adverts(lab: Builder) -> Builder {
    lab.set("vrrp.advert_centiseconds", 3)
}

fn dies(lab: &Lab, node: &str) {
    lab.kill(node, "KILL");
    await_succession(lab, node);
}

fn stops_and_goes_on(lab: &Lab, node: &str) {
    lab.kill(node, "STOP");
    await_succession(lab, node);
    lab.kill(node, "CONT");
    let _roles = lab.await_mesh(LIMIT, &NODES);
}

fn is_unplugged(lab: &Lab, node: &str, interface: &str) {
    lab.links("cut", &[node, "--interface", interface]);
    let other = others(node)[0];
    eventually(LIMIT, &format!("{node} holds the {interface} redirector no more"), || {
        holder(lab, other, interface).is_some_and(|holder| holder != node).then_some(())
    });
    pause(AFTER);
    lab.links("heal", &[]);
    let _roles = lab.await_mesh(LIMIT, &NODES);
}

/// The node that holds both redirectors, or either in the default shape.
#[track_caller]
fn holder_of(lab: &Lab, role: &str) -> String {
    // With fast adverts a node that gets no processor time for a moment may just have lost it.
    eventually(LIMIT, &format!("somebody holds the {role} redirector"), || holder(lab, "a", role))
}

#[track_caller]
fn holder_of_both(lab: &Lab) -> String {
    let [first, second] = ["first", "second"].map(|role| holder_of(lab, role));
    assert_eq!(first, second, "this lab is made so that one node holds both");
    first
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn without_a_fault_nothing_is_lost() {
    let outages = takes("no fault", default_shape, |_| pause(AFTER));
    assert_no_connection_failed(&outages);
    assert!(outages.iter().all(|outage| outage.packets_lost() == 0));
}

#[test]
fn no_stream_is_lost_when_the_first_holder_is_killed() {
    assert_no_stream_lost(&takes("first holder, kill -9", default_shape, |lab| dies(lab, &holder_of(lab, "first"))));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_the_first_holder_is_stopped_and_goes_on() {
    let outages = takes("first holder, SIGSTOP", default_shape, |lab| stops_and_goes_on(lab, &holder_of(lab, "first")));
    assert_no_stream_lost(&outages);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_the_first_holders_interface_is_cut() {
    let cut = |lab: &Lab| is_unplugged(lab, &holder_of(lab, "first"), "first");
    assert_no_stream_lost(&takes("first holder, interface cut", default_shape, cut));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_the_second_holder_is_killed() {
    assert_no_stream_lost(&takes("second holder, kill -9", default_shape, |lab| dies(lab, &holder_of(lab, "second"))));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_the_second_holder_is_stopped_and_goes_on() {
    let outages =
        takes("second holder, SIGSTOP", default_shape, |lab| stops_and_goes_on(lab, &holder_of(lab, "second")));
    assert_no_stream_lost(&outages);
}

#[test]
fn no_stream_is_lost_when_the_second_holders_interface_is_cut() {
    let cut = |lab: &Lab| is_unplugged(lab, &holder_of(lab, "second"), "second");
    assert_no_stream_lost(&takes("second holder, interface cut", default_shape, cut));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_the_holder_of_both_is_killed() {
    assert_no_stream_lost(&takes("holder of both, kill -9", one_holder, |lab| dies(lab, &holder_of_both(lab))));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_the_holder_of_both_is_stopped_and_goes_on() {
    let outages = takes("holder of both, SIGSTOP", one_holder, |lab| stops_and_goes_on(lab, &holder_of_both(lab)));
    assert_no_stream_lost(&outages);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_an_interface_of_the_holder_of_both_is_cut() {
    let cut = |lab: &Lab| is_unplugged(lab, &holder_of_both(lab), "first");
    assert_no_stream_lost(&takes("holder of both, interface cut", one_holder, cut));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_a_holder_with_fast_adverts_is_killed() {
    let kill = |lab: &Lab| dies(lab, &holder_of(lab, "first"));
    assert_no_stream_lost(&takes("first holder, kill -9, adverts of 30 ms", fast_adverts, kill));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_a_holder_with_fast_adverts_is_stopped_and_goes_on() {
    let stop = |lab: &Lab| stops_and_goes_on(lab, &holder_of(lab, "first"));
    assert_no_stream_lost(&takes("first holder, SIGSTOP, adverts of 30 ms", fast_adverts, stop));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn no_stream_is_lost_when_the_interface_of_a_holder_with_fast_adverts_is_cut() {
    let cut = |lab: &Lab| is_unplugged(lab, &holder_of(lab, "first"), "first");
    assert_no_stream_lost(&takes("first holder, interface cut, adverts of 30 ms", fast_adverts, cut));
}

/// What `herald who` says of a stream at a node.
fn who(lab: &Lab, node: &str, stream: &str) -> Value {
    lab.json(node, &["who", stream])
}

/// Some of the streams of a load: asking for all takes longer than the test.
fn some_streams(size: Size) -> Vec<String> {
    let alive = Load::alive_names(size);
    Load::tick_names(size).into_iter().chain(alive.into_iter().step_by(20)).collect()
}

/// Waits until all nodes give one answer on each of these streams, in which both redirectors name the chosen node.
#[track_caller]
fn await_one_answer(lab: &Lab, streams: &[String]) {
    for stream in streams {
        let mut said = Vec::new();
        let agreed = || {
            said = NODES.map(|node| who(lab, node, stream)).to_vec();
            let chosen = &said[0]["chosen"];
            let agree = |view: &Value| [&view["chosen"], &view["first"], &view["second"]] == [chosen; 3];
            (chosen.is_string() && said.iter().all(agree)).then_some(())
        };
        eventually(LIMIT, &format!("one answer on {stream}"), agreed);
    }
}

/// A node that holds no redirector dies; returns which streams it was chosen for, of those that were asked about.
fn chosen_node_dies(lab: &Lab, size: Size) -> BTreeMap<String, String> {
    let names = Load::tick_names(size).into_iter().chain(Load::alive_names(size));
    let sessions = NODES.map(|node| (node, lab.json(node, &["sessions"])));
    let marker = |row: &&Value| row["kind"] == "marker";
    let key = |row: &Value| ["protocol", "source", "destination"].map(|part| row[part].as_str().unwrap()).join(" ");
    let chosen: BTreeMap<String, String> = sessions
        .iter()
        .flat_map(|(node, rows)| {
            rows.as_array().unwrap().iter().filter(marker).map(|row| (key(row), (*node).to_owned())).collect::<Vec<_>>()
        })
        .collect();
    dies(lab, "c");
    names.filter_map(|name| chosen.get(&name).map(|node| (name.clone(), node.clone()))).collect()
}

/// Streams on all three nodes; `midstream` says what becomes of those that lose their node.
fn spread(lab: Builder) -> Builder {
    lab.set("choose.redirectors", "equal")
}

fn spread_and_picked_up(lab: Builder) -> Builder {
    spread(lab).set("midstream", "pick-up")
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_chosen_node_that_dies_touches_its_own_streams_only() {
    let size = Size::asked_for();
    for (outage, chosen) in takes_of(size, "chosen node, kill -9", spread, |lab| chosen_node_dies(lab, size)) {
        let of_c = chosen.values().filter(|node| *node == "c").count();
        assert!(of_c > 0 && of_c < chosen.len(), "c was chosen for {of_c} of {}", chosen.len());
        for stream in outage.streams().filter(|stream| chosen.get(&stream.name).is_some_and(|node| node != "c")) {
            assert!(stream.lost.is_none() && stream.packets_lost == 0, "{stream:?} was not c's\n{outage}");
        }
    }
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn with_pick_up_the_streams_of_a_chosen_node_that_dies_go_on() {
    let size = Size::asked_for();
    let outages = takes("chosen node, kill -9, pick-up", spread_and_picked_up, |lab| {
        let _chosen = chosen_node_dies(lab, size);
    });
    assert_no_stream_lost(&outages);
}

#[track_caller]
fn herald(lab: &Lab, node: &str, words: &[&str]) {
    let program = binary().display().to_string();
    let line: Vec<&str> = [program.as_str()].into_iter().chain(words.iter().copied()).collect();
    let output = lab.exec(node, &line);
    assert!(output.code == 0, "herald {} at {node}: {}{}", words.join(" "), output.stdout, output.stderr);
}

#[track_caller]
fn assert_no_connection_failed(takes: &[Outage]) {
    assert_no_stream_lost(takes);
    for outage in takes {
        assert!(outage.short_failed == 0 && outage.short_done > 0, "{outage}");
    }
}

#[test]
fn a_drained_node_may_go_and_no_connection_fails() {
    let outages = takes("drain of the chosen node", default_shape, |lab| {
        herald(lab, "c", &["drain", "--timeout", "60"]);
        lab.kill("c", "TERM");
        pause(AFTER);
        lab.start("c");
        let _roles = lab.await_mesh(LIMIT, &NODES);
    });
    assert_no_connection_failed(&outages);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_rolling_restart_fails_no_connection() {
    let outages = takes("rolling restart", default_shape, |lab| {
        for node in NODES {
            herald(lab, node, &["drain", "--timeout", "60"]);
            lab.kill(node, "TERM");
            eventually(LIMIT, &format!("{node} has ended"), || {
                let status = lab.status();
                let dead = |n: &Value| n["node"] == node && n["state"] == "dead";
                status["nodes"].as_array().unwrap().iter().any(dead).then_some(())
            });
            lab.start(node);
            let _roles = lab.await_mesh(LIMIT, &NODES);
            eventually(LIMIT, "all are in sync", || {
                let members = NODES.map(|node| lab.json(node, &["members"]));
                let mut rows = members.iter().flat_map(|rows| rows.as_array().unwrap());
                rows.all(|row| row["in_sync"] == true).then_some(())
            });
        }
    });
    assert_no_connection_failed(&outages);
}

/// Breaks something for a while, heals it, and waits until all agree again.
fn broken_and_healed(lab: &Lab, faults: &[&[&str]]) {
    faults.iter().for_each(|fault| lab.links("cut", fault));
    pause(AFTER);
    lab.links("heal", &[]);
    let _roles = lab.await_mesh(LIMIT, &NODES);
    await_one_answer(lab, &some_streams(Size::asked_for()));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_mesh_partition_loses_no_stream_and_heals_to_one_answer() {
    for node in NODES {
        let outages = variant_takes(&format!("mesh of {node} cut"), default_shape, |lab| {
            broken_and_healed(lab, &[&[node, "--mesh"]]);
        });
        assert_no_stream_lost(&outages);
    }
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_one_way_mesh_partition_loses_no_stream_and_heals_to_one_answer() {
    for way in ["--one-way=out", "--one-way=in"] {
        let outages = variant_takes(&format!("mesh of a cut {way}"), default_shape, |lab| {
            broken_and_healed(lab, &[&["a", "--mesh", way]]);
        });
        assert_no_stream_lost(&outages);
    }
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_mesh_cut_between_every_pair_in_turn_loses_no_stream() {
    for pair in [["a", "b"], ["b", "c"], ["c", "a"]] {
        let outages = variant_takes(&format!("mesh cut between {} and {}", pair[0], pair[1]), default_shape, |lab| {
            broken_and_healed(lab, &[&pair]);
        });
        assert_no_stream_lost(&outages);
    }
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_ring_of_three_mesh_cuts_loses_no_stream_and_heals_to_one_answer() {
    let ring = |lab: &Lab| broken_and_healed(lab, &[&["a", "b"], &["b", "c"], &["c", "a"]]);
    assert_no_stream_lost(&variant_takes("all pairs of the mesh cut", default_shape, ring));
    let one_way = |lab: &Lab| {
        broken_and_healed(lab, &[&["a", "b", "--one-way"], &["b", "c", "--one-way"], &["c", "a", "--one-way"]]);
    };
    assert_no_stream_lost(&variant_takes("mesh cut in a ring, one way", default_shape, one_way));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn data_networks_cut_with_the_mesh_up_lose_no_stream_and_heal_to_one_answer() {
    for node in NODES {
        let outages = variant_takes(&format!("both interfaces of {node} cut"), default_shape, |lab| {
            broken_and_healed(lab, &[&[node, "--interface", "first"], &[node, "--interface", "second"]]);
        });
        assert_no_stream_lost(&outages);
    }
}
