// Owns what callers of the admin API may do, in three steps, and who a caller is for those who tell of it.
// Leaves to others: what shows who calls (AccessList), what each request takes (Admin), what `operate` may change
// (Control/OperateScope).

/// What a caller may do; each role may do what those before it may.
enum AccessRole: String, CaseIterable, Comparable, Sendable {
    /// Look at everything.
    case read
    /// Take backends and services out of service and back, and weigh backends.
    case operate
    /// Change everything.
    case write

    static func < (first: AccessRole, second: AccessRole) -> Bool { first.rank < second.rank }

    private var rank: Int {
        switch self {
        case .read: 0
        case .operate: 1
        case .write: 2
        }
    }

    /// As they are listed to who gets one wrong.
    static let list = allCases.map(\.rawValue).joined(separator: ", ")
}

/// Who calls, by the name of the line that lets it in.
struct Caller: Equatable, Sendable {
    var name: String
    var role: AccessRole
}
