// Owns who is let in: each entry with its name, its role, and what shows that it is the one.
// Leaves to others: the file that they stand in (TokenFile), which list is in force (Control/AccessTokens).

/// Callers that are let in.
struct AccessList: Sendable {
    /// What shows who calls.
    enum Proof: Hashable, Sendable {
        case token(BearerToken)
        /// The user that the other end of a unix socket runs as.
        case user(UInt32)
        /// A group of that user's.
        case group(UInt32)
    }

    struct Entry: Equatable, Sendable {
        var name: String
        var role: AccessRole
        var proof: Proof

        var caller: Caller { Caller(name: name, role: role) }
    }

    let entries: [Entry]
    private let withTokens: [Entry]
    private let table: TokenTable

    /// Names and proofs are different from one another.
    init(_ entries: [Entry]) {
        self.entries = entries
        var withTokens: [Entry] = []
        var tokens: [BearerToken] = []
        for entry in entries {
            if case .token(let token) = entry.proof {
                withTokens.append(entry)
                tokens.append(token)
            }
        }
        self.withTokens = withTokens
        table = TokenTable(tokens)
    }

    var hasGroups: Bool {
        entries.contains { if case .group = $0.proof { true } else { false } }
    }

    func contains(_ proof: Proof) -> Bool { entries.contains { $0.proof == proof } }

    func entry(withToken shown: [UInt8]) -> Entry? { table.index(of: shown).map { withTokens[$0] } }

    /// The line of a user, which is the most particular; else, of those of its groups, the one that lets it do most.
    func entry(ofUser user: UInt32, groups: [UInt32]) -> Entry? {
        if let entry = entries.first(where: { $0.proof == .user(user) }) {
            return entry
        }
        let ofGroups = entries.filter {
            if case .group(let group) = $0.proof { groups.contains(group) } else { false }
        }
        let highest = ofGroups.map(\.role).max()
        return ofGroups.first { $0.role == highest }
    }

    /// How many there are, by their roles, in words.
    var summary: String {
        let counts = AccessRole.allCases.map { role in "\(role.rawValue): \(entries.count { $0.role == role })" }
        return "\(entries.count) (\(counts.joined(separator: ", ")))"
    }

    /// What is another one than in `earlier`, in words; names only.
    func changes(since earlier: AccessList) -> String {
        let before = Dictionary(uniqueKeysWithValues: earlier.entries.map { ($0.name, $0) })
        let now = Set(entries.map(\.name))
        let parts = [
            ("added", entries.filter { before[$0.name] == nil }),
            ("changed", entries.filter { entry in before[entry.name].map { $0 != entry } ?? false }),
            ("removed", earlier.entries.filter { !now.contains($0.name) }),
        ]
        let told = parts.filter { !$0.1.isEmpty }
            .map { word, entries in "\(word): \(entries.map(\.name).joined(separator: ", "))" }
        return told.isEmpty ? "nothing has changed" : told.joined(separator: "; ")
    }
}
