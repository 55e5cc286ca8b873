// Owns sessions that have ended, for tests of what is told of them.

@testable import ShuttleEngine
@testable import shuttled

extension FakeControl {
    /// One that went well, one whose connect failed, and one of a service that is configured no more.
    static func recent(_ isThere: Bool) -> RecentSessions? {
        guard isThere else { return nil }
        var good = SessionRecord()
        good.startedAt = 5_000_000_000
        good.duration = 1_234_567
        good.storedConnectDuration = 100_000
        good.storedFirstByteDuration = 200_999
        good.waitDuration = 3000
        good.sentBytes = 11
        good.receivedBytes = 12
        good.storedClient = RawAddress(.ipv4(0xc000_0201, port: 4711))
        good.marks = .init(reason: TerminationReason.clientClosed.rawValue, retries: 1, flags: 5)
        good.storedDownstream = TCPInformation(roundTripMicroseconds: 21, retransmits: 0).word
        good.storedUpstream = TCPInformation(roundTripMicroseconds: 22, retransmits: 3).word
        var failed = SessionRecord()
        failed.startedAt = 4_000_000_000
        failed.marks.reason = TerminationReason.connectRefused.rawValue
        var old = SessionRecord()
        old.startedAt = 3_000_000_000
        old.marks = .init(reason: TerminationReason.idle.rawValue, retries: 0, flags: SessionRecord.Marks.datagrams)
        return RecentSessions(
            sessions: [
                FinishedSession(
                    ring: 1, service: "web", backend: "one", backendAddress: .ipv4(0x0a00_0001, port: 80), record: good),
                FinishedSession(ring: 0, service: "web", backend: "two", backendAddress: nil, record: failed),
                FinishedSession(ring: 0, service: "gone", backend: nil, backendAddress: nil, record: old),
            ],
            clock: SessionClock(aheadMilliseconds: 1_764_115_194_029), rememberedPerRing: 1000)
    }
}
