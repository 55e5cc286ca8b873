// Owns the form of the history in its file: a first record with the configuration before the oldest change, then one for
// each change with the services that it changed.
// Leaves to others: the file (RecordFile), the form of services (Configuration).

import ShuttleEngine

enum HistoryRecords {
    private static let format = 1

    static func base(_ services: [ServiceConfiguration]) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("format", format)
            writer.name("base")
            ConfigurationEncoder.write(services, to: &writer)
        }
        return JSONText.compact(writer.finish(trailingNewline: false))
    }

    static func entry(_ entry: HistoryEntry) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("id", entry.id)
            writer.member("time", entry.milliseconds)
            writer.member("peer", entry.peer)
            writer.member("request", entry.request)
            if let token = entry.token {
                writer.member("token", token)
            }
            writer.member("version", entry.version)
            write(entry.deltas, to: &writer)
        }
        return JSONText.compact(writer.finish(trailingNewline: false))
    }

    /// Writes services as members of an object.
    static func write(_ deltas: [HistoryEntry.Delta], to writer: inout JSONWriter) {
        writer.list("removed") { writer in
            for delta in deltas where delta.after == nil {
                writer.value(delta.name)
            }
        }
        writer.name("services")
        ConfigurationEncoder.write(deltas.compactMap(\.after), to: &writer)
    }

    /// Those that `write` has written, sorted by name; nil where they are not understood.
    static func deltas(in object: JSONValue) -> [HistoryEntry.Delta]? {
        guard let removed = object.member("removed"), let changed = object.member("services").flatMap(services) else {
            return nil
        }
        var deltas = removed.children.compactMap(\.string).map { HistoryEntry.Delta(name: $0, after: nil) }
        deltas += changed.map { HistoryEntry.Delta(name: $0.name, after: $0) }
        return deltas.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// The history that records hold, and how many of them could be understood.
    static func history(_ records: [[UInt8]], bounds: History.Bounds = History.Bounds()) -> (History, understood: Int) {
        guard let first = records.first, let base = readBase(first) else {
            return (History(bounds: bounds), 0)
        }
        var entries: [HistoryEntry] = []
        for record in records.dropFirst() {
            guard let entry = readEntry(record), entry.id > entries.last?.id ?? 0 else {
                break
            }
            entries.append(entry)
        }
        return (History(bounds: bounds, base: base, entries: entries), entries.count + 1)
    }

    private static func readBase(_ record: [UInt8]) -> [ServiceConfiguration]? {
        guard let root = try? JSONDocument(parsing: record).root, root.member("format")?.integer == format else {
            return nil
        }
        return root.member("base").flatMap(services)
    }

    private static func readEntry(_ record: [UInt8]) -> HistoryEntry? {
        guard let root = try? JSONDocument(parsing: record).root, let id = root.member("id")?.integer,
            let time = root.member("time")?.integer, let peer = root.member("peer")?.string,
            let request = root.member("request")?.string, let version = root.member("version")?.string,
            let deltas = deltas(in: root)
        else {
            return nil
        }
        return HistoryEntry(
            id: id, milliseconds: time, peer: peer, request: request, token: root.member("token")?.string,
            version: version, deltas: deltas
        )
    }

    /// As `ConfigurationDecoder` reads them, but routes may lead to services that are not among these.
    private static func services(_ list: JSONValue) -> [ServiceConfiguration]? {
        guard list.kind == .list else {
            return nil
        }
        var reading = ConfigurationReading(document: list.document)
        var result: [ServiceConfiguration] = []
        for (index, value) in list.children.enumerated() {
            var service = ServiceConfiguration(name: "", address: "")
            reading.object(value, at: "/\(index)", into: &service, named: nil)
            result.append(service)
        }
        guard reading.issues.isEmpty, Set(result.map(\.name)).count == result.count else {
            return nil
        }
        return result
    }
}
