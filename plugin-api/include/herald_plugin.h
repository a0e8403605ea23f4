/* The C contract between the Herald router and its plugins.
 * Generated from plugin-api/src/abi.rs, which holds the rules of the contract; do not edit.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef HERALD_PLUGIN_H
#define HERALD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * Contracts with different major numbers do not understand each other, but for 0.9, which becomes 1.0 by additions alone:
 * hosts of 1.x load plugins of 0.9. Both have the entry symbol `herald_plugin_v1`.
 */
#define HERALD_ABI_MAJOR 0

/**
 * Counts the additions within one major number; any two from 9 on understand each other.
 */
#define HERALD_ABI_MINOR 9

/**
 * Most packets in one batch.
 */
#define HERALD_BATCH_PACKETS_MAX 64

/**
 * Largest size of a plugin's state of one stream, in bytes.
 */
#define HERALD_STATE_SIZE_MAX 4096

/**
 * Largest alignment of a plugin's state of one stream, in bytes.
 */
#define HERALD_STATE_ALIGN_MAX 64

/**
 * Most bytes that `HeraldStreamBytes::want` may ask for; more counts as so many.
 */
#define HERALD_WANT_MAX 1048576

/**
 * Status: done.
 */
#define HERALD_OK 0

/**
 * Status: the plugin failed. From `packets`: it failed at the packet that `HeraldBatch::reached` names.
 */
#define HERALD_FAULT -1

/**
 * Status of the host's functions: no hook in which this may be said runs on this thread.
 */
#define HERALD_NO_CALL -2

/**
 * Status of the host's functions: an argument that the contract does not allow.
 */
#define HERALD_WRONG -3

/**
 * Status of the host's functions: a bound is reached; the same may succeed later.
 */
#define HERALD_FULL -4

/**
 * Status of the host's functions: the packet has no room for that, or may not change its length.
 */
#define HERALD_NO_ROOM -5

/**
 * Status of the host's functions: the packet's checksum is wrong, or it is a fragment: it is not to be rewritten.
 */
#define HERALD_UNSOUND -6

/**
 * Status of the host's functions: there is nothing of that name.
 */
#define HERALD_NOTHING -7

/**
 * In place of a packet's index: the instance itself. Reserved: not yet built.
 */
#define HERALD_INSTANCE UINT32_MAX

/**
 * Action: no opinion, next plugin. With a wider scope than the packet: do not ask me again within that scope.
 */
#define HERALD_ACTION_PASS 0

/**
 * Action: skip the rest of the chain.
 */
#define HERALD_ACTION_ACCEPT 1

/**
 * Action: skip the rest of the chain for this packet, and do not call me again for this stream.
 */
#define HERALD_ACTION_BYPASS 2

/**
 * Action: keep the packet until `HeraldHost::resolve` or a time-out. Not from `stream_started` or `timer`. Reserved: not yet
 * built; who says it has failed.
 */
#define HERALD_ACTION_HOLD 3

/**
 * Action: end the packet silently.
 */
#define HERALD_ACTION_DROP 4

/**
 * Action: end the packet and tell both ends: TCP resets, ICMP prohibited.
 */
#define HERALD_ACTION_REJECT 5

/**
 * Scope: this packet.
 */
#define HERALD_SCOPE_PACKET 0

/**
 * Scope: this and all later packets of the stream in this direction.
 */
#define HERALD_SCOPE_FLOW 1

/**
 * Scope: this and all later packets of the stream.
 */
#define HERALD_SCOPE_STREAM 2

/**
 * Direction: from the opener of the stream.
 */
#define HERALD_DIRECTION_FROM_OPENER 0

/**
 * Direction: to the opener.
 */
#define HERALD_DIRECTION_TO_OPENER 1

/**
 * Interface: the first.
 */
#define HERALD_INTERFACE_FIRST 0

/**
 * Interface: the second.
 */
#define HERALD_INTERFACE_SECOND 1

