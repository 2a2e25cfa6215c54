//! Everything at once, in random order, against a model of what must come of it.

use std::collections::BTreeSet;

use super::*;
use crate::rng::Rng;
use crate::wire::{Exists, GetChildNames, WatchKind};

on_both! {<3, 4>:
    every_call_ends_once_and_no_watch_is_missed,
}

const PATHS: [&str; 3] = ["/a", "/a/b", "/c"];

/// A call of a task that is woken.
struct Call {
    id: Id,
    flag: Arc<Flag>,
    waker: Waker,
    watch: Option<usize>,
}

/// A watch of a task that is woken.
struct Watching {
    id: Id,
    flag: Arc<Flag>,
    waker: Waker,
    /// What the server must have for it, once it is set: the list and the path.
    list: &'static str,
    path: &'static str,
    exists: bool,
    set: bool,
}

struct World<K: Kind> {
    script: Scripted<K>,
    rng: Rng,
    calls: Vec<Call>,
    watches: Vec<Option<Watching>>,
    /// What goes out as [text](trace::text), in the order of `script.due`.
    texts: VecDeque<String>,
    /// The watches that the server has on this connection.
    served: BTreeSet<String>,
    session: i64,
    ended: usize,
}

impl<K: Kind> World<K> {
    fn new(seed: u64) -> Self {
        Self {
            script: Scripted::connected(),
            rng: Rng::new(seed),
            calls: Vec::new(),
            watches: Vec::new(),
            texts: VecDeque::new(),
            served: BTreeSet::new(),
            session: ID,
            ended: 0,
        }
    }

