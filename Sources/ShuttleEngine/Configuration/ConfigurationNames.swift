// Owns which names services and backends may have.
// Leaves to others: uniqueness (ConfigurationValidator), and the routes that reserved names belong to (shuttled/Admin).

/// The rules for names. A name is a path segment of the admin API, hence what it may consist of.
public enum ConfigurationNames {
    /// First segments of the admin API's own routes, which a service of that name would hide.
    public static let reservedForRoutes: Set<String> = [
        "config", "_config", "_stats", "v1", "metrics", "livez", "readyz", "healthz", "dashboard", "openapi.json",
    ]

    /// Whether `name` has the form of a name: the right length, the right characters, not `.` or `..`.
    public static func isWellFormed(_ name: String) -> Bool {
        ConfigurationRanges.nameLength.contains(name.utf8.count)
            && name.utf8.allSatisfy { AddressLiteral.isLetterOrDigit($0) || "_.:-".utf8.contains($0) }
            && name != "." && name != ".."
    }

    /// What names consist of, in words.
    static var rule: String {
        let range = ConfigurationRanges.nameLength
        return "\(range.lowerBound) to \(range.upperBound) characters out of A-Z a-z 0-9 _ . : -"
    }

    /// The detail of the issue with `name` as the value of `field`, or nil when there is none.
    static func problem(with name: String, field: String, reserved: Set<String>) -> String? {
        if name.isEmpty {
            return "\"\(field)\" is empty; it must be \(rule)"
        }
        if name == "." || name == ".." {
            return "\"\(field)\" is \(Quoted(name)), which means something else in a URL; choose another name"
        }
        if !isWellFormed(name) {
            return "\"\(field)\" is \(Quoted(name)); it must be \(rule)"
        }
        if reserved.contains(name) {
            return "\"\(field)\" is \(Quoted(name)), which is reserved for a route of the admin API; "
                + "choose another name"
        }
        return nil
    }
}