/**
 * Transport: one of which nothing more was parsed.
 */
#define HERALD_TRANSPORT_OTHER 0

/**
 * Transport: TCP; ports and control bits are set.
 */
#define HERALD_TRANSPORT_TCP 1

/**
 * Transport: UDP; ports are set.
 */
#define HERALD_TRANSPORT_UDP 2

/**
 * Transport: ICMP or ICMPv6 echo request or reply; both ports are the identifier.
 */
#define HERALD_TRANSPORT_ECHO 3

/**
 * Transport: ICMP or ICMPv6 error that quotes a packet of this stream.
 */
#define HERALD_TRANSPORT_ICMP_ERROR 4

/**
 * Mark of a packet: a fragment of a datagram; only the first one has a transport header.
 */
#define HERALD_PACKET_FRAGMENT 1

/**
 * Mark of a packet: a whole datagram, put together from fragments.
 */
#define HERALD_PACKET_WHOLE 2

/**
 * Mark of a packet: its transport checksum is partial; the field holds the pseudo header's sum.
 */
#define HERALD_PACKET_CHECKSUM_PARTIAL 4

/**
 * Mark of a packet: somebody has verified its transport checksum already. Without this mark and the former nobody has.
 */
#define HERALD_PACKET_CHECKSUM_VALID 8

/**
 * Mark of a packet: odd but legal, such as overlong options; the router lets it pass.
 */
#define HERALD_PACKET_ODD 16

/**
 * Mark of a packet: a plugin made it.
 */
#define HERALD_PACKET_INJECTED 32

/**
 * Mark of a packet: an earlier plugin has rewritten it.
 */
#define HERALD_PACKET_REWRITTEN 64

/**
 * Segmentation: none, the frame is one packet (`virtio_net_hdr`, as all of these).
 */
#define HERALD_GSO_NONE 0

/**
 * Segmentation: TCP over IPv4.
 */
#define HERALD_GSO_TCPV4 1

/**
 * Segmentation: TCP over IPv6.
 */
#define HERALD_GSO_TCPV6 4

/**
 * Segmentation: several UDP datagrams behind one header.
 */
#define HERALD_GSO_UDP 5

/**
 * What is known of bytes in order: some are missing in front of them. The stream had begun before it came to this node, or an
 * earlier plugin has accepted them.
 */
#define HERALD_BYTES_GAP 1

/**
 * What is known of bytes in order: behind them the sender has closed this direction.
 */
#define HERALD_BYTES_END 2

/**
 * What is known of bytes in order: the host cannot go on, and by its exception policy the rest of the stream passes without
 * inspection. It is the last call for this stream.
 */
#define HERALD_BYTES_LOST 4

/**
 * End reason: both FINs were acknowledged.
 */
#define HERALD_END_FINISHED 0

/**
 * End reason: a TCP reset.
 */
#define HERALD_END_RESET 1

/**
 * End reason: nothing came for the state's time.
 */
#define HERALD_END_TIMED_OUT 2

/**
 * End reason: a plugin dropped or rejected the stream.
 */
#define HERALD_END_VERDICT 3

/**
 * End reason: another node won the stream.
 */
#define HERALD_END_REFUSED 4

/**
 * End reason: a new connection took the stream's key.
 */
#define HERALD_END_REPLACED 5

/**
 * End reason: the node stops.
 */
#define HERALD_END_SHUTDOWN 6

/**
 * End reason: another node has taken the stream over from this one.
 */
#define HERALD_END_HANDED_OVER 7

/**
 * End reason: the stream made room for others in a full table.
 */
#define HERALD_END_EVICTED 8

/**
 * Log level: something failed.
 */
#define HERALD_LEVEL_ERROR 1

/**
 * Log level: something is odd.
 */
#define HERALD_LEVEL_WARN 2

/**
 * Log level: something worth knowing happened.
 */
#define HERALD_LEVEL_INFO 3

/**
 * Log level: for who looks for a mistake.
 */
