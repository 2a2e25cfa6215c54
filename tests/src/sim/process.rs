//! Processes: a client with its driver and its tasks, which stop, die and start again together.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;
use std::task::Waker;

use docent_core::handle::Handle;
use docent_core::recipes::reap;

use super::client::{Drive, Driver, Hold, Kind};
use super::executor::Role;
use super::world::World;

/// Starts a process in its place, at first or again.
pub(super) type Main = Rc<dyn Fn(&Rc<World>, usize)>;

/// A process.
pub(super) struct Process {
    pub(super) driver: Rc<RefCell<dyn Drive>>,
    /// What makes the driver run.
    waker: Waker,
    /// What starts it again, if anything does.
    pub(super) main: Option<Main>,
    /// Who does not run at present.
    pub(super) tasks_asleep: bool,
    pub(super) driver_asleep: bool,
    /// Its tasks are gone, and it waits for its client to be over.
    pub(super) leaving: bool,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It dies; its machine lives, and closes its connections.
    Crash,
    /// It dies with its machine.
    PowerCut,
    /// It closes its client before.
    Close,
    /// It leaves its session behind.
    Detach,
}

impl World {
    /// Puts a client, and with it a process without tasks, into a place.
    pub(super) fn employ<K: Kind>(self: &Rc<Self>, id: usize) -> Handle<Hold<K>> {
        let waker = self.executor.driver(id);
        waker.wake_by_ref();
        let driver = Driver::<K>::new(self, id, waker.clone());
        let handle = driver.handle();
        self.executor
            .spawn(id, "reaper", Role::Reaper, reap(handle.clone()));
        let mut process = Process {
            driver: Rc::new(RefCell::new(driver)),
            waker,
            main: None,
            tasks_asleep: false,
            driver_asleep: false,
            leaving: false,
        };
        let mut processes = self.processes.borrow_mut();
        if id == processes.len() {
            processes.push(process);
        } else {
            process.main = processes[id].main.take();
            let before = mem::replace(&mut processes[id], process);
            drop(processes);
            drop(before);
        }
        handle
    }

    /// The driver of a process.
    pub(super) fn driver(&self, id: usize) -> Rc<RefCell<dyn Drive>> {
        Rc::clone(&self.processes.borrow()[id].driver)
    }

    pub(super) fn wake_driver(&self, id: usize) {
        self.processes.borrow()[id].waker.wake_by_ref();
    }

    pub(super) fn is_asleep(&self, id: usize, role: Role) -> bool {
        let processes = self.processes.borrow();
        // What belongs to no process is never frozen.
        processes.get(id).is_some_and(|process| match role {
            Role::Task { .. } => process.tasks_asleep,
            Role::Driver | Role::Reaper => process.driver_asleep,
        })
    }

    /// Freezes a process, or parts of it, or lets them go on.
    pub(super) fn freeze(&self, id: usize, tasks: Option<bool>, driver: Option<bool>) {
        let process = &mut self.processes.borrow_mut()[id];
        process.tasks_asleep = tasks.unwrap_or(process.tasks_asleep);
        process.driver_asleep = driver.unwrap_or(process.driver_asleep);
    }

    /// Drives a client, and starts its process again if that has waited for its end.
    pub(super) fn drive(self: &Rc<Self>, id: usize) {
        let driver = self.driver(id);
        driver.borrow_mut().drive();
        let over = driver.borrow().status().state.end().is_some();
        let leaves = over && self.processes.borrow()[id].leaving;
        if leaves {
            self.restart(id);
        }
    }

    /// A process ends, and is started again if there is something to start.
    pub(super) fn exit(self: &Rc<Self>, id: usize, exit: Exit) {
        let at_once = matches!(exit, Exit::Crash | Exit::PowerCut);
        self.executor.dismiss(id, at_once);
        self.journal.borrow_mut().leave(id);
        let driver = self.driver(id);
        match exit {
            Exit::Crash => driver.borrow_mut().crash(true),
            Exit::PowerCut => driver.borrow_mut().crash(false),
            Exit::Close => driver.borrow_mut().close(),
            Exit::Detach => driver.borrow_mut().detach(),
        }
        if at_once {
            self.restart(id);
        } else {
            self.processes.borrow_mut()[id].leaving = true;
            self.wake_driver(id);
        }
    }

    fn restart(self: &Rc<Self>, id: usize) {
        self.executor.dismiss(id, true);
        self.freeze(id, Some(false), Some(false));
        let main = self.processes.borrow()[id].main.clone();
        self.note(&[0x5e7, id as u64], || format!("client {id}: ended"));
        if let Some(main) = main {
            main(self, id);
        }
    }
}
