//! Leaders: elections, and what one may do who leads.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use docent::Guard;
//!
//! # async fn work(_: &Guard) {}
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let election = client.election("/election", "host-1")?;
//! let lead = election.lead(async |leadership: &Guard| {
//!     work(leadership).await;
//!     ControlFlow::<()>::Continue(())
//! });
//! lead.await?;
//! # Ok(())
//! # }
//! ```
//!
//! An election is a [lock](crate::guide::locks) whose holder leads. All that is said there of guards,
//! leases and fencing holds here, too.
//!
//! # Which to take
//!
//! | to | take | in Curator |
//! |---|---|---|
//! | do something for as long as this process leads, again and again | [`lead`](docent_core::recipes::Election::lead) | `LeaderSelector` with `autoRequeue()` |
//! | lead once | [`campaign`](docent_core::recipes::Election::campaign) | `LeaderSelector` |
//! | stand in the background, and ask now and then who leads | [`Client::leader_latch`](crate::Client::leader_latch) | `LeaderLatch` |
//! | drive it by hand, as on a board | [`candidate`](docent_core::recipes::Election::candidate) | |
//! | know who leads | [`leader`](docent_core::recipes::Election::leader), [`observe`](docent_core::recipes::Election::observe) | `getLeader()` |
//! | see all who stand | [`explain`](docent_core::recipes::Election::explain) | `getParticipants()` |
//!
//! Whoever gives the work up early ends it by itself: the future that `lead` runs returns, or is part
//! of a `select!`. That is Curator's `interruptLeadership()`.
//!
//! The nodes are those of Curator's `LeaderLatch`. With its `LeaderSelector`, which calls them as a
//! mutex does, use [`with_names(Names::CURATOR)`](docent_core::recipes::Election::with_names).
//!
//! # Who leads
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let mut observer = client.election("/election", "")?.observe();
//! loop {
//!     match observer.next().await? {
//!         Some(leader) => println!("{} leads", String::from_utf8_lossy(leader.id())),
//!         None => println!("nobody leads"),
//!     }
//! }
//! # }
//! ```
//!
//! # Stepping down
//!
//! A leader that has lost its connection still leads: nobody else can before its
//! [lease](crate::guide::sessions#the-lease) has ended. By default it goes on until then. With
//! [`StepDown::AtDisconnect`](docent_core::recipes::StepDown) it stops at once. Either way a candidate,
//! or a latch, keeps its place: if the same session is connected again before the servers have ended
//! it, the same candidate leads again, with the same token. After a lost session it stands again, at
//! the end.
//!
//! ```no_run
//! use docent::{LeaderLatch, StepDown};
//!
//! # async fn example(client: docent::Client) -> Result<(), docent::Error> {
//! let election = client.election("/election", "host-1")?;
//! let latch = LeaderLatch::start(election.with_step_down(StepDown::AtDisconnect));
//! # Ok(())
//! # }
//! ```
//!
//! # A latch
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use docent::CloseMode;
//!
//! let latch = client.leader_latch("/election", "host-1")?;
//! let leadership = latch.acquired().await?;
//! println!("leads until {:?} at least", leadership.valid_until());
//! let done = leadership.run(async { /* what only a leader does */ }).await;
//! println!("{}", if done.is_some() { "done" } else { "stopped" });
//! latch.close(CloseMode::NotifyLeader).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`has_leadership`](crate::LeaderLatch::has_leadership) looks at the clock: a process that was
//! stopped for too long does not lead any more when it asks. Between the question and what follows it
//! may be stopped again, so that [fencing](crate::guide::locks#fencing) is as needful as with a lock.
//! The token of a leadership is [`Leadership::fencing_token`](crate::Leadership::fencing_token). What
//! is in ZooKeeper is written together with its [`check`](crate::Leadership::check):
//!
//! ```no_run
//! use docent::core::wire::SetData;
//! use docent::{Client, Leadership, Op, Path};
//!
//! # async fn example(client: Client, leadership: Leadership) -> Result<(), Box<dyn std::error::Error>> {
//! let write = SetData { path: Path::new("/state")?, data: b"42", version: None };
//! client.multi(&[leadership.check(), Op::SetData(write)]).await?.outcome()?;
//! # Ok(())
//! # }
//! ```
