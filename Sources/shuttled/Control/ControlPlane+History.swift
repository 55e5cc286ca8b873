// Owns the one place that is told of every change that was made, and what is said of those changes.
// Leaves to others: remembering them (HistoryKeeper).

import Glibc
import ShuttleEngine

extension ControlPlane {
    /// The newest changes first, those before `id` where one is given.
    func history(before id: Int?, limit: Int) -> HistoryPage {
        keeper.history.page(before: id, limit: limit)
    }

    /// Nil where it is not remembered.
    func historyEntry(_ id: Int) -> HistoryDetail? {
        keeper.history.detail(of: id)
    }

    /// The one place that is told of every change, in their order, at the moment from which it is the configuration: who
    /// wants to know of changes is called from here. It must not wait; nobody has been answered yet.
    ///
    /// Not called where nothing changed, nor at the start, which is a change only if it differs from what was remembered.
    func made(_ origin: ChangeOrigin, from before: [ServiceConfiguration], to after: [ServiceConfiguration]) {
        guard hasStarted, before != after, let version = configuration().versions.tag(of: .whole) else {
            return
        }
        keeper.add(
            MadeChange(
                origin: origin, before: before, after: after, version: version,
                milliseconds: ControlPlane.millisecondsNow()
            )
        )
    }

    /// Remembers what the start has found, where it is not what the last change has left: the file was edited, or a crash
    /// came between a change and its record. The first start is an entry in any case: it can be returned to.
    func rememberStart(_ origin: ChangeOrigin) async {
        let live = configuration()
        let before = keeper.history.latest
        guard before != live.services || keeper.history.entries.isEmpty, let version = live.versions.tag(of: .whole)
        else {
            return
        }
        keeper.add(
            MadeChange(
                origin: origin, before: before, after: live.services, version: version,
                milliseconds: ControlPlane.millisecondsNow()
            )
        )
        await keeper.save()
    }

    static func millisecondsNow() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }
}
