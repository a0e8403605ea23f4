//! Ways to break the program on purpose, so that the simulator's checkers can be seen to notice. They exist only in builds
//! with debug assertions; in a release [`is_on`] is a constant `false`, and the compiler leaves nothing of a mutation. A
//! switch for the thread and not a setting, so that the program's own settings know nothing of it and nobody outside can
//! reach it; each simulated world runs in one thread.

/// Declares the mutations with their names, so that none lacks one.
macro_rules! mutations {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One way to break the program.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation { $($(#[$doc])* $variant,)* }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the command line and in the table.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

mutations! {
    /// The first packet leaves without waiting for the acknowledgement.
    TransmitEarly = "transmit-early",
    /// A redirector acknowledges without making the session.
    AcknowledgeUnheard = "acknowledge-unheard",
    /// An acknowledgement counts whatever epoch it names.
    AcceptOldEpoch = "accept-old-epoch",
    /// A node obeys whatever epoch it hears of last.
    ObeyOldEpoch = "obey-old-epoch",
    /// Anybody may announce anybody's streams.
    SpeakForOthers = "speak-for-others",
    /// An announcement counts whatever boot it names.
    AcceptAnyBoot = "accept-any-boot",
    /// Anybody may close anybody's streams, and a lower generation wins.
    CloseForOthers = "close-for-others",
    /// Anybody may give anybody's streams away.
    AssignForOthers = "assign-for-others",
    /// Anybody's fence counts, of whatever generation.
    FenceForOthers = "fence-for-others",
    /// Streams do not end by silence.
    NeverExpire = "never-expire",
    /// Streams end after a quarter of their time.
    ExpireEarly = "expire-early",
    /// What was redirected is steered again.
    RedirectTwice = "redirect-twice",
    /// A refused node goes on.
    IgnoreRefuse = "ignore-refuse",
    /// A packet without a session is chosen for at once instead of asked about.
    Guess = "guess",
    /// A new holder asks nobody for sessions and counts itself in sync.
    SyncAtOnce = "sync-at-once",
    /// Sessions of an older boot stand when the node comes back.
    KeepDeadBoot = "keep-dead-boot",
    /// The death of a chosen node changes nothing.
    SteerToDead = "steer-to-dead",
    /// Packets go on without the plugins.
    SkipChain = "skip-chain",
    /// A forwarded packet keeps its TTL.
    KeepHopLimit = "keep-hop-limit",
    /// Transit packets leave with the virtual MAC as their source.
    VirtualSource = "virtual-source",
    /// Held packets leave in the wrong order.
    ReleaseBackwards = "release-backwards",
    /// A released packet leaves twice.
    TransmitTwice = "transmit-twice",
    /// Dropped frames are not counted.
    LoseFrames = "lose-frames",
    /// Two words of a redirected packet change places, which no checksum sees.
    CorruptRedirected = "corrupt-redirected",
    /// The same of a packet that comes to its chosen node.
    CorruptPayload = "corrupt-payload",
    /// A hold takes everything.
    UnboundedHold = "unbounded-hold",
    /// Who takes a role counts no epoch on.
    ReuseEpoch = "reuse-epoch",
    /// A holder does not step down for a higher epoch.
    KeepRole = "keep-role",
    /// A vacant role stays vacant once it was held.
    NeverTake = "never-take",
    /// A node may be chosen before it is in sync.
    JoinUnsynced = "join-unsynced",
    /// A holder writes no adverts.
    SilentHolder = "silent-holder",
    /// A lower generation displaces a higher one.
    LowerGenerationWins = "lower-generation-wins",
    /// A draining node ends its streams instead of giving them away.
    LoseOnDrain = "lose-on-drain",
    /// A node counts no stream as left whose stragglers must still follow it.
    ForgetUnfenced = "forget-unfenced",
    /// Who stands by for a redirector is told of no stream.
    ColdStandby = "cold-standby",
    /// A message of an unknown kind ends the link.
    RefuseUnknown = "refuse-unknown",
    /// Streams go to nodes that no frame can be sent to.
    IgnoreLostFrames = "ignore-lost-frames",
    /// The plugins behind one that failed are not asked about that stream.
    FaultSilencesOthers = "fault-silences-others",
    /// A packet on which a plugin failed passes, whatever the plugin's fault policy says.
    ForgiveFaults = "forgive-faults",
    /// A plugin that failed too often is called again and again.
    NeverSuspend = "never-suspend",
    /// A plugin is called for what a source opens, however often it has failed at that source's streams.
    IgnoreSourceLimit = "ignore-source-limit",
    /// A suspended plugin is never tried again.
    NeverTry = "never-try",
    /// A node whose plugin is suspended is chosen like any other.
    ChooseSuspended = "choose-suspended",
    /// A node begins a stream by any frame that says it was redirected.
    BelieveRedirects = "believe-redirects",
    /// A node begins a stream by a frame that a host sent straight to its own MAC.
    BeginStraight = "begin-straight",
    /// An answer to a challenge counts whoever made its tag.
    BelieveUnproven = "believe-unproven",
    /// An answer to a challenge counts each time that it comes.
    AcceptUsedNonce = "accept-used-nonce",
    /// Plugins get another configuration while they have streams.
    MixConfigurations = "mix-configurations",
    /// A full table makes room among the streams that are to be the last.
    EvictEstablished = "evict-established",
    /// A member whose frames to groups are lost keeps its roles and its streams.
    IgnoreLostGroups = "ignore-lost-groups",
    /// A stream that was chosen for and not begun waits for a node whose interface nobody hears.
    OpenAtUnheard = "open-at-unheard",
    /// A node that has just lost a role takes it back at once if it may preempt.
    PreemptUnsteady = "preempt-unsteady",
    /// A reset ends its stream wherever it lies.
    BelieveResets = "believe-resets",
    /// A SYN begins its stream anew whatever its end says.
    BelieveSyns = "believe-syns",
    /// A fragment that says nothing of its stream leaves by itself, past the plugins.
    PassFragments = "pass-fragments",
    /// Of a datagram that has come whole, the last fragment does not leave.
    LoseFragment = "lose-fragment",
    /// A holder takes its role anew with each heartbeat.
    RestlessHolder = "restless-holder",
}

#[cfg(debug_assertions)]
thread_local! {
    static ON: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

/// Breaks the program in this way, in this thread, from now on; `None` mends it.
#[cfg(debug_assertions)]
pub fn switch(mutation: Option<Mutation>) {
    ON.set(mutation);
}

/// True if the program is to be broken in this way.
#[cfg(debug_assertions)]
#[must_use]
pub fn is_on(mutation: Mutation) -> bool {
    ON.get() == Some(mutation)
}

/// False: nothing is broken.
#[cfg(not(debug_assertions))]
#[must_use]
#[inline(always)]
pub const fn is_on(_: Mutation) -> bool {
    false
}
