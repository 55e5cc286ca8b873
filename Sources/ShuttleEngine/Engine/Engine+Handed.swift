// Owns which listener takes a socket that this process was started with.
// Leaves to others: what such a socket is (HandedSocket), binding new ones (ListeningSocket).

extension Engine {
    /// A listener on what this process was started with, where that is at the address.
    func handedSocket(at address: SocketAddress, for index: Int) throws(ListenFailure) -> ListeningSocket? {
        guard let handed = handed.first(where: { $0.address == address }) else { return nil }
        let descriptor = handed.copy(isNonBlocking: false)
        guard descriptor >= 0 else {
            throw ListenFailure(serviceIndex: index, address: address, code: -descriptor)
        }
        return ListeningSocket(handed: descriptor, at: address)
    }
}
