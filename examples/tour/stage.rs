//! The servers, the network before them, and the clients.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use docent::core::connect_string::ConnectString;
use docent::{Client, CreateMode};
use docent_testing::dev::DevServer;
use docent_testing::peer::{Cut, Flow, Proxy};
use tokio::net::lookup_host;

use super::Result;
use super::timeline::Timeline;

/// Short, so that nobody has to wait long for a session to end. Servers may grant a longer one.
const SESSION: Duration = Duration::from_secs(2);

/// What the chapters play on.
pub(crate) struct Stage {
    pub(crate) timeline: Timeline,
    addresses: Vec<SocketAddr>,
    /// Sees all nodes of the servers.
    outside: Client,
    /// The chroot of the connect string.
    chroot: String,
    /// The node below which all is played.
    run: String,
    /// The servers, if they are in this process.
    _servers: Option<DevServer>,
}

impl Stage {
    pub(crate) async fn set_up(connect_string: Option<&str>, timeline: Timeline) -> Result<Self> {
        let servers = match connect_string {
            Some(_) => None,
            None => Some(servers().await?),
        };
        let own = servers.as_ref().map(DevServer::connect_string);
        let connect_string = connect_string.or(own.as_deref()).unwrap_or_default();
        timeline.line(&match servers {
            Some(_) => format!("Three servers run in this process, in memory: {connect_string}."),
            None => format!("The servers are {connect_string}."),
        });
        let addresses = addresses(connect_string).await?;
        let outside = docent::connect(connect_string).await?;
        outside.ensure("/docent-tour").await?;
        let mode = CreateMode::PersistentSequential;
        let run = outside.create("/docent-tour/run-", b"", mode).await?;
        let chroot = ConnectString::parse(connect_string)?.chroot();
        Ok(Self {
            timeline,
            addresses,
            outside,
            chroot: chroot.to_owned(),
            run: run.path.to_string(),
            _servers: servers,
        })
    }

    /// Connects a client, by a network of its own that can fail.
    pub(crate) async fn actor(&self, name: &'static str) -> Result<Actor> {
        let mut network = Vec::new();
        for address in &self.addresses {
            network.push(Proxy::start(*address).await);
        }
        let hosts = network.iter().map(|proxy| proxy.addr().to_string());
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let client = docent::builder(&format!("{hosts}{}{}", self.chroot, self.run))
            .session_timeout(SESSION)
            .connect_within(Duration::from_secs(10))
            .connect()
            .await?;
        let actor = Actor {
            name,
            client,
            network,
            timeline: self.timeline.clone(),
        };
        actor.tell(format_args!("connects: {}", actor.session()));
        Ok(actor)
    }

    /// Deletes what was played with.
    pub(crate) async fn clear(self) -> Result {
        delete_all(&self.outside, &self.run).await?;
        self.outside.close().await;
        self.timeline.line(
            "\nThat was all. What the clients did stands in examples/tour, a file for each part.",
        );
        Ok(())
    }
}

/// Three of them, with a short tick, so that they grant short sessions.
async fn servers() -> Result<DevServer> {
    let builder = DevServer::builder().members(3);
    Ok(builder.tick(Duration::from_millis(100)).start().await?)
}

async fn addresses(connect_string: &str) -> Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for host in ConnectString::parse(connect_string)?.hosts() {
        let found = lookup_host(host.to_string()).await;
        let found = found.map_err(|error| format!("{host}: {error}"))?.next();
        addresses.push(found.ok_or_else(|| format!("{host} has no address"))?);
    }
    Ok(addresses)
}

async fn delete_all(client: &Client, path: &str) -> Result {
    for child in client.children(path).await?.iter() {
        Box::pin(delete_all(client, &format!("{path}/{child}"))).await?;
    }
    Ok(client.delete(path, None).await?)
}

/// A client with a name.
pub(crate) struct Actor {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    /// A proxy for each server.
    network: Vec<Proxy>,
    timeline: Timeline,
}

impl Actor {
    pub(crate) fn tell(&self, what: impl Display) {
        self.timeline.tell(self.name, what);
    }

    pub(crate) fn session(&self) -> String {
        let id = self.client.session_id().unwrap_or_default();
        let timeout = self.client.session_timeout().as_secs_f64();
        format!("session {id:#x}, which ends after {timeout} s of silence")
    }

    /// Nothing gets through, either way, and nobody is told.
    pub(crate) fn go_silent(&self) {
        for proxy in &self.network {
            proxy.hold(Flow::ToServer);
            proxy.hold(Flow::ToClient);
        }
    }

    /// Closes the connection, and lets no other come about.
    pub(crate) fn cut_off(&self) {
        for proxy in &self.network {
            proxy.refuse(true);
            proxy.cut(Cut::Rst);
        }
    }

    /// Ends what goes wrong.
    pub(crate) fn heal(&self) {
        for proxy in &self.network {
            proxy.refuse(false);
            proxy.release();
        }
    }

    /// Waits until there is a connection, and a session other than `old`.
    pub(crate) async fn renewed(&self, old: docent::Epoch) {
        let mut status = self.client.status();
        while status.epoch == old || !status.state.is_connected() {
            status = self.client.changed(status).await;
        }
    }
}