#define HERALD_LEVEL_DEBUG 4

/**
 * Log level: every step.
 */
#define HERALD_LEVEL_TRACE 5

/**
 * Owner name of the ELF note in section `.note.herald`, padded to 8 bytes with zeros; its length counts one zero.
 */
#define HERALD_NOTE_OWNER_LEN 7

/**
 * Type of the ELF note: a manifest.
 */
#define HERALD_NOTE_TYPE 1

/**
 * First word of the manifest: `HRLD` in memory order of a little-endian machine.
 */
#define HERALD_NOTE_MAGIC 1145852488

/**
 * Bit of `HeraldNoteHeader::flags`: a panic is caught in the plugin and comes out as a fault.
 */
#define HERALD_NOTE_FAULTS_CAUGHT 1

/**
 * Text in UTF-8, not ended by a zero.
 */
typedef struct {
    /**
     * First byte; null only if the text is empty.
     */
    const uint8_t *bytes;
    /**
     * Length in bytes.
     */
    uintptr_t len;
} HeraldText;

/**
 * Room that the host lends for a text that the plugin writes.
 */
typedef struct {
    /**
     * First byte of the room.
     */
    uint8_t *bytes;
    /**
     * Size of the room in bytes.
     */
    uintptr_t capacity;
    /**
     * Bytes written, by the plugin.
     */
    uintptr_t len;
} HeraldTextRoom;

/**
 * Bytes, not to be written.
 */
typedef struct {
    /**
     * First byte; null only if there are none.
     */
    const uint8_t *bytes;
    /**
     * Length in bytes.
     */
    uintptr_t len;
} HeraldBytes;

/**
 * A stream that a plugin expects because of what it has read in another: the data connection that a control connection
 * agrees on. What it says holds on this node alone, until the first such stream has started or the time is over.
 * Reserved: not yet built.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * The mark that the stream starts with.
     */
    uint32_t mark;
    /**
     * How long it is expected, in nanoseconds.
     */
    uint64_t time;
    /**
     * The opener's address, IPv4 as IPv4-mapped IPv6; all zeros: any.
     */
    uint8_t source[16];
    /**
     * The address it speaks to, in the same form.
     */
    uint8_t destination[16];
    /**
     * The port it speaks to.
     */
    uint16_t destination_port;
    /**
     * IP protocol number.
     */
    uint8_t protocol;
    /**
     * What becomes of the stream (`HERALD_ACTION_*`): with `HERALD_ACTION_PASS` the plugins judge it, with
     * `HERALD_ACTION_ACCEPT` they see none of it, the others end it.
     */
    uint8_t action;
    /**
     * Zero.
     */
    uint32_t reserved;
} HeraldExpected;

/**
 * The members of the cluster that take streams. Reserved: not yet built.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Members that are given new streams now, this node among them if it is.
     */
    uint32_t members;
    /**
     * The share of new streams that this node is given, in thousandths.
     */
    uint32_t share;
    /**
     * Counts the changes.
     */
    uint32_t version;
} HeraldCluster;

/**
 * What a counter of the whole cluster says. Reserved: not yet built.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Nodes whose part is in the sum, this one included.
     */
    uint32_t nodes;
    /**
     * This node's part.
     */
    uint64_t own;
    /**
     * All parts together.
     */
    uint64_t sum;
    /**
     * Age of the oldest part, in nanoseconds.
     */
    uint64_t age;
} HeraldSum;

