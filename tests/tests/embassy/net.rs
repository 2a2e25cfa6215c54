//! Boards on a network: two stacks of embassy-net, joined by a cable, with the servers on the other.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use docent_core::client::Client as _;
use docent_core::connect_string::HostPort;
use docent_core::session::State;
use docent_core::wire::GetData;
use docent_embassy::{Buffers, Client, Dial as _, Net, Resources, Runner, Settings};
use embassy_futures::join::join;
use embassy_futures::select::{Either, select};
use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver_channel as channel;
use embedded_io_async::{Read as _, Write as _};

use super::world::{Job, Pipes, World, sleep};
use super::{create, get, path};

const BOARD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// An address that nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const PORT: u16 = 2181;
const MTU: usize = 1514;

fn room(size: usize) -> &'static mut [u8] {
    Vec::leak(vec![0; size])
}

/// A network of two, and the cable between them.
struct Lan {
    world: World,
    board: Stack<'static>,
    plugged: Rc<Cell<bool>>,
    jobs: Vec<Job>,
}

impl Lan {
    fn new() -> Self {
        let world = World::new();
        let plugged = Rc::new(Cell::new(true));
        let mut jobs: Vec<Job> = Vec::new();
        let (board, board_end) = host(BOARD, 2, &mut jobs);
        let (server, server_end) = host(SERVER, 1, &mut jobs);
        let (board_rx, board_tx) = board_end;
        let (server_rx, server_tx) = server_end;
        jobs.push(Box::pin(cable(board_tx, server_rx, plugged.clone())));
        jobs.push(Box::pin(cable(server_tx, board_rx, plugged.clone())));
        jobs.push(Box::pin(name_server(server)));
        for _ in 0..2 {
            jobs.push(Box::pin(serve(world.clone(), server)));
        }
        Self {
            world,
            board,
            plugged,
            jobs,
        }
    }

    fn board(&self, servers: &'static str) -> (Client<'static>, Runner<'static, Net<'static>>) {
        let buffers = Buffers {
            rx: room(1024),
            tx: [room(512), room(512)],
            bodies: room(512),
        };
        let resources = Box::leak(Box::new(Resources::<2, 2>::new()));
        let dial = Net::new(self.board, room(512), room(512));
        let settings = Settings::new(servers);
        docent_embassy::new(dial, settings, resources, buffers, 1).expect("good settings")
    }

    fn run<T>(
        mut self,
        mut runner: Runner<'static, Net<'static>>,
        test: impl Future<Output = T>,
    ) -> T {
        self.jobs.push(Box::pin(async move {
            runner.run().await;
        }));
        self.world.run_beside(self.jobs, test)
    }
}

type End = (
    channel::RxRunner<'static, MTU>,
    channel::TxRunner<'static, MTU>,
);

/// A stack, and the end of its cable.
fn host(address: Ipv4Addr, number: u8, jobs: &mut Vec<Job>) -> (Stack<'static>, End) {
    let state = Box::leak(Box::new(channel::State::<MTU, 8, 8>::new()));
    let hardware = channel::driver::HardwareAddress::Ethernet([2, 0, 0, 0, 0, number]);
    let (end, device) = channel::new(state, hardware);
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: None,
        dns_servers: [SERVER].into_iter().collect(),
    });
    let resources = Box::leak(Box::new(StackResources::<6>::new()));
    let (stack, mut runner) = embassy_net::new(device, config, resources, number.into());
    jobs.push(Box::pin(async move { runner.run().await }));
    let (link, rx, tx) = end.split();
    link.set_link_state(channel::driver::LinkState::Up);
    (stack, (rx, tx))
}

/// One direction of the cable, which loses everything while it is not plugged in.
async fn cable(
    mut from: channel::TxRunner<'static, MTU>,
    mut to: channel::RxRunner<'static, MTU>,
    plugged: Rc<Cell<bool>>,
) {
    loop {
        let frame = from.tx_buf().await.to_vec();
        from.tx_done();
        if plugged.get() {
            to.rx_buf().await[..frame.len()].copy_from_slice(&frame);
            to.rx_done(frame.len());
        }
    }
}

