// What is remembered of changes: bounds, pages, what the configuration was, and the form in the file.

import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct HistoryTests {
    private static let version = VersionTag(text: "v-1")

    private func service(_ name: String, fall: Int = 2, backends: Int = 0) -> ServiceConfiguration {
        var service = ServiceConfiguration(
            name: name, address: "127.0.0.1:80",
            backends: (0..<backends).map { BackendConfiguration(name: "b\($0)", address: "10.0.0.1:80") }
        )
        service.fall = fall
        return service
    }

    /// A history of these configurations, one after the other, and beginning with none.
    private func history(_ states: [[ServiceConfiguration]], bounds: History.Bounds = History.Bounds()) -> History {
        var history = History(bounds: bounds)
        var before: [ServiceConfiguration] = []
        for (index, state) in states.enumerated() {
            history.add(
                MadeChange(
                    origin: ChangeOrigin(peer: "127.0.0.1:1", request: "PUT /config"), before: before, after: state,
                    version: Self.version, milliseconds: index
                )
            )
            before = state
        }
        return history
    }

    private var states: [[ServiceConfiguration]] {
        [
            [service("a")], [service("a"), service("b")], [service("a", fall: 3), service("b")], [service("b")], [],
            [service("c", backends: 3)],
        ]
    }

    @Test func everyStateCanBeHadAgain() throws {
        let history = history(states)
        for (index, state) in states.enumerated() {
            let detail = try #require(history.detail(of: index + 1))
            #expect(detail.after == state)
            #expect(detail.before == (index == 0 ? [] : states[index - 1]))
        }
        #expect(history.latest == states.last)
        #expect(history.detail(of: 0) == nil)
        #expect(history.detail(of: 7) == nil)
    }

    @Test(arguments: 1...6)
    func theOldestAreForgottenAndTheRestStaysRight(_ count: Int) throws {
        let history = history(states, bounds: History.Bounds(count: count))
        #expect(history.entries.map(\.id) == Array((7 - count)...6))
        for id in (7 - count)...6 {
            #expect(history.detail(of: id)?.after == states[id - 1])
        }
        #expect(history.detail(of: 6 - count) == nil)
    }

    @Test func bytesAreBoundedButTheNewestStays() {
        let large = (0..<50).map { [service("a", fall: $0 + 1, backends: 100)] }
        let history = history(large, bounds: History.Bounds(bytes: 100_000))
        #expect((2...5).contains(history.entries.count), "\(history.entries.count)")
        #expect(history.latest == large.last)
        #expect(self.history(large, bounds: History.Bounds(bytes: 1)).entries.map(\.id) == [50])
    }

    @Test func pagesLeadThroughAllOfIt() {
        let history = history(states)
        var (seen, next): ([Int], Int?) = ([], nil)
        for _ in 0..<10 {
            let page = history.page(before: next, limit: 4)
            seen += page.entries.map(\.entry.id)
            next = page.next
            if next == nil {
                break
            }
        }
        #expect(seen == [6, 5, 4, 3, 2, 1])
        #expect(
            history.page(before: nil, limit: 4).entries.map(\.lines).map(\.first) == [
                "+ service c (on 127.0.0.1:80, backends: 3)", "- service b (on 127.0.0.1:80, backends: 0)",
                "- service a (on 127.0.0.1:80, backends: 0)", "~ service a: fall: 2 -> 3",
            ])
        #expect(history.page(before: 1, limit: 4).entries.isEmpty)
        #expect(History().page(before: nil, limit: 4).next == nil)
    }

    @Test func recordsAreReadAsTheyWereWritten() throws {
        let history = history(states, bounds: History.Bounds(count: 4))
        let records = [HistoryRecords.base(history.base)] + history.entries.map(HistoryRecords.entry)
        let (read, understood) = HistoryRecords.history(records)
        #expect(understood == records.count)
        #expect(read.entries == history.entries)
        #expect(read.base == history.base)
        #expect(read.latest == history.latest)
    }

    @Test func theTokensNameIsKept() throws {
        var history = History()
        for caller in [nil, Caller(name: "ci", role: .write)] {
            history.add(
                MadeChange(
                    origin: ChangeOrigin(peer: "unix", request: "PUT /a", caller: caller), before: [], after: [],
                    version: Self.version, milliseconds: 1
                )
            )
        }
        #expect(history.entries.map(\.token) == [nil, "ci"])
        let records = [HistoryRecords.base([])] + history.entries.map(HistoryRecords.entry)
        #expect(!String(decoding: records[1], as: UTF8.self).contains("token"), "as it was before there were tokens")
        #expect(HistoryRecords.history(records).0.entries == history.entries)
    }

    /// As it was written before there were tokens.
    @Test func anEntryWithoutATokenIsRead() {
        let text =
            #"{"id":1,"time":1,"peer":"127.0.0.1:1","request":"PUT /a","version":"v","removed":[],"services":[]}"#
        let (read, understood) = HistoryRecords.history([HistoryRecords.base([]), Array(text.utf8)])
        #expect(understood == 2 && read.entries.first?.token == nil && read.entries.first?.peer == "127.0.0.1:1")
    }

    @Test(arguments: [
        "{}", "[]", "no", #"{"id":9}"#,
        #"{"id":1,"time":1,"peer":"","request":"","version":"","removed":[],"services":[]}"#,
        #"{"id":9,"time":1,"peer":"","request":"","version":"","removed":[],"services":[{"name":"x","new":1}]}"#,
    ])
    func whatIsNoRecordEndsTheHistory(_ text: String) {
        let history = history(Array(states.prefix(2)))
        let records = [HistoryRecords.base([])] + history.entries.map(HistoryRecords.entry)
        let (read, understood) = HistoryRecords.history(records + [Array(text.utf8)])
        #expect(understood == 3)
        #expect(read.entries == history.entries)
    }
}
