//! The scenarios that the simulator runs, too, in a real lab: captures at every port, the nodes' events and a line of a
//! plugin for each packet say whether the cluster kept its promises.

use std::path::Path;

fn perform(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    netns_tests::perform(&folder.join(name).with_extension("scenario"));
}

/// One test for each file, and a test that says which file has none. The simulator plays all of them in every test run.
macro_rules! scenarios {
    ($($(#[$attribute:meta])? $test:ident = $file:literal,)*) => {
        $(#[test] $(#[$attribute])? fn $test() { perform($file); })*

        #[test]
        fn every_scenario_has_a_test() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "scenario"))
                .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            files.sort();
            let mut tests = vec![$($file),*];
            tests.sort_unstable();
            assert_eq!(files, tests);
        }
    };
}

mod scenario {
    use super::*;

    scenarios! {
        #[ignore = "takes long: netns-tests/run --long runs it"]
        nothing_happens = "nothing-happens",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        every_node_is_chosen = "every-node-is-chosen",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_holder_is_killed = "a-holder-is-killed",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_holder_stays_dead = "a-holder-stays-dead",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_holder_is_stopped_and_goes_on = "a-holder-is-stopped-and-goes-on",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_chosen_node_is_killed = "a-chosen-node-is-killed",
        the_mesh_is_cut_one_way = "the-mesh-is-cut-one-way",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_holders_cable_is_cut = "a-holders-cable-is-cut",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_holder_is_drained = "a-holder-is-drained",
        a_node_is_drained_and_comes_back = "a-node-is-drained-and-comes-back",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        the_mesh_is_slow_and_loses = "the-mesh-is-slow-and-loses",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_holder_dies_and_the_others_are_cut_apart = "a-holder-dies-and-the-others-are-cut-apart",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        a_holder_is_killed_while_a_link_is_cut = "a-holder-is-killed-while-a-link-is-cut",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        the_mesh_carries_the_frames = "the-mesh-carries-the-frames",
        #[ignore = "takes long: netns-tests/run --long runs it"]
        the_networks_lose_and_double = "the-networks-lose-and-double",
    }
}