/// Serves one connection after the other.
async fn serve(world: World, stack: Stack<'static>) {
    let (rx, tx) = (room(4096), room(4096));
    loop {
        let mut socket = TcpSocket::new(stack, rx, tx);
        socket.set_timeout(Some(embassy_time::Duration::from_secs(20)));
        if socket.accept(PORT).await.is_ok() {
            let _ = relay(&world, &mut socket).await;
            socket.abort();
            let _ = socket.flush().await;
        }
    }
}

/// Passes bytes on until either side ends.
async fn relay(world: &World, socket: &mut TcpSocket<'_>) -> Option<()> {
    let mut dial = Pipes::new(world);
    let server = HostPort {
        host: "m0",
        port: PORT,
    };
    let mut pipe = dial.dial(server).await.ok()?;
    let (mut request, mut reply) = ([0; 1024], [0; 1024]);
    loop {
        match select(socket.read(&mut request), pipe.read(&mut reply)).await {
            Either::First(Ok(count @ 1..)) => pipe.write_all(&request[..count]).await.ok()?,
            Either::Second(Ok(count @ 1..)) => socket.write_all(&reply[..count]).await.ok()?,
            _ => return None,
        }
    }
}

/// Says of every name that it has two addresses, of which one is of no use; in turns, as name servers
/// do.
async fn name_server(stack: Stack<'static>) {
    let (mut asked, mut told) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
    let (mut rx, mut tx) = ([0; 1024], [0; 1024]);
    let mut socket = UdpSocket::new(stack, &mut asked, &mut rx, &mut told, &mut tx);
    socket.bind(53).expect("a free port");
    let mut query = [0; 512];
    let mut addresses = [NOBODY, SERVER];
    loop {
        let (count, from) = socket.recv_from(&mut query).await.expect("a short query");
        let mut answer = Vec::from(&query[..2]);
        answer.extend([0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]);
        answer.extend(&query[12..count]);
        for address in addresses {
            // The name that was asked for, type A, class IN, for a minute.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
        }
        addresses.swap(0, 1);
        socket.send_to(&answer, from).await.expect("room to send");
    }
}

#[test]
fn a_board_reaches_a_server_by_its_address() {
    let lan = Lan::new();
    let (client, runner) = lan.board("10.0.0.1:2181");
    lan.run(runner, async {
        create(client, "/a", b"one").await.unwrap();
        assert_eq!(get(client, "/a").await.unwrap(), b"one");
        client.close().await;
    });
}

#[test]
fn a_board_reaches_a_server_by_its_name_whichever_address_is_good() {
    let lan = Lan::new();
    let (client, runner) = lan.board("zk.plant.example");
    let world = lan.world.clone();
    lan.run(runner, async {
        create(client, "/a", b"one").await.unwrap();
        world.cut(client.session_id());
        client.retry(GetData { path: path("/a") }).await.unwrap();
    });
}

#[test]
fn a_server_that_refuses_is_passed_over() {
    let lan = Lan::new();
    let (client, runner) = lan.board("10.0.0.1:1,10.0.0.9:2,10.0.0.1:2181");
    lan.run(runner, async {
        create(client, "/a", b"one").await.unwrap();
    });
}

#[test]
fn a_session_outlives_a_cable_that_is_pulled_for_a_while() {
    let lan = Lan::new();
    let (client, runner) = lan.board("10.0.0.1");
    let plugged = lan.plugged.clone();
    lan.run(runner, async {
        create(client, "/a", b"one").await.unwrap();
        let session = client.session_id();
        plugged.set(false);
        let read = client.retry(GetData { path: path("/a") });
        let plugs = async {
            sleep(Duration::from_secs(4)).await;
            plugged.set(true);
        };
        let (read, ()) = join(read, plugs).await;
        assert_eq!(read.unwrap().data(), b"one");
        assert_eq!(client.session_id(), session);
    });
}

#[test]
fn a_board_knows_when_its_session_may_have_ended_without_it() {
    let lan = Lan::new();
    let (client, runner) = lan.board("10.0.0.1");
    let plugged = lan.plugged.clone();
    lan.run(runner, async {
        let mut status = client.connected().await.unwrap();
        let session = client.session_id();
        plugged.set(false);
        while status.state != State::Lapsed {
            status = client.changed(status).await;
        }
        sleep(Duration::from_secs(60)).await;
        plugged.set(true);
        client.connected().await.unwrap();
        assert_ne!(client.session_id(), session);
    });
}
