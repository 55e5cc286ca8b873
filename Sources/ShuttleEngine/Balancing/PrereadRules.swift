// Owns what a service reads of a client before it chooses a backend, as rings see it.

struct PrereadRules: Equatable {
    /// A header of the PROXY protocol begins every connection.
    var proxyHeader = false
    /// What the client says first in TLS decides which service it goes to.
    var clientHello = false
    /// Within which all of it must have been read.
    var timeoutMilliseconds: UInt32 = 0
    /// Bytes that each may have; no more than a receive buffer holds.
    var limit: UInt16 = 0

    var isAny: Bool { proxyHeader || clientHello }
}
