// Owns the addresses that connections come from: from text, and whether this machine has them.

import Glibc

extension SocketAddress {
    /// A numeric address without a port, such as `192.0.2.1` or `2001:db8::1`, as a connection's own end; nil for
    /// everything else, the wildcards included.
    public init?(source text: String) {
        var ipv4 = sockaddr_in()
        var ipv6 = sockaddr_in6()
        let address: SocketAddress?
        if inet_pton(AF_INET, text, &ipv4.sin_addr) == 1 {
            ipv4.sin_family = sa_family_t(AF_INET)
            address = withUnsafeBytes(of: ipv4) { SocketAddress(copying: $0.baseAddress!, length: $0.count) }
        } else if inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1 {
            ipv6.sin6_family = sa_family_t(AF_INET6)
            address = withUnsafeBytes(of: ipv6) { SocketAddress(copying: $0.baseAddress!, length: $0.count) }
        } else {
            address = nil
        }
        guard let address, !address.isWildcard else { return nil }
        self = address
    }

    /// The errno with which a connection that is to come from here fails, or nil when it can.
    public func failureAsSource() -> Int32? {
        switch Socket.openStream(family: family) {
        case .failure(let error):
            return error.code
        case .success(let socket):
            defer { Socket.close(socket) }
            guard case .failure(let error) = withUnsafePointer(to: self, { Socket.bindSource(socket, $0) }) else {
                return nil
            }
            return error.code
        }
    }
}
