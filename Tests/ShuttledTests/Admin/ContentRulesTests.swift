// Which bodies are read, and what a client may wish for in the answer.

import Hummingbird
import Testing

@testable import shuttled

@Suite struct ContentRulesTests {
    private typealias FieldName = HTTPFields.Element.Name

    private func fields(_ pairs: [(String, String)]) throws -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in pairs {
            fields.append(.init(name: try #require(FieldName(name)), value: value))
        }
        return fields
    }

    private func typeRefusal(_ types: [String], origin: Bool = false, encoding: String? = nil) throws
        -> ProblemDetails.Kind?
    {
        var pairs = types.map { ("Content-Type", $0) }
        if origin { pairs.append(("Origin", "http://127.0.0.1:9090")) }
        if let encoding { pairs.append(("Content-Encoding", encoding)) }
        return ContentRules.typeRefusal(try fields(pairs))?.kind
    }

    @Test(arguments: [
        "application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8",
        "application/json;charset=\"utf-8\"", "application/json ; x=y", "application/json;",
    ])
    func jsonIsRead(_ type: String) throws {
        #expect(try typeRefusal([type]) == nil)
        #expect(try typeRefusal([type], origin: true) == nil)
    }

    /// `curl -d` and `curl -T` work as they are; a page cannot use them.
    @Test func scriptsNeedNotSayJSON() throws {
        for types in [[], ["application/x-www-form-urlencoded"], ["application/x-www-form-urlencoded; charset=utf-8"]] {
            #expect(try typeRefusal(types) == nil)
            #expect(try typeRefusal(types, origin: true) == .unsupportedMediaType)
        }
    }

    @Test(arguments: [
        "text/plain", "text/json", "multipart/form-data; boundary=x", "application/xml", "application/jsonp",
        "application/json+x", "application/merge-patch+json", "application/octet-stream", "*/*", "json",
        "application/json; charset=utf-16", "application/json;charset=latin1", "text/plain; application/json",
        "text/plain, application/json",
    ])
    func otherTypesAreRefused(_ type: String) throws {
        #expect(try typeRefusal([type]) == .unsupportedMediaType)
        #expect(try typeRefusal([type], origin: true) == .unsupportedMediaType)
    }

    @Test func oneTypeAndNoCompression() throws {
        #expect(try typeRefusal(["application/json", "application/json"]) == .unsupportedMediaType)
        #expect(try typeRefusal(["application/json", "text/plain"]) == .unsupportedMediaType)
        #expect(try typeRefusal(["application/json"], encoding: "gzip") == .unsupportedMediaType)
        #expect(try typeRefusal(["application/json"], encoding: "identity") == nil)
    }

    @Test func declaredLengthsAreBounded() throws {
        for (length, isRefused) in [("0", false), ("1024", false), ("1025", true), ("99999999999999999999", true)] {
            let refusal = ContentRules.lengthRefusal(try fields([("Content-Length", length)]), max: 1024)
            #expect((refusal?.kind == .contentTooLarge) == isRefused, "\(length)")
        }
        #expect(ContentRules.lengthRefusal([:], max: 1024) == nil)
    }

    // MARK: Prefer

    @Test(arguments: [
        ["return=minimal"], ["Return=Minimal"], ["return=\"minimal\""], ["return = minimal"], ["return=minimal; x=y"],
        ["respond-async, return=minimal"], ["wait=10", "return=minimal"], ["return=minimal, return=representation"],
        ["x=\"a,return=representation\", return=minimal"],
    ])
    func minimalAnswersArePreferred(_ values: [String]) throws {
        #expect(Preferences(try fields(values.map { ("Prefer", $0) })).wantsMinimalReturn)
    }

    @Test(arguments: [
        [], [""], ["return=representation"], ["return=representation, return=minimal"], ["minimal"], ["return"],
        ["x=\"return=minimal\""], ["x=\"a, return=minimal\""], ["returns=minimal"], ["return=minimally"],
        ["x;return=minimal"],
    ])
    func wholeAnswersArePreferred(_ values: [String]) throws {
        #expect(!Preferences(try fields(values.map { ("Prefer", $0) })).wantsMinimalReturn)
    }
}
