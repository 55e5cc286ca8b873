// Owns reading the conditions of requests.

import Hummingbird
import Testing

@testable import shuttled

@Suite struct RequestConditionsTests {
    private func condition(_ fields: (HTTPFields.Element.Name, String)...) throws(ProblemDetails) -> ChangeCondition {
        var headers = HTTPFields()
        for (name, value) in fields { headers.append(.init(name: name, value: value)) }
        return try ChangeCondition(headers)
    }

    private func tags(_ texts: String...) -> ChangeCondition.Tags { .listed(texts.map { VersionTag(text: $0) }) }

    @Test func tagsAreRead() throws {
        #expect(try condition() == .none)
        #expect(try condition((.ifMatch, "*")) == ChangeCondition(match: .any))
        #expect(try condition((.ifNoneMatch, " * ")) == ChangeCondition(noneMatch: .any))
        #expect(try condition((.ifMatch, #""a""#)) == ChangeCondition(match: tags("a")))
        #expect(try condition((.ifMatch, #" "a" ,"b,c",, "" "#)) == ChangeCondition(match: tags("a", "b,c", "")))
        #expect(try condition((.ifMatch, #""a""#), (.ifMatch, #""b""#)) == ChangeCondition(match: tags("a", "b")))
        #expect(
            try condition((.ifMatch, "*"), (.ifNoneMatch, #""a""#))
                == ChangeCondition(match: .any, noneMatch: tags("a")))
    }

    /// RFC 9110, 13.1: strong comparison for `If-Match`, weak for `If-None-Match`.
    @Test func weakTagsHoldForReadsOnly() throws {
        #expect(try condition((.ifMatch, #"W/"a", "b""#)) == ChangeCondition(match: tags("b")))
        #expect(try condition((.ifNoneMatch, #"W/"a""#)) == ChangeCondition(noneMatch: tags("a")))
    }

    @Test(arguments: [
        "a", #""a"#, #"a""#, #""a" "b""#, #"w/"a""#, "*, *", #"*, "a""#, #"W/a"#, #""a";"#, "\"a\"\u{e9}",
    ])
    func whatIsNoTagIsRefused(text: String) {
        let problem = #expect(throws: ProblemDetails.self) { try condition((.ifMatch, text)) }
        #expect(problem?.kind == .malformedRequest && problem?.detail.contains("If-Match") == true)
    }
}