/**
 * What the host offers. It lives as long as the process.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * The host takes log messages up to this level (`HERALD_LEVEL_*`).
     */
    uint32_t level;
    /**
     * `HERALD_ABI_MAJOR` of the host.
     */
    uint32_t abi_major;
    /**
     * `HERALD_ABI_MINOR` of the host.
     */
    uint32_t abi_minor;
    /**
     * [any] Writes a message of the named plugin to the host's log. Must not be called for each packet.
     */
    void (*log)(uint32_t level, HeraldText plugin, HeraldText message);
    /**
     * [any] Nanoseconds since 1970-01-01 00:00 UTC.
     */
    uint64_t (*unix_nanos)(void);
    /**
     * [any] An addition to the contract by its name, such as `herald.x.NAME/0`; null if the host has none of it.
     */
    const void *(*extension)(HeraldText name);
    /**
     * [loop] In `packets`: replaces `old_len` bytes of a packet, from `from` bytes behind its Ethernet header's start, by
     * others, which are copied. It takes effect behind the call: the packet's bytes stay what they are during it, and later
     * plugins see what was written. The host mends lengths, checksums and the offload header. Only bytes of the transport's
     * payload may be replaced by more or fewer, and neither those of TCP, nor of a super-frame or a datagram that was put together. `HERALD_NO_ROOM`,
     * `HERALD_UNSOUND`, `HERALD_WRONG`, `HERALD_FULL`.
     */
    int32_t (*replace)(uint32_t at, uint32_t from, uint32_t old_len, HeraldBytes bytes);
    /**
     * [loop] In `packets`, `timer` or `stream_started`: sends an IP packet of the stream in a direction
     * (`HERALD_DIRECTION_*`). Its bytes, from the IP header on, are copied; the host mends its checksums. Later plugins see
     * it, earlier ones and this one do not. `HERALD_WRONG` if it is no packet of the stream.
     */
    int32_t (*inject)(uint32_t at, uint8_t direction, HeraldBytes packet);
    /**
     * [loop] In every hook of a stream: the stream's mark from now on, which later plugins and reports see.
     */
    int32_t (*mark)(uint32_t at, uint32_t mark);
    /**
     * [loop] In every hook of a stream: notes a value under a name, for later plugins and reports. A name's later value takes
     * the place of the former. `HERALD_FULL` if the stream has as many notes as it may have, or a text is too long.
     */
    int32_t (*note)(uint32_t at, HeraldText name, HeraldText value);
    /**
     * [loop] In every hook of a stream: copies what was noted under a name; `HERALD_NOTHING` without such a note. What this
     * very call has noted is seen behind it.
     */
    int32_t (*noted)(uint32_t at, HeraldText name, HeraldTextRoom *value);
    /**
     * [loop] In every hook: calls `timer` once with this token, after so many nanoseconds; of the stream, or of the instance
     * (`HERALD_INSTANCE`). Reserved: not yet built.
     */
    int32_t (*timer)(uint32_t at, uint64_t after, uint64_t token);
    /**
     * [loop] In every hook of a stream: a related stream is expected. Reserved: not yet built.
     */
    int32_t (*expect)(uint32_t at, const HeraldExpected *expected);
    /**
     * [loop] In `packets`: a packet for which the verdict is `HERALD_ACTION_HOLD` waits at most so many nanoseconds; then it
     * meets `action`: pass, drop or reject. Reserved: not yet built.
     */
    int32_t (*hold)(uint32_t at, uint64_t time, uint8_t action);
    /**
     * [loop] In every hook: all packets of a stream, by its number, that this plugin holds meet `action`: pass, drop or
     * reject. `HERALD_NOTHING` if there are none. Reserved: not yet built.
     */
    int32_t (*resolve)(uint64_t stream, uint8_t action);
    /**
     * [loop] In every hook: adds to a counter of the whole cluster, declared in the manifest, under a key of at most 32 bytes;
     * `sum` says what it has, summed over the members each second. `HERALD_NOTHING` without such a counter, `HERALD_FULL`
     * if the key found no place. Reserved: not yet built.
     */
    int32_t (*count)(HeraldText name, HeraldBytes key, uint64_t more, HeraldSum *sum);
} HeraldHost;

