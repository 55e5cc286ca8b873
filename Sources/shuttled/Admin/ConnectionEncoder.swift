// Owns the printed form of connections, and of jobs that end them. Leaves to others: what is in it (shuttled/Control).

import ShuttleEngine

enum ConnectionEncoder {
    static func bytes(of page: ConnectionPage, _ query: ConnectionQuery, _ text: ConnectionText) -> [UInt8] {
        var writer = JSONWriter(capacity: 64 + page.connections.count * 480)
        writer.object { writer in
            writer.list("connections") { writer in
                for connection in page.connections {
                    write(connection, text, to: &writer)
                }
            }
            writer.name("next")
            if let next = page.next {
                writer.value(target(of: query, from: ConnectionText.text(next)))
            } else {
                writer.null()
            }
        }
        return writer.finish(trailingNewline: true)
    }

    /// Where the list goes on with the same filters.
    private static func target(of query: ConnectionQuery, from cursor: String) -> String {
        var parts = ConnectionParameters.text(of: query.filter)
        parts.append(("limit", String(query.limit)))
        parts.append(("interval", QueryParameters.text(query.interval)))
        parts.append(("after", cursor))
        let text = parts.map { "\($0.name)=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
        return "/v1/connections?\(text)"
    }

    static func bytes(of connection: ConnectionReport, _ text: ConnectionText) -> [UInt8] {
        var writer = JSONWriter()
        write(connection, text, to: &writer)
        return writer.finish(trailingNewline: true)
    }

    private static func write(_ report: ConnectionReport, _ text: ConnectionText, to writer: inout JSONWriter) {
        let session = report.session
        writer.object { writer in
            writer.member("id", text.id(session.identifier))
            writer.member("network", session.network.rawValue)
            writer.member("service", session.service)
            write("backend", session.backend, to: &writer)
            write("client", session.client?.description, to: &writer)
            writer.member("state", session.state.rawValue)
            writer.member("started", Timestamp.text(milliseconds: report.startedMilliseconds))
            writer.member("age_milliseconds", session.ageMilliseconds)
            writer.member("idle_milliseconds", session.idleMilliseconds)
            writer.member("sent", session.sentBytes)
            writer.member("received", session.receivedBytes)
            if let sent = report.sentPerSecond, let received = report.receivedPerSecond {
                writer.member("sent_per_second", sent)
                writer.member("received_per_second", received)
            }
            writer.member("ring", session.identifier.ring)
        }
    }

    private static func write(_ name: String, _ value: String?, to writer: inout JSONWriter) {
        writer.name(name)
        if let value {
            writer.value(value)
        } else {
            writer.null()
        }
    }

    // MARK: Ending

    /// What ending them would come to.
    static func bytes(of request: DisconnectRequest, matched: Int) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            write(request, matched: matched, to: &writer)
        }
        return writer.finish(trailingNewline: true)
    }

    static func bytes(of reports: [DisconnectReport]) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.list("disconnects") { writer in
                for report in reports {
                    write(report, to: &writer)
                }
            }
        }
        return writer.finish(trailingNewline: true)
    }

    static func bytes(of report: DisconnectReport) -> [UInt8] {
        var writer = JSONWriter()
        write(report, to: &writer)
        return writer.finish(trailingNewline: true)
    }

    private static func write(_ report: DisconnectReport, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", report.id)
            writer.member("state", report.state.rawValue)
            write(report.request, matched: report.matched, to: &writer)
            writer.member("ended", report.ended)
            writer.member("gone", report.gone)
            writer.member("remaining", report.remaining)
            writer.member("started", Timestamp.text(milliseconds: report.startedMilliseconds))
            write("finished", report.endedMilliseconds.map { Timestamp.text(milliseconds: $0) }, to: &writer)
            writer.member("peer", report.peer)
            write("token", report.token, to: &writer)
        }
    }

    private static func write(_ request: DisconnectRequest, matched: Int, to writer: inout JSONWriter) {
        writer.object("filter") { writer in
            for (name, value) in ConnectionParameters.text(of: request.filter) {
                writer.member(name, value)
            }
        }
        writer.member("matched", matched)
        writer.member("rate", request.rate.text)
        writer.member("jitter", request.jitterPercent)
        // From the first to the last.
        let nanoseconds = Double(request.rate.interval) * Double(max(0, matched - 1))
        writer.member("takes_milliseconds", Int(nanoseconds / 1_000_000))
    }
}
