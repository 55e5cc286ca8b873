// Owns the addresses that a service's connections to its backends come from, as rings read them.
// Leaves to others: whether this machine has them (shuttled/Control), binding (Ring), whose turn it is (Worker).

/// Plain memory, valid for as long as the compiled service that it belongs to.
struct SourceAddresses {
    private let ipv4: UnsafeBufferPointer<SocketAddress>
    private let ipv6: UnsafeBufferPointer<SocketAddress>
    private let ipv4Family: Int32
    private let ipv6Family: Int32

    /// To be given back by `deallocate`.
    init(_ addresses: [SocketAddress]) {
        let family = SocketAddress.anyIPv4(port: 0).family
        ipv4Family = family
        ipv6Family = SocketAddress.anyIPv6(port: 0).family
        ipv4 = SourceAddresses.copy(addresses.filter { $0.family == family })
        ipv6 = SourceAddresses.copy(addresses.filter { $0.family != family })
    }

    func deallocate() {
        ipv4.deallocate()
        ipv6.deallocate()
    }

    /// Those from which an address of this family can be reached; none leaves it to the kernel. Connections to unix sockets
    /// come from nowhere.
    func addresses(for family: Int32) -> UnsafeBufferPointer<SocketAddress> {
        if family == ipv4Family { return ipv4 }
        return family == ipv6Family ? ipv6 : UnsafeBufferPointer(start: nil, count: 0)
    }

    private static func copy(_ addresses: [SocketAddress]) -> UnsafeBufferPointer<SocketAddress> {
        let memory = UnsafeMutableBufferPointer<SocketAddress>.allocate(capacity: addresses.count)
        _ = memory.initialize(from: addresses)
        return UnsafeBufferPointer(memory)
    }
}
