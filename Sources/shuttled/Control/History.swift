// Owns the changes that are remembered: who made them, what each of them changed, and what the configuration was after
// it; pure, and bounded.
// Leaves to others: keeping them on disk (HistoryKeeper), when a change is made (ControlPlane).

import ShuttleEngine

/// A change that was made: what everybody who wants to know of changes is told.
struct MadeChange: Sendable {
    var origin: ChangeOrigin
    /// Sorted by name.
    var before: [ServiceConfiguration]
    var after: [ServiceConfiguration]
    /// Of the whole configuration, after it.
    var version: VersionTag
    /// Since 1970.
    var milliseconds: Int
}

/// A change as it is remembered.
struct HistoryEntry: Sendable, Equatable {
    /// What a service is from then on; nil where it was removed. What it was is what earlier entries say: kept here as well
    /// it would take as much memory again.
    struct Delta: Sendable, Equatable {
        var name: String
        var after: ServiceConfiguration?

        /// What leads from one configuration to another; sorted by name.
        static func between(_ before: [ServiceConfiguration], _ after: [ServiceConfiguration]) -> [Delta] {
            let old = Dictionary(uniqueKeysWithValues: before.map { ($0.name, $0) })
            let names = Set(after.map(\.name))
            var deltas = before.filter { !names.contains($0.name) }.map { Delta(name: $0.name, after: nil) }
            deltas += after.filter { old[$0.name] != $0 }.map { Delta(name: $0.name, after: $0) }
            return deltas.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        }
    }

    /// Counts up from 1, over restarts.
    var id: Int
    var milliseconds: Int
    var peer: String
    /// `PUT /web` of a request; `start` and `SIGHUP` are what else changes configurations.
    var request: String
    /// Name of the token that the request was made with, or of the line that let its user in, where there are tokens.
    var token: String?
    /// What `ETag` said; its process may have ended.
    var version: String
    /// Sorted by name.
    var deltas: [Delta]

    /// Bytes that it takes, near enough.
    var cost: Int {
        deltas.reduce(256) { $0 + 64 + ($1.after.map(HistoryEntry.cost) ?? 0) }
    }

    private static func cost(of service: ServiceConfiguration) -> Int {
        let lists = (service.allow + service.deny).reduce(0) { $0 + $1.utf8.count + 16 }
        return 512 + lists + service.routes.count * 256 + service.backends.count * 192
    }
}

/// A page of the history, the newest first.
struct HistoryPage: Sendable {
    struct Item: Sendable {
        var entry: HistoryEntry
        /// The services that it changed, as they were, sorted by name.
        var before: [ServiceConfiguration]

        /// What it changed, in lines.
        var lines: [String] { ConfigurationDiff(from: before, to: entry.deltas.compactMap(\.after)).lines }
    }

    var entries: [Item]
    /// Where the next page begins: entries before this one. Nil on the last.
    var next: Int?
}

/// One entry with the whole configuration before and after it.
struct HistoryDetail: Sendable {
    var entry: HistoryEntry
    var before: [ServiceConfiguration]
    var after: [ServiceConfiguration]
}

/// The changes that are remembered.
struct History: Sendable {
    /// How much is remembered; the newest change always is.
    struct Bounds: Sendable {
        var count = 1000
        var bytes = 16 << 20
    }

    let bounds: Bounds
    /// What was there before the oldest entry.
    private(set) var base: [ServiceConfiguration]
    /// The oldest first.
    private(set) var entries: [HistoryEntry]
    private var cost: Int
    /// Of the entry that comes next.
    private(set) var nextID: Int

    init(bounds: Bounds = Bounds(), base: [ServiceConfiguration] = [], entries: [HistoryEntry] = []) {
        self.bounds = bounds
        self.base = base
        self.entries = entries
        cost = entries.reduce(0) { $0 + $1.cost }
        nextID = (entries.last?.id ?? 0) + 1
        trim()
    }

    /// What the configuration was after the newest entry.
    var latest: [ServiceConfiguration] { configuration(afterFirst: entries.count) }

    /// Gives no entry an id up to this one: it stands for something else already.
    mutating func skip(id: Int) {
        nextID = max(nextID, id + 1)
    }

    @discardableResult
    mutating func add(_ change: MadeChange) -> HistoryEntry {
        let entry = HistoryEntry(
            id: nextID, milliseconds: change.milliseconds, peer: change.origin.peer, request: change.origin.request,
            token: change.origin.caller?.name, version: change.version.text,
            deltas: HistoryEntry.Delta.between(change.before, change.after)
        )
        nextID += 1
        entries.append(entry)
        cost += entry.cost
        trim()
        return entry
    }

    /// Entries before `id`, or the newest.
    func page(before id: Int?, limit: Int) -> HistoryPage {
        let older = entries.prefix { entry in id.map { entry.id < $0 } ?? true }
        let page = older.suffix(limit)
        let base = History.apply(entries.prefix(upTo: page.startIndex), to: base)
        var live = Dictionary(uniqueKeysWithValues: base.map { ($0.name, $0) })
        var items: [HistoryPage.Item] = []
        for entry in page {
            items.append(HistoryPage.Item(entry: entry, before: entry.deltas.compactMap { live[$0.name] }))
            for delta in entry.deltas {
                live[delta.name] = delta.after
            }
        }
        return HistoryPage(entries: items.reversed(), next: page.count < older.count ? page.first?.id : nil)
    }

    /// Nil where it is not remembered.
    func detail(of id: Int) -> HistoryDetail? {
        guard let place = entries.firstIndex(where: { $0.id == id }) else {
            return nil
        }
        return HistoryDetail(
            entry: entries[place], before: configuration(afterFirst: place), after: configuration(afterFirst: place + 1)
        )
    }

    private func configuration(afterFirst count: Int) -> [ServiceConfiguration] {
        History.apply(entries.prefix(count), to: base)
    }

    private static func apply(
        _ entries: ArraySlice<HistoryEntry>, to base: [ServiceConfiguration]
    ) -> [ServiceConfiguration] {
        var services = Dictionary(uniqueKeysWithValues: base.map { ($0.name, $0) })
        for delta in entries.lazy.flatMap(\.deltas) {
            services[delta.name] = delta.after
        }
        return ConfigurationEncoder.sorted(Array(services.values))
    }

    private mutating func trim() {
        var count = 0
        while entries.count - count > 1, entries.count - count > bounds.count || cost > bounds.bytes {
            cost -= entries[count].cost
            count += 1
        }
        if count > 0 {
            base = History.apply(entries.prefix(count), to: base)
            entries.removeFirst(count)
        }
    }
}
