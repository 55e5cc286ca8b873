// Owns keeping the history: in memory, and beside the state file where there is one.
// Leaves to others: what is remembered (History), the file (RecordFile), when changes are made (ControlPlane).

import Logging
import ShuttleEngine

/// Remembers changes. The state file is what counts: a change whose record cannot be written stands, is remembered in
/// memory, and is written with the next one; the log says so.
///
/// Confined to the control plane.
final class HistoryKeeper {
    private(set) var history: History
    private let store: StateStore?
    private let file: RecordFile?
    private let logger: Logger

    /// A file that cannot be read is not written either: what it holds would be lost.
    private var isFileUsable = true
    /// Bytes of the file that are whole; nil where it has to be written anew.
    private var length: Int?
    /// Its length when it was last written anew, and records since then.
    private var lengthAtFirst = 0
    private var appended = 0
    /// Entries that are not on disk yet.
    private var pending: [HistoryEntry] = []

    init(store: StateStore?, logger: Logger, bounds: History.Bounds = History.Bounds(), calls: FileCalls = .system) {
        self.store = store
        self.logger = logger
        history = History(bounds: bounds)
        file = store.map { RecordFile(beside: $0.file, suffix: "history", calls: calls) }
    }

    /// Takes up what the file holds. What is damaged is put aside, cut off, and told.
    nonisolated(nonsending) func open() async {
        guard let store, let file else {
            return
        }
        let bounds = history.bounds
        let read = await store.thread.run { () -> Result<(History, RecordFile.Content, Int), FileFailure> in
            do throws(FileFailure) {
                let content = try file.read()
                let (history, understood) = HistoryRecords.history(content.records, bounds: bounds)
                return .success((history, content, understood))
            } catch {
                return .failure(error)
            }
        }
        switch read {
        case .success(let (history, content, understood))?:
            self.history = history
            let isWhole = content.damaged.isEmpty && understood == content.records.count
            // Written anew with the next change otherwise: what is in memory is all that can be kept.
            length = isWhole && understood > 0 ? content.length : nil
            lengthAtFirst = length ?? 0
            if !isWhole {
                await cut(content, understood)
            }
        case .failure(let failure)?:
            logger.error(
                "the history of changes cannot be read: the file is left as it is, changes are remembered in memory only",
                metadata: ["reason": "\(failure)"]
            )
            isFileUsable = false
        case nil:
            return
        }
    }

    private nonisolated(nonsending) func cut(_ content: RecordFile.Content, _ understood: Int) async {
        guard let store, let file else {
            return
        }
        let lost = content.records.dropFirst(understood).flatMap { RecordFile.frame($0) } + content.damaged
        let aside = await store.thread.run { () -> String in
            do throws(FileFailure) {
                return try file.putAside(lost)
            } catch {
                return "nowhere: \(error)"
            }
        }
        logger.warning(
            "the end of the history of changes was torn or damaged, and is cut off; the configuration is not affected",
            metadata: [
                "file": "\(file.path)", "bytes": "\(lost.count)", "entries_left": "\(history.entries.count)",
                "put_aside": "\(aside ?? "nowhere")",
            ]
        )
        await writeAll()
    }

    /// Gives no change an id up to this one.
    func skip(id: Int) {
        history.skip(id: id)
    }

    /// Remembers a change at once.
    func add(_ change: MadeChange) {
        pending.append(history.add(change))
    }

    /// Comes back when what is remembered is on disk, or the log says why it is not.
    nonisolated(nonsending) func save() async {
        defer { pending = [] }
        guard let store, let file, isFileUsable, !pending.isEmpty else {
            return
        }
        let bounds = history.bounds
        guard let length, pending.count == 1, let entry = pending.first, appended < max(16, bounds.count / 4),
            length - lengthAtFirst < bounds.bytes
        else {
            await writeAll()
            return
        }
        let result = await store.thread.run { () -> Result<Int, FileFailure> in
            do throws(FileFailure) {
                return .success(try file.append(HistoryRecords.entry(entry), at: length))
            } catch {
                return .failure(error)
            }
        }
        take(result) { self.appended += 1 }
    }

    private nonisolated(nonsending) func writeAll() async {
        guard let store, let file else {
            return
        }
        let history = history
        let result = await store.thread.run { () -> Result<Int, FileFailure> in
            do throws(FileFailure) {
                let records = [HistoryRecords.base(history.base)] + history.entries.map(HistoryRecords.entry)
                return .success(try file.replace(with: records))
            } catch {
                return .failure(error)
            }
        }
        take(result) {
            self.appended = 0
            self.lengthAtFirst = self.length ?? 0
        }
    }

    private func take(_ result: Result<Int, FileFailure>?, succeeded: () -> Void) {
        switch result {
        case .success(let length)?:
            self.length = length
            succeeded()
        case .failure(let failure)?:
            length = nil
            logger.error(
                "the history of changes could not be written; the configuration is not affected",
                metadata: [
                    "reason": "\(failure)",
                    "remedy": "its newest entries are in memory only, and are written with the next change",
                ]
            )
        case nil:
            // The thread is gone: the process ends. The next start finds that the state is another one.
            length = nil
        }
    }
}
