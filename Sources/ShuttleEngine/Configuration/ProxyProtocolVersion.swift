// Owns which headers of the PROXY protocol there are, and which one a backend gets.

/// The form of the header that tells a backend where a client comes from.
public enum ProxyProtocolVersion: String, Sendable, CaseIterable, Hashable {
    /// A line of text.
    case v1
    /// Binary.
    case v2
}

extension ServiceConfiguration {
    /// What a connection to a backend of the service begins with; nil for nothing.
    public func proxyProtocolSend(to backend: BackendConfiguration) -> ProxyProtocolVersion? {
        backend.proxyProtocolSend ?? proxyProtocolSend
    }
}
