// Owns the names of records' numbers: that they outlive what they stand for, as long as some record needs them; and the
// addresses of clients.

import Testing

@testable import ShuttleEngine

@Suite struct RecordNamesTests {
    private static func identity(_ service: String, _ name: String) -> RecordRegistry.BackendIdentity {
        .init(service: service, name: name, address: .loopbackIPv4(port: 81))
    }

    @Test func namesOutliveTheirRecords() {
        let registry = RecordRegistry(workerCount: 1)
        let service = registry.service("web").pointee.identifier
        let backend = registry.backend(RecordNamesTests.identity("web", "one")).pointee.identifier
        #expect(service != 0 && backend != 0)
        registry.retire(exceptServices: [], exceptBackends: [], epoch: 2)
        registry.collect(acknowledged: 2)
        #expect(registry.retiredCount == 0 && registry.names.departedCount == 2)
        #expect(registry.names.services[service] == "web")
        #expect(registry.names.backends[backend]?.name == "one")
        // Others of the same names have other numbers: what was recorded of those is not told of these.
        #expect(registry.service("web").pointee.identifier != service)
        #expect(registry.backend(RecordNamesTests.identity("web", "one")).pointee.identifier != backend)
        registry.names.forget(exceptServices: [service], exceptBackends: [])
        #expect(registry.names.services[service] == "web" && registry.names.backends[backend] == nil)
        registry.names.forget(exceptServices: [], exceptBackends: [])
        #expect(registry.names.services[service] == nil && registry.names.departedCount == 0)
        // Those that are configured stay.
        #expect(registry.names.services.count == 1 && registry.names.backends.count == 1)
    }

    @Test func addressesAsTheKernelWritesThem() {
        for address in [
            SocketAddress.ipv4(0xc000_0201, port: 4711), .ipv6(high: 0x2001_0db8 << 32, low: 1, port: 65_535),
        ] {
            #expect(RawAddress(address).address == address)
        }
        // One of IPv4 at a socket of both.
        #expect(
            RawAddress(.ipv6(high: 0, low: 0xffff_c000_0201, port: 80)).address == .ipv4(0xc000_0201, port: 80))
        #expect(RawAddress().address == nil)
        #expect(RawAddress(.process(1)).address == nil)
    }

    @Test func tcpInformationFitsIntoAWord() {
        for information in [
            TCPInformation(roundTripMicroseconds: 0, retransmits: 0),
            TCPInformation(roundTripMicroseconds: .max, retransmits: 12),
        ] {
            #expect(information.word != 0 && TCPInformation(word: information.word) == information)
        }
    }
}