/**
 * A stream as it is told to plugins at its start and its end.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * IP protocol number.
     */
    uint8_t protocol;
    /**
     * The interface at which the stream opened (`HERALD_INTERFACE_*`).
     */
    uint8_t interface;
    /**
     * 1 if the stream was taken up in its middle, else 0.
     */
    uint8_t midstream;
    /**
     * Zero.
     */
    uint8_t reserved;
    /**
     * Number of the stream on this node, never reused in one run of the node.
     */
    uint64_t id;
    /**
     * The opener's address; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
     */
    uint8_t source[16];
    /**
     * The address the opener spoke to, in the same form.
     */
    uint8_t destination[16];
    /**
     * The opener's port; the identifier of an ICMP echo; 0 for protocols without ports.
     */
    uint16_t source_port;
    /**
     * The port the opener spoke to, likewise.
     */
    uint16_t destination_port;
    /**
     * The stream's mark.
     */
    uint32_t mark;
    /**
     * Now, in nanoseconds of the host's monotonic clock.
     */
    uint64_t now;
    /**
     * Id of the chosen node, which is the node that asks.
     */
    HeraldText chosen;
    /**
     * Number of the stream in which a plugin has expected this one; 0 if none has. Reserved: always 0, since `expect`
     * is not yet built.
     */
    uint64_t related;
    /**
     * Now, in nanoseconds since 1970-01-01 00:00 UTC.
     */
    uint64_t unix_now;
} HeraldStream;

/**
 * A stream's end.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Why the stream ended (`HERALD_END_*`).
     */
    uint32_t reason;
    /**
     * Packets on the wire from the opener.
     */
    uint64_t packets_from_opener;
    /**
     * Ethernet bytes from the opener.
     */
    uint64_t bytes_from_opener;
    /**
     * Packets on the wire to the opener.
     */
    uint64_t packets_to_opener;
    /**
     * Ethernet bytes to the opener.
     */
    uint64_t bytes_to_opener;
    /**
     * When the stream started, in nanoseconds of the host's monotonic clock.
     */
    uint64_t started;
    /**
     * When its last packet came, on the same clock.
     */
    uint64_t last_packet;
    /**
     * Id of the plugin that has ended the stream; empty if none has.
     */
    HeraldText by;
    /**
     * Its reason, such as a rule's name.
     */
    HeraldText why;
    /**
     * To be given to `each_note`.
     */
    const void *notes;
    /**
     * [loop] Calls `note` with each note of the stream, in the order in which their names came; only inside `stream_ended`.
     */
    void (*each_note)(const void *notes, void *context, void (*note)(void *context, HeraldText name, HeraldText value));
} HeraldEnd;

/**
 * Bytes of one direction of a TCP stream, in order, as its receiver's application will read them.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Who sent them (`HERALD_DIRECTION_*`).
     */
    uint8_t direction;
    /**
     * What is known of them (`HERALD_BYTES_*`).
     */
    uint8_t marks;
    /**
     * Zero.
     */
    uint16_t reserved;
    /**
     * Number of the stream on this node.
     */
    uint64_t stream;
    /**
     * The plugin's state of the stream.
     */
    void *state;
    /**
     * Where they begin: bytes of this direction behind its SYN, or behind what came first of a stream that had begun before.
     */
    uint64_t offset;
    /**
     * Those that this plugin has not seen yet; there may be none.
     */
    HeraldBytes fresh;
    /**
     * By the plugin: do not call me again for this direction until so many more bytes are there, or it ends. At most
     * `HERALD_WANT_MAX`; 0 is as good as 1.
     */
    uint64_t want;
    /**
     * Now, in nanoseconds of the host's monotonic clock.
     */
    uint64_t now;
    /**
     * Now, in nanoseconds since 1970-01-01 00:00 UTC.
     */
    uint64_t unix_now;
    /**
     * The stream's mark.
     */
    uint32_t mark;
    /**
     * Zero.
     */
    uint32_t reserved_too;
} HeraldStreamBytes;

/**
 * One packet of a batch: a flat descriptor, so that reading a field is a load. Offsets are in bytes from the start of
 * the Ethernet header and never lie behind `len`.
 */
