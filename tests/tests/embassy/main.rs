//! The transport for boards, over pipes to the model of an ensemble and with a clock moved by hand.

mod cancel;
mod clock;
mod faults;
mod hostile;
mod memory;
mod nameless;
mod net;
mod operations;
mod recipes;
mod sizes;
mod tls;
mod world;

use docent_core::client::Client as _;
use docent_core::error::Error;
use docent_core::path::Path;
use docent_core::wire::{Acl, Create, CreateMode, GetData, SetData};
use docent_embassy::Client;

fn path(text: &str) -> Path<'_> {
    Path::new(text).expect("a path")
}

async fn create(client: Client<'static>, at: &str, data: &[u8]) -> Result<(), Error> {
    let create = Create {
        path: path(at),
        data,
        mode: CreateMode::Persistent,
        acl: Acl::OPEN,
    };
    client.call(create).await.map(drop)
}

async fn set(client: Client<'static>, at: &str, data: &[u8]) -> Result<(), Error> {
    let set = SetData {
        path: path(at),
        data,
        version: None,
    };
    client.call(set).await.map(drop)
}

async fn get(client: Client<'static>, at: &str) -> Result<Vec<u8>, Error> {
    let data = client.call(GetData { path: path(at) }).await?;
    Ok(data.data().to_vec())
}
