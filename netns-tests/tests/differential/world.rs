//! Two labs with the same hosts and addresses: Herald between the networks of one, a kernel between those of the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use netns_tests::{KernelRouter, Lab, eventually};

use crate::LIMIT;
use crate::case::{Case, End, Sent, To};
use crate::outcome::{Emission, Gateway, Owner, read};
use crate::packet::{Draft, udp};
use crate::port::Port;

/// Bytes of the largest packet on the second network. The first has 1,500.
pub(crate) const MTU_SECOND: usize = 1_400;

/// Cases have greater numbers.
pub(crate) const NUMBER_MIN: u16 = 2_000;

/// Streams that the barrier consists of, each way and family: enough to meet all nodes.
const LANES: u16 = 12;

/// Networks behind the hosts: where they are, and the host that leads there. No route leads to 203.0.113.0/24 and 2001:db9::/32.
const ROUTES: [(&str, &str, End); 11] = [
    ("198.51.100.0/24", "10.1.0.100", End::Client),
    ("2001:db8:1::/48", "fd00:1::100", End::Client),
    ("192.0.2.0/24", "10.2.0.100", End::Server),
    ("240.0.0.0/8", "10.2.0.100", End::Server),
    ("0.1.2.0/24", "10.2.0.100", End::Server),
    ("100.64.0.0/10", "10.2.0.100", End::Server),
    ("198.18.0.0/15", "10.2.0.100", End::Server),
    ("2001:db8:2::/48", "fd00:2::100", End::Server),
    ("2002::/16", "fd00:2::100", End::Server),
    ("64:ff9b::/96", "fd00:2::100", End::Server),
    ("100::/64", "fd00:2::100", End::Server),
];

/// A lab, and both ends in the hands of the test.
pub(crate) struct World {
    pub(crate) name: &'static str,
    ports: [Port; 2],
    gateway: Gateway,
    /// Where hosts send IPv4 and IPv6 to, by end.
    doors: [[[u8; 6]; 2]; 2],
    outcomes: RefCell<BTreeMap<u16, Vec<Emission>>>,
    askers: RefCell<BTreeMap<Ipv4Addr, u16>>,
    _place: Place,
}

/// What is between the ends. Dropping it takes it away.
enum Place {
    Herald(Lab),
    Kernel(KernelRouter),
}

impl Place {
    fn lab(&self) -> &Lab {
        match self {
            Self::Herald(lab) => lab,
            Self::Kernel(router) => router.lab(),
        }
    }
}

impl World {
    /// Three nodes, all of which may be chosen.
    #[track_caller]
    pub(crate) fn herald() -> Self {
        let routes: Vec<String> = ROUTES.iter().map(|(to, via, _)| format!("{{to='{to}',via='{via}'}}")).collect();
        let lab = Lab::up("oracle")
            .set("interfaces.second.mtu", MTU_SECOND)
            .set("choose.redirectors", "equal")
            .set("routes", format!("[{}]", routes.join(",")))
            .start();
        let mut macs = Vec::new();
        for node in ["a", "b", "c"] {
            let status = lab.json(node, &["status"]);
            macs.extend(["first", "second"].map(|i| mac(status["interfaces"][i]["mac"].as_str().unwrap())));
        }
        let doors = [1, 2].map(|vrid| [1, 2].map(|family| [0, 0, 0x5e, 0, family, vrid]));
        macs.extend(doors.iter().flatten());
        Self::of("Herald", Place::Herald(lab), (macs, &[1, 11, 12, 13]), doors)
    }

    #[track_caller]
    pub(crate) fn kernel() -> Self {
        let router = KernelRouter::start("oracle-k", MTU_SECOND);
        ROUTES.iter().for_each(|(to, via, _)| router.add_route(to, via));
        let macs = router.macs().map(|text| mac(&text));
        Self::of("the kernel", Place::Kernel(router), (macs.to_vec(), &[1]), macs.map(|mac| [mac, mac]))
    }