typedef struct {
    /**
     * The frame, from its Ethernet header on. Not to be written: `HeraldHost::replace` writes.
     */
    const uint8_t *bytes;
    /**
     * The plugin's own state of the packet's stream: `state_size` bytes that never move while the stream lives. May be
     * null where that size is 0.
     */
    void *state;
    /**
     * Number of the stream.
     */
    uint64_t stream;
    /**
     * Length of the frame in bytes.
     */
    uint32_t len;
    /**
     * Where the IP packet ends; Ethernet padding may follow.
     */
    uint32_t end;
    /**
     * Packets on the wire that the frame stands for: more than 1 for a super-frame.
     */
    uint32_t wire_packets;
    /**
     * Where the IP header starts.
     */
    uint16_t network_at;
    /**
     * Where the transport header starts.
     */
    uint16_t transport_at;
    /**
     * Where the transport's payload starts.
     */
    uint16_t payload_at;
    /**
     * Source port, or identifier of an ICMP echo, or 0.
     */
    uint16_t source_port;
    /**
     * Destination port, or identifier of an ICMP echo, or 0.
     */
    uint16_t destination_port;
    /**
     * IP protocol number of the transport.
     */
    uint8_t protocol;
    /**
     * 4 or 6.
     */
    uint8_t ip_version;
    /**
     * What was parsed of the transport (`HERALD_TRANSPORT_*`).
     */
    uint8_t transport;
    /**
     * TCP control bits as on the wire (RFC 9293, section 3.1), else 0.
     */
    uint8_t tcp_flags;
    /**
     * Who sent it, seen from the stream (`HERALD_DIRECTION_*`).
     */
    uint8_t direction;
    /**
     * Where it arrived (`HERALD_INTERFACE_*`).
     */
    uint8_t interface;
    /**
     * The stream's mark when the packet came to this plugin.
     */
    uint32_t mark;
    /**
     * What else is known of it (`HERALD_PACKET_*`).
     */
    uint16_t marks;
    /**
     * Payload bytes of each packet on the wire, if the frame is a super-frame; else 0.
     */
    uint16_t gso_size;
    /**
     * Outermost VLAN tag as on the wire: priority, eligibility and id (IEEE 802.1Q); 0 without a tag.
     */
    uint16_t vlan;
    /**
     * VLAN tags between the Ethernet addresses and the IP header.
     */
    uint8_t vlan_tags;
    /**
     * How the frame is cut into packets (`HERALD_GSO_*`).
     */
    uint8_t gso_type;
} HeraldPacket;

/**
 * What a plugin says of a packet or a stream. The host sets each to zeros, which is pass, before it asks.
 */
typedef struct {
    /**
     * `HERALD_ACTION_*`.
     */
    uint8_t action;
    /**
     * `HERALD_SCOPE_*`.
     */
    uint8_t scope;
    /**
     * Zero. Effects are said by functions of `HeraldHost`.
     */
    uint16_t reserved;
    /**
     * Length of the reason in bytes.
     */
    uint32_t reason_len;
    /**
     * Reason of a drop or reject: a short text in UTF-8 that stays valid and unchanged as long as the process lives.
     */
    const uint8_t *reason;
} HeraldVerdict;

/**
 * Packets to judge, in the order of their arrival. Several may belong to one stream: what a plugin says of packets
 * that its own earlier verdict already covers does not count.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Number of packets and verdicts, at most `HERALD_BATCH_PACKETS_MAX`.
     */
    uint32_t count;
    /**
     * Distance from one packet to the next in bytes.
     */
    uint32_t packet_size;
    /**
     * Distance from one verdict to the next in bytes.
     */
    uint32_t verdict_size;
    /**
     * Index of the packet the plugin has come to; it counts when the plugin returns `HERALD_FAULT`.
     */
    uint32_t reached;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * Now, in nanoseconds of the host's monotonic clock.
     */
    uint64_t now;
    /**
     * The first packet.
     */
    const HeraldPacket *packets;
    /**
     * The first verdict, to be written.
     */
    HeraldVerdict *verdicts;
    /**
     * Now, in nanoseconds since 1970-01-01 00:00 UTC.
     */
    uint64_t unix_now;
} HeraldBatch;

