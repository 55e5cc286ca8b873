// Owns what the process sets of itself at start: its limit of open files, and the signal that broken pipes send.

import Glibc
import ShuttleEngine

enum ProcessSetup {
    /// Open files, before and after raising the limit.
    struct DescriptorLimit: Equatable, Sendable {
        var before: UInt64
        var after: UInt64
    }

    /// Raises the limit of open files to the hardest one that is allowed: each session takes two. The default of 1024
    /// is there for programs that use select(2).
    static func raiseDescriptorLimit() -> DescriptorLimit {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return DescriptorLimit(before: 0, after: 0)
        }
        let before = UInt64(limit.rlim_cur)
        limit.rlim_cur = limit.rlim_max
        // Cannot fail for a value between the two; if it does, the limit is what it was.
        let after =
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_cur) : before
        return DescriptorLimit(before: before, after: after)
    }

    /// Signals that mean something else than the end wait until there is somebody whom they mean something to. Threads that are
    /// started later block them as well, so that they come to who reads them (signalfd(2)).
    static func keepEarlySignals() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGHUP)
        sigaddset(&signals, SIGUSR1)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Writing to a connection that the other side has closed is an error of that call, not the end of the process.
    static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }
}
