// Owns which route a client takes that has said where it wants to go: the exact name, then the longest wildcard, then
// routes without a name; of each, those that ask for a protocol first. Pure.
// Leaves to others: reading what the client says (ClientHello), what a route leads to (ServiceTable).

/// A route as the table is made of it.
struct RouteRule: Equatable {
    /// `a.example`, or `*.b.example` for every name that ends in `.b.example`; none for every client.
    var names: [String]
    /// One of them must be offered; none asks for nothing.
    var protocols: [String]
}

/// Routes as rings read them: flat, immutable, without references to count. Valid as long as its `RouteStorage`.
struct RouteTable {
    /// One name of one route.
    struct Entry {
        /// What follows the `*.` of a wildcard; nothing for every client.
        var name: Range<Int>
        var isWildcard: Bool
        /// Each preceded by its length.
        var protocols: Range<Int>
        /// The route's place in the configuration.
        var route: Int
    }

    /// Sorted by `isWildcard`, then by name; of the same name those with protocols first, then in the order of the
    /// configuration.
    fileprivate(set) var entries = UnsafeBufferPointer<Entry>(start: nil, count: 0)
    fileprivate(set) var bytes = UnsafeRawBufferPointer(start: nil, count: 0)

    var isEmpty: Bool { entries.isEmpty }

    /// The route of a client, nil where none is for it.
    func route(of hello: ClientHello) -> Int? {
        hello.withName { name in
            if let route = route(of: hello, named: name, isWildcard: false) { return route }
            var start = 0
            while start < name.count {
                defer { start += 1 }
                guard name[start] == UInt8(ascii: "."), start > 0 else { continue }
                let rest = UnsafeRawBufferPointer(rebasing: name[(start + 1)...])
                if let route = route(of: hello, named: rest, isWildcard: true) { return route }
            }
            return route(of: hello, named: UnsafeRawBufferPointer(start: nil, count: 0), isWildcard: true)
        }
    }

    private func route(of hello: ClientHello, named name: UnsafeRawBufferPointer, isWildcard: Bool) -> Int? {
        if name.isEmpty, !isWildcard { return nil }
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if compare(entries[middle], name, isWildcard) < 0 { low = middle + 1 } else { high = middle }
        }
        while low < entries.count, compare(entries[low], name, isWildcard) == 0 {
            if isOffered(entries[low].protocols, by: hello) { return entries[low].route }
            low += 1
        }
        return nil
    }

    /// Below 0 where the entry comes before, 0 where it is of this name.
    private func compare(_ entry: Entry, _ name: UnsafeRawBufferPointer, _ isWildcard: Bool) -> Int {
        if entry.isWildcard != isWildcard { return entry.isWildcard ? 1 : -1 }
        var index = 0
        while index < entry.name.count, index < name.count {
            let difference = Int(bytes[entry.name.lowerBound + index]) - Int(name[index])
            if difference != 0 { return difference }
            index += 1
        }
        return entry.name.count - name.count
    }

    private func isOffered(_ protocols: Range<Int>, by hello: ClientHello) -> Bool {
        if protocols.isEmpty { return true }
        var place = protocols.lowerBound
        while place < protocols.upperBound {
            let end = place + 1 + Int(bytes[place])
            if hello.offers(UnsafeRawBufferPointer(rebasing: bytes[(place + 1)..<end])) { return true }
            place = end
        }
        return false
    }
}

/// Owns the memory of a table.
final class RouteStorage {
    let table: RouteTable
    private let entries: UnsafeMutableBufferPointer<RouteTable.Entry>
    private let bytes: UnsafeMutableRawBufferPointer

    init(_ rules: [RouteRule]) {
        var text: [UInt8] = []
        func put(_ bytes: some Sequence<UInt8>) -> Range<Int> {
            let start = text.count
            text += bytes
            return start..<text.count
        }
        var all: [(key: [UInt8], entry: RouteTable.Entry)] = []
        for (route, rule) in rules.enumerated() {
            let protocols = put(rule.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) })
            for name in rule.names.isEmpty ? ["*."] : rule.names {
                let isWildcard = name.hasPrefix("*.")
                let key = RouteStorage.comparable(isWildcard ? name.dropFirst(2) : name[...])
                all.append(
                    (
                        key,
                        RouteTable.Entry(name: put(key), isWildcard: isWildcard, protocols: protocols, route: route)
                    ))
            }
        }
        all.sort { first, second in
            if first.entry.isWildcard != second.entry.isWildcard { return second.entry.isWildcard }
            if first.key != second.key { return first.key.lexicographicallyPrecedes(second.key) }
            if first.entry.protocols.isEmpty != second.entry.protocols.isEmpty { return second.entry.protocols.isEmpty }
            return first.entry.route < second.entry.route
        }
        entries = .allocate(capacity: all.count)
        _ = entries.initialize(from: all.map(\.entry))
        bytes = .allocate(byteCount: text.count, alignment: 1)
        bytes.copyBytes(from: text)
        var table = RouteTable()
        table.entries = UnsafeBufferPointer(entries)
        table.bytes = UnsafeRawBufferPointer(bytes)
        self.table = table
    }

    deinit {
        entries.deallocate()
        bytes.deallocate()
    }

    /// As `ServerName` has names.
    static func comparable(_ name: Substring) -> [UInt8] {
        var bytes = name.utf8.map { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? $0 | 0x20 : $0 }
        if bytes.count > 1, bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        return bytes
    }
}
