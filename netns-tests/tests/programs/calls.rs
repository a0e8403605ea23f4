//! The programs, and how they are called.

/// A program, or some of one kind.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// What else of its words differs each time: commands for sed.
    pub(crate) edit: &'static str,
    pub(crate) calls: &'static [Call],
}

/// When a call is made.
#[derive(Clone, Copy)]
pub(crate) enum When {
    /// In the gate, too.
    Always,
    /// In long runs.
    Long,
}

/// One call, for bash.
pub(crate) struct Call {
    pub(crate) when: When,
    /// Where: `client` is on the first network, `server` on the second.
    pub(crate) host: &'static str,
    pub(crate) line: &'static str,
    /// At a kernel router it says nothing; only its exit code tells something.
    pub(crate) is_silent: bool,
}

const fn client(line: &'static str) -> Call {
    Call { when: When::Always, host: "client", line, is_silent: false }
}

const fn server(line: &'static str) -> Call {
    Call { host: "server", ..client(line) }
}

const fn silent(line: &'static str) -> Call {
    Call { is_silent: true, ..client(line) }
}

/// One from `client` that takes a second or more.
const fn slow(line: &'static str) -> Call {
    Call { when: When::Long, ..client(line) }
}

/// What of iperf3's report is the same each time.
macro_rules! iperf {
    ($line:literal, $told:literal) => {
        concat!(
            "for try in {1..9}; do iperf3 --json ",
            $line,
            " >\"$FOLDER/report\" && break; sleep 0.1; done; ",
            "python3 -c 'import json, sys; report = json.load(open(sys.argv[1])); end = report[\"end\"]; print(",
            $told,
            ")' \"$FOLDER/report\""
        )
    };
}

macro_rules! ssh {
    ($line:literal) => {
        concat!(
            "ssh -i \"$FOLDER/ssh\" -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR ",
            $line
        )
    };
}

