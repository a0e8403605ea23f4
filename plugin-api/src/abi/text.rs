//! Texts, bytes and small structures that functions of the contract take and give.

/// Text in UTF-8, not ended by a zero.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldText {
    /// First byte; null only if the text is empty.
    pub bytes: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// Room that the host lends for a text that the plugin writes.
#[derive(Debug)]
#[repr(C)]
pub struct HeraldTextRoom {
    /// First byte of the room.
    pub bytes: *mut u8,
    /// Size of the room in bytes.
    pub capacity: usize,
    /// Bytes written, by the plugin.
    pub len: usize,
}

/// Bytes, not to be written.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldBytes {
    /// First byte; null only if there are none.
    pub bytes: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// A stream that a plugin expects because of what it has read in another: the data connection that a control connection
/// agrees on. What it says holds on this node alone, until the first such stream has started or the time is over.
/// Reserved: not yet built.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldExpected {
    /// Size of this structure in bytes.
    pub size: u32,
    /// The mark that the stream starts with.
    pub mark: u32,
    /// How long it is expected, in nanoseconds.
    pub time: u64,
    /// The opener's address, IPv4 as IPv4-mapped IPv6; all zeros: any.
    pub source: [u8; 16],
    /// The address it speaks to, in the same form.
    pub destination: [u8; 16],
    /// The port it speaks to.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// What becomes of the stream (`HERALD_ACTION_*`): with `HERALD_ACTION_PASS` the plugins judge it, with
    /// `HERALD_ACTION_ACCEPT` they see none of it, the others end it.
    pub action: u8,
    /// Zero.
    pub reserved: u32,
}

/// The members of the cluster that take streams. Reserved: not yet built.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct HeraldCluster {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Members that are given new streams now, this node among them if it is.
    pub members: u32,
    /// The share of new streams that this node is given, in thousandths.
    pub share: u32,
    /// Counts the changes.
    pub version: u32,
}

/// What a counter of the whole cluster says. Reserved: not yet built.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct HeraldSum {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Nodes whose part is in the sum, this one included.
    pub nodes: u32,
    /// This node's part.
    pub own: u64,
    /// All parts together.
    pub sum: u64,
    /// Age of the oldest part, in nanoseconds.
    pub age: u64,
}
