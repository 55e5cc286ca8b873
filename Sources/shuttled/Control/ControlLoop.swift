// Owns how Swift concurrency runs on the one control loop: the executor of tasks, and pauses that neither block the loop
// nor end early.
// Leaves to others: which actors and services run there.

import NIOCore

/// Runs tasks on the control loop, so that the control side is one thread: requests, changes, checks, signals.
final class ControlLoopExecutor: TaskExecutor {
    let loop: any EventLoop

    init(loop: any EventLoop) {
        self.loop = loop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute {
            job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
    }
}

extension EventLoop {
    /// Comes back after `delay`. Unlike `Task.sleep` it is not cut short when the task is cancelled: a change that has
    /// begun is carried through although its client has left.
    func pause(_ delay: TimeAmount) async {
        let elapsed = scheduleTask(in: delay) {}
        // Fails when the loop is shut down, which is the end of the process.
        _ = try? await elapsed.futureResult.get()
    }
}
