// Owns the addresses that a service's connections to its backends come from, as rings read them.
// Leaves to others: whether this machine has them (shuttled/Control), binding (Ring), whose turn it is (Worker).

/// Plain memory, valid for as long as the compiled service that it belongs to.
struct SourceAddresses {
    private let ipv4: UnsafeBufferPointer<SocketAddress>
    private let ipv6: UnsafeBufferPointer<SocketAddress>
    private let ipv4Family: Int32

    /// To be given back by `deallocate`.
    init(_ addresses: [SocketAddress]) {
        let family = SocketAddress.anyIPv4(port: 0).family
        ipv4Family = family
        ipv4 = SourceAddresses.copy(addresses.filter { $0.family == family })
        ipv6 = SourceAddresses.copy(addresses.filter { $0.family != family })
    }

    func deallocate() {
        ipv4.deallocate()
        ipv6.deallocate()
    }

    /// Those from which an address of this family can be reached; none leaves it to the kernel.
    func addresses(for family: Int32) -> UnsafeBufferPointer<SocketAddress> { family == ipv4Family ? ipv4 : ipv6 }

    private static func copy(_ addresses: [SocketAddress]) -> UnsafeBufferPointer<SocketAddress> {
        let memory = UnsafeMutableBufferPointer<SocketAddress>.allocate(capacity: addresses.count)
        _ = memory.initialize(from: addresses)
        return UnsafeBufferPointer(memory)
    }
}
