// Owns the change that waits to be confirmed: that there is at most one, its file beside the state file, and its time.
// Leaves to others: what it is (PendingChange), making it and taking it back (ControlPlane).

import Glibc
import Logging
import NIOCore
import ShuttleEngine

/// Keeps the change that waits to be confirmed. Its record is durable before the change is, and gone before a confirmation
/// is answered: whatever crashes in between, the next start finds out which of the two configurations it is to have.
///
/// Confined to the control plane.
final class ConfirmationKeeper {
    /// How a change that waited has ended.
    enum End: Sendable, Equatable {
        case confirmed
        case reverted
    }

    /// How long after a failure it is tried again to take a change back: twice as long after each.
    static let retryDelays = TimeAmount.seconds(5)...(.minutes(5))

    private(set) var pending: PendingChange?
    /// The last one that waited.
    private(set) var last: (id: Int, end: End)?
    /// Told on the loop when the time of a change is over.
    var due: (_ id: Int) -> Void = { _ in }

    private let loop: any EventLoop
    private let store: StateStore?
    private let file: RecordFile?
    private let logger: Logger
    private var timer: Scheduled<Void>?
    private var retryDelay = ConfirmationKeeper.retryDelays.lowerBound
    /// Whether there may be a record of a change that does not wait. Were it to stay, a later start could take back
    /// what was confirmed, or was made by another change.
    private var isFileStale = false

    init(loop: any EventLoop, store: StateStore?, logger: Logger, calls: FileCalls = .system) {
        self.loop = loop
        self.store = store
        self.logger = logger
        file = store.map { RecordFile(beside: $0.file, suffix: "pending", calls: calls) }
    }

    // MARK: The start

    /// The change that waited when the process before this one ended, where it is in what the state file holds. Its time
    /// does not run yet.
    nonisolated(nonsending) func open(live services: [ServiceConfiguration], isFromState: Bool) async -> PendingChange?
    {
        guard let store, let file else {
            return nil
        }
        let read = await store.thread.run { () -> Result<RecordFile.Content, FileFailure> in
            do throws(FileFailure) {
                return .success(try file.read())
            } catch {
                return .failure(error)
            }
        }
        switch read {
        case nil:
            return nil
        case .failure(let failure)?:
            isFileStale = true
            logger.error(
                "whether a change waits to be confirmed cannot be read: it would not be taken back",
                metadata: ["reason": "\(failure)"]
            )
            return nil
        case .success(let content)? where content.records.isEmpty && content.damaged.isEmpty:
            return nil
        case .success(let content)?:
            guard let record = content.records.first, let found = PendingRecords.pending(record) else {
                isFileStale = true
                logger.error(
                    "the record of a change that waits to be confirmed is damaged: it will not be taken back",
                    metadata: [
                        "file": "\(file.path)", "remedy": "see /v1/history; the record goes with the next change",
                    ]
                )
                return nil
            }
            guard isFromState, found.isIn(services) else {
                // The crash came before the change, or after it was taken back; or the state was edited.
                await withdraw()
                return nil
            }
            return found
        }
    }

    // MARK: A change that is to wait

    /// Makes the record durable, before the change is.
    nonisolated(nonsending) func write(_ change: PendingChange) async throws(ChangeRefusal) {
        guard let store, let file else {
            return
        }
        let failure = await store.thread.run { () -> FileFailure? in
            do throws(FileFailure) {
                _ = try file.replace(with: [PendingRecords.record(change)])
                return nil
            } catch {
                return error
            }
        }
        if case .some(nil) = failure {
            return
        }
        isFileStale = true
        throw .notDurable(
            "what would take it back could not be written: \(failure.flatMap { $0.map(\.description) } ?? "it is too late")"
        )
    }

    /// The change was made: it waits from now on.
    func begin(_ change: PendingChange, at now: Int) {
        pending = change
        retryDelay = ConfirmationKeeper.retryDelays.lowerBound
        schedule(.milliseconds(Int64(change.remainingMilliseconds(at: now))))
    }

    /// Asks again later to take it back.
    func retry() {
        schedule(retryDelay)
        retryDelay = min(retryDelay * 2, ConfirmationKeeper.retryDelays.upperBound)
    }

    private func schedule(_ delay: TimeAmount) {
        guard let id = pending?.id else {
            return
        }
        timer?.cancel()
        timer = loop.assumeIsolated().scheduleTask(in: delay) { self.due(id) }
    }

    // MARK: The end of waiting

    /// It was confirmed. Where the record cannot be removed for certain it goes on waiting: a crash could take it back.
    nonisolated(nonsending) func confirm() async throws(ChangeRefusal) {
        if let failure = await erase() {
            await restoreRecord()
            throw .notDurable("the record by which it is taken back could not be removed: \(failure)")
        }
        end(.confirmed)
    }

    /// It may be gone all the same, and a restart would keep what nobody was told to be confirmed.
    private nonisolated(nonsending) func restoreRecord() async {
        guard let pending else {
            return
        }
        do throws(ChangeRefusal) {
            try await write(pending)
            isFileStale = false
        } catch {
            logger.error(
                "a change waits to be confirmed, and would not be taken back after a crash",
                metadata: ["id": "\(pending.id)", "reason": "\(error)"]
            )
        }
    }

    /// It was taken back, and the state file says so.
    nonisolated(nonsending) func finishRevert() async {
        end(.reverted)
        await withdraw()
    }

    private func end(_ end: End) {
        timer?.cancel()
        timer = nil
        last = pending.map { ($0.id, end) }
        pending = nil
    }

    /// Removes the record of a change that was not made, or is no more.
    nonisolated(nonsending) func withdraw() async {
        isFileStale = true
        if let failure = await erase() {
            logger.warning(
                "the record of a change that does not wait to be confirmed could not be removed",
                metadata: ["reason": "\(failure)", "remedy": "it is tried again before the next change"]
            )
        }
    }

    /// No change is made beside a record that does not belong there.
    nonisolated(nonsending) func clear() async throws(ChangeRefusal) {
        guard isFileStale, pending == nil else {
            return
        }
        if let failure = await erase() {
            throw .notDurable("an old record of a change that waited to be confirmed cannot be removed: \(failure)")
        }
    }

    private nonisolated(nonsending) func erase() async -> FileFailure? {
        guard let store, let file else {
            isFileStale = false
            return nil
        }
        let failure = await store.thread.run { () -> FileFailure? in
            do throws(FileFailure) {
                try file.remove()
                return nil
            } catch {
                return error
            }
        }
        switch failure {
        case .some(nil):
            isFileStale = false
            return nil
        case .some(let failure?):
            return failure
        case nil:
            return FileFailure("remove", file.path, code: ECANCELED, remedy: "shuttled is shutting down")
        }
    }

    func stop() {
        timer?.cancel()
        timer = nil
    }
}
