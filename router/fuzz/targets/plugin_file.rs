//! A plugin's file as far as it is read before it is loaded: ELF, note, manifest.

use std::path::Path;

use herald_host::Manifest;

pub(crate) fn run(data: &[u8]) {
    match Manifest::read(Path::new("plugin.so"), data) {
        Ok(manifest) => assert!(manifest.state_align.is_power_of_two(), "{manifest:?}"),
        Err(error) => assert!(error.to_string().contains("plugin.so"), "{error}"),
    }
}