/// All of them, in their order: what one learns of the way, such as its MTU, the next one knows.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        name: "ping",
        edit: "/^rtt/d; s/cp: .*//",
        calls: &[
            client("ping -n -c 3 -i 0.01 10.2.0.100"),
            client("ping -n -c 3 -i 0.01 fd00:2::100"),
            server("ping -n -c 3 -i 0.01 10.1.0.100"),
            server("ping -n -c 3 -i 0.01 fd00:1::100"),
            client("ping -n -c 2 -i 0.01 -s 20000 10.2.0.100"),
            client("ping -n -c 2 -i 0.01 -s 20000 fd00:2::100"),
            client("ping -n -c 1 -W 0.3 -M do -s 1400 10.2.0.100"),
            client("ping -n -c 1 -W 0.3 -M do -s 1400 fd00:2::100"),
            client("ping -n -c 1 -t 1 10.2.0.100"),
            client("ping -n -c 1 -t 1 fd00:2::100"),
            client("ping -n -c 1 -R 10.2.0.100"),
            client("ping -n -c 1 -s 5000 10.1.0.1"),
            client("ping -n -c 1 -s 5000 fd00:1::1"),
            client("ping -n -c 1 10.2.0.1"),
            client("ping -n -c 1 fd00:2::1"),
            slow("ping -n -c 1 -W 1 203.0.113.9"),
            client("ping -n -c 1 2001:db9::9"),
            slow("ping -n -c 1 -W 1 -b 10.2.0.255"),
            slow("ping -n -c 1 -W 1 224.0.0.9"),
            slow("ping -n -c 1 -W 5 10.2.0.77"),
            slow("ping -n -c 1 -W 5 fd00:2::77"),
        ],
    },
    Program {
        name: "traceroute",
        // An address is repeated where probes meet more than one node.
        edit: "s/(gate-[12] #ms) gate-[12] /\\1 /",
        calls: &[
            client("traceroute -n -w 2 -q 2 -m 4 10.2.0.100"),
            client("traceroute -n -w 2 -q 2 -m 4 fd00:2::100"),
            client("traceroute -n -w 2 -q 2 -m 4 -I 10.2.0.100"),
            client("traceroute -n -w 2 -q 2 -m 4 -I fd00:2::100"),
            client("traceroute -n -w 2 -q 2 -m 4 -T -p 80 10.2.0.100"),
            client("traceroute -n -w 2 -q 2 -m 4 -T -p 80 fd00:2::100"),
            client("traceroute -n -w 2 -q 1 -m 4 --mtu 10.2.0.100"),
            server("traceroute -n -w 2 -q 2 -m 4 10.1.0.100"),
            slow("traceroute -n -q 1 -m 2 -w 1 203.0.113.9"),
            slow("traceroute -n -q 1 -m 4 -w 1 -UL 10.2.0.100"),
            slow("traceroute -n -q 1 -m 4 -w 1 -P 47 10.2.0.100"),
            slow("traceroute -n -q 1 -m 4 -w 1 -D 10.2.0.100"),
        ],
    },
    Program {
        name: "tracepath",
        edit: "",
        calls: &[
            client("tracepath -n -m 4 10.2.0.100"),
            client("tracepath -n -m 4 fd00:2::100"),
            server("tracepath -n -m 4 fd00:1::100"),
            slow("tracepath -n -m 2 203.0.113.9"),
        ],
    },
    Program {
        name: "mtr",
        // Another address of a hop has a line of its own: of another node.
        edit: "/^Start|^ ?gate-[12] ?$/d; s/ [0-9.]+ [0-9.]+ [0-9.]+ [0-9.]+ [0-9.]+$//",
        calls: &[slow("mtr -n -r -c 2 -G 0.2 10.2.0.100"), slow("mtr -n -r -c 2 -G 0.2 -T -P 80 fd00:2::100")],
    },
    Program {
        name: "curl",
        edit: "/^(Date|Server|Last-Modified):/d; s/after [0-9]+/after/",
        calls: &[
            client("curl -sS -i http://10.2.0.100/small"),
            client("curl -sS -I http://[fd00:2::100]/small"),
            client("curl -sS http://10.2.0.100/large | sha256sum"),
            client("curl -sS http://[fd00:2::100]/large | sha256sum"),
            server("curl -sS http://10.1.0.100/large | sha256sum"),
            client("curl -sS -w '%{num_connects} %{http_code}\\n' http://10.2.0.100/small http://10.2.0.100/small"),
            client("curl -sS -f http://10.2.0.100/none"),
            client("curl -sS http://10.2.0.100:81/"),
            client("curl -sS http://203.0.113.9/"),
            client("curl -sS -k https://10.2.0.100/small"),
            client("curl -sS -k --tlsv1.2 --tls-max 1.2 https://[fd00:2::100]/small"),
            client("for n in {1..20}; do curl -sS http://10.2.0.100/large | sha256sum & done | sort | uniq -c"),
            slow("curl -sS -m 2 http://10.2.0.77/"),
        ],
    },
    Program {
        name: "iperf3",
        edit: "",
        calls: &[
            client(iperf!("-c 10.2.0.100 -n 5M", r#"end["sum_sent"]["bytes"] >= 5 << 20"#)),
            client(iperf!("-c fd00:2::100 -n 5M -R", r#"end["sum_received"]["bytes"] >= 5 << 20"#)),
            client(iperf!("-c 10.2.0.100 -P 8 -n 5M", r#"len(end["streams"])"#)),
            client(iperf!("-c 10.2.0.100 -u -l 8000 -b 20M -n 480000", r#"end["sum"]["lost_packets"]"#)),
            client(iperf!("-c fd00:2::100 -u -l 8000 -b 20M -n 480000", r#"end["sum"]["lost_packets"]"#)),
            client(iperf!("-c 10.2.0.100 -u -l 8000 -b 20M -n 480000 -R", r#"end["sum"]["lost_packets"]"#)),
        ],
    },
    Program {
        name: "dig",
        edit: "s/id: [0-9]+//; /^;; (Query time|WHEN|SERVER)|COOKIE|^; <<>>/d",
        calls: &[
            client("dig @10.2.0.100 herald.test"),
            client("dig @fd00:2::100 herald.test AAAA"),
            client("dig @10.2.0.100 +tcp herald.test"),
            client("dig @10.2.0.100 +bufsize=4096 +notcp +ignore large.test TXT"),
            client("dig @fd00:2::100 +bufsize=4096 +notcp +ignore large.test TXT"),
            client("dig @10.2.0.100 +noedns +ignore large.test TXT"),
            client("dig @10.2.0.100 +noedns large.test TXT"),
            client("dig @10.2.0.100 -p 54 +tries=1 +time=1 herald.test"),
            server("dig @10.1.0.100 herald.test"),
        ],
    },
    Program {
        name: "nc",
        edit: "",
        calls: &[
            client("nc -N 10.2.0.100 2000 <\"$FOLDER/files/large\""),
            client("nc -N fd00:2::100 2000 </dev/null"),
            server("nc -N 10.1.0.100 2000 <\"$FOLDER/files/large\""),
            client("nc -v -z 10.2.0.100 81"),
            slow("echo hello | nc -u -w 1 10.2.0.100 2001"),
            slow("nc -v -z -w 1 10.2.0.77 81"),
        ],
    },
    Program {
        name: "socat",
        edit: "s/^[0-9/]+ [0-9:]+ socat\\[[0-9]+\\]//; s/0x[0-9a-f]+/ADDRESS/",
        calls: &[
            client("socat -t 0.3 - TCP4:10.2.0.100:2000,mss=500,nodelay <\"$FOLDER/files/large\""),
            client("echo hello | socat -t 0.3 - UDP6:[fd00:2::100]:2001"),
            // UDP-Lite to port 2002 of 10.2.0.100, which this socat has no name for.
            client("echo hello | socat -t 0.3 - SOCKET-SENDTO:2:2:136:x07d2x0a020064x0000000000000000"),
            client("echo hello | socat -t 0.3 - UDP4:10.2.0.100:2003"),
            silent("echo hello | socat -t 0.3 - UDP4-SENDTO:10.2.0.255:2001,broadcast"),
            slow("socat -T 2 - TCP4:10.2.0.77:2000 </dev/null"),
        ],
    },
    Program {
        name: "ssh",
        edit: "",
        calls: &[
            client(ssh!("root@10.2.0.100 sha256sum <\"$FOLDER/files/large\"")),
            client(ssh!("root@fd00:2::100 seq 300000 | sha256sum")),
            silent(ssh!("root@10.2.0.100 exit 7")),
            server(ssh!("nobody@10.1.0.100 true")),
        ],
    },
    Program {
        name: "hping3",
        // What is written at once by two has no order of its own.
        edit: "s/ (id|seq|win|len|rtt)=[^ ]+//g; /^round-trip|^ICMP timestamp/d; s/^len=[0-9]+ //; s/port=[0-9]+//",
        calls: &[
            client("hping3 -n -s 5010 -c 2 -i u20000 -S -p 80 10.2.0.100"),
            client("hping3 -n -s 5020 -c 2 -i u20000 -S -p 81 10.2.0.100"),
            client("hping3 -n -s 5030 -c 2 -i u20000 --icmp 10.2.0.100"),
            client("hping3 -n -s 5040 -c 2 -i u20000 --udp -p 2003 10.2.0.100"),
            client("hping3 -n -s 5050 -c 1 -i u20000 --icmp-ts 10.2.0.100"),
            client("hping3 -n -s 5060 -c 2 -i u20000 -S -p 80 -t 1 10.2.0.100"),
            client("hping3 -n -s 5070 -c 2 -i u20000 -F -P -U -p 81 10.2.0.100"),
            slow("hping3 -n -s 5080 -c 2 -i u20000 -A -p 81 10.2.0.100"),
            slow("hping3 -n -s 5090 -c 2 -i u20000 -R -p 80 10.2.0.100"),
            client("hping3 -n -s 5100 -c 2 -i u20000 --rawip -H 200 10.2.0.100"),
            slow("hping3 -n -s 5110 -c 2 -i u20000 -S -p 81 -d 100 -f 10.2.0.100"),
            slow("hping3 -n -s 5130 -c 2 -i u20000 -S -p 80 -b 10.2.0.100"),
        ],
    },
    Program {
        name: "nmap",
        edit: "/^(Starting|Nmap done|# Nmap)/d; s/\\([0-9.]+s latency\\)//; s/Host is up.*/Host is up/; /^$/d",
        calls: &[
            client("nmap -n -Pn -T5 --reason -sS -p 22,80,81 10.2.0.100"),
            client("nmap -n -Pn -T5 --reason -sT -p 22,80,81 10.2.0.100"),
            client("nmap -6 -n -Pn -T5 --reason -sS -p 22,80,81 fd00:2::100"),
            client("nmap -n -Pn -T5 --reason -sU -p 53,2003 10.2.0.100"),
            client("nmap -n -sn -PE -PP -PS80 --reason 10.2.0.100"),
            slow("nmap -n -Pn -T5 --reason -sX -p 80,81 10.2.0.100"),
            slow("nmap -n -Pn -T5 --reason -sN -p 80,81 10.2.0.100"),
            slow("nmap -n -Pn -T5 --reason -sF -p 80,81 10.2.0.100"),
            slow("nmap -n -Pn -T5 --reason -sA -p 80,81 10.2.0.100"),
            slow("nmap -n -Pn -T5 --reason -sM -p 80,81 10.2.0.100"),
            slow("nmap -n -Pn -T4 --reason -sO -p 6,17,47,132,200 10.2.0.100"),
            slow("nmap -n -Pn -T4 --reason -sY -p 80 10.2.0.100"),
            slow("nmap -n -Pn -T4 --reason -sS -p 1-200 10.2.0.100"),
            slow("nmap -n -Pn -T4 --reason --traceroute -sS -p 80 10.2.0.100"),
            slow("nmap -n -Pn -T4 --reason -sV -p 22,80 10.2.0.100"),
        ],
    },
    Program {
        name: "nping",
        edit: "/^(Starting|Max rtt|Nping done|Tx time|Tx bytes|Rx time|Rx bytes)/d; /^(SENT|RCVD)/d; s/\\([0-9.]+K?M?B\\)//g; /^$/d",
        calls: &[
            client("nping -c 2 --delay 20ms --tcp-connect -p 80,81 10.2.0.100"),
            client("nping -c 2 --delay 20ms --tcp --flags syn -p 80,81 10.2.0.100"),
            client("nping -c 2 --delay 20ms --udp -p 2003 10.2.0.100"),
            client("nping -c 2 --delay 20ms --icmp --icmp-type echo 10.2.0.100"),
            client("nping -6 -c 2 --delay 20ms --icmp fd00:2::100"),
            client("nping -c 2 --delay 20ms --tr --ttl 1 10.2.0.100"),
            slow("nping -c 2 --delay 20ms --icmp --icmp-type timestamp 10.2.0.100"),
            slow("nping -c 2 --delay 20ms --icmp --icmp-type timestamp 10.1.0.1"),
            slow("nping -c 2 --delay 20ms --udp -p 2003 --badsum-ip 10.2.0.100"),
            slow("nping -c 2 --delay 20ms --udp -p 2003 --badsum 10.2.0.100"),
        ],
    },
    Program {
        name: "udhcpc",
        edit: "",
        calls: &[
            // On the network of the server there is an answer, and nothing of it crosses.
            slow("udhcpc -f -n -q -t 2 -T 1 -s /bin/true -i eth0"),
        ],
    },
    Program { name: "scapy", edit: "", calls: &[slow(SCAPY)] },
];

/// Conversations that no kernel has, from an address of the network that no host has.
const SCAPY: &str = r#"/usr/bin/python3 - <<'END'
from scapy.all import *

conf.verb, gate = 0, getmacbyip("10.1.0.1")
spare, far = "10.1.0.200", "10.2.0.100"

def told(name, answer):
    if answer is None:
        return print(name, "nothing")
    inner = answer[IP]
    print(name, inner.src, inner.ttl, inner.proto, inner.sprintf("%TCP.flags% %ICMP.type% %ICMP.code%"), len(inner.payload), inner.options)

def ask(name, packet):
    answer = srp1(Ether(dst=gate) / packet, iface="eth0", timeout=2)
    told(name, answer)
    return answer

# Who asks for the spare address is answered.
responder = AsyncSniffer(iface="eth0", filter="arp", prn=lambda a: sendp(
    Ether(dst=a[Ether].src) / ARP(op=2, psrc=spare, pdst=a[ARP].psrc, hwdst=a[ARP].hwsrc, hwsrc=get_if_hwaddr("eth0")), iface="eth0")
    if a[ARP].op == 1 and a[ARP].pdst == spare else None)
responder.start()
time.sleep(0.2)
ip = IP(src=spare, dst=far)
ask("echo", ip / ICMP(id=1, seq=1) / b"x" * 40)
ask("timestamp", ip / ICMP(type=13, id=2))
ask("options", IP(src=spare, dst=far, options=[IPOption_RR(length=11, routers=["0.0.0.0", "0.0.0.0"])]) / ICMP(id=3))
ask("security option", IP(src=spare, dst=far, options=[IPOption(b"\x82\x0b" + bytes(9))]) / ICMP(id=4))
ask("ttl 1", IP(src=spare, dst=far, ttl=1) / UDP(sport=4000, dport=2001) / b"x")
ask("empty datagram", ip / UDP(sport=4001, dport=2001))
ask("no checksum", ip / UDP(sport=4002, dport=2001, chksum=0) / b"abc")
ask("unknown protocol", IP(src=spare, dst=far, proto=200) / b"x" * 20)
ask("sctp", ip / SCTP(sport=4003, dport=80) / SCTPChunkInit(init_tag=7))
ask("source route", IP(src=spare, dst="10.1.0.1", options=[IPOption_LSRR(routers=[far])]) / ICMP(id=5))

# A connection by hand, in small segments, out of order, with urgent data.
port = 4100
answer = ask("syn", ip / TCP(sport=port, dport=80, flags="S", seq=100, options=[("MSS", 300)]))
if answer:
    ack = answer[TCP].seq + 1
    part = lambda seq, data, flags="PA": sendp(Ether(dst=gate) / ip / TCP(sport=port, dport=80, flags=flags, seq=seq, ack=ack, urgptr=2 if "U" in flags else 0) / data, iface="eth0")
    part(101, b"", "A")
    request = b"GET /small HTTP/1.0\r\n\r\n"
    replies = AsyncSniffer(iface="eth0", filter="tcp and dst host " + spare)
    replies.start()
    time.sleep(0.2)
    part(101 + 10, request[10:])
    part(101, request[:5])
    part(101 + 5, request[5:12])
    time.sleep(1)
    whole = {}
    for packet in replies.stop():
        data = bytes(packet[TCP].payload)
        if packet[TCP].flags.S == 0 and data[:1]:
            whole[packet[TCP].seq] = data[:len(packet[IP]) - packet[IP].ihl * 4 - packet[TCP].dataofs * 4]
    print(b"".join(whole[seq] for seq in sorted(whole)).split(b"\r\n")[0], b"hello" in b"".join(whole.values()))
    ask("reset in the window", ip / TCP(sport=port, dport=80, flags="R", seq=101 + len(request) + 5))
    ask("fin", ip / TCP(sport=port, dport=80, flags="FA", seq=101 + len(request), ack=ack + 10))
responder.stop()
END"#;
