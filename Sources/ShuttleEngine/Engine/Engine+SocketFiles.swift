// Owns giving the files of unix sockets that stay their mode and owner, and taking it back.
// Leaves to others: sockets that are new (ListeningSocket), the files themselves (Ring/UnixSocketFile).

extension Engine {
    /// Changes who may connect to the sockets of `present`, as `services` say. Returns what held before; on failure it
    /// holds again.
    static func changeAccess(
        of present: [ListeningSocket], _ services: [ResolvedService]
    ) throws(ListenFailure) -> [(file: UnixSocketFile, access: SocketFileAccess)] {
        let files = Dictionary(
            uniqueKeysWithValues: present.compactMap { socket in socket.file.map { (socket.address, $0) } })
        guard !files.isEmpty else { return [] }
        var accessBefore: [(file: UnixSocketFile, access: SocketFileAccess)] = []
        for (index, service) in services.enumerated() {
            guard let address = service.listenAddress, let file = files[address], file.access != service.socketAccess
            else { continue }
            let before = file.access
            do throws(ListenError) {
                try file.change(to: service.socketAccess)
            } catch {
                restore(accessBefore)
                throw ListenFailure(error, at: address, of: index)
            }
            accessBefore.append((file, before))
        }
        return accessBefore
    }

    /// What was possible a moment ago is so now.
    static func restore(_ accessBefore: [(file: UnixSocketFile, access: SocketFileAccess)]) {
        for (file, access) in accessBefore { try? file.change(to: access) }
    }
}