/**
 * Where a plugin reports its counters.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * To be given to `report`.
     */
    void *context;
    /**
     * [control] Reports one counter; the name is copied. To be called only inside `counters`.
     */
    void (*report)(void *context, HeraldText name, uint64_t value);
} HeraldCounterSink;

/**
 * What a plugin offers. It lives as long as the process. Hooks may be null: then the plugin is not asked.
 */
typedef struct {
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * Bytes of state for each stream, at most `HERALD_STATE_SIZE_MAX`; the same as in the manifest.
     */
    uint32_t state_size;
    /**
     * Alignment of that state: a power of two, at most `HERALD_STATE_ALIGN_MAX`.
     */
    uint32_t state_align;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * [control] Makes an instance from its configuration, a text in TOML. Null: refused, and `error` says why.
     */
    void *(*create)(HeraldText config, HeraldTextRoom *error);
    /**
     * [control] Unmakes an instance; nothing is called with it later. Streams that live then are not told.
     */
    void (*destroy)(void *instance);
    /**
     * [loop] A stream started: make its state and say what is known of it already. The host gives `state_size` bytes of
     * zeroes, aligned; what the plugin leaves there, padding included, the host neither reads nor writes until the stream
     * has ended. A verdict that ends packets covers the whole stream whatever its scope. After a fault the state counts
     * as not made.
     */
    int32_t (*stream_started)(void *instance, const HeraldStream *stream, void *state, HeraldVerdict *verdict);
    /**
     * [loop] Judges packets. The host reads the verdicts behind the call, so a batch may have packets that the plugin's
     * own verdict on an earlier one covers; what it says of them counts for nothing.
     */
    int32_t (*packets)(void *instance, HeraldBatch *batch);
    /**
     * [loop] A stream ended: unmake its state, whose bytes are nobody's afterwards. Not called after a fault of this
     * plugin in this stream.
     */
    int32_t (*stream_ended)(void *instance, const HeraldStream *stream, const HeraldEnd *end, void *state);
    /**
     * [control] Reports the plugin's own counters. May run while the loop's thread is inside another hook.
     */
    int32_t (*counters)(void *instance, const HeraldCounterSink *sink);
    /**
     * [any] An addition to the contract by its name; null if the plugin has none of it.
     */
    const void *(*extension)(HeraldText name);
    /**
     * [loop] The time of a timer has come: of a stream, with its state, or of the instance, with neither. The verdict counts
     * for the stream from here on; one for a packet is none. Reserved: not yet built.
     */
    int32_t (*timer)(void *instance, const HeraldStream *stream, void *state, uint64_t token, HeraldVerdict *verdict);
    /**
     * [loop] Writes a stream's state as bytes that `stream_imported` of any build with the manifest's `state_version`
     * understands. The state stays as it is. Reserved: not yet built.
     */
    int32_t (*stream_exported)(void *instance, const HeraldStream *stream, void *state, HeraldTextRoom *bytes);
    /**
     * [loop] In place of `stream_started`: makes the state of a stream that was another node's, or another build's, from
     * bytes that `stream_exported` has written with this state version. `HERALD_WRONG`: it does not understand them, and
     * the state is not made. Reserved: not yet built.
     */
    int32_t (*stream_imported)(void *instance,
                               const HeraldStream *stream,
                               HeraldBytes bytes,
                               uint32_t version,
                               void *state);
    /**
     * [control] Obeys an operator's words and writes an answer of some lines. May run while the loop's thread is inside
     * another hook. `HERALD_WRONG`: it does not know that command, and the answer says what it knows. Reserved: not yet
     * built.
     */
    int32_t (*command)(void *instance, HeraldText words, HeraldTextRoom *answer);
    /**
     * [control] Prepares something large, such as a list that is read from a file, for `adopt`: when the node starts, with
     * no words, and when an operator says `reload`. Null: nothing is adopted; then what was written is the reason, if it is
     * not empty. Reserved: not yet built.
     */
    void *(*prepare)(void *instance, HeraldText words, HeraldTextRoom *answer);
    /**
     * [loop] Between two batches: takes what `prepare` made in use and returns what was in use before, or null. Reserved:
     * not yet built.
     */
    void *(*adopt)(void *instance, void *prepared);
    /**
     * [control] Frees what `adopt` returned, or what `prepare` made and nobody adopted. Reserved: not yet built.
     */
    void (*discard)(void *instance, void *prepared);
    /**
     * [loop] The members that take streams have changed; also called once before the first stream. Reserved:
     * not yet built.
     */
    int32_t (*cluster_changed)(void *instance, const HeraldCluster *cluster);
    /**
     * [loop] Judges bytes of a TCP stream, in order, before the segment that carries the last of them leaves. Reserved: not
     * yet built. It will be called only if the manifest's `hooks` name it, and of streams that its filter takes. A drop or reject covers the whole stream, whatever
     * its scope. `HERALD_ACTION_PASS` for the flow or the stream: the plugin wants no more bytes of it; packets it still sees, as
     * it sees bytes after such a word on packets. `HERALD_ACTION_BYPASS`: it is not called about the stream any more, by either
     * hook. `HERALD_ACTION_ACCEPT`: the plugins behind it do not see these bytes; with a wider scope, neither bytes nor packets,
     * whichever hook says so.
     */
    int32_t (*stream_bytes)(void *instance, HeraldStreamBytes *bytes, HeraldVerdict *verdict);
    /**
     * Null. The place of `fact`, which gets what the host's parsers read. Reserved: not yet built.
     */
    const void *fact;
} HeraldPlugin;