    fn pick(&mut self, count: usize) -> usize {
        self.rng.up_to(count as u64 - 1) as usize
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.pick(PATHS.len())]
    }

    fn chance(&mut self, of: u64) -> bool {
        self.rng.up_to(of - 1) == 0
    }

    // ---- callers ----

    fn submit(&mut self, request: &impl Request, watch: Option<usize>) -> Result<(), Error> {
        let (flag, waker) = Flag::new();
        let id = watch.and_then(|at| Some(self.watches[at].as_ref()?.id));
        let terms = Terms {
            watch: id,
            epoch: None,
        };
        let id = self.script.hub.submit(request, terms, Some(&waker))?;
        self.calls.push(Call {
            id,
            flag,
            waker,
            watch,
        });
        Ok(())
    }

    fn call(&mut self) {
        let at = self.path();
        match self.submit(&get(at), None) {
            Ok(()) | Err(Error::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn watch(&mut self) {
        let text = self.path();
        let at = path(text);
        let which = self.pick(5);
        let kinds = [
            WatchKind::Data,
            WatchKind::Data,
            WatchKind::Child,
            WatchKind::Persistent,
            WatchKind::Recursive,
        ];
        let absent = (which == 1).then_some(WatchKind::Exist);
        let Ok(id) = self.script.hub.add_watch(at, kinds[which], absent) else {
            return;
        };
        let (flag, waker) = Flag::new();
        assert!(self.script.hub.poll_watch(id, &waker).is_pending());
        let list = ["data", "data", "child", "persistent", "recursive"][which];
        self.watches.push(Some(Watching {
            id,
            flag,
            waker,
            list,
            path: text,
            exists: which == 1,
            set: false,
        }));
        let place = self.watches.len() - 1;
        let watch = Some(place);
        let submitted = match which {
            0 => self.submit(&get(text), watch),
            1 => self.submit(&Exists { path: at }, watch),
            2 => self.submit(&GetChildNames { path: at }, watch),
            which => {
                let mode = [AddWatchMode::Persistent, AddWatchMode::Recursive][which - 3];
                self.submit(&AddWatch { path: at, mode }, watch)
            }
        };
        if submitted.is_err() {
            self.drop_watch(place);
        }
    }

    fn drop_watch(&mut self, at: usize) {
        if let Some(watch) = self.watches[at].take() {
            self.script.hub.drop_watch(watch.id);
        }
    }

    fn abandon(&mut self) {
        if !self.calls.is_empty() {
            let at = self.pick(self.calls.len());
            let call = self.calls.swap_remove(at);
            self.script.hub.abandon(call.id);
            call.watch.into_iter().for_each(|at| self.drop_watch(at));
        }
    }

    /// Every task looks, and has been woken if and only if there is something to see.
    fn look(&mut self) {
        self.script.wake();
        for at in (0..self.calls.len()).rev() {
            let Call {
                id, flag, waker, ..
            } = &self.calls[at];
            let woken = flag.woken() > 0;
            let Poll::Ready(reply) = self.script.hub.poll_reply(*id, waker) else {
                assert!(!woken, "a call was woken for nothing");
                continue;
            };
            assert!(woken, "a call was not woken");
            self.ended += 1;
            let call = self.calls.swap_remove(at);
            let reply = reply.map(|body| self.script.hub.recycle(body));
            call.watch.into_iter().for_each(|at| self.settle(at, reply));
        }
        for slot in &mut self.watches {
            let Some(watch) = slot else { continue };
            let woken = watch.flag.woken() > 0;
            let mut heard = false;
            loop {
                match self.script.hub.poll_watch(watch.id, &watch.waker) {
                    Poll::Pending => break,
                    Poll::Ready(Some(_)) => heard = true,
                    Poll::Ready(None) => {
                        watch.set = false;
                        break;
                    }
                }
            }
            assert!(woken || !heard, "a watch was not woken");
        }
        self.script.wake();
    }

    /// The request that sets a watch has ended.
    fn settle(&mut self, at: usize, reply: Result<(), Error>) {
        let Some(watch) = &mut self.watches[at] else {
            return;
        };
        match reply {
            Ok(()) => watch.set = true,
            Err(error) if error.is_no_node() && watch.exists => {
                watch.list = "exist";
                watch.set = true;
            }
            Err(_) => self.drop_watch(at),
        }
    }

    // ---- the server ----

    fn transmit(&mut self) {
        for text in self.script.transmit() {
            if let Some(lists) = text.strip_prefix("restore since ") {
                let mut words = lists.split(' ').skip(1);
                while let (Some(list), Some(path)) = (words.next(), words.next()) {
                    self.served.insert([list, path].join(" "));
                }
            } else if text != "ping" && text != "close" {
                self.texts.push_back(text);
            }
        }
        assert!(self.script.due.len() <= self.script.hub.requests());
        for watch in self.watches.iter().flatten().filter(|watch| watch.set) {
            // A lasting watch on its path serves it as well.
            let lists = [watch.list, "persistent", "recursive"];
            let mut held = lists.iter().map(|list| [list, watch.path].join(" "));
            let served = held.any(|held| self.served.contains(&held));
            assert!(served, "no {} {}", watch.list, watch.path);
        }
    }

    /// Runs the oldest request.
    fn answer(&mut self) {
        let Some(text) = self.texts.pop_front() else {
            return;
        };
        let err = [0, 0, 0, -101, -102][self.pick(5)];
        let body = if self.chance(9) { 300 } else { 30 };
        let (operation, path) = text.split_once(' ').unwrap();
        let list = match (operation, err) {
            ("get!" | "exists!", 0) => Some("data"),
            ("exists!", -101) => Some("exist"),
            ("names!", 0) => Some("child"),
            ("add0", 0) => Some("persistent"),
            ("add1", 0) => Some("recursive"),
            _ => None,
        };
        if operation == "remove3" {
            self.served
                .retain(|held| !held.ends_with(&std::format!(" {path}")));
        }
        self.served.extend(list.map(|list| [list, path].join(" ")));
        self.script.answer(err, &std::vec![0; body]);
        self.look();
    }

    /// Something happens to a node; the server tells whom it must.
    fn event(&mut self) {
        let at = self.path();
        let kinds = [
            EventKind::Created,
            EventKind::Deleted,
            EventKind::DataChanged,
            EventKind::ChildrenChanged,
        ];
        let kind = kinds[self.pick(4)];
        let children = kind == EventKind::ChildrenChanged;
        let mut told = false;
        for list in ["data", "exist", "child"] {
            let hears = (list == "child") == children || kind == EventKind::Deleted;
            told |= hears && self.served.remove(&[list, at].join(" "));
        }
        told |= self.served.contains(&["persistent", at].join(" "));
        let ancestors = path(at).ancestors();
        let above = |above: Path<'_>| ["recursive", above.as_str()].join(" ");
        told |= !children && ancestors.map(above).any(|held| self.served.contains(&held));
        if told {
            self.script.event(kind, at);
        }
    }

    fn disconnected(&mut self) {
        self.texts.clear();
        self.served.clear();
        self.script.due.clear();
        self.script.spare.clear();
    }

    fn cut(&mut self) {
        self.script.cut();
        self.disconnected();
    }

    fn connect(&mut self) {
        if !self.script.state().is_connected() {
            self.disconnected();
            self.script.connect_to(self.session);
        }
    }

    fn expire(&mut self) {
        self.script.expire();
        self.disconnected();
        self.session += 1;
        self.connect();
    }

    fn break_protocol(&mut self) {
        let next = self.script.due.front().map_or(1, |due| due + 1);
        let wrong = self.script.frame(&reply(next, 1, 0, b""));
        assert!(wrong.is_err());
        self.disconnected();
    }

    fn step(&mut self) {
        let connected = self.script.state().is_connected();
        match self.rng.up_to(39) {
            0..=7 => self.call(),
            8..=13 => self.watch(),
            14 | 15 => self.abandon(),
            16..=18 if !self.watches.is_empty() => {
                let at = self.pick(self.watches.len());
                let asked = self.calls.iter().any(|call| call.watch == Some(at));
                if !asked {
                    self.drop_watch(at);
                }
            }
            19..=23 if connected => self.transmit(),
            24..=31 if connected => self.answer(),
            32..=34 if connected => self.event(),
            35 if connected && self.chance(3) => self.cut(),
            36 if connected && self.chance(9) => self.break_protocol(),
            37 if self.chance(9) => self.expire(),
            38 => self.connect(),
            _ => self.script.now = self.script.now + ms(1),
        }
        self.look();
    }

    /// Nobody wants anything any more, and nothing is left of it.
    fn finish(&mut self) {
        self.connect();
        while !self.calls.is_empty() || self.script.hub.requests() > 0 {
            self.transmit();
            self.answer();
            self.look();
        }
        for at in 0..self.watches.len() {
            self.drop_watch(at);
        }
        for _ in 0..2 * K::WATCHES {
            self.transmit();
            self.answer();
        }
        assert_eq!(self.script.hub.requests(), 0);
        let lasting =
            |held: &&String| held.starts_with("persistent") || held.starts_with("recursive");
        assert_eq!(self.served.iter().find(lasting), None);
        let kind = WatchKind::Data;
        for _ in 0..K::WATCHES {
            self.script.hub.add_watch(path("/v"), kind, None).unwrap();
        }
        for _ in 0..K::CALLS {
            self.submit(&get("/v"), None).unwrap();
        }
    }
}

fn every_call_ends_once_and_no_watch_is_missed<K: Kind>() {
    let mut ended = 0;
    for seed in 0..200 {
        let mut world = World::<K>::new(seed);
        for _ in 0..400 {
            world.step();
        }
        world.finish();
        ended += world.ended;
    }
    assert!(ended > 5_000, "{ended}");
}
