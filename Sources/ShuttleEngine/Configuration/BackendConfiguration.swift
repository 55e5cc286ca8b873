// Owns the values a backend is configured with.

/// One server behind a service.
public struct BackendConfiguration: Equatable, Hashable, Sendable {
    /// `[A-Za-z0-9_.:-]{1,128}`, unique within its service.
    public var name: String
    /// Where sessions connect to, as the user wrote it: `host:port` or `[v6]:port`.
    public var address: String
    /// Where health checks connect to; empty means no active check.
    public var checkAddress: String
    /// Share of new connections, 0…256; 0 means no new connections.
    public var weight: Int

    public init(
        name: String,
        address: String,
        checkAddress: String = "",
        weight: Int = ConfigurationDefaults.weight
    ) {
        self.name = name
        self.address = address
        self.checkAddress = checkAddress
        self.weight = weight
    }
}
