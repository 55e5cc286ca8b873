// Owns the table of configuration fields: their names on the wire, their order, kinds and ranges. Decoding, encoding,
// validation and suggestions all read this one table; a new field is one line here and a property of its struct.
// Leaves to others: the values (ServiceConfiguration, BackendConfiguration), and what is checked beyond one field.

/// What an address is used for, which decides what it may be.
public enum AddressRole: Sendable {
    /// A service's own: host and port, or a port on every local address.
    case listen
    /// Of a backend: has a host.
    case connect
    /// As `connect`, or empty for none.
    case connectOrNone
}

/// One field of a configuration object.
public struct ConfigurationField<Object>: Sendable {
    /// Where in the object a value lives.
    public typealias Path<Value> = any WritableKeyPath<Object, Value> & Sendable

    /// What kind of value the field has, where it lives and what it may be.
    public enum Kind: Sendable {
        case name(Path<String>)
        case address(Path<String>, AddressRole)
        case integer(Path<Int>, ClosedRange<Int>)
        /// As `integer`, in milliseconds.
        case milliseconds(Path<Int>, ClosedRange<Int>)
        case balance(Path<BalanceAlgorithm>)
        case backends(Path<[BackendConfiguration]>)
    }

    /// The name on the wire.
    public let name: String
    public let kind: Kind
    /// Whether leaving it out is an error; otherwise the default of the struct's `init` holds.
    public let isRequired: Bool

    init(_ name: String, _ kind: Kind, isRequired: Bool = false) {
        self.name = name
        self.kind = kind
        self.isRequired = isRequired
    }

    /// What a value must be, as the end of a sentence that starts with "it must be".
    public var requirement: String {
        switch kind {
        case .name:
            return "a string of \(ConfigurationNames.rule)"
        case .address(_, .listen):
            return "a string such as \"127.0.0.1:8080\", \"[::1]:8080\" or \":8080\""
        case .address(_, .connect):
            return "a string such as \"10.0.0.1:8080\" or \"[fd00::1]:8080\""
        case .address(_, .connectOrNone):
            return "a string such as \"10.0.0.1:8080\" or \"[fd00::1]:8080\", or \"\" for none"
        case .integer(_, let range):
            return "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .milliseconds(_, let range):
            return "an integer from \(range.lowerBound) to \(range.upperBound) (milliseconds)"
        case .balance:
            return BalanceAlgorithm.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
        case .backends:
            return "a list of backends"
        }
    }
}

/// A configuration struct whose fields are listed in a table.
public protocol ConfigurationObject: Sendable {
    /// What messages call such an object.
    static var objectName: String { get }
    /// The fields in the order they are printed.
    static var fields: [ConfigurationField<Self>] { get }
    /// Names that such an object cannot have, although they are well formed.
    static var reservedNames: Set<String> { get }
}

extension ServiceConfiguration: ConfigurationObject {
    public static let objectName = "service"
    /// Name of the list of backends.
    public static let backendsName = "backends"

    /// `backends` comes last: it reads best, and live statistics go before it.
    public static let fields: [ConfigurationField<ServiceConfiguration>] = [
        .init("name", .name(\.name), isRequired: true),
        .init("address", .address(\.address, .listen), isRequired: true),
        .init("balance", .balance(\.balance)),
        .init(
            "check_interval",
            .milliseconds(\.checkIntervalMilliseconds, ConfigurationRanges.checkIntervalMilliseconds)
        ),
        .init("fall", .integer(\.fall, ConfigurationRanges.checksInARow)),
        .init("rise", .integer(\.rise, ConfigurationRanges.checksInARow)),
        .init("client_timeout", .milliseconds(\.clientTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds)),
        .init("server_timeout", .milliseconds(\.serverTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds)),
        .init(
            "connect_timeout",
            .milliseconds(\.connectTimeoutMilliseconds, ConfigurationRanges.connectTimeoutMilliseconds)
        ),
        .init(backendsName, .backends(\.backends)),
    ]

    public static var reservedNames: Set<String> { ConfigurationNames.reservedForRoutes }
}

extension BackendConfiguration: ConfigurationObject {
    public static let objectName = "backend"

    public static let fields: [ConfigurationField<BackendConfiguration>] = [
        .init("name", .name(\.name), isRequired: true),
        .init("address", .address(\.address, .connect), isRequired: true),
        .init("check_address", .address(\.checkAddress, .connectOrNone)),
        .init("weight", .integer(\.weight, ConfigurationRanges.weight)),
    ]

    public static var reservedNames: Set<String> { [] }
}
