//! The C header is what cbindgen makes of `abi.rs`. `HERALD_WRITE_HEADER=1 cargo test -p herald-plugin --test header`
//! writes it anew.

use std::path::Path;

use cbindgen::{Builder, Language, Style};

const HEAD: &str = "\
/* The C contract between the Herald router and its plugins.
 * Generated from plugin-api/src/abi.rs, which holds the rules of the contract; do not edit.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */";

const TAIL: &str = "\
#ifdef __cplusplus
extern \"C\" {
#endif

/**
 * The one function that a plugin exports (HeraldEntry). [control] Called once for each loaded library.
 */
const HeraldPlugin *herald_plugin_v1(const HeraldHost *host);

/**
 * Copies a packet's source address, IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
 */
static inline void herald_packet_source(const HeraldPacket *packet, uint8_t address[16]) {
    const uint8_t *ip = packet->bytes + packet->network_at;
    for (int i = 0; i < 16; i++)
        address[i] = packet->ip_version == 6 ? ip[8 + i] : i < 10 ? 0 : i < 12 ? 0xff : ip[i];
}

/**
 * Copies a packet's destination address in the same form.
 */
static inline void herald_packet_destination(const HeraldPacket *packet, uint8_t address[16]) {
    const uint8_t *ip = packet->bytes + packet->network_at;
    for (int i = 0; i < 16; i++)
        address[i] = packet->ip_version == 6 ? ip[24 + i] : i < 10 ? 0 : i < 12 ? 0xff : ip[4 + i];
}

#ifdef __cplusplus
}
#endif";

const TYPES: [&str; 17] = [
    "HeraldText",
    "HeraldTextRoom",
    "HeraldBytes",
    "HeraldExpected",
    "HeraldCluster",
    "HeraldSum",
    "HeraldHost",
    "HeraldStream",
    "HeraldEnd",
    "HeraldStreamBytes",
    "HeraldPacket",
    "HeraldVerdict",
    "HeraldBatch",
    "HeraldCounterSink",
    "HeraldPlugin",
    "HeraldNoteHeader",
    "HeraldEntry",
];

#[test]
fn the_header_is_generated_from_abi_rs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut builder = Builder::new()
        .with_src(folder.join("src/abi.rs"))
        .with_src(folder.join("src/abi/numbers.rs"))
        .with_src(folder.join("src/abi/text.rs"))
        .with_src(folder.join("src/abi/host.rs"))
        .with_src(folder.join("src/abi/stream.rs"))
        .with_src(folder.join("src/abi/packet.rs"))
        .with_src(folder.join("src/abi/plugin.rs"))
        .with_src(folder.join("src/abi/manifest.rs"))
        .with_language(Language::C)
        .with_style(Style::Type)
        .with_cpp_compat(true)
        .with_include_guard("HERALD_PLUGIN_H")
        .with_no_includes()
        .with_sys_include("stddef.h")
        .with_sys_include("stdint.h")
        .with_line_length(120)
        .with_tab_width(4)
        .with_documentation(true)
        .with_header(HEAD)
        .with_trailer(TAIL);
    builder = TYPES.into_iter().fold(builder, Builder::include_item);
    let mut generated = Vec::new();
    builder.generate().expect("abi.rs is understood").write(&mut generated);
    let generated = String::from_utf8(generated).unwrap().replace("\\[", "[").replace("\\]", "]");

    let path = folder.join("include/herald_plugin.h");
    if std::env::var_os("HERALD_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == generated,
        "{} is not what abi.rs says; write it anew: HERALD_WRITE_HEADER=1 cargo test -p herald-plugin --test header",
        path.display()
    );
}
