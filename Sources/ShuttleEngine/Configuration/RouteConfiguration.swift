// Owns the values that lead clients of a service to others by what their ClientHello says, and what is wrong with them.
// Leaves to others: which route a client takes (Preread/RouteTable).

/// Where clients with certain names and protocols go.
public struct RouteConfiguration: Equatable, Hashable, Sendable {
    /// Host names, or `*.` and a host name for all that end in it; none for every client.
    public var serverNames: [String] = []
    /// Of which one must be offered (ALPN); none asks for nothing.
    public var protocols: [String] = []
    /// A service without an address.
    public var service = ""

    public init() {}
}

extension RouteConfiguration: ConfigurationObject {
    public static let objectName = "route"

    public static let fields: [ConfigurationField<RouteConfiguration>] = [
        .init("sni", .texts(\.serverNames, serverNameRule)),
        .init("alpn", .texts(\.protocols, protocolRule)),
        .init(
            "service", .text(\.service, TextRule("the name of a service whose \"address\" is \"\"") { !$0.isEmpty }),
            .required),
    ]

    public static let blank = RouteConfiguration()

    private static let serverNameRule = TextListRule(
        of: TextRule("a host name such as \"www.example\", or \"*.example\" for all names that end in \".example\"") {
            text in
            RouteConfiguration.isServerName(text)
        },
        countMax: ConfigurationRanges.namesPerRoute
    )

    private static let protocolRule = TextListRule(
        of: TextRule("a protocol such as \"h2\" or \"http/1.1\", of 1 to 255 bytes") {
            (1...255).contains($0.utf8.count)
        },
        countMax: ConfigurationRanges.protocolsPerRoute
    )

    private static func isServerName(_ text: String) -> Bool {
        var name = text.hasPrefix("*.") ? text.dropFirst(2) : text[...]
        if name.hasSuffix(".") { name = name.dropLast() }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        return labels.allSatisfy { !$0.isEmpty && $0.utf8.count <= 63 } && CheckConfiguration.isServerName(String(name))
    }
}

// MARK: What routes say together

extension ServiceConfiguration {
    /// It has no address: only routes of others lead to it.
    public var isPool: Bool { address.isEmpty }

    /// The first two routes of which nobody could say which one a client takes, by their places, and the name; nil where
    /// there are none.
    var ambiguousRoutes: (first: Int, second: Int, name: String)? {
        struct Client: Hashable {
            var name: String
            /// Nil of a route for any.
            var applicationProtocol: String?
        }
        var taken: [Client: Int] = [:]
        for (index, route) in routes.enumerated() {
            let names = route.serverNames.isEmpty ? [""] : route.serverNames.map(RouteConfiguration.comparable)
            let protocols = route.protocols.isEmpty ? [nil] : Set(route.protocols.map(Optional.init))
            for name in names {
                let clients = protocols.map { Client(name: name, applicationProtocol: $0) }
                if let first = clients.compactMap({ taken[$0] }).min() { return (first, index, name) }
                for client in clients { taken[client] = index }
            }
        }
        return nil
    }
}

extension RouteConfiguration {
    /// As names are compared.
    static func comparable(_ name: String) -> String {
        let name = name.lowercased()
        return name.hasSuffix(".") && name.utf8.count > 1 ? String(name.dropLast()) : name
    }
}

/// What is wrong between services: routes to what is none, or to what has routes itself.
public struct RouteProblem: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        case unknown
        /// It has an address of its own.
        case hasAddress
        /// It leads on by routes itself.
        case hasRoutes
    }

    /// The service with the route, and the route's place.
    public var service: String
    public var route: Int
    /// What it names.
    public var target: String
    public var kind: Kind

    /// Of a whole configuration.
    public static func all(in services: [ServiceConfiguration]) -> [RouteProblem] {
        guard services.contains(where: { !$0.routes.isEmpty }) else { return [] }
        let byName = Dictionary(services.map { ($0.name, $0) }) { first, _ in first }
        return services.flatMap { service in
            service.routes.enumerated().compactMap { index, route in
                let kind: Kind
                if let target = byName[route.service] {
                    guard !target.isPool || !target.routes.isEmpty else { return nil }
                    kind = target.isPool ? .hasRoutes : .hasAddress
                } else {
                    kind = .unknown
                }
                return RouteProblem(service: service.name, route: index, target: route.service, kind: kind)
            }
        }
    }
}
