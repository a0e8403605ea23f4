//! A lab with a router, Herald or the kernel, and servers behind it on both sides.

use std::process::Command;

use netns_tests::{KernelRouter, Lab, Running, eventually};
use tempfile::TempDir;

use crate::LIMIT;
use crate::calls::{Call, Program};

/// Bytes of the largest packet on the second network. The first has 1,500.
const MTU_SECOND: usize = 1_400;

/// Which run servers and programs.
const HOSTS: [&str; 2] = ["client", "server"];

/// Seconds that a call may take.
const CALL_SECONDS: &str = "30";

/// Runs `$1`, and says what it says with its exit code, without what differs each time.
const SAY: &str = r#"{ timeout "$3" bash -c "$1" 2>&1; echo "exit code $?"; } | sed -E -e "$2" -e "$4""#;

/// For all programs: a gateway's own addresses become one, times become nothing.
const NORMALISE: &str = r"
s/\b10\.([12])\.0\.1[1-3]?\b/gate-\1/g
s/\bfd00:([12])::1[1-3]?\b/gate-\1/g
s/[0-9.]+ ?ms\b/#ms/g
s/[0-9.]+ ?s(ec|econds)?\b/#s/g
s/[[:blank:]]+/ /g
";

/// Servers of each host, by port. `$1` is the folder of the files, `$2` the host.
const SERVERS: [(u16, &str); 8] = [
    (80, r#"exec python3 -m http.server 80 --protocol HTTP/1.1 --bind :: --directory "$1/files""#),
    (443, r#"cd "$1/files"; exec openssl s_server -accept 443 -cert "$1/cert" -key "$1/key" -quiet -WWW"#),
    (5201, "exec iperf3 --server"),
    (
        53,
        r#"exec dnsmasq --keep-in-foreground --user=root --conf-file=/dev/null --pid-file= --no-resolv --no-hosts --no-ping \
            --address=/herald.test/192.0.2.1 --address=/herald.test/2001:db8::1 --edns-packet-max=4096 \
            $(for n in {1..12}; do printf ' --txt-record=large.test,%0200d' $n; done) \
            --dhcp-range=10.2.0.150,10.2.0.160,1h --dhcp-leasefile="$1/leases-$2""#,
    ),
    (2000, "exec socat TCP6-LISTEN:2000,ipv6only=0,fork,reuseaddr EXEC:sha256sum"),
    (2001, "exec socat UDP6-RECVFROM:2001,ipv6only=0,fork EXEC:'tr a-z A-Z'"),
    // UDP-Lite (RFC 3828).
    (
        2002,
        r#"exec python3 -c '
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
server.bind(("", 2002))
while True:
    data, peer = server.recvfrom(2048)
    server.sendto(data.upper(), peer)'"#,
    ),
    (
        22,
        r#"exec unshare --mount bash -c 'mount -t tmpfs -o mode=700 none /root && mkdir -m 700 /root/.ssh && \
            cp "$1/ssh.pub" /root/.ssh/authorized_keys && exec dropbear -F -E -r "$1/host" -P "$1/pid-$2"' sh "$1" "$2""#,
    ),
];

/// What has to be made first, in the folder.
const FILES: [&str; 4] = [
    "mkdir files && echo hello >files/small && seq 500000 >files/large",
    "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=herald.test -keyout key -out cert",
    "ssh-keygen -q -t ed25519 -N '' -f ssh",
    "dropbearkey -t ed25519 -f host",
];

/// Hosts answer everything, too.
const UNBOUNDED: &str = "cd /proc/sys/net; echo 0 | tee ipv4/icmp_ratelimit >ipv6/icmp/ratelimit; \
    echo 100000 | tee ipv4/icmp_msgs_per_sec >ipv4/icmp_msgs_burst";

/// A lab, what routes in it, and what answers. Dropped in this order.
pub(crate) struct Site {
    servers: Vec<Running>,
    place: Place,
    folder: TempDir,
}

enum Place {
    Herald(Lab),
    Kernel(KernelRouter),
}

impl Site {
    /// One with Herald and one with the kernel.
    #[track_caller]
    pub(crate) fn both() -> [Self; 2] {
        let herald = Lab::up("programs")
            .static_roles()
            .set("interfaces.second.mtu", MTU_SECOND)
            .set("choose.redirectors", "equal")
            .start();
        let kernel = KernelRouter::start("programs-k", MTU_SECOND);
        let mut sites = [Place::Herald(herald), Place::Kernel(kernel)].map(Self::of);
        sites.iter_mut().for_each(Self::await_servers);
        sites
    }

    #[track_caller]
    fn of(place: Place) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for line in FILES {
            let made = Command::new("bash").args(["-c", line]).current_dir(&folder).output().unwrap();
            assert!(made.status.success(), "{line}: {}", String::from_utf8_lossy(&made.stderr));
        }
        let path = folder.path().display().to_string();
        let mut servers = Vec::new();
        for host in HOSTS {
            let _ = place.lab().exec(host, &["bash", "-c", UNBOUNDED]).ok();
            let start = |(_, line): &(u16, &str)| place.lab().spawn(host, &["bash", "-c", line, "serve", &path, host]);
            servers.extend(SERVERS.iter().map(start));
        }
        Self { servers, place, folder }
    }

    /// Waits until everything listens.
    #[track_caller]
    fn await_servers(&mut self) {
        for host in HOSTS {
            eventually(LIMIT, "all servers are there", || {
                let command =
                    ["sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 /proc/net/udplite"];
                let sockets = self.place.lab().exec(host, &command).ok();
                let is_open = |port: u16| sockets.lines().any(|line| line.contains(&format!(":{port:04X} 0000")));
                for server in &mut self.servers {
                    assert!(server.ended().is_none(), "a server has ended: {}{}", server.stdout(), server.stderr());
                }
                SERVERS.iter().all(|(port, _)| is_open(*port)).then_some(())
            });
        }
    }

    /// What a call says, and its exit code.
    pub(crate) fn say(&self, program: &Program, call: &Call) -> String {
        let folder = self.folder.path().display();
        let line = call.line.replace("$FOLDER", &folder.to_string());
        let said =
            self.place.lab().exec(call.host, &["bash", "-c", SAY, "say", &line, NORMALISE, CALL_SECONDS, program.edit]);
        said.ok()
    }
}

impl Place {
    fn lab(&self) -> &Lab {
        match self {
            Self::Herald(lab) => lab,
            Self::Kernel(router) => router.lab(),
        }
    }
}
