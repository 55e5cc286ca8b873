// Owns the printed form of the history. Leaves to others: what is in it (shuttled/Control).

import ShuttleEngine

enum HistoryEncoder {
    /// Lines of a change that a list shows; the change itself has all of them.
    private static let linesMax = 20

    static func bytes(of page: HistoryPage) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.list("entries") { writer in
                for item in page.entries {
                    writer.object { writer in
                        write(item.entry, to: &writer)
                        let lines = item.lines
                        writer.member("diff", lines.prefix(linesMax))
                        if lines.count > linesMax {
                            writer.member("diff_lines_left_out", lines.count - linesMax)
                        }
                    }
                }
            }
            writer.name("next")
            if let next = page.next {
                writer.value("/v1/history?before=\(next)&limit=\(page.entries.count)")
            } else {
                writer.null()
            }
        }
        return writer.finish(trailingNewline: true)
    }

    static func bytes(of detail: HistoryDetail) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            write(detail.entry, to: &writer)
            ConfigurationDiff(from: detail.before, to: detail.after).write(to: &writer)
        }
        return writer.finish(trailingNewline: true)
    }

    private static func write(_ entry: HistoryEntry, to writer: inout JSONWriter) {
        writer.member("id", entry.id)
        writer.member("time", Timestamp.text(milliseconds: entry.milliseconds))
        let parts = entry.request.split(separator: " ", maxSplits: 1)
        switch entry.request {
        case "start": writer.member("source", "startup")
        case _ where parts.count == 2: writer.member("source", "http")
        case ControlPlane.expiry.request: writer.member("source", "confirm-timeout")
        case "config-watch": writer.member("source", "watch")
        default: writer.member("source", "signal")
        }
        writer.member("peer", entry.peer)
        writer.name("token")
        if let token = entry.token {
            writer.value(token)
        } else {
            writer.null()
        }
        writer.member("method", String(parts.first ?? ""))
        if parts.count == 2 {
            writer.member("target", String(parts[1]))
        }
        writer.member("version", entry.version)
    }
}
