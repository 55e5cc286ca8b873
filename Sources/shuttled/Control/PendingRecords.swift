// Owns the form of a change that waits to be confirmed in its file. Leaves to others: the file (RecordFile).

import ShuttleEngine

enum PendingRecords {
    private static let format = 1

    static func record(_ pending: PendingChange) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("format", format)
            writer.member("id", pending.id)
            writer.member("time", pending.milliseconds)
            writer.member("limit", pending.limitMilliseconds)
            writer.member("peer", pending.peer)
            writer.member("request", pending.request)
            if let token = pending.token {
                writer.member("token", token)
            }
            for (name, deltas) in [("before", pending.before), ("after", pending.after)] {
                writer.name(name)
                writer.object { HistoryRecords.write(deltas, to: &$0) }
            }
        }
        return JSONText.compact(writer.finish(trailingNewline: false))
    }

    /// Nil where the record is not understood.
    static func pending(_ record: [UInt8]) -> PendingChange? {
        guard let root = try? JSONDocument(parsing: record).root, root.member("format")?.integer == format,
            let id = root.member("id")?.integer, let time = root.member("time")?.integer,
            let limit = root.member("limit")?.integer, limit >= 0, time >= 0, time <= Int.max - limit,
            let peer = root.member("peer")?.string, let request = root.member("request")?.string,
            let before = root.member("before").flatMap(HistoryRecords.deltas),
            let after = root.member("after").flatMap(HistoryRecords.deltas),
            before.map(\.name) == after.map(\.name)
        else {
            return nil
        }
        return PendingChange(
            id: id, milliseconds: time, limitMilliseconds: limit, peer: peer, request: request,
            token: root.member("token")?.string, before: before, after: after
        )
    }
}
