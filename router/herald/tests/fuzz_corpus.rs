//! Replays the corpus of the fuzz targets (`router/fuzz`): whatever was found once stays mended.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by a panic and looks only at what concerns it"
)]

use std::fs;
use std::path::Path;

#[path = "../../fuzz/targets/mod.rs"]
mod targets;

fn replay(target: &str) {
    let (_, body) = targets::ALL.iter().find(|(name, _)| *name == target).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        // Shown when it fails.
        println!("{}", file.display());
        body(&fs::read(&file).unwrap());
    }
}

macro_rules! tests {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let targets = targets::ALL.map(|(name, _)| name);
            assert_eq!([$(stringify!($target)),*], targets);
        }
    };
}

tests!(advert configuration facts_dns facts_http facts_quic facts_ssh facts_stream facts_tls link node plugin_file probe scenario segments stream);
