// Owns starting and joining a thread of the operating system. Stands beside the ring because libc's types for it come
// through the same headers.

import CURing
import Glibc

/// A thread that runs a C function.
struct NativeThread {
    private let thread: pthread_t

    /// Starts `body` with every signal blocked: signals are the control thread's.
    static func start(
        _ context: UnsafeMutableRawPointer,
        _ body: @escaping @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
    ) -> NativeThread {
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        var thread = pthread_t()
        let outcome = pthread_create(&thread, nil, body, context)
        precondition(outcome == 0, "a thread could not be created: errno \(outcome)")
        return NativeThread(thread: thread)
    }

    /// Waits until it has ended; once.
    func join() {
        pthread_join(thread, nil)
    }

    /// Names the calling thread, as debuggers and /proc show it; at most 15 bytes.
    static func nameCurrent(_ name: String) {
        shuttle_name_thread(name)
    }
}
