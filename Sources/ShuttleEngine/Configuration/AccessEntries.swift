// Owns what the entries of `allow` and `deny` may be, and that no list says the same thing twice.
// Leaves to others: reading one entry (NetworkPrefix), what the lists mean (Balancing/AccessRanges).

/// Rules of the lists of networks.
enum AccessEntries {
    static let rule = TextListRule(
        of: TextRule(
            "a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", or an address, or "
                + "\"unix\" for clients on unix sockets",
            verdict: verdict
        ),
        countMax: ConfigurationRanges.accessEntriesMax,
        conflicts: repetitions
    )

    /// The entry that stands for all clients on unix sockets: they have no address.
    static let unix = "unix"

    private static func verdict(_ text: String) -> TextRule.Verdict {
        if text == unix { return .accepted }
        do throws(NetworkPrefixError) {
            _ = try NetworkPrefix(parsing: text)
            return .accepted
        } catch {
            return .refused(error.explanation)
        }
    }

    /// Entries that another one of the list says already. An operator who finds one of the two and removes it would
    /// believe that it does not hold any more.
    private static func repetitions(_ texts: [String], _ pointer: String) -> [(index: Int, detail: String)] {
        let entries = texts.enumerated().compactMap { index, text in
            (try? NetworkPrefix(parsing: text)).map { (index: index, network: $0) }
        }
        // Networks lie within each other or apart, so one that lies within another comes after it, with nothing in
        // between that is apart from both.
        let sorted = entries.sorted { one, other in
            let (left, right) = (one.network, other.network)
            if left.family != right.family { return left.family == .ipv4 }
            if left.first != right.first { return left.first < right.first }
            return left.length != right.length ? left.length < right.length : one.index < other.index
        }
        var found: [(index: Int, detail: String)] = []
        if let first = texts.firstIndex(of: unix) {
            for index in texts.indices.dropFirst(first + 1) where texts[index] == unix {
                found.append(
                    (index, "\"unix\", which is the same as \"unix\" at \(pointer)/\(first); leave one of them out"))
            }
        }
        var widest = sorted.first
        for entry in sorted.dropFirst() {
            guard let cover = widest, cover.network.family == entry.network.family,
                entry.network.first <= cover.network.last
            else {
                widest = entry
                continue
            }
            let place = "\(Quoted(texts[cover.index])) at \(pointer)/\(cover.index)"
            let relation = cover.network == entry.network ? "which is the same as" : "which lies within"
            found.append((entry.index, "\(Quoted(texts[entry.index])), \(relation) \(place); leave one of them out"))
        }
        return found.sorted { $0.index < $1.index }
    }
}
