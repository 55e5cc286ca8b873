// Owns writing the state file from the loop without waiting on it.
// Leaves to others: the file (StateFile) and the thread (FileThread).

import Glibc

/// The state file as the control plane sees it.
struct StateStore: Sendable {
    let file: StateFile
    let thread: FileThread

    /// Prints the configuration and replaces the file's content with it, durably.
    func save(_ print: @escaping @Sendable () -> [UInt8]) async throws(FileFailure) {
        let file = file
        let failure = await thread.run { () -> FileFailure? in
            do throws(FileFailure) {
                try file.replace(with: print())
                return nil
            } catch {
                return error
            }
        }
        // The outer nil: the thread has been shut down, and nothing was written.
        switch failure {
        case .some(nil): return
        case .some(let failure?): throw failure
        case nil: throw FileFailure("write", file.path, code: ECANCELED, remedy: "shuttled is shutting down")
        }
    }
}