    fn of(name: &'static str, place: Place, (macs, numbers): (Vec<[u8; 6]>, &[u8]), doors: [[[u8; 6]; 2]; 2]) -> Self {
        let lab = place.lab();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for end in End::BOTH {
            let digit = end.digit();
            for family in ["-4", "-6"] {
                run(lab, end.host(), &format!("ip {family} route del default || true"));
            }
            for more in [format!("10.{digit}.0.101/24"), format!("fd00:{digit}::101/64"), format!("10.{digit}.0.0/24")]
            {
                run(lab, end.host(), &format!("ip addr add {more} dev eth0"));
            }
            for number in numbers {
                addresses.push(format!("10.{digit}.0.{number}").parse().unwrap());
                addresses.push(format!("fd00:{digit}::{number}").parse().unwrap());
            }
            addresses.push(format!("fe80::200:5eff:fe00:20{digit}").parse().unwrap());
        }
        let ports = End::BOTH.map(|end| Port::open(lab, end));
        let gateway = Gateway { addresses, macs };
        let (outcomes, askers) = (RefCell::default(), RefCell::default());
        Self { name, ports, gateway, doors, outcomes, askers, _place: place }
    }

    fn port(&self, end: End) -> &Port {
        match end {
            End::Client => &self.ports[0],
            End::Server => &self.ports[1],
        }
    }

    #[track_caller]
    pub(crate) fn send(&self, number: u16, sent: &Sent) {
        let door = self.doors[usize::from(sent.from.digit() - 1)][usize::from(sent.ether_type == 0x86dd)];
        let to = match sent.to {
            To::Gateway => door,
            To::Mac(mac) => mac,
        };
        let mut frame = [to, host_mac(sent.from)].concat();
        if let Some(tag) = sent.tag {
            frame.extend([0x81, 0]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend(sent.ether_type.to_be_bytes());
        frame.extend(&sent.payload);
        if sent.ether_type == 0x0806 {
            let asker = <[u8; 4]>::try_from(&sent.payload[14..18]).unwrap();
            self.askers.borrow_mut().insert(asker.into(), number);
        }
        self.port(sent.from).send(&frame);
    }

    /// Takes note of what has arrived.
    #[track_caller]
    pub(crate) fn look(&self) {
        for end in End::BOTH {
            for frame in self.port(end).take() {
                let Some((owner, emission)) = read(end, host_mac(end), &self.gateway, &frame) else { continue };
                let number = match owner {
                    Owner::Number(number) => Some(number),
                    Owner::Asker(address) => self.askers.borrow().get(&address).copied(),
                };
                if let Some(number) = number {
                    self.outcomes.borrow_mut().entry(number).or_default().push(emission);
                }
            }
        }
    }

    /// What has come of a case so far, in an order of its own.
    pub(crate) fn outcome(&self, case: &Case) -> Vec<Emission> {
        let mut all = self.outcomes.borrow().get(&case.number).cloned().unwrap_or_default();
        all.sort_unstable();
        all
    }

    /// Waits until packets that are sent now have arrived, by every node and both ways: what was sent before has been looked at.
    #[track_caller]
    pub(crate) fn barrier(&self, round: u64) {
        for end in End::BOTH {
            for lane in 0..LANES {
                for draft in barrier_packets(end, lane, round) {
                    self.send(0, &Sent::ip(end, draft.bytes()));
                }
            }
        }
        eventually(LIMIT, &format!("{} is through with what it was sent", self.name), || {
            self.look();
            let mut outcomes = self.outcomes.borrow_mut();
            let all = outcomes.entry(1).or_default();
            all.retain(|e| e.packet.ends_with(&round.to_be_bytes()));
            let through = all.len() >= usize::from(LANES) * 4;
            if through {
                outcomes.remove(&1);
            }
            through.then_some(())
        });
    }
}

fn barrier_packets(end: End, lane: u16, round: u64) -> [Draft; 2] {
    let addresses = |make: fn(u8) -> IpAddr| (make(end.digit()), make(end.other().digit()));
    let v4 = addresses(|digit| IpAddr::from([10, digit, 0, 100]));
    let v6 = addresses(|digit| IpAddr::from([0xfd00, u16::from(digit), 0, 0, 0, 0, 0, 0x100]));
    [v4, v6].map(|(source, destination)| {
        let mut draft = Draft {
            transport: udp((500 + lane + u16::from(end.digit()) * 100, 9), &round.to_be_bytes()),
            ..Draft::of(1, source, destination)
        };
        draft.seal();
        draft
    })
}

#[track_caller]
fn run(lab: &Lab, host: &str, line: &str) {
    let output = lab.exec(host, &["sh", "-c", line]);
    assert!(output.code == 0, "{line} in {host}: {}", output.stderr);
}

/// As the lab makes them.
pub(crate) fn host_mac(end: End) -> [u8; 6] {
    [2, 0, 10, end.digit(), 0, 100]
}

#[track_caller]
fn mac(text: &str) -> [u8; 6] {
    let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}