/**
 * The fixed part of the manifest in the ELF note; the text of `plugin.toml` and the schema of the
 * configuration follow it. The host reads it before the
 * file is loaded, so a wrong plugin never runs an instruction.
 */
typedef struct {
    /**
     * `HERALD_NOTE_MAGIC`.
     */
    uint32_t magic;
    /**
     * Size of this structure in bytes.
     */
    uint32_t size;
    /**
     * `HERALD_ABI_MAJOR` the plugin was built with.
     */
    uint32_t abi_major;
    /**
     * `HERALD_ABI_MINOR` the plugin was built with.
     */
    uint32_t abi_minor;
    /**
     * Size of `HeraldHost`.
     */
    uint32_t host_size;
    /**
     * Size of `HeraldPlugin`.
     */
    uint32_t plugin_size;
    /**
     * Size of `HeraldStream`.
     */
    uint32_t stream_size;
    /**
     * Size of `HeraldEnd`.
     */
    uint32_t end_size;
    /**
     * Size of `HeraldPacket`.
     */
    uint32_t packet_size;
    /**
     * Size of `HeraldVerdict`.
     */
    uint32_t verdict_size;
    /**
     * Size of `HeraldBatch`.
     */
    uint32_t batch_size;
    /**
     * Bytes of state for each stream.
     */
    uint32_t state_size;
    /**
     * Alignment of that state.
     */
    uint32_t state_align;
    /**
     * `HERALD_NOTE_*` bits.
     */
    uint32_t flags;
    /**
     * Length of the text in bytes.
     */
    uint32_t text_len;
    /**
     * Length in bytes of the schema of its configuration (JSON Schema), which follows the text; 0 without one.
     */
    uint32_t schema_len;
} HeraldNoteHeader;

/**
 * The entry of a plugin, exported as `herald_plugin_v1`. [control] Called once for each loaded library; null if the
 * plugin cannot work with this host.
 */
typedef const HeraldPlugin *(*HeraldEntry)(const HeraldHost *host);

#endif  /* HERALD_PLUGIN_H */

#ifdef __cplusplus
extern "C" {
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
#endif
