// What people see: aligned tables within a width, states in words, numbers they can read, rates.

import NIOCore
import Testing

@testable import shuttled

@Suite struct ClientTablesTests {
    private static var table: TextTable {
        var table = TextTable(
            columns: [
                .init(title: "NAME", isFlexible: true), .init(title: "STATE"), .init(title: "N", isNumber: true),
                .init(title: "MORE", isNumber: true, isDispensable: true),
            ]
        )
        table.rows = [
            ["web", TextCell("up", .good), "7", "1"],
            [TextCell(String(repeating: "long", count: 10)), TextCell("DOWN", .bad), "12345", ""],
        ]
        return table
    }

    @Test func columnsAreAlignedAndLinesEndInText() {
        let long = String(repeating: "long", count: 10)
        #expect(
            Self.table.lines(width: nil, inColour: false) == [
                "NAME" + String(repeating: " ", count: 38) + "STATE      N  MORE",
                "web" + String(repeating: " ", count: 39) + "up         7     1",
                "\(long)  DOWN   12345",
            ]
        )
    }

    @Test(arguments: [1, 20, 38, 45, 60, 80, 200])
    func aNarrowTerminalCutsWhatMayBeCut(_ width: Int) throws {
        let lines = Self.table.lines(width: width, inColour: false)
        // 24 of the name, the state, the number: what cannot be cut.
        #expect(lines.allSatisfy { $0.count <= max(width, 38) })
        #expect(lines[0].contains("MORE") == (width >= 44))
        #expect(lines[2].contains("12345") && lines[2].contains("DOWN"))
        #expect(lines[2].contains("…") == (width < 60))
    }

    @Test func coloursChangeNoText() {
        let plain = Self.table.lines(width: nil, inColour: false)
        let coloured = Self.table.lines(width: nil, inColour: true)
        #expect(coloured != plain)
        #expect(coloured.map { $0.replacing(/\u{1B}\[[0-9]+m/, with: "") } == plain)
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1023, "1023"), (1024, "1.0K"), (10_188, "9.9K"), (10_240, "10K"), (1_022_976, "999K"),
        (1_023_488, "1.0M"),
        (1_024_000, "1.0M"), (5_368_709_120, "5.0G"), (Int.max, "8.0E"), (-5, "0"),
    ])
    func bytes(_ count: Int, _ text: String) {
        #expect(Humanised.bytes(count) == text)
    }

    @Test(arguments: [
        (nil, "-"), (0, "0"), (0.04, "0.0"), (0.5, "0.5"), (9.96, "10"), (999.4, "999"), (999.6, "1.0k"),
        (12_345, "12k"),
    ])
    func rates(_ rate: Double?, _ text: String) {
        #expect(Humanised.perSecond(rate) == text)
    }

    private static func backend(_ json: String) throws -> BackendView {
        BackendView(try JSONDocument(parsing: Array("{\(json)}".utf8)).root)
    }

    @Test(arguments: [
        (#""up": true"#, "up"), (#""up": true, "weight": 0"#, "no weight"),
        (#""up": true, "backup": true"#, "up (backup)"),
        (#""up": false"#, "DOWN"), (#""up": false, "ejected": true"#, "EJECTED"), (#""state": "drain""#, "drained"),
        (#""state": "drain", "active": 3"#, "drain"), (#""state": "maintenance""#, "maintenance"),
        (#""state": "maintenance", "up": false"#, "maintenance, DOWN"),
    ])
    func theStateOfABackendIsReadWithoutColour(_ json: String, _ text: String) throws {
        #expect(try Self.backend(json).status.text == text)
    }

    @Test(arguments: [
        (#""maintenance": true"#, "maintenance"), (#""backends": []"#, "no backends"), (#""routes": []"#, "routes"),
        (#""backends": [{"up": true}, {"up": true}]"#, "up"),
        (#""backends": [{"up": true}, {"up": false}]"#, "degraded"),
        (#""backends": [{"up": true}, {"up": true, "state": "drain"}]"#, "up"),
        (#""backends": [{"up": false}]"#, "DOWN"),
    ])
    func theStateOfAService(_ json: String, _ text: String) throws {
        #expect(ServiceView(try JSONDocument(parsing: Array("{\(json)}".utf8)).root).status.text == text)
    }

    @Test func countersThatAreZeroAreNotListed() throws {
        let json = #"{"name": "web", "client_timeout": 0, "errors": 0, "sent": 2048, "ended": {"idle": 0, "drain": 2}}"#
        let table = StatisticsTables.fields(try JSONDocument(parsing: Array(json.utf8)).root)
        #expect(
            table.rows.map { $0.map(\.text) } == [
                ["name", "web"], ["client_timeout", "0"], ["sent", "2048 (2.0K)"], ["ended.drain", "2"],
            ]
        )
    }

    @Test func ratesAreDifferencesAndNothingElse() {
        var service = ServiceView()
        service.name = "web"
        service.traffic = TrafficView(connections: 10, active: 0, errors: 0, sent: 1000, received: 0)
        var book = RateBook()
        let start = NIODeadline.uptimeNanoseconds(1)
        #expect(book.rates(of: [service], at: start).isEmpty, "nothing to compare with")
        service.traffic.connections = 30
        service.traffic.sent = 5000
        let rates = book.rates(of: [service], at: start + .seconds(2))
        #expect(rates["web"] == Rates(connections: 10, errors: 0, sent: 2000, received: 0))
    }

    @Test(arguments: [\TrafficView.connections, \.errors, \.sent, \.received])
    func aCounterThatFellBeganAnew(_ counter: any WritableKeyPath<TrafficView, Int> & Sendable) {
        var service = ServiceView()
        service.traffic = TrafficView(connections: 9, active: 9, errors: 9, sent: 9, received: 9)
        var book = RateBook()
        let start = NIODeadline.uptimeNanoseconds(1)
        _ = book.rates(of: [service], at: start)
        service.traffic[keyPath: counter] = 0
        #expect(book.rates(of: [service], at: start + .seconds(1)).isEmpty)
        #expect(book.rates(of: [service], at: start + .seconds(2)).count == 1)
    }

    @Test(arguments: [1, 3, 5, 24, 100])
    func aScreenIsNeverOverfull(_ height: Int) {
        var view = WatchView(address: .standard, interval: "1s")
        var book = RateBook()
        let services = (0..<30).map { number in
            var service = ServiceView()
            service.name = "service-\(number)"
            return service
        }
        view.take(services, &book)
        for key in [ScreenKey.other, .down, .pageDown, .last, .down, .up, .first, .up] {
            _ = view.obey(key)
            let lines = view.lines(size: (80, height), inColour: false)
            #expect(lines.count <= height)
            if height >= 5 {
                #expect(lines.contains { $0.hasPrefix("service-") }, "after \(key)")
            }
        }
        _ = view.obey(.last)
        if height >= 5 {
            #expect(view.lines(size: (80, height), inColour: false).contains { $0.hasPrefix("service-29 ") })
        }
    }

    @Test func onlyWhatIsDownCanBeSeen() throws {
        let json = """
            [{"name": "good", "backends": [{"name": "a", "up": true}, {"name": "x", "up": false, "state": "maintenance"}]},
             {"name": "bad", "backends": [{"name": "b", "up": false}, {"name": "y", "up": true}]},
             {"name": "parked", "maintenance": true, "backends": [{"name": "c", "up": true}]}]
            """
        var view = WatchView(address: .standard, interval: "1s")
        var book = RateBook()
        let services = try JSONDocument(parsing: Array(json.utf8)).root.children.map(ServiceView.init)
        func names() -> [Substring] {
            view.lines(size: (80, 24), inColour: false).dropFirst(3).dropLast().compactMap {
                $0.split(separator: " ").first
            }
        }
        view.take(services, &book)
        #expect(names() == ["good", "a", "x", "bad", "b", "y", "parked", "c"])
        _ = view.obey(.trouble)
        #expect(names() == ["bad", "b", "y", "parked", "c"])
        view.take([services[0]], &book)
        #expect(
            names() == [] && view.lines(size: (80, 24), inColour: false).last?.hasPrefix("Nothing is down.") == true)
        _ = view.obey(.trouble)
        #expect(names() == ["good", "a", "x"])
    }

    @Test(arguments: [(0, ""), (1, "…"), (2, "s…"), (3, "s…1"), (12, "servic…me/b1"), (40, "service-with-a-name/b1")])
    func aNameThatIsCutKeepsItsEnd(_ width: Int, _ text: String) {
        #expect(TextCell("service-with-a-name/b1").cut(to: width, keepingEnd: true).text == text)
    }

    @Test func keysAreReadOutOfWhatATerminalSends() {
        #expect(ScreenKey.all(in: Array("q".utf8)) == [.quit])
        #expect(
            ScreenKey.all(in: Array("\u{1B}[A\u{1B}[6~jG\u{1B}OBx".utf8)) == [
                .up, .pageDown, .down, .last, .down, .other,
            ])
        #expect(ScreenKey.all(in: [0x1B]) == [.other])
        #expect(ScreenKey.all(in: Array("\u{1B}[".utf8)) == [.other])
    }
}
