// Who is a browser and who is a program, by what they accept.

import Hummingbird
import Testing

@testable import shuttled

@Suite struct AcceptedTypesTests {
    private func prefersHTML(_ values: [String]) -> Bool {
        var fields = HTTPFields()
        for value in values {
            fields.append(.init(name: .accept, value: value))
        }
        return AcceptedTypes(fields).prefersHTML
    }

    @Test(arguments: [
        "text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "TEXT/HTML;Q=0.5",
        "text/*", "application/json;q=0.4, text/html;q=0.5", "text/html ; q=0.2", "*/*;q=0.1,text/html",
        "text/html;level=1;q=0.3,application/json;q=0", "text/*,application/json;q=0.999",
    ])
    func browsers(_ value: String) {
        #expect(prefersHTML([value]))
    }

    @Test(arguments: [
        "", "*/*", "application/json", "text/html,application/json", "text/plain", "text/html;q=0", "text/html;q=2",
        "text/html;q=x", "text/html;q=0.5,*/*", "text/html;q=0.5,application/*;q=0.6", "html", "text/htmlx",
        ",", ";q=1", "text/html;q=-1",
    ])
    func programs(_ value: String) {
        #expect(!prefersHTML([value]))
    }

    @Test func severalFieldsAreOneList() {
        #expect(!prefersHTML([]))
        #expect(prefersHTML(["*/*;q=0.1", "text/html"]))
        #expect(!prefersHTML(["text/html", "application/json"]))
    }
}
