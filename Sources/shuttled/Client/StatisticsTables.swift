// Owns how statistics are laid out for people: all services, one of them, one backend, and what watching shows.
// Leaves to others: aligning (TextTable), which of them a command shows.

import ShuttleEngine

enum StatisticsTables {
    private static let traffic: [TextTable.Column] = [
        .init(title: "ACTIVE", isNumber: true), .init(title: "TOTAL", isNumber: true, isDispensable: true),
        .init(title: "ERRORS", isNumber: true), .init(title: "SENT", isNumber: true, isDispensable: true),
        .init(title: "RECEIVED", isNumber: true, isDispensable: true),
    ]

    /// A line for each service.
    static func services(_ services: [ServiceView]) -> TextTable {
        var table = TextTable(
            columns: [
                .init(title: "SERVICE", isFlexible: true, keepsEnd: true), .init(title: "ADDRESS"),
                .init(title: "STATE"), .init(title: "USABLE", isNumber: true),
            ] + traffic
        )
        table.rows = services.map { service in
            [
                TextCell(service.name), TextCell(service.place), service.status,
                TextCell("\(service.usableCount)/\(service.backends.count)"),
            ] + cells(service.traffic)
        }
        return table
    }

    /// A line for each backend.
    static func backends(_ services: [ServiceView], namingServices: Bool) -> TextTable {
        var table = TextTable(
            columns: [
                .init(title: "BACKEND", isFlexible: true, keepsEnd: true), .init(title: "ADDRESS"),
                .init(title: "STATE"), .init(title: "WEIGHT", isNumber: true),
            ] + traffic + [.init(title: "REASON", isFlexible: true)]
        )
        for service in services {
            table.rows += service.backends.map { backend in
                [
                    TextCell(namingServices ? "\(service.name)/\(backend.name)" : backend.name),
                    TextCell(backend.address), backend.status, TextCell(String(backend.weight)),
                ] + cells(backend.traffic) + [TextCell(backend.reason)]
            }
        }
        return table
    }

    private static func cells(_ traffic: TrafficView) -> [TextCell] {
        [traffic.active, traffic.connections, traffic.errors].map { TextCell(String($0)) }
            + [traffic.sent, traffic.received].map { TextCell(Humanised.bytes($0)) }
    }

    /// The fields of a service or backend with their values, but for its backends, and for counters that are 0: of some
    /// thirty most are.
    static func fields(_ value: JSONValue) -> TextTable {
        let counters = ServiceConfiguration.statisticsNames.union(BackendConfiguration.statisticsNames)
        var table = TextTable(columns: [.init(title: "FIELD"), .init(title: "VALUE")])
        func add(_ name: String, _ member: JSONValue, isCounter: Bool) {
            if isCounter, member.kind == .object {
                for child in member.children {
                    add("\(name).\(child.name ?? "")", child, isCounter: true)
                }
                return
            }
            if isCounter, member.integer == 0 {
                return
            }
            let text = JSONText.oneLine(member)
            let isLong = ["sent", "received"].contains(name) && (member.integer ?? 0) >= 1024
            let human = isLong ? " (\(Humanised.bytes(member.integer ?? 0)))" : ""
            table.rows.append([TextCell(name), TextCell(text + human)])
        }
        for member in value.children {
            let name = member.name ?? ""
            if name != "backends" {
                add(name, member, isCounter: counters.contains(name))
            }
        }
        return table
    }

    /// What watching shows: each service with its rates, its backends beneath.
    static func rates(_ services: [ServiceView], _ rates: [String: Rates]) -> TextTable {
        var table = TextTable(
            columns: [
                .init(title: "NAME", isFlexible: true, keepsEnd: true), .init(title: "STATE"),
                .init(title: "ACTIVE", isNumber: true), .init(title: "QUEUED", isNumber: true),
                .init(title: "CONN/S", isNumber: true), .init(title: "ERR/S", isNumber: true),
                .init(title: "SENT", isNumber: true), .init(title: "RECEIVED", isNumber: true),
            ]
        )
        // What is beneath each other changes together: rather a short name than a line that breaks.
        table.flexibleWidthMin = 8
        func row(_ name: String, _ key: String, _ status: TextCell, _ traffic: TrafficView, queued: String)
            -> [TextCell]
        {
            let rate = rates[key]
            let isFailing = (rate?.errors ?? 0) > 0
            return [
                TextCell(name), status, TextCell(String(traffic.active)), TextCell(queued),
                TextCell(Humanised.perSecond(rate?.connections)),
                TextCell(Humanised.perSecond(rate?.errors), isFailing ? .bad : .none),
                TextCell(Humanised.bytesPerSecond(rate?.sent)), TextCell(Humanised.bytesPerSecond(rate?.received)),
            ]
        }
        for service in services {
            let queued = String(service.queued)
            table.rows.append(row(service.name, service.name, service.status, service.traffic, queued: queued))
            for backend in service.backends {
                let key = RateBook.key(service, backend)
                table.rows.append(row("  \(backend.name)", key, backend.status, backend.traffic, queued: ""))
            }
        }
        return table
    }
}

extension JSONText {
    /// A value on one line: a string bare, all else as JSON.
    static func oneLine(_ value: JSONValue) -> String {
        if let string = value.string {
            return string
        }
        var writer = JSONWriter(isOnOneLine: true)
        copy(value, to: &writer)
        return String(decoding: writer.finish(trailingNewline: false), as: UTF8.self)
    }

    /// Writes a value that was read. Numbers stay as they were written where they are integers; there are no others here.
    static func copy(_ value: JSONValue, to writer: inout JSONWriter) {
        switch value.kind {
        case .null: writer.null()
        case .bool: writer.value(value.bool ?? false)
        case .number:
            if let integer = value.integer { writer.value(integer) } else { writer.value(value.numberText ?? "") }
        case .string: writer.value(value.string ?? "")
        case .list:
            writer.list { writer in
                for child in value.children { copy(child, to: &writer) }
            }
        case .object:
            writer.object { writer in
                for child in value.children {
                    writer.name(child.name ?? "")
                    copy(child, to: &writer)
                }
            }
        }
    }
}
