// Which known field a misspelt one is taken for, and which ones are taken for none.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct FieldSuggestionTests {
    @Test(arguments: [
        ("checkInterval", "check_interval"), ("CheckInterval", "check_interval"), ("CHECK_INTERVAL", "check_interval"),
        ("check-interval", "check_interval"), ("checkinterval", "check_interval"),
        ("check_intervall", "check_interval"),
        ("check_intervals", "check_interval"), ("chekc_interval", "check_interval"),
        ("Name", "name"), ("nmae", "name"), ("names", "name"), ("adress", "address"), ("addres", "address"),
        ("addr", nil), ("Address", "address"), ("balnace", "balance"), ("balancer", "balance"),
        ("backend", "backends"), ("Backends", "backends"), ("backedns", "backends"), ("fal", "fall"), ("falls", "fall"),
        ("raise", "rise"), ("connectTimeout", "connect_timeout"), ("conect_timeout", "connect_timeout"),
        ("clientTimeout", "client_timeout"), ("server_time_out", "server_timeout"),
        // Fields of other programs and plain other words are near to nothing.
        ("frontend", nil), ("upstreams", nil), ("maxconn", nil), ("http", nil), ("", nil), ("x", nil), ("_", nil),
        ("comment", nil), ("id", nil),
    ])
    func serviceFields(name: String, nearest: String?) {
        #expect(FieldSuggestion.nearest(to: name, among: ServiceConfiguration.fields.map(\.name)) == nearest)
    }

    @Test(arguments: [
        ("wieght", "weight"), ("Weight", "weight"), ("weigth", "weight"), ("checkaddress", "check_address"),
        ("checkAddress", "check_address"), ("check_addr", "check_address"), ("address_", "address"), ("host", nil),
    ])
    func backendFields(name: String, nearest: String?) {
        #expect(FieldSuggestion.nearest(to: name, among: BackendConfiguration.fields.map(\.name)) == nearest)
    }

    @Test func everyFieldIsNearestToItself() {
        let names = ServiceConfiguration.fields.map(\.name)
        for name in names {
            #expect(FieldSuggestion.nearest(to: name, among: names) == name)
            #expect(FieldSuggestion.nearest(to: name.uppercased(), among: names) == name)
        }
    }

    @Test func longNamesAreNotCompared() {
        let long = "name" + String(repeating: "_", count: 1000)
        #expect(FieldSuggestion.nearest(to: long, among: ["name"]) == nil)
        #expect(FieldSuggestion.nearest(to: "name___", among: []) == nil)
    }
}
